"""The sections of the trial's evaluation: what each measures of a run's predictions.

Tensor names: C channels, H W image, K = 2 classes.
"""

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from unet_repro.data.datamodule import WholeImage
from unet_repro.data.labels import IGNORED
from unet_repro.evaluation.scores import (
    MEASURES,
    Judged,
    Probability,
    choose_thresholds,
    iou_in_band,
    iou_of_constant,
    scores_at,
)
from unet_repro.evaluation.trained_run import Part, Trained
from unet_repro.inference.overlap_tile import Padding, TilePlan, plan_tiles, predict
from unet_repro.inference.rotations import Views, average_views
from unet_repro.models.protocol import tile_geometry
from unet_repro.training.losses import summed_cross_entropy

SMALL_TILE_PX = 252  # tiles whose stitched prediction is compared with untiled prediction
VIEWS: Views = 7  # paper: averaged over 7 rotated versions

Record = dict[str, Any]


class Predictions:
    """Predictions of a run's training and held-out images, each made once, by mirrored overlap-tiles."""

    def __init__(self, trained: Trained) -> None:
        self.trained = trained
        self.geometry = tile_geometry(trained.task.net)
        self.losses: dict[Part, dict[str, float]] = {}

    @cached_property
    def val(self) -> list[Judged]:
        """The held-out images, in order."""
        return self._untiled("val")

    @cached_property
    def train(self) -> list[Judged]:
        """The training images, in order."""
        return self._untiled("train")

    def rotated(self, part: Part) -> list[Judged]:
        """Images with the mean probability of the rotated views."""
        return [
            self._judged(part, image, average_views(self.scores, image.image, VIEWS)[1])
            for image in self.trained.images(part)
        ]

    def scores(
        self, image_CHW: npt.NDArray[np.float32], *, plan: TilePlan | None = None, padding: Padding = "mirror"
    ) -> Tensor:
        """Class scores ``(K, H, W)`` of a normalised image."""
        plan = plan or plan_tiles((image_CHW.shape[-2], image_CHW.shape[-1]), self.geometry)
        return predict(self.trained.task.net, image_CHW, plan, device=self.trained.device, padding=padding)

    def probability(self, image_CHW: npt.NDArray[np.float32], **how: Any) -> Probability:
        """Probability of class 1 ``(H, W)``; arguments as for ``scores``."""
        found: Probability = self.scores(image_CHW, **how).softmax(0)[1].cpu().numpy()
        return found

    def _untiled(self, part: Part) -> list[Judged]:
        self.losses[part], judged = {}, []
        for image in self.trained.images(part):
            scores_KHW = self.scores(image.image)
            classes_HW = torch.from_numpy(image.classes).to(scores_KHW.device).long()
            total = float(summed_cross_entropy(scores_KHW, classes_HW))
            self.losses[part][image.key] = total / int((classes_HW != IGNORED).sum())
            judged.append(self._judged(part, image, scores_KHW.softmax(0)[1]))
        return judged

    def _judged(self, part: Part, image: WholeImage, probability_HW: Tensor) -> Judged:
        truth = next(sample.labels for sample in self.trained.data.samples[part] if sample.key == image.key)
        assert truth is not None, "only labelled images are predicted"
        return Judged(image.key, probability_HW.cpu().numpy(), image.classes, truth)


def _scores(predictions: Predictions, _: Record) -> Record:
    """IoU and V_rand of the held-out images at the chosen thresholds and at 0.5, losses, and the all-cell score."""
    scored = _thresholded("1", predictions.train, predictions.val)  # predicted before the losses are read
    pixels = [np.bincount(image.classes.ravel(), minlength=2)[:2] for image in predictions.train]
    frequent = int(np.sum(pixels, 0).argmax())
    return {
        **scored,
        "loss": {part: predictions.losses[part] for part in ("val", "train")},
        "all_cell": {image.key: iou_of_constant(image.classes, frequent) for image in predictions.val},
    }


def _views(predictions: Predictions, _: Record) -> Record:
    """The same for the mean probability of the rotated views, at thresholds of its own."""
    return _thresholded(str(VIEWS), predictions.rotated("train"), predictions.rotated("val"))


def _thresholded(views: str, train: Sequence[Judged], val: Sequence[Judged]) -> Record:
    chosen = choose_thresholds(train)
    return {
        "thresholds": {views: chosen},
        "at_threshold": {views: scores_at(val, chosen)},
        "at_half": {views: scores_at(val, dict.fromkeys(MEASURES, 0.5))},
    }


def _border(predictions: Predictions, record: Record) -> Record:
    """IoU in a band as wide as the halo, at the threshold of the IoU.

    Of the complete image, mirrored and zero-padded at its border; and of its inner part, whose surroundings are known:
    predicted with these, and mirrored at its own border. An image no larger than two bands has no inner part.
    """
    width, threshold = predictions.geometry.halo_px, float(record["thresholds"]["1"]["iou"])
    inside = (slice(width, -width or None),) * 2
    border: dict[str, dict[str, float]] = {"mirror": {}, "zeros": {}, "inner, real": {}, "inner, mirror": {}}
    for judged, image in zip(predictions.val, predictions.trained.images("val"), strict=True):
        found = {
            "mirror": (judged.probability, judged.classes),
            "zeros": (predictions.probability(image.image, padding="zero"), judged.classes),
        }
        if min(judged.classes.shape) > 2 * width:
            inner = np.ascontiguousarray(image.image[(slice(None), *inside)])
            found["inner, real"] = (judged.probability[inside], judged.classes[inside])
            found["inner, mirror"] = (predictions.probability(inner), judged.classes[inside])
        for name, (probability, classes) in found.items():
            border[name][judged.key] = iou_in_band(probability, classes, threshold, width)
    return {"border": border}


def _seam(predictions: Predictions, _: Record) -> Record:
    """Largest difference of a class probability between stitched small tiles and the complete image."""
    tile = min(SMALL_TILE_PX, int(predictions.trained.config.tiles["size"]))
    seam = {}
    for judged, image in zip(predictions.val, predictions.trained.images("val"), strict=True):
        small = plan_tiles(judged.classes.shape, predictions.geometry, max_tile_pixels=tile * tile)
        stitched = predictions.probability(image.image, plan=small)
        seam[judged.key] = float(np.abs(stitched - judged.probability).max())
    return {"seam": seam}


SECTIONS: dict[str, Callable[[Predictions, Record], Record]] = {
    "scores": _scores,
    "views": _views,
    "border": _border,
    "seam": _seam,
}
