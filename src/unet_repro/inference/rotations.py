"""Prediction averaged over rotated and mirrored views of an image.

Source: Ronneberger et al. 2015, section 4, "averaged over 7 rotated versions of the input data".

Tensor names: C channels, H W image, K classes.
"""

import math
from collections.abc import Callable
from typing import Any, Literal, get_args

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from unet_repro.errors import ConfigError
from unet_repro.heads import probabilities_of

Image = npt.NDArray[np.float32]
Views = Literal[1, 4, 7, 8]


@torch.inference_mode()
def average_views(
    scores_of: Callable[[Image], Tensor], image_CHW: Image, views: Views, num_classes: int | None = None
) -> Tensor:
    """Class probabilities, averaged over rotated views of the image after rotating them back.

    1: the original image. 4: rotations by multiples of 90 degrees. 8: also those of the mirrored image. All of these
    are exact. 7: rotations by multiples of 360/7 degrees; the mirrored image fills the corners, and interpolation is
    bicubic, on the way back linear (assumed: the paper does not say which rotations it averages).

    Args:
        scores_of: Image ``(C, H, W)`` to class scores ``(K, H, W)``, and further maps that are averaged as they are; of
            any height and width.
        image_CHW: Normalised image.
        views: Number of views.
        num_classes: K; ``None`` if there are no further maps.

    Returns:
        ``(K, H, W)`` float32, sums to 1 over K; the means of further maps follow.

    Raises:
        ConfigError: If the number of views is not supported.
    """
    if views not in get_args(Views):
        raise ConfigError(f"views={views} is not supported", hint=f"use {', '.join(map(str, get_args(Views)))}")

    def maps_of(view: Image) -> Tensor:
        scores_KHW = scores_of(view)
        return probabilities_of(scores_KHW, num_classes or len(scores_KHW), 0)

    if views == 7:
        seen = [_turned_freely(maps_of, image_CHW, 2 * math.pi * turn / 7, num_classes) for turn in range(7)]
    else:
        seen = [
            _turned_exactly(maps_of, image_CHW, turns, mirrored=mirrored)
            for mirrored in ((False, True) if views == 8 else (False,))
            for turns in range(min(views, 4))
        ]
    return torch.stack(seen).mean(0)


def _turned_exactly(maps_of: Callable[[Image], Tensor], image_CHW: Image, turns: int, *, mirrored: bool) -> Tensor:
    view = np.rot90(image_CHW[..., ::-1] if mirrored else image_CHW, turns, axes=(-2, -1))
    maps_KHW = maps_of(np.ascontiguousarray(view)).rot90(-turns, (-2, -1))
    return maps_KHW.flip(-1) if mirrored else maps_KHW


def _turned_freely(
    maps_of: Callable[[Image], Tensor], image_CHW: Image, angle: float, num_classes: int | None
) -> Tensor:
    if angle == 0:
        return maps_of(image_CHW)
    height, width = image_CHW.shape[-2:]
    # The rotated image is placed in a square that contains it at every angle.
    side = math.ceil(math.hypot(height, width))
    turn = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), math.degrees(angle), 1.0)
    turn[:, 2] += ((side - width) / 2, (side - height) / 2)
    view = np.stack([_warp(channel, turn, (side, side), cv2.INTER_CUBIC) for channel in image_CHW])
    maps = maps_of(view)
    back = cv2.invertAffineTransform(turn)
    turned_back = [_warp(part, back, (width, height), cv2.INTER_LINEAR) for part in maps.cpu().numpy()]
    found = torch.from_numpy(np.stack(turned_back)).to(maps.device)
    classes, others = found[:num_classes], found[num_classes:] if num_classes else found[:0]
    return torch.cat([classes / classes.sum(0), others])


def _warp(channel: Image, matrix: npt.NDArray[Any], size_wh: tuple[int, int], how: int) -> Image:
    return np.asarray(
        cv2.warpAffine(channel, matrix, size_wh, flags=how, borderMode=cv2.BORDER_REFLECT_101), np.float32
    )
