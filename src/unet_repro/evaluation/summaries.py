"""Summaries of a group's measures: means over seeds and images with their intervals.

Tensor names: S members, I images, T thresholds.
"""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from unet_repro.data.sources.folder import Folder
from unet_repro.evaluation.assessment import MEAN, Assessment, ImageMeasures
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


def rows_of(assessment: Assessment) -> list[Row]:
    """Every measure with its interval, for the seeds and for the mean of their probabilities."""
    seeds = {name: images for name, images in assessment.members.items() if name != MEAN}
    parts = [("seeds", list(seeds.values()))]
    if MEAN in assessment.members:
        parts.append((MEAN, [assessment.members[MEAN]]))
    rows = [row for of, members in parts for row in _rows(assessment.group, of, members)]
    if assessment.data != Folder.name:
        return rows
    return [row if row.num_images >= FEWEST else replace(row, low=None, high=None) for row in rows]


def _rows(group: str, of: str, members: list[list[ImageMeasures]]) -> list[Row]:
    """Rows for the given members; images that are missing in one of them are left out."""
    shared = set.intersection(*({image.key for image in images} for images in members))
    members = [[image for image in images if image.key in shared] for images in members]
    drawn = [[image for image in images if image.pixel] for images in members]
    rows = []
    for measure in drawn[0][0].pixel:
        table = np.array([[image.pixel[measure] for image in images] for images in drawn])
        rows.append(_row(group, of, measure, table))
    for measure in drawn[0][0].sweep:
        sweeps_SIT = np.array([[image.sweep[measure] for image in images] for images in drawn])
        sign = 1 if measure in SCORES else -1
        best = (sign * sweeps_SIT.mean(1)).argmax(1)  # one threshold for the whole stack, as in the challenge
        table = np.take_along_axis(sweeps_SIT, best[:, None, None], 2)[..., 0]
        rows.append(_row(group, of, measure, table, thresholds=tuple(THRESHOLDS[index] for index in best)))
    if any(image.seg.size for image in drawn[0]):
        rows.append(_row(group, of, "SEG", np.array([_seg_by_image(images) for images in drawn])))
    sequences = sorted({image.key.split("/")[0] for image in members[0] if image.det is not None})
    if sequences:
        table = np.array([[_det(images, sequence) for sequence in sequences] for images in members])
        rows.append(_row(group, of, "DET", table))
    return rows


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


def _row(
    group: str, of: str, measure: str, table_SI: npt.NDArray[np.float64], thresholds: tuple[float, ...] = ()
) -> Row:
    """A row from values of members by images; for a single member the interval is over images."""
    num_members, num_images = table_SI.shape
    found = estimate(table_SI if num_members > 1 else table_SI.T, bounds=(0.0, 1.0))  # of every measure here
    return Row(group, of, measure, found.mean, found.low, found.high, thresholds, num_members, num_images)
