"""The measures of contrasts: each a pure function of a run's record.

A failed run has no evaluation. ``as_all_cell`` gives it that of a network which calls every pixel cell, so that it
counts in every comparison.
"""

import math
import statistics
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from unet_repro.trial.run_record import RunRecord

EARLY_SHARE = 0.25  # of the training steps: 250 of 1000
STARTS_ABOVE = 0.05  # of IoU above the all-cell score
_UNINFORMED = math.log(2)  # cross-entropy, in nats, of equal probabilities of two classes
Keys = Collection[str]


@dataclass(frozen=True)
class Measure:
    """One measure.

    Attributes:
        title: Title for display.
        unit: Unit of its values.
        value: The value of a run: mean over the held-out slices with these keys.
        bounded: Whether its values are in [0, 1].
    """

    title: str
    unit: str
    value: Callable[[RunRecord, Keys], float]
    bounded: bool = True


def _of_slices(*path: str, last: str = "") -> Callable[[RunRecord, Keys], float]:
    """The mean of ``evaluation[path][slice]``, or of its entry ``last``; NaN if the evaluation lacks it."""

    def value(record: RunRecord, keys: Keys) -> float:
        found: Mapping[str, object] = record.evaluation or {}
        for name in path:
            found = found.get(name) or {}  # type: ignore[assignment]
        values = [found.get(key) for key in keys]
        if last:
            values = [one.get(last) if isinstance(one, Mapping) else None for one in values]
        if not values or any(one is None for one in values):
            return math.nan
        return statistics.fmean(values)  # type: ignore[arg-type]

    return value


def curve_of(record: RunRecord) -> tuple[np.ndarray, np.ndarray]:
    """Steps ``(V,)`` and IoU at the run's own threshold ``(V,)`` of its validations."""
    return np.asarray(record.curve["step"], float), np.asarray(record.curve["val/iou_own"], float)


def roughness(record: RunRecord, keys: Keys = ()) -> float:  # noqa: ARG001
    """Standard deviation of the changes between successive validations in the second half of the training.

    The values of a curve are means over all held-out slices. NaN for fewer than three validations in that half.
    """
    steps, ious = curve_of(record)
    changes = np.diff(ious[steps > steps[-1] / 2])
    return float(np.std(changes, ddof=1)) if len(changes) > 1 else math.nan


def early_iou(record: RunRecord, keys: Keys = ()) -> float:  # noqa: ARG001
    """Mean IoU of the validations in the first quarter of the training; NaN if there are none."""
    steps, ious = curve_of(record)
    early = ious[steps <= EARLY_SHARE * steps[-1]]
    return float(early.mean()) if len(early) else math.nan


def gap(record: RunRecord, keys: Keys) -> float:
    """Cross-entropy on held-out slices minus that on the un-augmented training slices, in evaluation mode, in nats."""
    held_out = _of_slices("loss", "val")(record, keys)
    losses = ((record.evaluation or {}).get("loss") or {}).get("train") or {}
    return held_out - statistics.fmean(losses.values()) if losses else math.nan


def drop(record: RunRecord, keys: Keys = ()) -> float:  # noqa: ARG001
    """Best minus final IoU of the curve; at least 0."""
    _, ious = curve_of(record)
    return float(ious.max() - ious[-1])


def seam(record: RunRecord, keys: Keys) -> float:
    """Largest difference of a class probability between stitched small tiles and the whole image."""
    found = (record.evaluation or {}).get("seam") or {}
    return max((found[key] for key in keys), default=math.nan) if all(key in found for key in keys) else math.nan


MEASURES: dict[str, Measure] = {
    "iou": Measure("IoU at the run's own threshold", "IoU", _of_slices("at_threshold", "1", last="iou")),
    "iou_half": Measure("IoU at 0.5", "IoU", _of_slices("at_half", "1", last="iou")),
    "v_rand": Measure(
        "thinned V_rand at the run's own threshold", "V_rand", _of_slices("at_threshold", "1", last="v_rand")
    ),
    "iou_7_views": Measure(
        "IoU of 7 views at the run's own threshold", "IoU", _of_slices("at_threshold", "7", last="iou")
    ),
    "v_rand_7_views": Measure(
        "thinned V_rand of 7 views at the run's own threshold", "V_rand", _of_slices("at_threshold", "7", last="v_rand")
    ),
    "iou_half_7_views": Measure("IoU of 7 views at 0.5", "IoU", _of_slices("at_half", "7", last="iou")),
    "border_mirror": Measure("IoU in the border band, mirrored", "IoU", _of_slices("border", "mirror")),
    "border_zeros": Measure("IoU in the border band, padded with zeros", "IoU", _of_slices("border", "zeros")),
    "border_inner_mirror": Measure(
        "IoU in the inner border band, mirrored", "IoU", _of_slices("border", "inner, mirror")
    ),
    "border_inner_real": Measure(
        "IoU in the inner border band, real surroundings", "IoU", _of_slices("border", "inner, real")
    ),
    "roughness": Measure("roughness of the second half of the IoU curve", "IoU", roughness),
    "early_iou": Measure("mean IoU over the first quarter of the training", "IoU", early_iou),
    "gap": Measure("held-out minus training cross-entropy", "nats", gap, bounded=False),
    "drop": Measure("best minus final IoU", "IoU", drop),
    "seam": Measure("largest difference of a class probability", "probability", seam),
}


def has_all_cell(record: RunRecord) -> bool:
    """Whether the all-cell score of every held-out slice is known."""
    return not math.isnan(_of_slices("all_cell")(record, record.held_out))


def has_started(record: RunRecord) -> bool:
    """Whether a validation exceeded the all-cell score of the run's held-out slices by more than 0.05 IoU.

    Args:
        record: A record with an evaluation.
    """
    all_cell = _of_slices("all_cell")(record, record.held_out)
    _, ious = curve_of(record)
    return bool(ious.max() > all_cell + STARTS_ABOVE)


def as_all_cell(record: RunRecord, all_cell: Mapping[str, float], steps: Sequence[float]) -> RunRecord:
    """A failed run as a network that calls every pixel cell from its failure on.

    Every IoU is the all-cell score, validations without a value included; differences between paddings, numbers of
    views or tilings are 0. Both cross-entropies are ln 2, so the gap is 0. V_rand is missing.

    Args:
        record: A failed run.
        all_cell: All-cell score of each held-out slice.
        steps: Steps of the validations of a finished run of the same replicate.
    """
    slices = {key: all_cell[key] for key in record.held_out}
    measured = {key: {"iou": score} for key, score in slices.items()}
    score = statistics.fmean(slices.values())
    known = dict(zip(record.curve.get("step", []), record.curve.get("val/iou_own", []), strict=True))
    ious = [known.get(step, math.nan) for step in steps]
    return replace(
        record,
        curve={**record.curve, "step": list(steps), "val/iou_own": [score if math.isnan(iou) else iou for iou in ious]},
        evaluation={
            "at_threshold": {"1": measured, "7": measured},
            "at_half": {"1": measured, "7": measured},
            "loss": {
                "val": dict.fromkeys(slices, _UNINFORMED),
                "train": dict.fromkeys(record.manifest["split"]["train"], _UNINFORMED),
            },
            "all_cell": slices,
            "border": dict.fromkeys(("mirror", "zeros", "inner, mirror", "inner, real"), slices),
            "seam": dict.fromkeys(slices, 0.0),
        },
    )
