"""Binary segmentation at a grid of thresholds: confusion matrices of all at once, and the choice of one.

Tensor names: H W image, T thresholds, K = 2 classes.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from unet_repro.metrics.pixel import iou_per_class

THRESHOLDS = tuple(round(0.05 * step, 2) for step in range(1, 20))  # 0.05, 0.10, ..., 0.95
HALF = THRESHOLDS.index(0.5)


def confusion_at(probability_HW: Tensor, classes_HW: Tensor, thresholds: Sequence[float] = THRESHOLDS) -> Tensor:
    """Confusion matrices of a binary prediction at every threshold, from one histogram.

    Args:
        probability_HW: Probability of class 1, float32 of any shape.
        classes_HW: True classes, 0 or 1, int64 of the same shape; pixels of other classes, such as
            ``labels.IGNORED``, are not counted.
        thresholds: A pixel with a higher probability is of class 1. Ascending.

    Returns:
        ``(T, 2, 2)`` int64 counts on the CPU, rows truth, columns prediction.

    >>> confusion_at(torch.tensor([0.1, 0.6, 0.9]), torch.tensor([0, 0, 1]), [0.5, 0.7]).tolist()
    [[[1, 1], [0, 1]], [[2, 0], [0, 1]]]
    """
    number = len(thresholds) + 1  # of the intervals between thresholds
    edges = torch.tensor(thresholds, dtype=probability_HW.dtype, device=probability_HW.device)
    below = torch.bucketize(probability_HW, edges)  # thresholds that are exceeded
    counts = torch.bincount((classes_HW * number + below).flatten(), minlength=2 * number)[: 2 * number]
    counts_KT = counts.cpu().reshape(2, number)
    negative_TK = counts_KT.cumsum(1)[:, :-1].T  # pixels that do not exceed the threshold
    return torch.stack([negative_TK, counts_KT.sum(1) - negative_TK], -1)


def iou_at(probability_HW: Tensor, classes_HW: Tensor) -> Tensor:
    """Mean IoU over both classes of one image at each of ``THRESHOLDS``: ``(T,)`` float64 on the CPU."""
    return iou_per_class(confusion_at(probability_HW, classes_HW)).mean(-1)


def best_threshold(values_T: Sequence[float] | npt.NDArray[np.float64]) -> int:
    """Index of the threshold with the highest value; of equal values the one nearest to 0.5, then the lower one.

    Args:
        values_T: A value for each of ``THRESHOLDS``.

    >>> flat = [1.0] * 19
    >>> THRESHOLDS[best_threshold(flat)], THRESHOLDS[best_threshold([0.0] * 4 + [1.0] + 13 * [0.5] + [1.0])]
    (0.5, 0.25)
    """
    values = np.asarray(values_T, np.float64)
    return min(np.flatnonzero(values == values.max()).tolist(), key=lambda index: (abs(index - HALF), index))
