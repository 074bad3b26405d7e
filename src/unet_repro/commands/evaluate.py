"""``unet-repro evaluate``."""

import shlex
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from omegaconf import DictConfig
from rich.markdown import Markdown
from tqdm import tqdm

from unet_repro.commands import hydra_app
from unet_repro.config import DataFolder, typed
from unet_repro.console import report_user_errors
from unet_repro.evaluation.assessment import assess
from unet_repro.evaluation.groups import arms_of, baseline_of, groups_of, runs_of
from unet_repro.evaluation.held_out import check_apart, number_of_images
from unet_repro.evaluation.trained_run import Part
from unet_repro.inference.rotations import Views
from unet_repro.machine import precision_of
from unet_repro.report.assessed import to_markdown, write_assessments
from unet_repro.report.open_table import Kept, keep
from unet_repro.report.side_by_side import side_by_side
from unet_repro.runs.folder import SCORES_OF_SEEN, RunFolder
from unet_repro.runs.network import Checkpoint
from unet_repro.runs.object_settings import write_choice
from unet_repro.sweep.status import terminal


@dataclass(frozen=True)
class EvaluateSettings:
    """See ``conf/evaluate.yaml``."""

    run: str | list[str] | None
    comparison: str | None
    runs_dir: Path
    part: Part
    checkpoint: Checkpoint | Literal["auto"]
    views: Views
    precision: Literal[32, "bf16", "auto"]
    warping: bool
    gold: bool
    output: Path | None
    record: Path | None
    data: DataFolder


def main(arguments: list[str]) -> None:
    """Measures runs."""
    hydra_app.run(task, verb="evaluate", arguments=arguments)


def task(config: DictConfig) -> None:
    """Writes measures, tables and pictures, and prints the table."""
    with report_user_errors():
        settings = typed(EvaluateSettings, config)
        runs = runs_of(settings.run, settings.comparison, settings.runs_dir)
        comparison = settings.comparison
        groups = groups_of(runs, arms_of(comparison, settings.runs_dir) if comparison else None)
        baseline = baseline_of(groups, comparison).name if comparison and len(groups) > 1 else None
        checkpoint = settings.checkpoint
        if checkpoint == "auto":
            checkpoint = "last" if comparison is not None and settings.part == "val" else "best"
        precision = precision_of(settings.precision)
        name = f"measures-{settings.part}-{checkpoint}" + (f"-{settings.views}-views" if settings.views > 1 else "")
        name += "-bf16" if precision == "bf16" else ""
        together = Path("reports/evaluation") / (comparison or "runs")
        folder = settings.output or (runs[0] if len(runs) == 1 else together)
        for group in groups:
            check_apart(group, settings.part)
        images = number_of_images(groups, settings.part)
        with tqdm(desc="evaluate", total=images, unit="image", leave=False) as bar:
            assessments = [
                assess(
                    group,
                    part=settings.part,
                    checkpoint=checkpoint,
                    views=settings.views,
                    precision=precision,
                    warping=settings.warping,
                    gold=settings.gold,
                    data_root=settings.data.root,
                    image_done=bar.update,
                )
                for group in groups
            ]
        arguments = [word for word in sys.argv[1:] if not word.startswith(("output=", "runs_dir=", "record="))]
        command = shlex.join(["unet-repro", "evaluate", *arguments])
        written = write_assessments(assessments, folder, name, command, baseline=baseline)
        if settings.record is not None:
            kept = Kept(comparison or "runs", settings.part, checkpoint, settings.views, tuple(assessments))
            written.append(keep(kept, settings.record, command))
        if comparison is None:
            chosen = {run: choice for each in assessments for run, choice in each.best.items()}
            for run in map(RunFolder, runs):
                write_choice(run, checkpoint, *chosen[run.run_id])
        if settings.part == "val" and any(RunFolder(run).trains_on_validation() for run in runs):
            print(f"note: {SCORES_OF_SEEN}", file=sys.stderr)
        tables = to_markdown(assessments) if baseline is None else side_by_side(assessments, baseline)
        terminal().print(Markdown(tables))
        print(f"written: {', '.join(map(str, written))}", file=sys.stderr)
