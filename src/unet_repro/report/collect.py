"""Collects the runs on disk into one row for each arm."""

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from unet_repro.runs.folder import RunFolder
from unet_repro.sweep.ledger import Entry, Ledger


@dataclass(frozen=True)
class Score:
    """A measure over seeds.

    Attributes:
        values: One value per seed, in the order of the seeds.
    """

    values: tuple[float, ...]

    @property
    def mean(self) -> float:
        """Mean over seeds."""
        return statistics.fmean(self.values)

    @property
    def spread(self) -> float:
        """Sample standard deviation over seeds; 0 for a single seed."""
        return statistics.stdev(self.values) if len(self.values) > 1 else 0.0


@dataclass(frozen=True)
class ArmRow:
    """One arm of one comparison, over its seeds.

    Attributes:
        experiment: Name of the comparison.
        arm: Name of the arm.
        data: Name of the source.
        scale: Scale of the runs.
        variant: Overrides added by the user.
        seeds: Seeds of the finished runs.
        num_planned: Runs planned.
        scores: Measures by column name; empty until a run has finished.
        steps: Training steps.
        tiles: Tiles per step times their size.
        run_ids: Ids of the finished runs, in the order of the seeds.
        comparison: Id of the comparison; only rows with the same id may be compared.
    """

    experiment: str
    arm: str
    data: str
    scale: str
    variant: str
    seeds: tuple[int, ...]
    num_planned: int
    scores: dict[str, Score]
    steps: int | None
    tiles: str
    run_ids: tuple[str, ...]
    comparison: str


# Column -> row and measure of the result. The thin class of a data set is the difficult one.
_SCORES = {
    "final_iou": ("final", "val/iou"),
    "best_iou": ("best", "val/iou"),
    "final_thin_iou": ("final", "thin"),
    "final_val_loss": ("final", "val/loss"),
    "seconds": ("seconds", ""),
}


def collect(runs_dir: Path, experiments: Sequence[str] | None = None) -> list[ArmRow]:
    """Rows of the named comparisons, or of all in the ledger, in their planned order."""
    ledger = Ledger(runs_dir)
    rows = []
    for experiment in experiments or ledger.experiments():
        groups: dict[tuple[str, str], list[Entry]] = {}
        for entry in ledger.read(experiment):
            groups.setdefault((entry.comparison, entry.arm), []).append(entry)
        rows += [_row(entries, runs_dir) for entries in groups.values()]
    return rows


def _row(entries: Iterable[Entry], runs_dir: Path) -> ArmRow:
    entries = sorted(entries, key=lambda entry: entry.seed)
    results = [(entry, RunFolder(runs_dir / entry.run_id).outcome()) for entry in entries]
    done = [(entry, result) for entry, result in results if result is not None]
    first, latest = entries[0], done[-1][1] if done else None
    return ArmRow(
        experiment=first.experiment,
        arm=first.arm,
        data=first.data,
        scale=first.scale,
        variant=first.variant,
        seeds=tuple(entry.seed for entry, _ in done),
        num_planned=len(entries),
        scores={name: Score(tuple(_value(result, *place) for _, result in done)) for name, place in _SCORES.items()}
        if done
        else {},
        steps=latest["steps"] if latest else None,
        tiles=f"{latest['batch']['num_tiles']} x {latest['batch']['tile_size']}" if latest else "",
        run_ids=tuple(entry.run_id for entry, _ in done),
        comparison=first.comparison,
    )


def _value(result: dict[str, Any], part: str, measure: str) -> float:
    if part == "seconds":
        return float(result["seconds"])
    row = result[part]
    if measure == "thin":
        measure = "val/iou_membrane" if "val/iou_membrane" in row else "val/iou_cell"
    return float(row[measure])


def histories(runs_dir: Path, row: ArmRow) -> list[dict[str, list[float]]]:
    """The learning curves of an arm's finished runs: columns of ``history.csv``, one dictionary per seed."""
    return [RunFolder(runs_dir / run_id).curves() for run_id in row.run_ids]
