"""Cuts, deforms, rotates and mirrors a tile with its labels and weights, in one remap each."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from unet_repro.data.augment.remap import Array, Placed, place, remap, source_map
from unet_repro.errors import ConfigError


def _require(holds: bool, what: str, hint: str) -> None:
    if not holds:
        raise ConfigError(what, hint=hint)


@dataclass(frozen=True)
class Warp:
    """The drawn warp of one tile.

    A pixel at integer coordinates is copied exactly. Elsewhere OpenCV 5 interpolates in float32; OpenCV 4 rounds
    coordinates to 1/32 px, and so does OpenCV 5 for 2 or at least 5 channels, so channels are warped one by one.

    Attributes:
        tile: The map of the image's tile, of side S.
        output: The map of labels and weights, of side s.
    """

    tile: Placed
    output: Placed

    def image(self, image: Array) -> Array:
        """Warps ``(H, W)`` to ``(S, S)``, or ``(C, H, W)`` to ``(C, S, S)``, linear."""
        return _linear(image, self.tile)

    def labels(self, labels: Array) -> Array:
        """Takes the nearest label: ``(H, W)`` to ``(s, s)``."""
        return remap(labels, self.output, cv2.INTER_NEAREST)

    def weights(self, weights: Array) -> Array:
        """Interpolates a weight map ``(H, W)`` to ``(s, s)``, or several ``(N, H, W)`` to ``(N, s, s)``, linear."""
        return _linear(weights, self.output)


def _linear(maps: Array, placed: Placed) -> Array:
    if maps.ndim == 2:
        return remap(maps, placed, cv2.INTER_LINEAR)
    return np.stack([remap(each, placed, cv2.INTER_LINEAR) for each in maps])


@dataclass(frozen=True, kw_only=True)
class WarpRanges:
    """What warps are drawn from.

    Attributes:
        flip: Whether to mirror each axis with probability 1/2.
        rotate_deg: Rotation, uniform in +- this many degrees.
        scale: Magnification, uniform between the two values.
        shift_px: Shift of each axis, uniform in +- this many pixels.
        elastic_grid: Nodes per side of the displacement grid.
        elastic_std_px: Standard deviation of the nodes' displacement along each axis, in pixels of the tile.
        elastic_span_px: Side of the square that the grid spans, corner pixel to corner pixel, centred on the tile;
            larger tiles are spanned completely, as is every tile with ``None``.

    Raises:
        ConfigError: If a value is out of range.
    """

    flip: bool = True
    rotate_deg: float = 180.0
    scale: Sequence[float] = (0.9, 1.1)
    shift_px: float = 0.0
    elastic_grid: int = 3
    elastic_std_px: float = 10.0
    elastic_span_px: int | None = None

    def __post_init__(self) -> None:
        _require(
            len(self.scale) == 2 and 0 < self.scale[0] <= self.scale[1],
            f"augment.scale={list(self.scale)} is not a range of magnifications",
            "use two positive numbers in ascending order, or [1, 1] for none",
        )
        for name in ("rotate_deg", "shift_px", "elastic_std_px"):
            value = getattr(self, name)
            _require(value >= 0, f"augment.{name}={value} must not be negative", "use 0 or more")
        _require(
            self.elastic_grid >= 2, f"augment.elastic_grid={self.elastic_grid} must be at least 2", "the paper uses 3"
        )
        _require(
            self.elastic_span_px is None or self.elastic_span_px >= 2,
            f"augment.elastic_span_px={self.elastic_span_px} must be at least 2",
            "use the largest tile's side, 572 in the paper, or null for each tile's own side",
        )

    def draw(
        self,
        rng: np.random.Generator,
        *,
        center_yx: tuple[float, float],
        image_hw: tuple[int, int],
        tile_size: int,
        output_size: int,
    ) -> Warp:
        """Draws a warp. The order of the draws is fixed, so that arms that differ in one range share all others.

        Args:
            rng: The generator.
            center_yx: Row and column of the tile's middle in pixels.
            image_hw: Height and width of the image.
            tile_size: Side S of the image's tile.
            output_size: Side s of labels and weights, see ``check_sizes``.
        """
        n = self.elastic_grid
        flips = np.where((rng.random(2) < 0.5) & self.flip, -1.0, 1.0)
        angle = math.radians(rng.uniform(-self.rotate_deg, self.rotate_deg))
        magnification = rng.uniform(self.scale[0], self.scale[1])
        shift = rng.uniform(-self.shift_px, self.shift_px, 2)
        grid = rng.normal(0.0, self.elastic_std_px, (2, n, n))
        linear = (
            np.array([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]]) * flips / magnification
        )
        origin = np.asarray(center_yx, np.float64) - tile_size // 2
        whole = np.floor(origin)  # kept as an integer: float32 would lose the fraction of a coordinate in a large image
        middle = (tile_size - 1) / 2 + origin - whole + shift
        source = source_map(tile_size, linear, middle, grid, span_px=self.elastic_span_px)
        margin = (tile_size - output_size) // 2
        central = source[:, margin : tile_size - margin, margin : tile_size - margin].copy()
        first = (int(whole[0]), int(whole[1]))
        return Warp(place(source, first, image_hw), place(central, first, image_hw))


def check_sizes(tile_size: int, output_size: int) -> None:
    """Checks that an output can be centred in a tile.

    Raises:
        ConfigError: If it cannot.
    """
    _require(
        0 < output_size <= tile_size and tile_size >= 2 and (tile_size - output_size) % 2 == 0,
        f"an output of {output_size} pixels cannot be centred in a tile of {tile_size} pixels",
        "use output_size = tile_size - 2 * halo",
    )
