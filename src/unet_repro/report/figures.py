"""Figures: learning curves and final scores of a comparison's arms, and the contrasts of the verdicts."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from unet_repro.report.arm_runs import METRICS
from unet_repro.report.arms import Arm, comparisons_of
from unet_repro.report.verdict_files import with_interval
from unet_repro.report.verdicts import parts_of

# Okabe and Ito's colours, which colour-blind readers can distinguish; arms also differ in their markers.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
MARKERS = "osD^vPX*"  # one more than colours, so that no pair repeats
SUFFIXES = (".png", ".svg")
_LOOKS = {"supported": ("#0072B2", "o"), "refuted": ("#D55E00", "X")}  # all other words: grey, hollow
_REACH = 6  # margins; longer intervals end in an arrow


def draw_comparison(arms: Sequence[Arm], path: Path) -> None:
    """Draws the median curve and the range over seeds on the left, and final scores with their mean on the right.

    Args:
        arms: Arms of one comparison, each with at least one finished run.
        path: The picture; its suffix gives the format.
    """
    shared = [metric for metric in METRICS if metric.column and all(metric.column in run.curves
              for arm in arms for run in arm.done)]  # fmt: skip
    metric = shared[0]
    figure = Figure(figsize=(10, 3.6), layout="constrained", dpi=110)
    curves_axes, scores_axes = figure.subplots(1, 2, width_ratios=(3, 2))
    for index, arm in enumerate(arms):
        colour, marker = COLOURS[index % len(COLOURS)], MARKERS[index % len(MARKERS)]
        steps = arm.done[0].curves["step"]
        values = np.array([run.curves[metric.column] for run in arm.done])
        curves_axes.plot(steps, np.median(values, axis=0), color=colour, marker=marker, markersize=4, label=arm.name)
        curves_axes.fill_between(steps, values.min(0), values.max(0), color=colour, alpha=0.12, linewidth=0)
        _points(scores_axes, len(arms) - 1 - index, values[:, -1], colour, marker)
    curves_axes.set(xlabel="step", ylabel=metric.key)
    curves_axes.legend(fontsize=8)
    scores_axes.set(xlabel=f"{metric.key} after the last step", yticks=range(len(arms)))
    scores_axes.set_yticklabels([arm.name for arm in reversed(arms)])
    for axes in (curves_axes, scores_axes):
        axes.grid(alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
    first, seeds = arms[0].first, max(len(arm.done) for arm in arms)
    title = f"{first.experiment}: {first.data}, scale {first.scale}, {seeds} seeds (median and range)"
    figure.suptitle(f"{title}\n{metric.key}: {metric.title}", size=9)
    _save(figure, path)


def draw_verdicts(
    judged: Sequence[Mapping[str, Any]], report_dir: Path, *, suffixes: Sequence[str] = SUFFIXES
) -> list[Path]:
    """Draws every contrast with its interval, in units of its margin; one picture for each judged set of runs.

    Args:
        judged: From ``report.verdicts``.
        report_dir: The folder of the pictures, ``verdicts``; data and scale are added if there are several.
        suffixes: Their formats.

    Returns:
        Paths of the pictures; empty if there are no estimates yet.
    """
    drawn = {}
    for trial in judged:
        rows = [
            (f"{part['id']}  {contrast['name']}", contrast)
            for part in parts_of(trial)
            for contrast in part["contrasts"]
            if trial["judged"] and contrast["figure"] is not None and contrast["figure"]["low"] is not None
        ]
        if rows:
            drawn[trial["data"], trial["scale"]] = (rows, trial["scope"])
    paths = []
    for (data, scale), (rows, scope) in drawn.items():
        name = "verdicts" if len(drawn) == 1 else f"verdicts-{data}-{scale}"
        paths += _draw_forest(rows, scope, [report_dir / f"{name}{suffix}" for suffix in suffixes])
    return paths


def _draw_forest(rows: Sequence[tuple[str, Mapping[str, Any]]], title: str, paths: list[Path]) -> list[Path]:
    figure = Figure(figsize=(10, 1.3 + 0.32 * len(rows)), layout="constrained", dpi=110)
    axes = figure.subplots()
    for line, (_, contrast) in enumerate(reversed(rows)):
        margin, figure_of = contrast["margin"], contrast["figure"]
        low, mean, high = (float(np.clip(figure_of[key] / margin, -_REACH, _REACH)) for key in ("low", "mean", "high"))
        colour, marker = _LOOKS.get(contrast["word"], ("#767676", "D"))
        axes.plot([low, high], [line, line], color=colour, linewidth=2)
        for end, value, arrow in (("low", low, "<"), ("high", high, ">")):
            if abs(figure_of[end] / margin) > _REACH:
                axes.plot(value, line, arrow, color=colour, markersize=6)
        axes.plot(mean, line, marker, color=colour, markersize=7)
        needed = 1 if contrast["kind"] == "S" else -1
        axes.plot([needed] * 2, [line - 0.35, line + 0.35], color="black", linewidth=1.2)
        label = f"{with_interval(figure_of, margin)} {contrast['unit']}, {contrast['word']}"
        axes.text(_REACH * 1.05, line, label, va="center", size=8)
    axes.axvline(0, color="black", linewidth=0.6)
    axes.axvspan(-1, 1, color="#000000", alpha=0.07, linewidth=0)
    axes.set(yticks=range(len(rows)), ylim=(-0.7, len(rows) - 0.3), xticks=range(-_REACH, _REACH + 1, 2))
    axes.set_xlim(-_REACH * 1.03, _REACH * 2.4)  # leaves space for the numbers on the right
    axes.set_yticklabels([name for name, _ in reversed(rows)], size=8)
    axes.spines[["top", "right", "bottom"]].set_visible(False)
    figure.suptitle(title, size=10)
    words = "difference in the claim's direction, in units of its margin, with uncorrected 95 % interval; grey: smaller"
    figure.supxlabel(f"{words} than the margin; black stroke: what the claim must reach", size=8)
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


def draw_all(arms: Sequence[Arm], report_dir: Path, *, suffixes: Sequence[str] = SUFFIXES) -> list[Path]:
    """Draws each comparison with finished runs: ``<experiment>.png``, with data and scale if there are several.

    Returns:
        Paths of the pictures.
    """
    groups = {place: [arm for arm in members if arm.done] for place, members in comparisons_of(arms).items()}
    groups = {
        place: members for place, members in groups.items() if members and members[0].first.experiment != "single"
    }
    names = [members[0].first.experiment for members in groups.values()]
    paths = []
    for place, members in groups.items():
        experiment = members[0].first.experiment
        stem = experiment if names.count(experiment) == 1 else place
        stem = stem.replace("/", "-").replace(" ", "-")
        for suffix in suffixes:
            paths.append(report_dir / f"{stem}{suffix}")
            draw_comparison(members, paths[-1])
    return paths
