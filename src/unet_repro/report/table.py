"""The comparison as a table: in the terminal, as CSV, and as Markdown."""

import itertools
from collections.abc import Sequence
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from unet_repro.files import csv_text, markdown_table
from unet_repro.report.collect import ArmRow, Score, collect
from unet_repro.runs.folder import write_atomically

REPORT_DIR = Path("reports/ablations")

_HEADINGS = {
    "final_iou": "final IoU",
    "best_iou": "best IoU",
    "final_thin_iou": "membrane IoU",
    "final_val_loss": "val loss",
    "seconds": "s",
}
_MISSING = "-"


def headings(rows: Sequence[ArmRow]) -> list[str]:
    """Titles of an arm's columns; cell data have no membrane class, so the cell IoU is shown."""
    membrane = {row.data for row in rows} <= {"isbi2012", "synthetic"}
    return ["arm", "n", *(title if membrane else title.replace("membrane", "cell") for title in _HEADINGS.values())]


def cells(row: ArmRow) -> list[str]:
    """An arm as text: means, with the standard deviation over seeds."""
    seeds = f"{len(row.seeds)}/{row.num_planned}" if len(row.seeds) < row.num_planned else str(len(row.seeds))
    return [row.arm, seeds, *(_score(row.scores.get(name), 0 if name == "seconds" else 3) for name in _HEADINGS)]


def _score(score: Score | None, digits: int) -> str:
    if score is None:
        return _MISSING
    spread = f"±{score.spread:.{digits}f}".replace("±0.", "±.") if len(score.values) > 1 and digits else ""
    return f"{score.mean:.{digits}f}{spread}"


def title(row: ArmRow) -> str:
    """The title of an arm's comparison: experiment, data, scale and steps."""
    parts = [row.experiment, row.data, f"scale {row.scale}", row.variant]
    return ", ".join([part for part in parts if part] + ([f"{row.steps} steps"] if row.steps else []))


def to_markdown(rows: Sequence[ArmRow]) -> str:
    """One Markdown table with all comparisons; shared settings are in the last columns."""
    head = ["experiment", *headings(rows), "tiles a step", "steps", "data", "scale"]
    lines = []
    for row in rows:
        experiment = f"{row.experiment} ({row.variant})" if row.variant else row.experiment
        steps = _MISSING if row.steps is None else str(row.steps)
        lines.append([experiment, *cells(row), row.tiles or _MISSING, steps, row.data, row.scale])
    return markdown_table(head, lines) + "\n"


def to_csv(rows: Sequence[ArmRow]) -> str:
    """All numbers as CSV: mean and standard deviation over seeds in separate columns, and the run ids."""
    parts = [f"{name}_{part}" for name in _HEADINGS for part in ("mean", "std")]
    heads = ["experiment", "variant", "arm", "seeds", "planned", *parts, "tiles", "steps", "data", "scale", "runs"]
    lines = []
    for row in rows:
        scores = [row.scores.get(name) for name in _HEADINGS]
        numbers = [number for score in scores for number in ((score.mean, score.spread) if score else (None, None))]
        line = [row.experiment, row.variant, row.arm, " ".join(map(str, row.seeds)), row.num_planned, *numbers]
        line += [row.tiles, row.steps, row.data, row.scale, " ".join(row.run_ids)]
        lines.append(dict(zip(heads, line, strict=True)))
    return csv_text(lines, heads, digits=6)


def write_tables(runs_dir: Path, experiments: Sequence[str] | None, report_dir: Path = REPORT_DIR) -> list[ArmRow]:
    """Writes ``table.csv`` and ``table.md`` from the runs finished so far.

    Raises:
        RunError: If they cannot be written, or a result is damaged.
    """
    rows = collect(runs_dir, experiments)
    write_atomically(report_dir / "table.csv", to_csv(rows))
    write_atomically(report_dir / "table.md", to_markdown(rows))
    return rows


def print_tables(rows: Sequence[ArmRow]) -> None:
    """Prints one table for each comparison, narrow enough for 80 columns."""
    console = Console()
    for (_, heading), group in itertools.groupby(rows, key=lambda row: (row.comparison, title(row))):
        arms = list(group)
        table = Table(*headings(arms), title=heading, title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
        for row in arms:
            table.add_row(*cells(row))
        console.print(table)
    console.print("IoU: mean of both classes on the validation images, after the last step and at its best validation;")
    console.print("val loss: unweighted cross-entropy; mean ± standard deviation over n seeds; s: seconds per run")
