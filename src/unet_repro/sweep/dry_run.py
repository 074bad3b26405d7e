"""Dry run of a sweep: its runs, their progress, and the estimated time left."""

from collections.abc import Callable, Container, Mapping, Sequence
from pathlib import Path
from typing import Any

import joblib
from omegaconf import DictConfig
from rich.console import Console

from unet_repro.config import check
from unet_repro.errors import ConfigError
from unet_repro.runs.ledger import Entry
from unet_repro.sweep.status import RunStatus, counted, measured_speeds, status, tables, time_left
from unet_repro.sweep.timing import seconds_for


def print_plan(
    entries: Sequence[Entry], runs_dir: Path, launcher: Mapping[str, Any], compose: Callable[[list[str]], DictConfig]
) -> None:
    """Prints the table; trains nothing and writes nothing.

    Speeds come from earlier trainings in this folder; for new networks a few steps are timed.
    """
    speeds = measured_speeds(runs_dir, entries)
    found = [status(entry, runs_dir, speeds) for entry in entries]
    unknown = {run.entry.speed_class: run.entry for run in found if run.seconds_left is None}
    for speed_class, entry in unknown.items():
        seconds = seconds_for(check(compose(list(entry.overrides))))
        if seconds is not None:
            speeds[speed_class] = seconds / entry.cost
    found = [status(entry, runs_dir, speeds) for entry in entries]
    Console().print(tables(found))
    print(f"{counted(found)}; {time_left(found, side_by_side=side_by_side(launcher))}")
    print(f"{_how(found, unknown)}. Nothing was trained: this was a dry run.")


def _how(found: Sequence[RunStatus], new: Container[str]) -> str:
    """Explains where the speeds come from; ``new`` are the speed classes without a training."""
    known = {run.entry.speed_class for run in found if run.seconds_left is not None}
    if not known:
        return "Speeds: unknown, since nothing was trained here and the device is on another machine"
    timed = any(name in new for name in known)
    return f"Speeds: {'timed just now, by a few steps, where new' if timed else 'from what was trained in this folder'}"


def check_launcher(launcher: Mapping[str, Any], accelerator: str) -> None:
    """Rejects parallel runs on GPUs with the joblib launcher, which would put all of them on the first GPU.

    Raises:
        ConfigError: If that launcher would train several runs at once on a GPU.
    """
    if accelerator == "gpu" and "n_jobs" in launcher and side_by_side(launcher) > 1:
        raise ConfigError(
            f"hydra/launcher=joblib would train {side_by_side(launcher)} runs at once on the same GPU",
            hint="use hydra/launcher=local, which gives each run its own GPU",
        )


def side_by_side(launcher: Mapping[str, Any]) -> int:
    """Number of runs that a launcher trains in parallel, from its settings.

    >>> side_by_side({"jobs": 3}), side_by_side({"array_parallelism": 20}), side_by_side({})
    (3, 20, 1)
    """
    for key in ("jobs", "n_jobs", "array_parallelism"):
        if key in launcher:
            given = launcher[key]
            return int(given) if given is not None and given > 0 else int(joblib.cpu_count())
    return 1
