"""Cuts, deforms, rotates and mirrors a tile with its labels and weights, in one remap each."""

import math
import os
from collections.abc import Callable, Sequence
from typing import Any

import cv2
import numpy as np

from unet_repro.data.augment.remap import Array, Placed, place, remap, source_map
from unet_repro.errors import ConfigError, DataError

os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")  # else it checks online for a newer version at import
from albumentations import DualTransform
from albumentations.core.type_definitions import Targets


def _require(holds: bool, what: str, hint: str) -> None:
    if not holds:
        raise ConfigError(what, hint=hint)


class TileWarp(DualTransform):  # type: ignore[misc]
    """Cuts a tile out of an image, with its labels and weights, and warps it; an albumentations transform.

    Call it, alone or in a ``Compose``, with ``center_yx=(row, column)`` in pixels and these targets:

    - ``image`` ``(H, W)`` or ``(H, W, C)``, or ``images`` ``(C, H, W)``: to side ``tile_size``, linear;
    - ``mask`` ``(H, W)`` uint8 class indices, or ``masks``: to side ``output_size``, nearest;
    - ``weights`` ``(H, W)`` float32: to side ``output_size``, linear.

    A pixel at integer coordinates is copied exactly. Elsewhere OpenCV 5 interpolates in float32; OpenCV 4 rounds
    coordinates to 1/32 px, and so does OpenCV 5 for 2 or at least 5 channels, so channels are warped one by one.

    Args:
        tile_size: Side of the image tile in pixels.
        output_size: Side of the labels and weights: the output size of the unpadded network.
        flip: Whether to mirror each axis with probability 1/2.
        rotate_deg: Rotation, uniform in +- this many degrees.
        scale: Magnification, uniform between the two values.
        shift_px: Shift of each axis, uniform in +- this many pixels.
        elastic_grid: Nodes per side of the displacement grid.
        elastic_std_px: Standard deviation of the nodes' displacement along each axis, in pixels of the tile.
        elastic_span_px: Side of the square that the grid spans, corner pixel to corner pixel, centred on the tile;
            larger tiles are spanned completely, as is every tile with ``None``.
        p: Must be 1: the tile is always cut. (albumentations serialises it.)

    Raises:
        ConfigError: If an argument is out of range.
        DataError: If a call gets labels or weights of another size than the image.
    """

    _targets = (Targets.IMAGE, Targets.MASK)

    def __init__(
        self,
        *,
        tile_size: int,
        output_size: int,
        flip: bool = True,
        rotate_deg: float = 180.0,
        scale: Sequence[float] = (0.9, 1.1),
        shift_px: float = 0.0,
        elastic_grid: int = 3,
        elastic_std_px: float = 10.0,
        elastic_span_px: int | None = None,
        p: float = 1.0,
    ) -> None:
        super().__init__(p=p)
        _require(
            p == 1, f"TileWarp needs p=1, not {p}: tiles are always cut", "use p=1; set ranges to zero to disable it"
        )
        _require(
            0 < output_size <= tile_size and tile_size >= 2 and (tile_size - output_size) % 2 == 0,
            f"an output of {output_size} pixels cannot be centred in a tile of {tile_size} pixels",
            "use output_size = tile_size - 2 * halo",
        )
        _require(
            len(scale) == 2 and 0 < scale[0] <= scale[1],
            f"augment.scale={list(scale)} is not a range of magnifications",
            "use two positive numbers in ascending order, or [1, 1] for none",
        )
        for name, value in {"rotate_deg": rotate_deg, "shift_px": shift_px, "elastic_std_px": elastic_std_px}.items():
            _require(value >= 0, f"augment.{name}={value} must not be negative", "use 0 or more")
        _require(elastic_grid >= 2, f"augment.elastic_grid={elastic_grid} must be at least 2", "the paper uses 3")
        _require(
            elastic_span_px is None or elastic_span_px >= 2,
            f"augment.elastic_span_px={elastic_span_px} must be at least 2",
            "use the largest tile's side, 572 in the paper, or null for each tile's own side",
        )
        self.tile_size, self.output_size = tile_size, output_size
        self.flip, self.rotate_deg, self.scale, self.shift_px = flip, rotate_deg, (scale[0], scale[1]), shift_px
        self.elastic_grid, self.elastic_std_px, self.elastic_span_px = elastic_grid, elastic_std_px, elastic_span_px

    @property
    def targets(self) -> dict[str, Callable[..., Array]]:
        """The function for each kind of target."""
        return {
            "image": self.apply,
            "images": self.apply_to_images,
            "mask": self.apply_to_mask,
            "masks": self.apply_to_masks,
            "weights": self.apply_to_weights,
        }

    @property
    def targets_as_params(self) -> list[str]:
        """What a call needs in addition to the targets."""
        return ["center_yx"]

    def get_params_dependent_on_data(self, params: dict[str, Any], data: dict[str, Any]) -> dict[str, Any]:
        """Draws a warp. The order of the draws is fixed, so that arms that differ in one range share all others."""
        height, width = params["shape"][:2]
        for name in ("mask", "weights"):
            if (other := data.get(name)) is not None and other.shape[:2] != (height, width):
                raise DataError(
                    f"{name} has {other.shape[0]} x {other.shape[1]} pixels, the image {height} x {width}",
                    hint="pass image, labels and weights of the same size",
                )
        rng, n = self.random_generator, self.elastic_grid
        flips = np.where((rng.random(2) < 0.5) & self.flip, -1.0, 1.0)
        angle = math.radians(rng.uniform(-self.rotate_deg, self.rotate_deg))
        magnification = rng.uniform(*self.scale)
        shift = rng.uniform(-self.shift_px, self.shift_px, 2)
        grid = rng.normal(0.0, self.elastic_std_px, (2, n, n))
        linear = (
            np.array([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]]) * flips / magnification
        )
        origin = np.asarray(data["center_yx"], np.float64) - self.tile_size // 2
        whole = np.floor(origin)  # kept as an integer: float32 would lose the fraction of a coordinate in a large image
        middle = (self.tile_size - 1) / 2 + origin - whole + shift
        source = source_map(self.tile_size, linear, middle, grid, span_px=self.elastic_span_px)
        margin = (self.tile_size - self.output_size) // 2
        central = source[:, margin : self.tile_size - margin, margin : self.tile_size - margin].copy()
        first = (int(whole[0]), int(whole[1]))
        return {"tile": place(source, first, (height, width)), "output": place(central, first, (height, width))}

    def apply(self, img: Array, tile: Placed, **_: Any) -> Array:
        """Warps ``(H, W)`` or ``(H, W, C)`` to ``(S, S)`` or ``(S, S, C)``."""
        if img.ndim == 2:
            return remap(img, tile, cv2.INTER_LINEAR)
        return np.stack([remap(img[..., c], tile, cv2.INTER_LINEAR) for c in range(img.shape[2])], -1)

    def apply_to_images(self, images: Array, tile: Placed, **_: Any) -> Array:
        """Warps channels ``(C, H, W)`` to ``(C, S, S)``."""
        return np.stack([remap(image, tile, cv2.INTER_LINEAR) for image in images])

    def apply_to_mask(self, mask: Array, output: Placed, **_: Any) -> Array:
        """Takes the nearest class index: ``(H, W)`` to ``(s, s)``."""
        return remap(mask, output, cv2.INTER_NEAREST)

    def apply_to_weights(self, weights: Array, output: Placed, **_: Any) -> Array:
        """Interpolates a weight map ``(H, W)`` to ``(s, s)``."""
        return remap(weights, output, cv2.INTER_LINEAR)
