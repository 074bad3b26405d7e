"""``unet-repro reproduce``: the suite of ablations as one Hydra multirun, then the report."""

import argparse
import json
import shlex
import sys
from dataclasses import replace
from pathlib import Path

import joblib
import torch

from unet_repro import conf_files
from unet_repro.commands import hydra_app
from unet_repro.commands.options import parser
from unet_repro.commands.report import report
from unet_repro.commands.sequential import Train, deadline, settle, what_is_left
from unet_repro.commands.train import task
from unet_repro.data.sources import registry as sources
from unet_repro.errors import ConfigError, SweepFailed
from unet_repro.report.record import RecordOfScale, published_record
from unet_repro.runs.ledger import Ledger
from unet_repro.sweep.swept import key_of, variant_of
from unet_repro.trial.claims import EXPERIMENTS
from unet_repro.trial.run_record import RunRecord, records_of

DEFAULT_SEEDS = {"smoke": 2, "cpu": 3}  # scales that are not listed run the sequential trial
RUNS_DIR = Path("runs")


def main(arguments: list[str]) -> None:
    """Trains the missing runs, seed by seed over all arms or as the sequential trial asks, and writes the report."""
    asked = parser("reproduce").parse_args(arguments)
    is_sequential = asked.seeds is None and asked.scale not in DEFAULT_SEEDS
    _check_options(asked, is_sequential=is_sequential)
    experiments = _experiments(asked.experiments, is_sequential=is_sequential)
    seeds = asked.seeds if asked.seeds is not None else DEFAULT_SEEDS.get(asked.scale, 1)
    data = _choose_data(asked.data)
    if asked.experiments == "all" and not is_sequential:
        experiments = _trainable(experiments, data)
    given = {key_of(one): one for one in asked.overrides}
    asked.overrides = [*given.values()]  # of two for one key the last counts
    runs_dir = Path(given.get("runs_dir", "").partition("=")[2] or RUNS_DIR)
    ours = [
        f"scale={asked.scale}",
        f"data={data}",
        f"runs_dir={runs_dir}",
        *_devices(asked.launcher, asked.jobs, on_gpu=_on_gpu(asked.device, asked.scale, asked.launcher)),
        "hydra.sweeper.summary=false",  # the report has it
        *(["hydra.sweeper.dry_run=true"] if asked.dry_run else []),
        *(["hydra.launcher.wait=false"] if asked.no_wait else []),
        *([f"hydra.sweeper.record={json.dumps(str(published_record() / asked.scale))}"] if asked.record else []),
    ]
    fixed = [*(one for one in ours if key_of(one) not in given), *asked.overrides]

    def train(chosen: list[str]) -> None:
        sweep = ["-m", *chosen, *fixed]
        print(shlex.join(["unet-repro", "train", *sweep]), flush=True)
        hydra_app.run(task, verb="train", arguments=sweep)

    try:
        if is_sequential:
            _settle(asked, data, experiments, train, runs_dir)
        else:
            train([f"experiment={','.join(experiments)}", f"seed={','.join(map(str, range(seeds)))}"])
    except SweepFailed:  # report the finished runs before the list of failures
        report(runs_dir, None)  # all that were started: a smaller suite does not hide a larger one
        raise
    if not (asked.dry_run or asked.no_wait):
        report(runs_dir, None)  # all that were started: a smaller suite does not hide a larger one


def _settle(asked: argparse.Namespace, data: str, experiments: list[str], train: Train, runs_dir: Path) -> None:
    """The sequential trial, for as long as the user allows."""
    published = RecordOfScale(published_record() / asked.scale) if asked.record else None
    variant = variant_of(asked.overrides)
    if published is not None:
        if variant:
            raise ConfigError(
                f"--record: runs with overrides of your own are not published: {variant}",
                hint="leave out --record or the overrides",
            )
        published.check_data(data)

    def records() -> list[RunRecord]:
        """Of this suite's runs; with ``--record``, after they were added to the published record, of all of it."""
        entries = Ledger(runs_dir).entries()
        same = [one for one in entries if (one.scale, one.data, one.variant) == (asked.scale, data, variant)]
        found = records_of([replace(one, variant="") for one in same], runs_dir)
        if published is None:
            return found
        for note in published.add(found)[1]:
            sys.stderr.write(f"note: {note}\n")
        return published.records()

    if asked.dry_run or asked.no_wait:
        what_is_left(records, train, scale=asked.scale, experiments=experiments)
    else:
        with deadline(asked.hours):
            settle(records, train, scale=asked.scale, experiments=experiments)


