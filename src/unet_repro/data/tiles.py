"""Positions of tiles: mirrored coordinates, the pixel budget of a step, and drawing a position."""

import re
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from unet_repro.errors import ConfigError, GeometryError
from unet_repro.geometry import Batch, BudgetUnit, batch_for_budget, output_size

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

    def batch(self, depth: int) -> Batch:
        """The number of tiles per step that is nearest to the budget.

        Raises:
            ConfigError: If the budget is neither a number nor ``NxS``.
            GeometryError: If a size is not legal for this depth.

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

    def check_fits(self, height: int, width: int, name: str) -> None:
        """Rejects a tile that is larger than the image mirrored once at each border.

        Raises:
            GeometryError: If the tile is longer than three times the image less its two shared border pixels.
        """
        limit = 3 * min(height, width) - 2
        if self.size > limit:
            raise GeometryError(
                f"tile size {self.size} is larger than the mirrored image allows: {name} has {height} x {width} "
                f"pixels, which mirrored once at each border gives {limit}",
                hint=f"use tiles.size of at most {limit}, or larger images",
            )


def draw_center(rng: np.random.Generator, height: int, width: int) -> tuple[float, float]:
    """Draws a tile's centre, uniform over the pixels of an image, so that borders are sampled like the middle.

    Returns:
        Row and column of a pixel, as floats.
    """
    return float(rng.integers(height)), float(rng.integers(width))
