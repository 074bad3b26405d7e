"""SEG and DET of the Cell Tracking Challenge (Maska et al. 2023, 10.1038/s41592-023-01879-y), on instance labels."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from unet_repro.data.labels import Labels

# Matula et al. 2015, 10.1371/journal.pone.0144959: costs of correcting a detection by hand.
SPLIT_COST, MISS_COST, FALSE_COST = 5, 10, 1


def _table(
    reference: Labels, predicted: Labels
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Shared pixels of each reference object and each predicted object ``(R, P)``, and the sizes of both."""
    numbers, rows = np.unique(reference, return_inverse=True)
    others, columns = np.unique(predicted, return_inverse=True)
    joint = np.zeros((len(numbers), len(others)), np.int64)
    np.add.at(joint, (rows.ravel(), columns.ravel()), 1)
    inside, outside = numbers > 0, others > 0
    return joint[inside][:, outside], joint.sum(1)[inside], joint.sum(0)[outside]


def seg_scores(reference: Labels, predicted: Labels) -> npt.NDArray[np.float64]:
    """Jaccard index of each reference object with the predicted object that covers more than half of it, or 0.

    SEG is the mean over all reference objects of all frames. Unmatched predicted objects do not lower it.

    Args:
        reference: Instance numbers ``(H, W)``, 0 = background.
        predicted: Likewise.

    Returns:
        ``(R,)``, in the order of the reference's numbers; empty without reference objects.

    >>> seg_scores(np.array([[1, 1, 1, 0, 2]]), np.array([[5, 5, 0, 0, 0]])).round(3)
    array([0.667, 0.   ])
    """
    return _jaccards(*_table(reference, predicted))


def seg_both_ways(reference: Labels, predicted: Labels) -> float:
    """Mean of SEG and of SEG with the roles exchanged, so that false objects count too; used to choose settings.

    Args:
        reference: Instance numbers ``(H, W)``, 0 = background.
        predicted: Likewise.

    Returns:
        In [0, 1]; a side without objects counts as 1 if the other has none either, else as 0.

    >>> seg_both_ways(np.array([[1, 1, 0, 0]]), np.array([[5, 5, 0, 6]]))
    0.75
    """
    joint, sizes, others = _table(reference, predicted)
    sides = [_jaccards(joint, sizes, others), _jaccards(joint.T, others, sizes)]
    return float(np.mean([side.mean() if side.size else float(not joint.shape[0] + joint.shape[1]) for side in sides]))


def _jaccards(
    joint: npt.NDArray[np.int64], sizes: npt.NDArray[np.int64], others: npt.NDArray[np.int64]
) -> npt.NDArray[np.float64]:
    if not joint.size:
        return np.zeros(len(sizes))
    best = joint.argmax(1)
    shared = joint[np.arange(len(sizes)), best]
    return np.where(2 * shared > sizes, shared / (sizes + others[best] - shared), 0.0)


@dataclass(frozen=True)
class DetCounts:
    """Detections of one frame.

    Attributes:
        references: Reference markers.
        misses: Markers of which no object covers more than half.
        false: Objects that do not match a marker in this way.
        splits: Markers beyond the first in the same object, each of which must be split off.
    """

    references: int
    misses: int
    false: int
    splits: int


def det_counts(markers: Labels, predicted: Labels) -> DetCounts:
    """Compares objects with markers.

    Args:
        markers: Numbers of the reference markers ``(H, W)``, 0 = background.
        predicted: Instance numbers ``(H, W)``.

    >>> det_counts(np.array([[1, 0, 2, 0, 3, 0]]), np.array([[7, 7, 7, 0, 0, 8]]))
    DetCounts(references=3, misses=1, false=1, splits=1)
    """
    joint, sizes, others = _table(markers, predicted)
    matched = 2 * joint > sizes[:, None]
    hit_objects = int(matched.any(0).sum())
    hits = int(matched.any(1).sum()) if joint.size else 0
    return DetCounts(len(sizes), len(sizes) - hits, len(others) - hit_objects, hits - hit_objects)


def det(counts: Iterable[DetCounts]) -> float:
    """DET = 1 - min(cost, cost of nothing) / cost of nothing, over all frames, in [0, 1].

    The cost is 5 per split, 10 per miss, 1 per false object; an empty prediction costs a miss for each marker. Without
    any marker DET is 1 if there is no object either, else 0.

    >>> det([DetCounts(references=3, misses=1, false=1, splits=1)])
    0.4666666666666667
    """
    found = list(counts)
    nothing = MISS_COST * sum(each.references for each in found)
    cost = sum(SPLIT_COST * each.splits + MISS_COST * each.misses + FALSE_COST * each.false for each in found)
    return 1 - min(cost, nothing) / nothing if nothing else float(cost == 0)
