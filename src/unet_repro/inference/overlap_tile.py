"""Overlap-tile prediction (Ronneberger et al. 2015, figure 2): plan the tiles, predict, stitch.

The offsets of tiles are multiples of the network's step, ``2 ** depth`` for a U-Net. The network is equivariant to such
shifts, so each output pixel is computed from the same numbers in the same order in every tile: stitching is exact. (A
network with same-padding has no halo: its tiles see padding where a neighbour begins, so that seams are not exact.)

Tensor names: C channels, H W image, K classes.
"""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from unet_repro.data.tiles import crop_mirrored, crop_zero
from unet_repro.errors import DataError, GeometryError
from unet_repro.geometry import Depth, geometry_of
from unet_repro.models.protocol import dtype_of, tile_geometry
from unet_repro.tile_geometry import TileGeometry

Padding = Literal["mirror", "zero"]

BATCH_PIXELS = 500_000  # input pixels of a batch of small tiles
SEAM_PIXELS = 64 * 64  # cost of a further tile without a halo, in input pixels: few seams rather than a perfect fit


@dataclass(frozen=True)
class TilePlan:
    """Tiles that cover an image.

    Attributes:
        image_hw: Height and width of the image.
        tile_hw: Input height and width of every tile, legal.
        halo_px: Pixels lost on each side.
        offsets: Top-left corner of each tile's output in the image, aligned.
    """

    image_hw: tuple[int, int]
    tile_hw: tuple[int, int]
    halo_px: int
    offsets: tuple[tuple[int, int], ...]

    @property
    def input_pixels(self) -> int:
        """Total input pixels of the network; the cost of the plan."""
        return len(self.offsets) * self.tile_hw[0] * self.tile_hw[1]


def plan_tiles(
    image_hw: tuple[int, int],
    depth: Depth = 4,
    *,
    max_tile_pixels: int = 4_000_000,
    cost: Callable[[tuple[int, int]], float] | None = None,
    fits: Callable[[tuple[int, int]], bool] | None = None,
) -> TilePlan:
    """The cheapest aligned plan whose tiles fit.

    Every tile recomputes its halo, so fewer and larger tiles cost less; memory limits the size of a tile.

    Args:
        image_hw: Height and width of the image.
        depth: Number of max-pools of the network, or its geometry.
        max_tile_pixels: Limit on a tile's input pixels, if ``fits`` is not given.
        cost: Cost of one tile of a given height and width; by default its input pixels.
        fits: Whether a tile of a given height and width is allowed.

    Returns:
        The plan, for ``predict``.

    Raises:
        GeometryError: If not even the smallest useful tile fits.

    >>> plan_tiles((512, 512)).tile_hw
    (700, 700)
    """
    geometry = geometry_of(depth)
    cost = cost or (_input_pixels if geometry.halo_px else lambda tile_hw: _input_pixels(tile_hw) + SEAM_PIXELS)
    fits = fits or (lambda tile_hw: _input_pixels(tile_hw) <= max_tile_pixels)
    lines = [_line_choices(extent, geometry) for extent in image_hw]
    known: dict[tuple[int, int], float] = {}
    best: tuple[float, tuple[int, int]] | None = None
    for (tile_h, num_h), (tile_w, num_w) in product(*lines):
        tile_hw = (tile_h, tile_w)
        if not fits(tile_hw):
            continue
        key = (min(tile_hw), max(tile_hw))  # a transposed tile costs the same
        if key not in known:
            known[key] = cost(tile_hw)
        total = num_h * num_w * known[key]
        if best is None or total < best[0]:
            best = (total, tile_hw)
    if best is None:
        raise GeometryError(
            f"no tile of {geometry.name} fits into {max_tile_pixels} pixels",
            hint=f"allow at least {_input_pixels(smallest_tile(image_hw, geometry))} pixels a tile",
        )
    return plan_with(image_hw, best[1], geometry)


def plan_with(image_hw: tuple[int, int], tile_hw: tuple[int, int], depth: Depth, *, overlap: bool = False) -> TilePlan:
    """A plan that covers an image with tiles of a given legal height and width.

    Args:
        image_hw: Height and width of the image.
        tile_hw: Height and width of the tiles.
        depth: Number of max-pools of the network, or its geometry.
        overlap: Whether outputs overlap by half, so that they can be averaged.
    """
    times, geometry = 2 if overlap else 1, geometry_of(depth)
    rows, columns = (_starts(extent, tile, geometry, times) for extent, tile in zip(image_hw, tile_hw, strict=True))
    return TilePlan(image_hw, tile_hw, geometry.halo_px, tuple(product(rows, columns)))


def smallest_tile(image_hw: tuple[int, int], depth: Depth) -> tuple[int, int]:
    """Height and width of the smallest useful tile for an image."""
    geometry = geometry_of(depth)
    height, width = (geometry.covering(min(geometry.step_px, extent)) for extent in image_hw)
    return height, width


def _input_pixels(tile_hw: tuple[int, int]) -> int:
    return tile_hw[0] * tile_hw[1]


