"""Scores of binary probabilities: IoU and thinned V_rand at a threshold, in a border band, and their thresholds.

All are pure functions of arrays. Tensor names: H W image, T thresholds.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from unet_repro.data.labels import Labels
from unet_repro.metrics.pixel import iou_per_class
from unet_repro.metrics.rand import rand_scores
from unet_repro.metrics.thinning import thin_borders
from unet_repro.metrics.thresholds import THRESHOLDS, best_threshold, confusion_at, iou_at

Probability = npt.NDArray[np.float32]
Classes = npt.NDArray[np.uint8]
Thresholds = dict[str, float]  # measure -> threshold
MEASURES = ("iou", "v_rand")


@dataclass(frozen=True)
class Judged:
    """A predicted image with its truth.

    Attributes:
        key: The image.
        probability: Probability of class 1 ``(H, W)`` float32.
        classes: True classes ``(H, W)`` uint8.
        truth: True instances ``(H, W)`` int32, 0 = background.
    """

    key: str
    probability: Probability
    classes: Classes
    truth: Labels


def iou(probability: Probability, classes: Classes, threshold: float) -> float:
    """Mean IoU over the two classes; a pixel with a higher probability than the threshold is of class 1."""
    matrices = confusion_at(torch.from_numpy(probability), torch.from_numpy(classes).long(), [threshold])
    return float(iou_per_class(matrices[0]).mean())


def v_rand(probability: Probability, truth: Labels, threshold: float) -> float:
    """Foreground-restricted Rand F-score after thinning the predicted borders, as in the ISBI 2012 challenge."""
    return rand_scores(truth, thin_borders(probability > np.float32(threshold))).v_rand


def choose_thresholds(images: Sequence[Judged]) -> Thresholds:
    """The threshold of the highest mean over images, for each measure; of equal means the one nearest to 0.5."""
    iou_T = np.mean([iou_at(torch.from_numpy(i.probability), torch.from_numpy(i.classes).long()) for i in images], 0)
    v_rand_T = np.mean([[v_rand(i.probability, i.truth, threshold) for threshold in THRESHOLDS] for i in images], 0)
    return {
        name: THRESHOLDS[best_threshold(values_T)] for name, values_T in zip(MEASURES, (iou_T, v_rand_T), strict=True)
    }


def scores_at(images: Sequence[Judged], thresholds: Thresholds) -> dict[str, dict[str, float]]:
    """Both measures of each image, each at its threshold: image -> measure -> value."""
    return {
        image.key: {
            "iou": iou(image.probability, image.classes, thresholds["iou"]),
            "v_rand": v_rand(image.probability, image.truth, thresholds["v_rand"]),
        }
        for image in images
    }


def iou_in_band(probability: Probability, classes: Classes, threshold: float, width_px: int) -> float:
    """Mean IoU over the pixels that are less than ``width_px`` from the border of the arrays."""
    band = np.ones(classes.shape, bool)
    band[width_px:-width_px, width_px:-width_px] = False
    return iou(probability[band], classes[band], threshold)


def iou_of_constant(classes: Classes, predicted: int) -> float:
    """Mean IoU over the two classes of an image in which every pixel is called the given class.

    >>> iou_of_constant(np.array([[0, 1, 1, 1]], np.uint8), 1)
    0.375
    """
    return iou(np.full(classes.shape, predicted, np.float32), classes, 0.5)
