"""Pixel measures from a confusion matrix: IoU, Dice, pixel error, and the earlier reproduction's stepped score.

Pure functions, and one torchmetrics class. K classes; rows of the matrix are the truth, columns the prediction.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.functional.classification import multiclass_confusion_matrix
from torchmetrics.utilities import dim_zero_cat

from unet_repro.data.labels import IGNORED


def confusion(predicted: Tensor, truth: Tensor, num_classes: int) -> Tensor:
    """Counts pixels that are not ignored: ``(K, K)`` int64, rows truth, columns prediction.

    Args:
        predicted: Class indices of any shape.
        truth: Class indices, or ``labels.IGNORED``, of the same shape.
        num_classes: K.

    >>> confusion(torch.tensor([0, 1, 1]), torch.tensor([0, 0, 1]), 2)
    tensor([[1, 1],
            [0, 1]])
    """
    return multiclass_confusion_matrix(
        predicted, truth, num_classes=num_classes, ignore_index=IGNORED, validate_args=False
    )


def iou_per_class(matrix: Tensor) -> Tensor:
    """Jaccard index of each class, ``TP / (TP + FP + FN)``, in [0, 1]; 1 if a class is in neither image.

    Args:
        matrix: ``(..., K, K)`` counts.

    Returns:
        ``(..., K)`` float64.

    >>> iou_per_class(torch.tensor([[1, 1], [0, 1]]))
    tensor([0.5000, 0.5000], dtype=torch.float64)
    """
    hit = matrix.diagonal(dim1=-2, dim2=-1).double()
    union = matrix.sum(-1) + matrix.sum(-2) - hit
    return torch.where(union > 0, hit / union.clamp(min=1), torch.ones_like(hit))


def dice_per_class(matrix: Tensor) -> Tensor:
    """Dice coefficient of each class, ``2 TP / (2 TP + FP + FN)`` = ``2 IoU / (1 + IoU)``; as ``iou_per_class``.

    >>> dice_per_class(torch.tensor([[1, 1], [0, 1]]))
    tensor([0.6667, 0.6667], dtype=torch.float64)
    """
    iou = iou_per_class(matrix)
    return 2 * iou / (1 + iou)


def pixel_error(matrix: Tensor) -> Tensor:
    """Share of wrong pixels, in [0, 1], float64, of ``(..., K, K)`` counts.

    >>> round(pixel_error(torch.tensor([[1, 1], [0, 1]])).item(), 4)
    0.3333
    """
    total = matrix.sum((-1, -2)).double()
    return 1 - matrix.diagonal(dim1=-2, dim2=-1).sum(-1) / total


def iou_stepped(iou: Tensor) -> Tensor:
    """The stepped score of "Reproducing U-Net" (2025): ``ceil(clip(20 (IoU - 0.5), 0, 10)) / 10``.

    For comparison with that reproduction's published curves only.

    >>> iou_stepped(torch.tensor([0.4, 0.72, 0.99])).tolist()
    [0.0, 0.5, 1.0]
    """
    # Tolerates rounding errors above an integer: 0.55 is one step.
    return torch.ceil((20 * (iou - 0.5) - 1e-6).clamp(0, 10)) / 10


class PixelMeasures(Metric):
    """All pixel measures of a set of whole images.

    IoU of each class, mean IoU, Dice and pixel error are computed from the pooled pixels of all images. ``iou_stepped``
    is the mean over images of the stepped score of each image's mean IoU, as in the earlier reproduction.

    Args:
        class_names: K names, used in the keys ``iou_<name>``.
    """

    full_state_update = False
    matrices: list[Tensor]

    def __init__(self, class_names: Sequence[str]) -> None:
        super().__init__()
        self.class_names = tuple(class_names)
        self.add_state("matrices", default=[], dist_reduce_fx="cat")

    def update(self, predicted_hw: Tensor, truth_hw: Tensor) -> None:
        """Adds one image: class indices ``(h, w)`` of prediction and truth."""
        self.matrices.append(confusion(predicted_hw, truth_hw, len(self.class_names))[None])

    def compute(self) -> dict[str, Tensor]:
        """Scalars by name: ``iou``, ``iou_<class>``, ``dice``, ``pixel_error``, ``iou_stepped``."""
        matrices_NKK = dim_zero_cat(self.matrices)  # a list, or one tensor gathered from several devices
        return pixel_measures(matrices_NKK, self.class_names)


def pixel_measures(matrices_NKK: Tensor, class_names: Sequence[str]) -> dict[str, Tensor]:
    """The measures of ``PixelMeasures`` from the confusion matrices ``(N, K, K)`` of N images."""
    pooled = matrices_NKK.sum(0)
    iou_K = iou_per_class(pooled)
    return {
        "iou": iou_K.mean(),
        **{f"iou_{name}": iou for name, iou in zip(class_names, iou_K, strict=True)},
        "dice": dice_per_class(pooled).mean(),
        "pixel_error": pixel_error(pooled),
        "iou_stepped": iou_stepped(iou_per_class(matrices_NKK).mean(-1)).mean(),
    }
