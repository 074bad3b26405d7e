"""Figures of a comparison: learning curves and final scores of every arm, every seed shown."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from unet_repro.report.collect import ArmRow, histories

# Okabe and Ito's colours, which colour-blind readers tell apart; markers tell the arms apart once more.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
MARKERS = "osD^vPX"


def draw_comparison(runs_dir: Path, rows: Sequence[ArmRow], path: Path, *, metric: str = "val/iou") -> None:
    """Median curve and range over seeds on the left, final scores of all seeds with their mean on the right.

    Args:
        runs_dir: Where the runs lie.
        rows: Arms of one comparison, on one data set at one scale, each with at least one finished run.
        path: The picture; its ending gives the format.
        metric: Column of the history.
    """
    figure = Figure(figsize=(10, 3.6), layout="constrained", dpi=110)
    curves_axes, scores_axes = figure.subplots(1, 2, width_ratios=(3, 2))
    for index, row in enumerate(rows):
        colour, marker = COLOURS[index % len(COLOURS)], MARKERS[index % len(MARKERS)]
        curves = histories(runs_dir, row)
        steps = curves[0]["step"]
        values = np.array([curve[metric] for curve in curves])
        curves_axes.plot(steps, np.median(values, axis=0), color=colour, marker=marker, markersize=4, label=row.arm)
        curves_axes.fill_between(steps, values.min(0), values.max(0), color=colour, alpha=0.15, linewidth=0)
        _points(scores_axes, len(rows) - 1 - index, values[:, -1], colour, marker)
    curves_axes.set(xlabel="step", ylabel="mean IoU, validation images")
    curves_axes.legend(fontsize=8)
    scores_axes.set(xlabel="mean IoU after the last step", yticks=range(len(rows)))
    scores_axes.set_yticklabels([row.arm for row in reversed(rows)])
    for axes in (curves_axes, scores_axes):
        axes.grid(alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
    first = rows[0]
    seeds = max(len(row.seeds) for row in rows)
    figure.suptitle(f"{first.experiment}: {first.data}, scale {first.scale}, {seeds} seeds (median and range)", size=10)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)


def _points(
    axes: Axes, height: int, values: np.ndarray[tuple[int, ...], np.dtype[np.float64]], colour: str, marker: str
) -> None:
    axes.plot(values, np.full(len(values), height), marker, color=colour, alpha=0.55, markersize=6)
    axes.plot([values.mean()] * 2, [height - 0.28, height + 0.28], color=colour, linewidth=2.5)


def draw_all(runs_dir: Path, rows: Sequence[ArmRow], report_dir: Path) -> list[Path]:
    """One picture for each comparison that has finished runs: ``<experiment>.png``, with its hash if several.

    Returns:
        The pictures' paths.
    """
    groups: dict[tuple[str, str], list[ArmRow]] = {}
    for row in rows:
        if row.run_ids and row.experiment != "single":
            groups.setdefault((row.experiment, row.comparison), []).append(row)
    paths = []
    for (experiment, comparison), arms in groups.items():
        several = sum(key[0] == experiment for key in groups) > 1
        path = report_dir / (f"{experiment}-{comparison}.png" if several else f"{experiment}.png")
        draw_comparison(runs_dir, arms, path)
        paths.append(path)
    return paths
