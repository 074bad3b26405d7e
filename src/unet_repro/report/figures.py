"""Figures of a comparison: learning curves and final scores of every arm, every seed shown."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from unet_repro.report.collect import ArmRow, histories

# Okabe and Ito's colours, which colour-blind readers can distinguish; arms also differ in their markers.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
MARKERS = "osD^vPX*"  # one more than colours, so that no pair repeats
SUFFIXES = (".png", ".svg")
_VERDICT_LOOKS = {"supported": ("#009E73", "o"), "refuted": ("#D55E00", "X"), "inconclusive": ("#56B4E9", "D")}


def draw_comparison(runs_dir: Path, rows: Sequence[ArmRow], path: Path, *, metric: str = "val/iou") -> None:
    """Draws the median curve and range over seeds on the left, and final scores with their mean on the right.

    Args:
        runs_dir: Folder of the runs.
        rows: Arms of one comparison, on one data set at one scale, each with at least one finished run.
        path: The picture; its suffix gives the format.
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
    _save(figure, path)


def draw_verdicts(
    verdicts: Sequence[Mapping[str, Any]],
    report_dir: Path,
    *,
    stem: str = "verdicts",
    suffixes: Sequence[str] = SUFFIXES,
) -> list[Path]:
    """Draws every primary effect with its interval and margin, one picture for each data set and scale.

    Args:
        verdicts: Verdicts from ``report.verdicts.as_dict``.
        report_dir: The folder of the pictures.
        stem: Their stem; data and scale are added if there are several.
        suffixes: Their formats.

    Returns:
        Paths of the pictures; empty if there are no verdicts yet.
    """
    places: dict[tuple[str, str], list[tuple[str, Mapping[str, Any], str]]] = {}
    for verdict in verdicts:
        for effect in verdict["effects"]:
            if effect["primary"] and verdict["verdict"] in _VERDICT_LOOKS:
                name = f"{verdict['claim']}  {effect['measure']}: {effect['name']}"
                places.setdefault((verdict["data"], verdict["scale"]), []).append((name, effect, verdict["verdict"]))
    paths = []
    for (data, scale), effects in places.items():
        name = stem if len(places) == 1 else f"{stem}-{data}-{scale}"
        title = f"{data}, scale {scale}: primary effects with 95 % intervals"
        paths += _draw_forest(effects, title, [report_dir / f"{name}{suffix}" for suffix in suffixes])
    return paths


def _draw_forest(effects: Sequence[tuple[str, Mapping[str, Any], str]], title: str, paths: list[Path]) -> list[Path]:
    """Draws effects with different units, so each line has its own scale: the larger of its margin and interval."""
    figure = Figure(figsize=(10, 1.1 + 0.32 * len(effects)), layout="constrained", dpi=110)
    axes = figure.subplots()
    for line, (_, effect, word) in enumerate(reversed(effects)):
        reach = max(abs(effect["low"]), abs(effect["high"]), abs(effect["margin"] or 0), 1e-12)
        low, mean, high, margin = (value / reach for value in (
            effect["low"], effect["estimate"], effect["high"], effect["margin"] or 0.0,
        ))  # fmt: skip
        axes.fill_betweenx([line - 0.4, line + 0.4], -margin, margin, color="#000000", alpha=0.1, linewidth=0)
        colour, marker = _VERDICT_LOOKS[word]
        axes.plot([low, high], [line, line], color=colour, linewidth=2)
        axes.plot(mean, line, marker, color=colour, markersize=7)
        label = f"{effect['estimate']:+.3g} [{effect['low']:+.3g}, {effect['high']:+.3g}] {effect['unit']}"
        axes.text(1.05, line, label, va="center", size=8)
    axes.axvline(0, color="black", linewidth=0.8)
    axes.set(yticks=range(len(effects)), ylim=(-0.7, len(effects) - 0.3), xticks=[0], xticklabels=["0"])
    axes.set_xlim(-1.05, 2.3)  # leaves space for the numbers on the right
    axes.set_yticklabels([name for name, _, _ in reversed(effects)], size=8)
    axes.spines[["top", "right", "bottom"]].set_visible(False)
    figure.suptitle(title, size=10)
    figure.supxlabel("each line has its own scale; grey: differences within the margin", size=8)
    for path in paths:
        _save(figure, path)
    return paths


def _save(figure: Figure, path: Path) -> None:
    """Saves a figure reproducibly, without a date or random ids."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with rc_context({"svg.hashsalt": "unet-repro"}):
        figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else {})


def _points(
    axes: Axes, height: int, values: np.ndarray[tuple[int, ...], np.dtype[np.float64]], colour: str, marker: str
) -> None:
    axes.plot(values, np.full(len(values), height), marker, color=colour, alpha=0.55, markersize=6)
    axes.plot([values.mean()] * 2, [height - 0.28, height + 0.28], color=colour, linewidth=2.5)


def draw_all(runs_dir: Path, rows: Sequence[ArmRow], report_dir: Path) -> list[Path]:
    """Draws each comparison with finished runs as PNG and SVG: ``<experiment>.png``, with data and hash if several.

    Returns:
        Paths of the pictures.
    """
    groups: dict[tuple[str, str, str], list[ArmRow]] = {}
    for row in rows:
        if row.run_ids and row.experiment != "single":
            groups.setdefault((row.experiment, row.comparison, row.data), []).append(row)
    paths = []
    for (experiment, comparison, data), arms in groups.items():
        several = sum(key[0] == experiment for key in groups) > 1
        for suffix in SUFFIXES:
            path = report_dir / (f"{experiment}-{data}-{comparison}{suffix}" if several else f"{experiment}{suffix}")
            draw_comparison(runs_dir, arms, path)
            paths.append(path)
    return paths
