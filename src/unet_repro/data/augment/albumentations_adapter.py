"""The augmentation as albumentations transforms, for a user's own pipeline; nothing else imports albumentations.

Seeded alike, a ``Compose([TileWarp(...), GreyValues(...)])`` gives the same arrays as ``Augment``, which trainings use.
"""

import os
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from unet_repro.data.augment.augment import check_same_size
from unet_repro.data.augment.grey import GreyRanges, Variation
from unet_repro.data.augment.remap import Array, Floats
from unet_repro.data.augment.warp import Warp, WarpRanges, check_sizes
from unet_repro.errors import ConfigError, install_extra

os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")  # else it checks online for a newer version at import
try:
    from albumentations import DualTransform, ImageOnlyTransform
    from albumentations.core.type_definitions import Targets
except ImportError as error:
    raise ConfigError(
        f"these transforms require albumentations: {error}", hint=install_extra("albumentations")
    ) from error


class TileWarp(DualTransform):  # type: ignore[misc]
    """Cuts a tile out of an image, with its labels and weights, and warps it.

    Call it, alone or in a ``Compose``, with ``center_yx=(row, column)`` in pixels and these targets:

    - ``image`` ``(H, W)`` or ``(H, W, C)``, or ``images`` ``(C, H, W)``: to side ``tile_size``, linear;
    - ``mask`` ``(H, W)`` uint8 class indices, or ``masks``: to side ``output_size``, nearest;
    - ``weights`` ``(H, W)`` float32: to side ``output_size``, linear.

    Args:
        tile_size: Side of the image tile in pixels.
        output_size: Side of the labels and weights: the output size of the unpadded network.
        flip: See ``WarpRanges``, also for the arguments that follow.
        rotate_deg: Degrees.
        scale: Two magnifications.
        shift_px: Pixels.
        elastic_grid: Nodes per side.
        elastic_std_px: Pixels.
        elastic_span_px: Pixels, or ``None``.
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
        if p != 1:
            raise ConfigError(
                f"TileWarp needs p=1, not {p}: tiles are always cut", hint="use p=1; set ranges to zero to disable it"
            )
        check_sizes(tile_size, output_size)
        self.ranges = WarpRanges(
            flip=flip,
            rotate_deg=rotate_deg,
            scale=tuple(scale),
            shift_px=shift_px,
            elastic_grid=elastic_grid,
            elastic_std_px=elastic_std_px,
            elastic_span_px=elastic_span_px,
        )
        self.tile_size, self.output_size = tile_size, output_size
        # albumentations serialises the arguments of the constructor from attributes of their names.
        self.flip, self.rotate_deg, self.scale, self.shift_px = flip, rotate_deg, self.ranges.scale, shift_px
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
        """Draws a warp."""
        height, width = params["shape"][:2]
        check_same_size((height, width), mask=data.get("mask"), weights=data.get("weights"))
        warp = self.ranges.draw(
            self.random_generator,
            center_yx=data["center_yx"],
            image_hw=(height, width),
            tile_size=self.tile_size,
            output_size=self.output_size,
        )
        return {"warp": warp}

    def apply(self, img: Array, warp: Warp, **_: Any) -> Array:
        """Warps ``(H, W)`` or ``(H, W, C)`` to ``(S, S)`` or ``(S, S, C)``."""
        return warp.image(img) if img.ndim == 2 else np.moveaxis(warp.image(np.moveaxis(img, -1, 0)), 0, -1)

    def apply_to_images(self, images: Array, warp: Warp, **_: Any) -> Array:
        """Warps channels ``(C, H, W)`` to ``(C, S, S)``."""
        return warp.image(images)

    def apply_to_mask(self, mask: Array, warp: Warp, **_: Any) -> Array:
        """Takes the nearest class index: ``(H, W)`` to ``(s, s)``."""
        return warp.labels(mask)

    def apply_to_weights(self, weights: Array, warp: Warp, **_: Any) -> Array:
        """Interpolates a weight map ``(H, W)`` to ``(s, s)``."""
        return warp.weights(weights)


class GreyValues(ImageOnlyTransform):  # type: ignore[misc]
    """Varies the grey values of a normalised image, see ``GreyRanges``.

    albumentations' own brightness, contrast, gamma and noise clip float32 images to 0..1, a range that normalised
    images exceed.

    Args:
        brightness: In standard deviations of the training set.
        contrast: Below 1.
        gamma: 0 for none.
        noise_std: In standard deviations of the training set.
        p: Probability that a tile is varied.

    Raises:
        ConfigError: If an argument is out of range.
    """

    def __init__(
        self,
        *,
        brightness: float = 0.2,
        contrast: float = 0.2,
        gamma: float = 0.0,
        noise_std: float = 0.0,
        p: float = 1.0,
    ) -> None:
        super().__init__(p=p)
        self.ranges = GreyRanges(brightness=brightness, contrast=contrast, gamma=gamma, noise_std=noise_std)
        self.brightness, self.contrast, self.gamma, self.noise_std = brightness, contrast, gamma, noise_std

    def get_params(self) -> dict[str, Any]:
        """Draws a variation."""
        return {"variation": self.ranges.draw(self.random_generator)}

    def apply(self, img: Array, variation: Variation, **_: Any) -> Floats:
        """Varies a float32 array of any shape."""
        return self.ranges.apply(img, variation)

    def apply_to_images(self, images: Array, variation: Variation, **_: Any) -> Floats:
        """Varies all channels ``(C, S, S)`` in the same way."""
        return self.ranges.apply(images, variation)
