"""Predicts a complete image in memory: at the working resolution, by overlap-tiles, with the outputs of the head.

Tensor names: B batch, C channels, H W image, h w output, K classes, R outputs of the network.
"""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from unet_repro.data.resample import enlarge, reduce_image
from unet_repro.heads import Head, probabilities_of, scores_of
from unet_repro.inference.overlap_tile import plan_tiles, predict
from unet_repro.tile_geometry import TileGeometry


def predict_image(
    network: Callable[[Tensor], Tensor],
    image_CHW: npt.NDArray[np.float32],
    geometry: TileGeometry,
    *,
    head: Head,
    scale: float | None = None,
    device: torch.device | None = None,
) -> Tensor:
    """Class scores of an image at its own resolution, and its seed map if the head has one.

    At a working resolution the image is reduced, and the probabilities are enlarged again.

    Args:
        network: ``(B, C, H', W')`` to ``(B, R, h', w')``.
        image_CHW: Normalised image ``(C, H, W)``.
        geometry: The network's legal tiles.
        head: How its outputs are read.
        scale: Working resolution as a share of the image's; ``None``: the image's own.
        device: The device of the network; ``None``: that of a module's weights, otherwise the CPU.

    Returns:
        ``(K, H, W)``, or ``(K + 1, H, W)`` with a seed map, float32; see ``Head.read``.
    """
    working = reduce_image(image_CHW, scale)
    plan = plan_tiles((working.shape[1], working.shape[2]), geometry)
    read = head.read(predict(network, working, plan, device=device)[None])[0]
    if scale is None:
        return read
    full_hw = (image_CHW.shape[1], image_CHW.shape[2])
    return scores_of(enlarge(probabilities_of(read, head.num_classes, 0), full_hw), head.num_classes, 0)
