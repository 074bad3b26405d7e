"""``unet-repro train``."""

import os
from collections.abc import Callable
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from unet_repro.commands import hydra_app
from unet_repro.config import check
from unet_repro.console import report_user_errors
from unet_repro.evaluation.evaluations import evaluation
from unet_repro.machine import die_with_parent
from unet_repro.train import Result, train

TRIAL_VARIABLE = "UNET_REPRO_TRIAL"  # set for a job that is a trial of a search


def main(arguments: list[str]) -> None:
    """Trains one run, or sweeps."""
    hydra_app.run(task, name="train", arguments=arguments)


def task(config: DictConfig) -> Result:
    """Runs one job. In a sweep the sweeper reports errors, and the other jobs continue."""
    if HydraConfig.get().mode == RunMode.MULTIRUN:
        die_with_parent()
        result = train(config, on_row=_reporter())
        experiment = check(config).experiment
        if experiment is not None and TRIAL_VARIABLE not in os.environ:
            for name in experiment.evaluations:
                evaluation(Path(config.runs_dir) / result["run_id"], name)
        return result
    with report_user_errors():
        if config.experiment is not None and config.arm is None:
            print(f"note: this trains the base setting of {config.experiment.name} alone; -m trains its arms")
        result = train(config)
        final = {key: round(value, 4) for key, value in result["final"].items()}
        print(f"run {result['run_id']} in {config.runs_dir}/{result['run_id']}: {final}")
    return result


def _reporter() -> Callable[[dict[str, float]], None] | None:
    """Reports rows to the study if this job is a trial of a search."""
    if TRIAL_VARIABLE not in os.environ:
        return None
    from unet_repro.search.study import reporter  # noqa: PLC0415  (imports optuna)

    return reporter()
