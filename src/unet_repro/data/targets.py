"""What a network is trained to predict beside the data's classes, so that touching objects can be separated.

Without a target (``target=none``) it predicts the classes of the data, where pixels between touching objects are
background, as in the paper. Both targets here add one output, in which the seeds of objects are found: see
``heads`` for the outputs and ``inference.instances`` for the objects.
"""

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
import torch.nn.functional as F  # noqa: N812
from scipy import ndimage
from torch import Tensor

from unet_repro.data.labels import IGNORED, NUM_CLASSES, Labels, compacted, two_within
from unet_repro.errors import ConfigError
from unet_repro.heads import Head

Classes = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]

BORDER = 2  # class of the border; 1 is the inner part


@dataclass(frozen=True)
class Border:
    """Three classes: background, the inner part of objects, and the border where an object touches another.

    The border consists of the pixels of an object that are at most ``width_px`` from another object. The training loss
    is the weighted cross-entropy of the three classes: ``weight_map=class_balance`` balances all three, ``weight``
    multiplies the weights of the border. ``val/loss`` and the measures are of two classes, as without a target.

    Args:
        width_px: Width of the border on each side, in pixels of the working resolution.
        weight: Factor of the weights of the border.

    Raises:
        ConfigError: If a value is out of range.
    """

    width_px: int = 3
    weight: float = 1.0

    def __post_init__(self) -> None:
        if self.width_px < 1 or self.weight <= 0:
            raise ConfigError(
                f"target.width_px={self.width_px} or target.weight={self.weight} is too small",
                hint="use a width of 1 or more pixels and a weight above 0",
            )

    @property
    def head(self) -> Head:
        """How the network's outputs are read."""
        return Head(NUM_CLASSES, "border")

    def classes(self, instances: Labels, classes: Classes | None = None) -> Classes:
        """The classes to train on.

        Args:
            instances: ``(H, W)`` int32, 0 = background.
            classes: Classes of the data ``(H, W)`` uint8, if some pixels are ignored.

        Returns:
            ``(H, W)`` uint8: background 0, inner part 1, border 2, ``IGNORED``.

        >>> Border(width_px=1).classes(np.array([[1, 1, 2, 2, 0]], np.int32))
        array([[1, 2, 2, 1, 0]], dtype=uint8)
        """
        found = (instances > 0).astype(np.uint8)
        found[(instances > 0) & two_within(instances, self.width_px)] = BORDER
        if classes is not None:
            found[classes == IGNORED] = IGNORED
        return found

    def weighted(self, weights: Floats, classes: Classes) -> Floats:
        """The weights ``(H, W)`` with the factor of the border, for classes of this target."""
        return np.where(classes == BORDER, np.float32(self.weight) * weights, weights)


@dataclass(frozen=True)
class Distance:
    """The classes of the data, and the distance of each pixel of an object from what is not the object.

    Distances are divided by the largest one in their object, so that each object has a peak of 1 whatever its size, and
    are 0 outside (as in Naylor et al. 2019, 10.1109/TMI.2018.2865709, who do not divide). The training loss is the
    weighted cross-entropy of the classes plus ``weight`` times the mean smooth L1 loss of the distances.

    Args:
        weight: Factor of the loss of the distances.
        beta: Error of a distance below which its loss is quadratic.

    Raises:
        ConfigError: If a value is out of range.
    """

    weight: float = 1.0
    beta: float = 0.1

    def __post_init__(self) -> None:
        if self.weight <= 0 or self.beta <= 0:
            raise ConfigError(
                f"target.weight={self.weight} and target.beta={self.beta} must be above 0", hint="use 1.0 and 0.1"
            )

    @property
    def head(self) -> Head:
        """How the network's outputs are read."""
        return Head(NUM_CLASSES, "distance")

    def values(self, instances: Labels) -> Floats:
        """The distances to train on.

        The border of the image is no outline: an object that it cuts continues beyond it.

        Args:
            instances: ``(H, W)`` int32, 0 = background.

        Returns:
            ``(H, W)`` float32 in [0, 1].

        >>> Distance().values(np.array([[0, 1, 1, 1, 0, 2, 3]], np.int32))
        array([[0. , 0.5, 1. , 0.5, 0. , 1. , 1. ]], dtype=float32)
        """
        values = np.zeros(instances.shape, np.float32)
        instances = compacted(instances)  # find_objects returns a list as long as the highest id
        for number, box in enumerate(ndimage.find_objects(instances), start=1):
            if box is None:
                continue
            grown = tuple(slice(max(side.start - 1, 0), side.stop + 1) for side in box)
            inside = instances[grown] == number
            if inside.all():  # as large as the image: there is no outline
                values[grown] = 1
                continue
            distance = cv2.distanceTransform(inside.view(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
            values[grown][inside] = (distance / distance.max())[inside]
        return values

    def losses(self, predicted_Bhw: Tensor, distances_Bhw: Tensor) -> Tensor:
        """The loss of each pixel's distance, times ``weight``: ``(B, h, w)``."""
        return self.weight * F.smooth_l1_loss(predicted_Bhw, distances_Bhw, reduction="none", beta=self.beta)


Target = Border | Distance


def head_of(target: Target | None, num_classes: int) -> Head:
    """How the outputs of a network with this target are read.

    Raises:
        ConfigError: If there is a target, and the data have more than two classes.
    """
    if target is None:
        return Head(num_classes)
    if num_classes != NUM_CLASSES:
        raise ConfigError(
            f"target={type(target).__name__.lower()} needs background and one class of objects; the data have "
            f"{num_classes} classes",
            hint="use target=none",
        )
    return target.head