def _on_gpu(device: str, scale: str, launcher: str) -> bool:
    if device == "auto":
        return scale == "paper" and (launcher == "slurm" or torch.cuda.is_available())
    return device == "gpu"


def _devices(launcher: str, jobs: int | None, *, on_gpu: bool) -> list[str]:
    """Overrides that set on which devices the runs are trained; none of them changes a run's numbers."""
    cores = joblib.cpu_count()  # the cores that this process may use
    chosen = [f"hydra/launcher={launcher}", "trainer=gpu" if on_gpu else "trainer=cpu"]
    if launcher == "slurm":
        threads = None  # set by hydra.launcher.cpus_per_task
        chosen += [f"hydra.launcher.array_parallelism={jobs}"] if jobs else []
    elif on_gpu:
        threads = None
        chosen += [f"hydra.launcher.{'jobs' if launcher == 'local' else 'n_jobs'}={jobs}"] if jobs else []
    else:
        jobs = jobs or cores
        threads = max(1, cores // jobs)
        chosen.append(f"hydra.launcher.{'jobs' if launcher == 'local' else 'n_jobs'}={jobs}")
    return chosen + ([f"trainer.threads={threads}"] if threads else [])


def _check_options(asked: argparse.Namespace, *, is_sequential: bool) -> None:
    if not is_sequential and (asked.hours is not None or asked.record):
        raise ConfigError(
            "--hours and --record are for the sequential trial only",
            hint="use --scale laptop or paper, without --seeds",
        )
    if asked.no_wait and (asked.launcher != "slurm" or asked.hours is not None):
        raise ConfigError("--no-wait is only for --launcher slurm, without --hours", hint="leave one of them out")
    if asked.hours is not None and asked.hours <= 0:
        raise ConfigError(f"--hours {asked.hours:g}: must be positive", hint="use e.g. 8")
    for name, number in (("seeds", asked.seeds), ("jobs", asked.jobs)):
        if number is not None and number < 1:
            raise ConfigError(f"--{name} {number}: must be at least 1", hint="use 1 or more")


def _experiments(asked: str, *, is_sequential: bool) -> list[str]:
    """The comparisons that are named, or those that ``core`` and ``all`` stand for."""
    if asked in ("core", "all"):
        return list(EXPERIMENTS) if is_sequential else conf_files.suite(asked)
    named = [name.strip() for name in asked.split(",") if name.strip()]
    if is_sequential and (others := [name for name in named if name not in EXPERIMENTS]):
        raise ConfigError(
            f"the sequential trial has no claim about {', '.join(others)}",
            hint=f"use some of {', '.join(EXPERIMENTS)}; or --seeds 3 for runs without verdicts",
        )
    known = [
        name
        for name in conf_files.options("experiment")
        if not conf_files.comparison(name).get("searched")  # those are for `unet-repro search`
    ]
    for name in named or [""]:
        if name not in known:
            raise ConfigError(f"there is no experiment {name!r}", hint=f"use one of {', '.join(known)}")
    return named


def _trainable(experiments: list[str], data: str) -> list[str]:
    """Without the seed runs, which have their own data, if those are missing."""
    missing = [name for name in ("hela", "u373") if not sources.available(name)]
    if data == "isbi2012" and not missing:
        return experiments
    why = f"they need real data, not {data}" if data != "isbi2012" else f"fetch {' and '.join(missing)} first"
    print(f"--experiments all leaves out seed_runs: {why}", flush=True)
    return [name for name in experiments if name != "seed_runs"]


def _choose_data(wanted: str) -> str:
    if wanted != "auto":
        return wanted
    name, why = sources.auto()
    print(f"--data auto uses {name}: {why}", flush=True)
    return name
