"""The measures of contrasts: a value for every image of a run, or one for the whole run."""

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from unet_repro.trial.finished_runs import Run

WHOLE_RUN = ""  # the key of a value for the whole run
Values = dict[str, float]  # by image


@dataclass(frozen=True)
class Measure:
    """One measure.

    Attributes:
        title: Title for display.
        unit: Unit of the values.
        values: Values of a run, given all runs that it is compared with; empty if they were not measured.
        evaluation: The evaluation that they come from, if any.
        yes_or_no: Whether values are 1 or 0.
    """

    title: str
    unit: str
    values: Callable[[Run, str, Sequence[Run]], Values]
    evaluation: str | None = None
    yes_or_no: bool = False


def _of_images(evaluation: str, measure: str, title: str, unit: str, default: str = "") -> Measure:
    def values(run: Run, variant: str, peers: Sequence[Run]) -> Values:  # noqa: ARG001
        record = run.evaluation(evaluation)
        if record is None:
            return {}
        return {image: measured[measure] for image, measured in record["variants"][variant or default].items()}

    return Measure(title, unit, values, evaluation)


def _of_runs(
    title: str, unit: str, value: Callable[[Run, Sequence[Run]], float | None], *, yes_or_no: bool = False
) -> Measure:
    def values(run: Run, variant: str, peers: Sequence[Run]) -> Values:  # noqa: ARG001
        found = value(run, peers)
        return {} if found is None else {WHOLE_RUN: found}

    return Measure(title, unit, values, yes_or_no=yes_or_no)


def roughness(run: Run, peers: Sequence[Run]) -> float:  # noqa: ARG001
    """Standard deviation of the differences between successive validations' IoU."""
    steps = np.diff(run.history["val/iou"])
    return float(np.std(steps, ddof=1)) if len(steps) > 1 else 0.0


def steps_to_iou(run: Run, peers: Sequence[Run]) -> float:
    """Step of the first validation with the IoU that every compared run reaches: the minimum of their best IoUs."""
    reached_by_all = min(max(peer.history["val/iou"]) for peer in peers)
    return next(
        step for step, iou in zip(run.history["step"], run.history["val/iou"], strict=True) if iou >= reached_by_all
    )


def generalisation_gap(run: Run, peers: Sequence[Run]) -> float:  # noqa: ARG001
    """Unweighted cross-entropy of the last validation minus that of the training steps before it."""
    return run.history["val/loss"][-1] - run.history["train/ce"][-1]


def collapsed(run: Run, peers: Sequence[Run]) -> float:  # noqa: ARG001
    """1 if the run ends below half of its own best IoU."""
    ious = run.history["val/iou"]
    return float(ious[-1] < max(ious) / 2)


def iou_at_equal_time(run: Run, peers: Sequence[Run]) -> float | None:
    """IoU at the total training time of the fastest compared arm, interpolated between validations.

    Times are means over the seeds of an arm, because other work on a machine disturbs single runs.
    """
    if any("seconds_at" not in peer.outcome for peer in peers):
        return None
    arms: dict[str, list[list[float]]] = {}
    for peer in peers:
        arms.setdefault(peer.entry.arm, []).append(peer.outcome["seconds_at"])
    clocks = {arm: [statistics.fmean(at) for at in zip(*times, strict=True)] for arm, times in arms.items()}
    until = min(clock[-1] for clock in clocks.values())
    return float(np.interp(until, clocks[run.entry.arm], run.history["val/iou"]))


MEASURES: dict[str, Measure] = {
    "iou_per_image": _of_images("val", "iou", "final IoU, mean over images", "IoU", "whole"),
    "pair_f_score": _of_images("val", "pair_f_score", "pair F-score of objects, most likely class", "F-score", "whole"),
    "val_loss": _of_images("val", "loss", "final validation cross-entropy", "nats", "whole"),
    "seam": _of_images("overlap_tile", "max_difference", "largest difference of a class probability", "probability"),
    "border_iou": _of_images("overlap_tile", "iou_band", "IoU in the border band", "IoU"),
    "rotated_iou": _of_images("rotations", "iou", "IoU of the mean over views", "IoU"),
    "rotated_pairs": _of_images("rotations", "pair_f_score", "pair F-score, mean over views", "F-score"),
    "roughness": _of_runs("roughness of the IoU curve", "IoU", roughness),
    "steps_to_iou": _of_runs("steps to the IoU that all runs reach", "steps", steps_to_iou),
    "generalisation_gap": _of_runs("validation − training cross-entropy at the end", "nats", generalisation_gap),
    "collapsed": _of_runs("share of collapsed runs", "share", collapsed, yes_or_no=True),
    "iou_at_equal_time": _of_runs("IoU after equal training time", "IoU", iou_at_equal_time),
}
