"""What a sweep would do: its runs, how far each is, and how long the rest would take."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import joblib
from omegaconf import DictConfig
from rich.console import Console

from unet_repro.config import check
from unet_repro.trial.ledger import Entry
from unet_repro.trial.measure import seconds_for
from unet_repro.trial.status import counted, measured_speeds, status, tables, time_left


def print_plan(
    entries: Sequence[Entry], runs_dir: Path, launcher: Mapping[str, Any], compose: Callable[[list[str]], DictConfig]
) -> None:
    """Prints the table; trains nothing and writes nothing.

    Speeds come from what was trained in this folder; of networks that are new here a few steps are timed.

    Args:
        entries: The runs of the sweep.
        runs_dir: Where they lie.
        launcher: The launcher's settings.
        compose: Overrides to configuration.
    """
    speeds = measured_speeds(runs_dir, entries)
    found = [status(entry, runs_dir, speeds) for entry in entries]
    unknown = {run.entry.speed_class: run.entry for run in found if run.seconds_left is None}
    for speed_class, entry in unknown.items():
        speeds[speed_class] = seconds_for(check(compose(list(entry.overrides)))) / entry.cost
    found = [status(entry, runs_dir, speeds) for entry in entries]
    Console().print(tables(found))
    print(f"{counted(found)}; {time_left(found, side_by_side=side_by_side(launcher))}")
    how = "timed just now, by a few steps" if unknown else "from what was trained in this folder"
    print(f"Speeds: {how}. Nothing was trained: this was a dry run.")


def side_by_side(launcher: Mapping[str, Any]) -> int:
    """How many runs a launcher trains at once, by its settings.

    >>> side_by_side({"jobs": 3}), side_by_side({"array_parallelism": 20}), side_by_side({})
    (3, 20, 1)
    """
    for key in ("jobs", "n_jobs", "array_parallelism"):
        if key in launcher:
            given = launcher[key]
            return int(given) if given is not None and given > 0 else int(joblib.cpu_count())
    return 1
