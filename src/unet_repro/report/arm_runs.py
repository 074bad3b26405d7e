"""The runs of comparisons as tables, figures and the page show them: from a folder of runs, or from the record."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean
from typing import Any, Literal

from unet_repro.runs.folder import RunFolder
from unet_repro.runs.ledger import Entry, Ledger
from unet_repro.trial.run_record import RunRecord

State = Literal["waiting", "running", "failed", "done"]
Plain = dict[str, Any]
_MADE_BY = ("torch", "commit", "device", "instruction_set", "threads")


@dataclass(frozen=True)
class Metric:
    """A measure of a validation.

    Attributes:
        key: Its name in tables and on the page.
        title: Its name in words.
        column: Its column in a run's history; empty if it is measured at the end only.
        up: Whether higher is better.
        bounded: Whether it is within [0, 1].
    """

    key: str
    title: str
    column: str
    up: bool
    bounded: bool


# Three IoUs, each only under its own name; all are means over the classes.
METRICS = (
    Metric("iou", "IoU, mean over images, at the run's own threshold", "val/iou_own", up=True, bounded=True),
    Metric("iou_per_image", "IoU, mean over images, most likely class", "", up=True, bounded=True),
    Metric("iou_pooled", "IoU of all images' pixels together, most likely class", "val/iou", up=True, bounded=True),
    Metric("iou_pooled_membrane", "IoU of membrane, pixels pooled", "val/iou_membrane", up=True, bounded=True),
    Metric("iou_pooled_cell", "IoU of cells, pixels pooled", "val/iou_cell", up=True, bounded=True),
    Metric("v_rand", "V_rand, thinned, at the run's own threshold", "", up=True, bounded=True),
    Metric("val_loss", "validation cross-entropy, nats", "val/loss", up=False, bounded=False),
    Metric("train_loss", "training cross-entropy (unweighted, augmented tiles), nats", "train/ce", up=False,
           bounded=False),
    Metric("pixel_error", "share of wrong pixels", "val/pixel_error", up=False, bounded=True),
    Metric("iou_stepped", "stepped IoU score of the earlier reproduction", "val/iou_stepped", up=True, bounded=True),
)  # fmt: skip


@dataclass(frozen=True)
class ArmRun:
    """One run as an arm of one comparison.

    Attributes:
        run_id: Its identity.
        experiment: Name of the comparison.
        arm: Name of the arm.
        seed: Its seed.
        scale: Its scale.
        data: Name of the source.
        variant: Overrides added by the user.
        comparison: Only runs with the same id may be compared.
        state: Whether it is finished.
        curves: Columns of its history, with ``step``.
        final: Measures after the last step, by ``Metric.key``; empty until it is finished.
        images: IoU of each held-out image; at the run's own threshold, if known.
        settings: Its resolved configuration.
        manifest: Its source, digest and split.
        made_by: Versions and machine.
        seconds: Seconds of training.
        overrides: The overrides that it is composed from; empty in the record.
    """

    run_id: str
    experiment: str
    arm: str
    seed: int
    scale: str
    data: str
    variant: str
    comparison: str
    state: State
    curves: Mapping[str, Sequence[float]] = field(default_factory=dict)
    final: Mapping[str, float] = field(default_factory=dict)
    images: Mapping[str, float] = field(default_factory=dict)
    settings: Plain = field(default_factory=dict)
    manifest: Plain = field(default_factory=dict)
    made_by: Plain = field(default_factory=dict)
    seconds: float = 0.0
    overrides: tuple[str, ...] = ()

    @property
    def place(self) -> str:
        """The id of its comparison on the page."""
        return "/".join(part for part in (self.experiment, self.data, self.scale, self.variant) if part)


def image_name(key: str) -> str:
    """The name of an image as readers see it: without the part of the published data that it is from.

    >>> image_name("train/24"), image_name("01/t023")
    ('24', '01/t023')
    """
    return key.removeprefix("train/").removeprefix("stack/")


def runs_on_disk(runs_dir: Path, experiments: Sequence[str] | None = None) -> list[ArmRun]:
    """All runs of the named comparisons, or of all, finished or not, in their planned order.

    Of several comparisons with one name (the data or a shared setting have changed), only the newest is returned.

    Raises:
        RunError: If a named comparison has no runs, or a run's folder is damaged.
    """
    ledger = Ledger(runs_dir)
    if experiments:
        ledger.entries(experiments)  # an error for one without runs
    return [
        _of_entry(entry, runs_dir)
        for experiment in experiments or ledger.experiments()
        for entry in ledger.newest(experiment)
    ]


def _of_entry(entry: Entry, runs_dir: Path) -> ArmRun:
    folder = RunFolder(runs_dir / entry.run_id)
    run = ArmRun(
        run_id=entry.run_id, experiment=entry.experiment, arm=entry.arm, seed=entry.seed, scale=entry.scale,
        data=entry.data, variant=entry.variant, comparison=entry.comparison, state=_state(folder),
        overrides=entry.overrides,
    )  # fmt: skip
    fields: Plain = {"curves": folder.curves()}
    if run.state == "done" and (outcome := folder.outcome()) is not None:
        evaluation = folder.evaluation()
        fields |= {
            "final": {**_last(outcome["final"]), **_measured(evaluation)},
            "images": _images(evaluation),
            "settings": folder.settings(),
            "manifest": folder.read_manifest(),
            "made_by": outcome["made_by"],
            "seconds": float(outcome.get("seconds", 0.0)),
        }
    return ArmRun(**{**vars(run), **fields})


def _state(folder: RunFolder) -> State:
    if folder.is_done:
        return "done"
    if folder.running:
        return "running"
    return "failed" if folder.state == "failed" else "waiting"


def runs_of_record(records: Iterable[RunRecord]) -> list[ArmRun]:
    """The runs of a record, once for each comparison that they belong to, in the order of the record."""
    return [_of_record(record, experiment, arm) for record in records for experiment, arm in record.arms.items()]


def _of_record(record: RunRecord, experiment: str, arm: str) -> ArmRun:
    known = {name: record.outcome[name] for name in _MADE_BY if name in record.outcome}
    last = {name: values[-1] for name, values in record.curve.items() if values and math.isfinite(values[-1])}
    return ArmRun(
        run_id=record.run_id, experiment=experiment, arm=arm, seed=record.seed, scale=record.scale, data=record.data,
        variant="", comparison="record", state="failed" if record.failed else "done", curves=record.curve,
        final={**_last(last), **_measured(record.evaluation)}, images=_images(record.evaluation),
        settings=record.settings, manifest=record.manifest, made_by=known,
        seconds=float(record.outcome.get("seconds") or 0.0),
    )  # fmt: skip


def _last(row: Mapping[str, float]) -> dict[str, float]:
    return {metric.key: row[metric.column] for metric in METRICS if metric.column in row}


def _measured(evaluation: Mapping[str, Any] | None) -> dict[str, float]:
    """Means over the held-out images; their thresholds are chosen on all training images of the run."""
    own, half = _of_images(evaluation, "at_threshold"), _of_images(evaluation, "at_half")
    found = (("iou", own, "iou"), ("iou_per_image", half, "iou"), ("v_rand", own, "v_rand"))
    values = {key: [one[name] for one in images.values() if one.get(name) is not None] for key, images, name in found}
    return {key: fmean(numbers) for key, numbers in values.items() if numbers}


def _images(evaluation: Mapping[str, Any] | None) -> dict[str, float]:
    own = _of_images(evaluation, "at_threshold")
    return {image_name(key): one["iou"] for key, one in own.items() if one.get("iou") is not None}


def _of_images(evaluation: Mapping[str, Any] | None, section: str) -> Mapping[str, Mapping[str, float]]:
    """The measures of each image predicted in one view; none if the section was not evaluated."""
    views: Mapping[str, Any] = (evaluation or {}).get(section) or {}
    return views.get("1") or {}
