"""``unet-repro train``."""

import os
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from unet_repro.commands import hydra_app
from unet_repro.commands.data_choice import with_data
from unet_repro.config import check
from unet_repro.console import report_user_errors
from unet_repro.evaluation.evaluations import evaluate
from unet_repro.machine import die_with_parent
from unet_repro.runs.folder import SCORES_OF_SEEN, RunFolder
from unet_repro.search import TRIAL_VARIABLE
from unet_repro.train import Result, train


def main(arguments: list[str]) -> None:
    """Trains one run, or sweeps."""
    run("train", arguments)


def run(verb: str, arguments: list[str]) -> None:
    """Prints which data are used, then trains or sweeps."""
    arguments, line = with_data(verb, arguments)
    if line:
        print(line, flush=True)
    hydra_app.run(task, verb=verb, arguments=arguments)


def task(config: DictConfig) -> Result:
    """Runs one job. In a sweep the sweeper reports errors, and the other jobs continue."""
    if HydraConfig.get().mode == RunMode.MULTIRUN:
        die_with_parent()
        result = train(config, on_row=_reporter())
        experiment = check(config).experiment
        if experiment is not None and experiment.evaluations and TRIAL_VARIABLE not in os.environ:
            evaluate(Path(config.runs_dir) / result["run_id"], experiment.evaluations)
        return result
    with report_user_errors():
        if (name := OmegaConf.select(config, "experiment.name")) and config.arm is None:
            print(f"note: this trains the base setting of {name} alone; -m trains its arms")
        started = time.time()
        result = train(config)
        print(_summary(RunFolder(Path(config.runs_dir) / result["run_id"]), result, started=started))
    return result


def _summary(folder: RunFolder, result: Result, *, started: float) -> str:
    final = str({key: round(value, 4) for key, value in result["final"].items()})
    if folder.trains_on_validation():
        final += f"; {SCORES_OF_SEEN}"
    finished = folder.result_file.stat().st_mtime
    if finished < started:
        when = datetime.fromtimestamp(finished).astimezone()
        return f"already done: run {folder.run_id} in {folder.path}, finished {when:%Y-%m-%d %H:%M}: {final}"
    return f"run {folder.run_id} in {folder.path}: {final}"


def _reporter() -> Callable[[dict[str, float]], None] | None:
    """Reports rows to the study if this job is a trial of a search."""
    if TRIAL_VARIABLE not in os.environ:
        return None
    from unet_repro.search.study import reporter  # noqa: PLC0415  (imports optuna)

    return reporter()
