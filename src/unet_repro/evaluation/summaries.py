"""Summaries of a group's measures: means over seeds and images with their intervals.

Tensor names: S members, I images, T thresholds.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from unet_repro.data.sources.folder import Folder
from unet_repro.evaluation.measured import MEAN, Assessment, ImageMeasures
from unet_repro.metrics.cell_tracking import det
from unet_repro.metrics.isbi import SCORES, THRESHOLDS
from unet_repro.stats import estimate

FEWEST = 5  # images of own data: an interval from fewer would say nothing, and its coverage is unknown


@dataclass(frozen=True)
class Row:
    """One measure of one group.

    Attributes:
        group: The group.
        of: ``seeds`` (mean over seeds and images) or the mean of seeds' probabilities.
        measure: Name of the measure.
        mean: Mean over members and images; for SEG over all reference objects.
        low: Lower end of the 95 % interval over seeds and images; ``None`` if a single seed or image gives none, or
            own data have fewer than ``FEWEST`` images.
        high: Upper end of the interval.
        thresholds: The best threshold of each member, for measures with a threshold.
        num_members: Seeds.
        num_images: Images, or sequences for DET.
    """

    group: str
    of: str
    measure: str
    mean: float
    low: float | None
    high: float | None
    thresholds: tuple[float, ...]
    num_members: int
    num_images: int


@dataclass(frozen=True)
class Difference:
    """How far one group is above another in one measure, paired by seed and image.

    Attributes:
        group: The group.
        measure: Name of the measure.
        mean: Mean difference over their common seeds and images.
        low: Lower end of the 95 % interval; ``None`` if a single seed or image gives none.
        high: Upper end of the interval.
        num_members: Common seeds.
    """

    group: str
    measure: str
    mean: float
    low: float | None
    high: float | None
    num_members: int


def with_interval(one: Row | Difference, *, digits: int, sign: str = "") -> str:
    """Mean and interval with so many decimals; two more for the warping error, which is small.

    Args:
        one: What is written.
        digits: Decimals.
        sign: ``+`` to write it before positive means.
    """
    digits += 2 * (one.measure == "warping_error")
    interval = "" if one.low is None or one.high is None else f" [{one.low:.{digits}f}, {one.high:.{digits}f}]"
    return f"{one.mean:{sign}.{digits}f}{interval}"


def rows_of(assessment: Assessment) -> list[Row]:
    """Every measure with its interval, for the seeds and for the mean of their probabilities."""
    parts = [("seeds", list(_seeds(assessment).values()))]
    if MEAN in assessment.members:
        parts.append((MEAN, [assessment.members[MEAN]]))
    rows = [
        _row(assessment.group, of, measure, table)
        for of, members in parts
        for measure, table in _tables(members).items()
    ]
    return [row if _has_intervals(assessment, row.num_images) else replace(row, low=None, high=None) for row in rows]


def differences(assessment: Assessment, baseline: Assessment) -> list[Difference]:
    """The differences to another group in every measure that both have; empty if they have no common seed or image."""
    if assessment.data != baseline.data:  # images of two data sets can have the same keys
        return []
    here, there = _seeds(assessment), _seeds(baseline)
    pairs = []
    for seed in [name for name in here if name in there]:
        keys = {image.key for image in here[seed]} & {image.key for image in there[seed]}
        pairs.append([[image for image in images if image.key in keys] for images in (here[seed], there[seed])])
    if not pairs or not all(ours for ours, _ in pairs):
        return []
    ours, theirs = (_tables([pair[side] for pair in pairs]) for side in (0, 1))
    found = []
    for measure in (name for name in ours if name in theirs):
        values_SI = ours[measure].values - theirs[measure].values
        one = estimate(values_SI if len(values_SI) > 1 else values_SI.T)
        low, high = (one.low, one.high) if _has_intervals(assessment, ours[measure].num_images) else (None, None)
        found.append(Difference(assessment.group, measure, one.mean, low, high, len(values_SI)))
    return found


def _has_intervals(assessment: Assessment, num_images: int) -> bool:
    """Whether a measure has an interval: of own data not from few images."""
    return assessment.data != Folder.name or num_images >= FEWEST


def _seeds(assessment: Assessment) -> dict[str, list[ImageMeasures]]:
    return {name: images for name, images in assessment.members.items() if name != MEAN}


@dataclass(frozen=True)
class _Table:
    """Values of one measure: members by images, or ``(S, 1)`` means if the members hold out different images."""

    values: npt.NDArray[np.float64]
    num_images: int
    thresholds: tuple[float, ...] = ()


def _tables(members: list[list[ImageMeasures]]) -> dict[str, _Table]:
    """Every measure of the given members, on the images that they share; each on its own if they share none."""
    shared = set.intersection(*({image.key for image in images} for images in members))
    if shared:
        members = [[image for image in images if image.key in shared] for images in members]
    drawn = [[image for image in images if image.pixel] for images in members]

    def table(by_member: Sequence[npt.ArrayLike], thresholds: tuple[float, ...] = ()) -> _Table:
        values = [np.asarray(one, np.float64) for one in by_member]
        num_images = len(values[0]) if shared else sum(map(len, values))
        return _Table(np.array(values if shared else [[one.mean()] for one in values]), num_images, thresholds)

    found = {name: table([[image.pixel[name] for image in images] for images in drawn]) for name in drawn[0][0].pixel}
    for measure in drawn[0][0].sweep:
        sweeps_IT = [np.array([image.sweep[measure] for image in images]) for images in drawn]
        sign = 1 if measure in SCORES else -1
        # One threshold for the whole stack, as in the challenge.
        best = [int((sign * one.mean(0)).argmax()) for one in sweeps_IT]
        values = [one[:, index] for one, index in zip(sweeps_IT, best, strict=True)]
        found[measure] = table(values, tuple(THRESHOLDS[index] for index in best))
    if all(any(image.seg.size for image in images) for images in drawn):
        found["SEG"] = table([_seg_by_image(images) for images in drawn])
    sequences = [sorted({image.key.split("/")[0] for image in each if image.det is not None}) for each in members]
    if all(sequences):
        found["DET"] = table(
            [[_det(images, one) for one in own] for images, own in zip(members, sequences, strict=True)]
        )
    return found


def _seg_by_image(images: list[ImageMeasures]) -> npt.NDArray[np.float64]:
    """A value for each image with objects; the mean of these values is SEG, the mean over all objects.

    An image is weighted by its number of objects n: the linearised ratio, ``SEG + n / mean(n) * (its mean - SEG)``, has
    the ratio's mean and, to first order, its variance (Cochran, Sampling Techniques, 1977, chapter 6).
    """
    found = [image.seg for image in images if image.seg.size]
    numbers = np.array([seg.size for seg in found], np.float64)
    pooled = np.concatenate(found).mean()
    deviations = np.array([seg.mean() for seg in found]) - pooled
    return np.asarray(pooled + numbers / numbers.mean() * deviations)


def _det(images: list[ImageMeasures], sequence: str) -> float:
    found: float = det(
        [image.det for image in images if image.det is not None and image.key.startswith(f"{sequence}/")]
    )
    return found


def _row(group: str, of: str, measure: str, table: _Table) -> Row:
    """A row; for a single member the interval is over images."""
    values_SI = table.values
    found = estimate(values_SI if len(values_SI) > 1 else values_SI.T, bounds=(0.0, 1.0))  # of every measure here
    number = len(values_SI)
    return Row(group, of, measure, found.mean, found.low, found.high, table.thresholds, number, table.num_images)
