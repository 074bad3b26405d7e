"""``unet-repro verify``: README and page agree with the record, and a run of it can be trained again."""

import random
import shutil
import sys
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, open_dict

from unet_repro.commands.hydra_app import compose
from unet_repro.commands.options import parser
from unet_repro.conf_files import conf_dir, load, options
from unet_repro.config import check
from unet_repro.errors import DataError, RunError
from unet_repro.report.publish import Published
from unet_repro.report.rerun import chosen, compared
from unet_repro.runs.folder import RunFolder
from unet_repro.runs.identity import CODE_VERSION
from unet_repro.trial.run_record import RunRecord

RUNS_DIR = Path("runs/verify")


def main(arguments: list[str]) -> None:
    """Checks the record of a checkout.

    Raises:
        DataError: If a file disagrees with the record, or the run differs from it.
        RunError: If the record has no such run.
    """
    asked = parser("verify").parse_args(arguments)
    published = Published(asked.checkout)
    wrong = published.disagreements()
    if wrong:
        raise DataError(
            f"{', '.join(str(path.relative_to(asked.checkout)) for path in wrong)} do not agree with the record",
            hint="rewrite them with `unet-repro report --record`",
        )
    num_runs = sum(map(len, published.records.values()))
    print(f"READMEs, verdicts and page agree with the record of {num_runs} runs")
    if asked.skip_training:
        return
    if not published.scales:
        raise RunError(f"{published.folder} has no runs", hint="add some: unet-repro report --add-to-record SCALE")
    if asked.scale not in (None, *published.scales):
        raise RunError(f"the record has no scale {asked.scale!r}", hint=f"use {' or '.join(published.scales)}")
    every = [record for scale in published.scales for record in published.records[scale]]
    smallest = published.scales[-1]
    wanted = asked.scale or (None if asked.run else smallest)
    candidates = [record for record in every if wanted in (None, record.scale)]
    seed = random.SystemRandom().randrange(10**6) if asked.seed is None else asked.seed
    record = chosen(candidates, seed=seed, run_id=asked.run)
    arms = ", ".join(f"{experiment}: {arm}" for experiment, arm in record.arms.items())
    how = "" if asked.run else f" (--seed {seed})"
    print(f"training run {record.run_id} again{how}: {arms}; seed {record.seed}, scale {record.scale}", flush=True)
    _train_again(record, asked.overrides)


def _train_again(record: RunRecord, overrides: list[str]) -> None:
    from unet_repro.train import train  # noqa: PLC0415  (imports torch)

    config = _config_of(record, overrides)
    folder = RunFolder(RUNS_DIR / record.run_id)
    if folder.state == "done":
        shutil.rmtree(folder.path)  # of an earlier check: a finished run would not be trained again
    result = train(config)
    if result["run_id"] != record.run_id:
        code = (
            f"code version {record.code_version}, here {CODE_VERSION}; " if record.code_version != CODE_VERSION else ""
        )
        raise DataError(
            f"the same settings give run {result['run_id']}, not {record.run_id}: {code}other data or settings",
            hint="use the data and the version of the record",
        )
    outcome = folder.outcome() or {}
    machine = {**outcome, **outcome["made_by"]}
    found = compared(record, folder.curves(), result["weights"]["last"], machine)
    if found.is_identical:
        print("identical to the record, bit for bit: curves and weights")
        return
    close = f"IoU at the first validation {found.first:+.4f}, mean of the second half of the curve {found.mean:+.4f}"
    if not found.agrees:
        why = "the machine is of the same kind" if not found.differs else "; ".join(found.differs)
        raise DataError(f"run {record.run_id} differs from the record: {close} ({why})", hint="please report this")
    sys.stdout.write(f"agrees with the record: {close}; not bit for bit, since {'; '.join(found.differs)}\n")


def _config_of(record: RunRecord, overrides: list[str]) -> DictConfig:
    """The configuration of a run of the record: its settings, threads and kind of device, with this machine's paths."""
    placed = [
        f"runs_dir={RUNS_DIR}",
        "logger.mode=disabled",
        f"trainer.threads={record.outcome.get('threads') or 1}",
        f"trainer.accelerator={'cpu' if record.outcome.get('device', 'cpu') == 'cpu' else 'gpu'}",
    ]
    config = compose("train", [f"data={_source(record.data)}", *placed, *overrides])
    with open_dict(config):
        for name, settings in record.settings.items():
            config[name] = {**config[name], **settings} if name == "trainer" else settings
    check(config)
    return config


def _source(name: str) -> str:
    """The option of ``conf/data`` whose source has this name."""
    for option in options("data"):
        node: dict[str, Any] = load(conf_dir() / "data" / f"{option}.yaml")
        if name in (option, node.get("name"), node.get("dataset")):
            return option
    raise DataError(f"no data set of conf/data has the name {name!r}", hint=f"known: {', '.join(options('data'))}")
