"""The working resolution: images are reduced by area averages, labels by nearest pixels, maps enlarged linearly.

A reduced pixel ``i`` of ``n`` covers the part from ``i H / n`` to ``(i + 1) H / n`` of a line of ``H`` pixels. A value
depends only on its position and the sizes, and is summed in a fixed order: a region is bit-identical to the same region
of the complete image, so that tiles of a reduced image can be made one by one.

Tensor names: C channels, H W image, h w reduced image.
"""

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

Pixels = npt.NDArray[np.float32]
_Label = TypeVar("_Label", bound=np.generic)


@dataclass(frozen=True)
class Sizes:
    """Height and width of an image, as it is and at the working resolution."""

    full_hw: tuple[int, int]
    working_hw: tuple[int, int]

    @property
    def differ(self) -> bool:
        """Whether the image is reduced."""
        return self.full_hw != self.working_hw


def sizes_at(full_hw: tuple[int, ...], scale: float | None) -> Sizes:
    """The sizes of an image ``(H, W)`` at a working resolution; ``None`` is the image's own.

    >>> sizes_at((512, 695), 0.5).working_hw, sizes_at((1, 3), 0.25).working_hw, sizes_at((5, 5), None).working_hw
    ((256, 348), (1, 1), (5, 5))
    """
    height, width = full_hw
    if scale is None:
        return Sizes((height, width), (height, width))
    return Sizes((height, width), (max(1, math.floor(height * scale + 0.5)), max(1, math.floor(width * scale + 0.5))))


def reduce_image(image_CHW: Pixels, scale: float | None) -> Pixels:
    """An image ``(C, H, W)`` float32 at the working resolution ``(C, h, w)``: area averages.

    >>> reduce_image(np.arange(8, dtype=np.float32).reshape(1, 2, 4), 0.5)
    array([[[2.5, 4.5]]], dtype=float32)
    """
    sizes = sizes_at(image_CHW.shape[1:], scale)
    return reduce_part(image_CHW, 0, 0, sizes.working_hw, sizes) if sizes.differ else image_CHW


def covered(start: int, length: int, full: int, working: int) -> tuple[int, int]:
    """First pixel, and number of pixels, of a line that a part of the reduced line covers.

    >>> covered(1, 2, full=8, working=4), covered(0, 1, full=5, working=2)
    ((2, 4), (0, 3))
    """
    first, end = start * full // working, -((start + length) * full // -working)
    return first, end - first


def reduce_part(part_CHW: Pixels, top: int, left: int, region_hw: tuple[int, int], sizes: Sizes) -> Pixels:
    """Reduces the pixels that a region of the reduced image covers (see ``covered``).

    Args:
        part_CHW: These pixels, float32.
        top: First row of the region in the reduced image.
        left: First column.
        region_hw: Height and width of the region.
        sizes: Sizes of the complete image.

    Returns:
        The region ``(C, h, w)`` float32.
    """
    reduced = part_CHW
    for axis, start in enumerate((top, left)):
        length, full, working = region_hw[axis], sizes.full_hw[axis], sizes.working_hw[axis]
        here = slice(start, start + length)
        all_pixels, all_shares = _shares(full, working)
        pixels, shares = all_pixels[here], all_shares[here]
        first, number = covered(start, length, full, working)
        within = np.clip(pixels - first, 0, number - 1)  # those beyond the part have a share of 0
        across = (1, -1, 1) if axis == 0 else (1, 1, -1)
        total: Pixels = np.zeros((), np.float32)
        for nth in range(shares.shape[1]):
            total = total + shares[:, nth].reshape(across) * np.take(reduced, within[:, nth], axis + 1)
        reduced = total
    return reduced


@lru_cache(maxsize=64)
def _shares(full: int, working: int) -> tuple[npt.NDArray[np.int64], Pixels]:
    """For each reduced pixel, the pixels that it covers and their shares: ``(working, most covered)`` each."""
    edges = np.arange(working + 1, dtype=np.int64) * full  # in units of a pixel / working, in which all are whole
    first, last = edges[:-1] // working, -(edges[1:] // -working) - 1
    pixels: npt.NDArray[np.int64] = first[:, None] + np.arange(int((last - first).max()) + 1)
    low, high = np.maximum(pixels * working, edges[:-1, None]), np.minimum((pixels + 1) * working, edges[1:, None])
    return pixels, (np.maximum(high - low, 0) / full).astype(np.float32)


def reduce_labels(labels_HW: npt.NDArray[_Label], scale: float | None) -> npt.NDArray[_Label]:
    """Labels ``(H, W)`` at the working resolution ``(h, w)``: the label in the middle of each reduced pixel.

    Each pixel keeps its object's number, so no number is invented and no two objects become one; an object of less than
    a reduced pixel may disappear.

    >>> reduce_labels(np.array([[1, 1, 2, 2], [1, 1, 2, 2]]), 0.5)
    array([[1, 2]])
    """
    sizes = sizes_at(labels_HW.shape, scale)
    rows, columns = (
        (2 * np.arange(working) + 1) * full // (2 * working)
        for full, working in zip(sizes.full_hw, sizes.working_hw, strict=True)
    )
    return np.ascontiguousarray(labels_HW[rows[:, None], columns])


def enlarge(map_Chw: Tensor, full_hw: tuple[int, int]) -> Tensor:
    """A reduced map ``(C, h, w)`` at the image's size ``(C, H, W)``, interpolated linearly.

    >>> enlarge(torch.tensor([[[0.0, 1.0]]]), (1, 4))
    tensor([[[0.0000, 0.2500, 0.7500, 1.0000]]])
    """
    return enlarge_rows(map_Chw, 0, full_hw[0], Sizes(full_hw, (map_Chw.shape[1], map_Chw.shape[2])))


def needed_rows(top: int, num_rows: int, sizes: Sizes) -> tuple[int, int]:
    """First row, and number of rows, of the reduced map from which rows of the image are interpolated."""
    low, high, _ = _neighbours(sizes.full_hw[0], sizes.working_hw[0])
    first = int(low[top])
    return first, int(high[top + num_rows - 1]) + 1 - first


def enlarge_rows(rows_Chw: Tensor, top: int, num_rows: int, sizes: Sizes) -> Tensor:
    """Interpolates rows of the image linearly; the centres of pixels are aligned, and nothing is extrapolated.

    Args:
        rows_Chw: The rows of the reduced map that are needed (``needed_rows``), over its full width.
        top: First row of the image.
        num_rows: Number of rows.
        sizes: Sizes of the complete image.

    Returns:
        ``(C, num_rows, W)``.
    """
    found = rows_Chw
    first, _ = needed_rows(top, num_rows, sizes)
    for axis, part, start in ((0, slice(top, top + num_rows), first), (1, slice(None), 0)):
        neighbours = _neighbours(sizes.full_hw[axis], sizes.working_hw[axis])
        low, high, share = (torch.from_numpy(each[part]).to(found.device) for each in neighbours)
        share = share.reshape((1, -1, 1) if axis == 0 else (1, 1, -1))
        below, above = (found.index_select(axis + 1, index - start) for index in (low, high))
        found = below * (1 - share) + above * share
    return found


@lru_cache(maxsize=64)
def _neighbours(full: int, working: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], Pixels]:
    """For each pixel, the reduced pixels whose centres are on its two sides, and the share of the second."""
    position = np.clip((np.arange(full) + 0.5) * (working / full) - 0.5, 0, working - 1)
    low = np.floor(position).astype(np.int64)
    return low, np.minimum(low + 1, working - 1), (position - low).astype(np.float32)