def _line_choices(extent: int, geometry: TileGeometry) -> list[tuple[int, int]]:
    """Tile sizes along a line, each with the number of tiles that cover it; only the smallest size for each number."""
    least, most = geometry.covering(min(geometry.step_px, extent)), geometry.covering(extent)
    choices: dict[int, int] = {}
    for tile in range(least, most + 1, geometry.step_px):
        choices.setdefault(len(_starts(extent, tile, geometry)), tile)
    return [(tile, number) for number, tile in choices.items()]


def _starts(extent: int, tile: int, geometry: TileGeometry, times: int = 1) -> range:
    """Start positions of the tiles' outputs along a line that they cover ``times`` times."""
    step, output = geometry.step_px, geometry.output_size(tile)
    stride = max(step, output // times // step * step)  # one output below one step covers the line
    return range(0, max(1, extent - output + stride), stride)


@torch.inference_mode()
def predict(
    network: Callable[[Tensor], Tensor],
    image: npt.NDArray[Any],
    plan: TilePlan | None = None,
    *,
    device: torch.device | None = None,
    padding: Padding = "mirror",
) -> Tensor:
    """Class scores of a whole image, mirrored at its border.

    Args:
        network: ``(B, C, H', W')`` to ``(B, K, h', w')`` scores. A module is called in evaluation mode, with images of
            its weights' type.
        image: Normalised image ``(C, H, W)``, or ``(H, W)`` for one channel; converted to float32.
        plan: From ``plan_tiles`` for this image's size and the network's geometry; by default the cheapest for a
            module.
        device: The device of the network; by default that of a module's weights, otherwise the CPU.
        padding: Values beyond the border: the mirrored image, or zeros (the training set's mean) for comparison.

    Returns:
        ``(K, H, W)`` float32 scores on ``device``.

    Raises:
        DataError: If the image is not ``(H, W)`` or ``(C, H, W)``.
        GeometryError: If the plan is for another image size, or missing for a network that is not a module.

    >>> from unet_repro.models.unet import UNet
    >>> predict(UNet(width=4, depth=2), np.zeros((100, 130))).shape
    torch.Size([2, 100, 130])
    """
    image_CHW = np.asarray(image, np.float32)
    if image_CHW.ndim not in (2, 3) or 0 in image_CHW.shape:
        raise DataError(f"an image has shape {image_CHW.shape}", hint="pass a non-empty (H, W) or (C, H, W) array")
    image_CHW = image_CHW[None] if image_CHW.ndim == 2 else image_CHW
    if plan is None:
        plan = plan_tiles((image_CHW.shape[1], image_CHW.shape[2]), _geometry(network))
    dtype = torch.float32
    if isinstance(network, nn.Module):
        dtype = dtype_of(network)
        device = device or next((parameter.device for parameter in network.parameters()), None)
    device = device or torch.device("cpu")
    if image_CHW.shape[-2:] != plan.image_hw:
        raise GeometryError(
            f"the plan is for {plan.image_hw} pixels, the image has {image_CHW.shape[-2:]}",
            hint="make a plan for this image",
        )
    height, width = plan.image_hw
    crop = crop_mirrored if padding == "mirror" else crop_zero
    stitched_KHW: Tensor | None = None
    with _evaluating(network):
        for offsets, _ in batches(plan.offsets, plan.tile_hw):
            tiles = [crop(image_CHW, y - plan.halo_px, x - plan.halo_px, *plan.tile_hw) for y, x in offsets]
            batch = torch.from_numpy(np.stack(tiles)).to(device, dtype, memory_format=torch.channels_last)
            scores_BKhw = network(batch).float()
            if stitched_KHW is None:
                stitched_KHW = scores_BKhw.new_empty(scores_BKhw.shape[1], height, width)
            for scores_Khw, (top, left) in zip(scores_BKhw, offsets, strict=True):
                bottom, right = min(top + scores_Khw.shape[1], height), min(left + scores_Khw.shape[2], width)
                stitched_KHW[:, top:bottom, left:right] = scores_Khw[:, : bottom - top, : right - left]
    assert stitched_KHW is not None, "a plan has at least one tile"
    return stitched_KHW


def _geometry(network: Callable[[Tensor], Tensor]) -> TileGeometry:
    if not isinstance(network, nn.Module):
        raise GeometryError("a function has no tile geometry", hint="pass a torch.nn.Module, or a plan")
    return tile_geometry(network)


@contextlib.contextmanager
def _evaluating(network: Callable[[Tensor], Tensor]) -> Iterator[None]:
    """Puts a module into evaluation mode for the block."""
    training = [m for m in network.modules() if m.training] if isinstance(network, nn.Module) else []
    for module in training:
        module.training = False
    try:
        yield
    finally:
        for module in training:
            module.training = True


def batches(
    offsets: Sequence[tuple[int, int]], tile_hw: tuple[int, int]
) -> Iterator[tuple[Sequence[tuple[int, int]], int]]:
    """Tiles in batches of equal size, each with the number of tiles at its end that are new: the last repeats some.

    Small tiles are batched not only for speed: for a single small image torch uses another CPU kernel in the deep
    layers, which adds in another order. With equal batches the stitched result is bit-identical.
    """
    number = min(len(offsets), max(1, BATCH_PIXELS // (tile_hw[0] * tile_hw[1])))
    for end in range(number, len(offsets) + number, number):
        last = min(end, len(offsets))
        yield offsets[last - number : last], number - (end - last)
