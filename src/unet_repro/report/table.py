"""The comparisons as a table: in the terminal, as CSV, and as Markdown."""

from collections.abc import Sequence
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from unet_repro.files import csv_text, markdown_table, write_texts
from unet_repro.report import REPORT_DIR
from unet_repro.report.arm_runs import METRICS, runs_on_disk
from unet_repro.report.arms import Arm, Score, arms_of, comparisons_of, measured, seeds_text

# The measures shown in the terminal and in Markdown; the CSV has all. What their names mean is printed below them.
_NARROW = ("iou", "iou_per_image", "iou_pooled", "val_loss")
_WIDE = ("iou", "iou_per_image", "iou_pooled", "v_rand", "val_loss")
_MISSING = "-"
EXPLAINED = (
    "iou: at the run's own threshold; iou_per_image, iou_pooled: of the most likely class, as a mean over the "
    "validation images, and of all their pixels together; after the last step, mean over the classes. val_loss: "
    "unweighted cross-entropy. Mean ± standard deviation over n seeds."
)
EXPLAINED_WIDE = f"{EXPLAINED} v_rand: thinned V_rand at the run's own threshold, mean over the validation images."


def cells(arm: Arm, columns: Sequence[str]) -> list[str]:
    """An arm as text: means, with the standard deviation over seeds."""
    scores = arm.scores
    return [arm.name, seeds_text(arm), *(_score(scores.get(name)) for name in columns)]


def _score(score: Score | None) -> str:
    if score is None:
        return _MISSING
    spread = f"±{score.spread:.3f}".replace("±0.", "±.") if len(score.values) > 1 else ""
    return f"{score.mean:.3f}{spread}"


def title(arm: Arm) -> str:
    """The title of an arm's comparison: experiment, data, scale and steps."""
    first, cost = arm.first, arm.cost
    parts = [first.experiment, first.data, f"scale {first.scale}", first.variant]
    return ", ".join([part for part in parts if part] + ([f"{cost.steps} steps"] if cost else []))


def to_markdown(arms: Sequence[Arm]) -> str:
    """One Markdown table with all comparisons; shared settings are in the last columns."""
    columns = [key for key in _WIDE if key in measured(arms)]
    head = ["experiment", "arm", "n", *columns, "tiles a step", "steps", "data", "scale"]
    lines = []
    for arm in arms:
        first, cost = arm.first, arm.cost
        experiment = f"{first.experiment} ({first.variant})" if first.variant else first.experiment
        made = [cost.tiles, cost.steps] if cost else [_MISSING, _MISSING]
        lines.append([experiment, *cells(arm, columns), *made, first.data, first.scale])
    return markdown_table(head, lines) + "\n"


def to_csv(arms: Sequence[Arm]) -> str:
    """All numbers as CSV: mean and standard deviation over seeds in separate columns, and the run ids."""
    keys = [metric.key for metric in METRICS if metric.key in measured(arms)]
    lines = []
    for arm in arms:
        first, cost, scores = arm.first, arm.cost, arm.scores
        line: dict[str, object] = {
            "experiment": first.experiment, "variant": first.variant, "arm": arm.name,
            "seeds": " ".join(str(run.seed) for run in arm.done), "planned": len(arm.runs),
        }  # fmt: skip
        for key in keys:
            score = scores.get(key)
            line |= {f"{key}_mean": score.mean if score else None, f"{key}_std": score.spread if score else None}
        line |= {"tiles": cost.tiles, "steps": cost.steps, "tflop": cost.tflop} if cost else {}
        line |= {"data": first.data, "scale": first.scale, "runs": " ".join(run.run_id for run in arm.done)}
        lines.append(line)
    return csv_text(lines, digits=6)


def write_tables(runs_dir: Path, experiments: Sequence[str] | None, report_dir: Path = REPORT_DIR) -> list[Arm]:
    """Writes ``table.csv`` and ``table.md`` from the runs finished so far.

    Raises:
        RunError: If they cannot be written, or a result is damaged.
    """
    arms = arms_of(runs_on_disk(runs_dir, experiments))
    write_texts(report_dir, table_texts(arms))
    return arms


def table_texts(arms: Sequence[Arm]) -> dict[str, str]:
    """The content of ``table.csv`` and ``table.md``."""
    return {"table.csv": to_csv(arms), "table.md": f"{to_markdown(arms)}\n{EXPLAINED_WIDE}\n"}


def print_tables(arms: Sequence[Arm]) -> None:
    """Prints one table for each comparison, narrow enough for 80 columns."""
    console = Console()
    for group in comparisons_of(arms).values():
        columns = [key for key in _NARROW if key in measured(group)]
        heading = title(next((arm for arm in group if arm.done), group[0]))
        table = Table("arm", "n", *columns, title=heading, title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
        for arm in group:
            table.add_row(*cells(arm, columns))
        console.print(table)
    console.print(EXPLAINED, style="dim")
