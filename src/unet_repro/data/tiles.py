"""Positions of tiles: mirrored coordinates, the pixel budget of a step, and drawing a position."""

import re
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from unet_repro.errors import ConfigError, GeometryError
from unet_repro.geometry import Batch, BudgetUnit, Depth, batch_for_budget, nearest_legal, output_size

Pixels = npt.NDArray[np.float32]


def mirror_indices(start: int, length: int, size: int) -> npt.NDArray[np.intp]:
    """Indices of the coordinates ``start .. start + length - 1`` in a line of ``size`` pixels mirrored at its ends.

    The border pixel itself is not repeated, as in figure 2 of the paper and in ``numpy.pad(mode="reflect")``.

    >>> mirror_indices(-2, 7, 3)
    array([2, 1, 0, 1, 2, 1, 0])
    """
    period = max(2 * (size - 1), 1)
    folded = np.arange(start, start + length) % period
    return np.where(folded < size, folded, period - folded).astype(np.intp)


def crop_mirrored(image_CHW: Pixels, top: int, left: int, height: int, width: int) -> Pixels:
    """A ``(C, height, width)`` crop of the periodically mirrored image ``(C, H, W)``; a copy."""
    rows = mirror_indices(top, height, image_CHW.shape[-2])
    columns = mirror_indices(left, width, image_CHW.shape[-1])
    return image_CHW[:, rows[:, None], columns]


def crop_zero(image_CHW: Pixels, top: int, left: int, height: int, width: int) -> Pixels:
    """A ``(C, height, width)`` crop of the image ``(C, H, W)`` with zeros beyond its border; a copy."""
    cut = np.zeros((*image_CHW.shape[:-2], height, width), image_CHW.dtype)
    rows, columns = (
        slice(max(start, 0), min(start + length, size))
        for start, length, size in zip((top, left), (height, width), image_CHW.shape[-2:], strict=True)
    )
    cut[..., rows.start - top : rows.stop - top, columns.start - left : columns.stop - left] = image_CHW[
        ..., rows, columns
    ]
    return cut


@dataclass(frozen=True)
class Tiles:
    """The tiles of one training step.

    Args:
        size: Input size of a tile in pixels; must be legal for the network's depth.
        budget: Pixels per step: a number, or ``NxS`` for the pixels of N tiles of size S.
        unit: Whether the budget counts input pixels or supervised output pixels.
    """

    size: int
    budget: str | int
    unit: BudgetUnit = "input"

    def batch(self, depth: Depth = 4) -> Batch:
        """The number of tiles per step that is nearest to the budget.

        Args:
            depth: Number of max-pools of the network, or its geometry.

        Raises:
            ConfigError: If the budget is neither a number nor ``NxS``.
            GeometryError: If a size is not legal for the network.

        >>> Tiles(size=252, budget="1x572").batch(depth=4).num_tiles
        5
        """
        text = str(self.budget)
        if not (match := re.fullmatch(r"(?:(\d+)x)?(\d+)", text)):
            raise ConfigError(f"tiles.budget={text} is not a number of pixels", hint="use e.g. 327184, or 4x572")
        pixels = int(match[2])
        if match[1]:
            side = pixels if self.unit == "input" else output_size(pixels, depth)
            pixels = int(match[1]) * side**2
        output_size(self.size, depth)
        return batch_for_budget(self.size, pixels, self.unit, depth)

    def check_fits(self, height: int, width: int, name: str, depth: Depth = 4) -> None:
        """Rejects a tile that is larger than the image mirrored once at each border.

        Args:
            height: Rows of the image.
            width: Columns of the image.
            name: The image, for messages.
            depth: Number of max-pools of the network, or its geometry.

        Raises:
            GeometryError: If the tile is longer than three times the image less its two shared border pixels.
        """
        limit = 3 * min(height, width) - 2
        if self.size > limit:
            raise GeometryError(
                f"tile size {self.size} is larger than the mirrored image allows: {name} has {height} x {width} "
                f"pixels, which mirrored once at each border gives {limit}",
                hint=_that_fits(limit, depth),
            )


def _that_fits(limit: int, depth: Depth) -> str:
    """What to do about tiles above a limit: the largest legal size, or the depth of a U-Net that has one."""
    largest = nearest_legal(limit, depth)[0]
    if largest <= limit:
        return f"use tiles.size={largest} (the largest that is legal) or less, or larger images"
    for shallower in range(4, 0, -1):
        largest = nearest_legal(limit, shallower)[0]
        if largest <= limit:
            return f"use model.depth={shallower} tiles.size={largest}, or larger images"
    return "use larger images"


def draw_center(rng: np.random.Generator, height: int, width: int) -> tuple[float, float]:
    """Draws a tile's centre, uniform over the pixels of an image, so that borders are sampled like the middle.

    Returns:
        Row and column of a pixel, as floats.
    """
    return float(rng.integers(height)), float(rng.integers(width))


def draw_known(rng: np.random.Generator, known: npt.NDArray[np.intp], width: int) -> tuple[float, float]:
    """Draws a tile's centre, uniform over the pixels that are not ignored.

    Args:
        rng: A generator.
        known: Flat indices of these pixels, at least one.
        width: Columns of the image.

    Returns:
        Row and column of a pixel, as floats.
    """
    row, column = divmod(int(known[rng.integers(len(known))]), width)
    return float(row), float(column)
