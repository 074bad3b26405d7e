"""The comparison in W&B as code: a workspace, a report and the verdict table, built with wandb-workspaces.

A run that several comparisons share is one run in W&B too. So ``arms.<experiment>`` in each run's config holds its arm
in every comparison that it belongs to, and panels are grouped by that key.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from unet_repro.conf_files import title
from unet_repro.tracking.grouping import KEY
from unet_repro.tracking.wandb_run import STEP_KEY

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    import wandb_workspaces.reports.v2 as wr
    import wandb_workspaces.workspaces as ws

ARMS = "arms"
CURVES = (("val/iou", "mean IoU"), ("val/loss", "validation cross-entropy"), ("train/ce", "training cross-entropy"))
FINAL = "final/val/iou"
COORDINATES = ("optimizer", "lr", "schedule", "tile_size", "weight_map", "norm", "width")
TITLE = "U-Net: tests of its claims"
PART_COLUMNS = (
    "claim", "part", "experiment", "question", "word", "found", "sure", "replicates", "look", "next_look", "scale",
    "data",
)  # fmt: skip


@dataclass(frozen=True)
class Comparison:
    """One comparison in the dashboard."""

    experiment: str
    question: str
    arms: Mapping[str, str]

    @property
    def key(self) -> str:
        """The config key that holds a run's arm."""
        return f"{ARMS}.{self.experiment}"

    @property
    def title(self) -> str:
        """Its name as a heading."""
        return title(self.experiment)


def arms_by_run(comparisons: Iterable[Comparison]) -> dict[str, dict[str, str]]:
    """For every run, its arm in each comparison."""
    arms: dict[str, dict[str, str]] = {}
    for comparison in comparisons:
        for run_id, arm in comparison.arms.items():
            arms.setdefault(run_id, {})[comparison.experiment] = arm
    return arms


def workspace(entity: str, project: str, comparisons: Sequence[Comparison]) -> ws.Workspace:
    """A saved view: a section for each comparison, and one over all runs."""
    import wandb_workspaces.workspaces as ws  # noqa: PLC0415

    sections = [ws.Section(name="All runs", panels=[_coordinates(), *_curves(f"{KEY}.experiment")], is_open=True)]
    sections += [ws.Section(name=one.title, panels=_panels(one), is_open=False) for one in comparisons]
    return ws.Workspace(entity=entity, project=project, name=TITLE, sections=sections)


def report(
    entity: str, project: str, comparisons: Sequence[Comparison], parts: Sequence[Mapping[str, Any]], table: str
) -> wr.Report:
    """A report: the verdict table first, then the panels of each comparison over its own runs.

    Args:
        entity: User or team.
        project: W&B project.
        comparisons: The comparisons to show.
        parts: The claims' parts, from ``parts_of``.
        table: The verdicts as a Markdown table.
    """
    import wandb_workspaces.reports.v2 as wr  # noqa: PLC0415

    blocks: list[Any] = [wr.H1("Verdicts")]
    blocks += [wr.MarkdownBlock(table) if table else wr.P("No verdicts yet: run `unet-repro report` first.")]
    for one in comparisons:
        judged = [part for part in parts if part["experiment"] == one.experiment]
        runs = wr.Runset(
            entity=entity, project=project, name=one.title, groupby=[f"config.{one.key}"],
            filters=f"Metric('ID') in {list(one.arms)}",
        )  # fmt: skip
        blocks += [wr.H1(one.title), wr.P(one.question)]
        blocks += [
            wr.P(f"{part['part']}: {part['word']} ({part['scale']}, {part['data']}). {part['found']}")
            for part in judged
        ]
        blocks.append(wr.PanelGrid(runsets=[runs], panels=_panels(one)))
    description = "Claims of the 2015 U-Net, tested with several seeds."
    return wr.Report(entity=entity, project=project, title=TITLE, description=description, blocks=blocks, width="fluid")


def parts_of(trials: Iterable[Mapping[str, Any]], experiments: Collection[str]) -> list[dict[str, Any]]:
    """The parts of all claims on these comparisons, each with the columns of the verdict table.

    Args:
        trials: Trials as in ``verdicts.json``.
        experiments: Names of the comparisons.
    """
    found = []
    for trial in trials:
        for claim in trial["claims"]:
            for part in claim["parts"]:
                about = {
                    **part,
                    "claim": claim["id"],
                    "part": part["id"],
                    "scale": trial["scale"],
                    "data": trial["data"],
                }
                found.append({name: about.get(name) for name in PART_COLUMNS})
    return [part for part in found if part["experiment"] in experiments]


def _panels(one: Comparison) -> list[Any]:
    import wandb_workspaces.reports.v2 as wr  # noqa: PLC0415

    bars = wr.BarPlot(
        title=f"{one.title}: final IoU",
        metrics=[wr.SummaryMetric(FINAL)],
        groupby=wr.Config(one.key),
        groupby_aggfunc="mean",
        groupby_rangefunc="minmax",
        layout=wr.Layout(x=0, y=8, w=12, h=8),
    )
    return [*_curves(one.key), bars, _coordinates(x=12, y=8)]


def _curves(key: str) -> list[Any]:
    """Median and range over the runs of a group."""
    import wandb_workspaces.reports.v2 as wr  # noqa: PLC0415

    return [
        wr.LinePlot(
            title=title,
            x=STEP_KEY,
            y=[name],
            groupby=wr.Config(key),
            groupby_aggfunc="median",
            groupby_rangefunc="minmax",
            layout=wr.Layout(x=8 * index, y=0, w=8, h=8),
        )
        for index, (name, title) in enumerate(CURVES)
    ]


def _coordinates(*, x: int = 0, y: int = 0) -> Any:
    import wandb_workspaces.reports.v2 as wr  # noqa: PLC0415

    columns = [
        wr.ParallelCoordinatesPlotColumn(metric=wr.Config(f"{KEY}.{name}"), display_name=name, log=name == "lr")
        for name in COORDINATES
    ]
    columns.append(wr.ParallelCoordinatesPlotColumn(metric=wr.SummaryMetric(FINAL), display_name="final IoU"))
    return wr.ParallelCoordinatesPlot(
        title="Settings and final IoU", columns=columns, layout=wr.Layout(x=x, y=y, w=12, h=8)
    )
