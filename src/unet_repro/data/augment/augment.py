"""Augmentation: a tile is cut and warped with its labels and weights, then its grey values are varied."""

import math
import os
import random
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from unet_repro.data.augment.remap import Array, Floats
from unet_repro.data.augment.warp import TileWarp
from unet_repro.errors import ConfigError, DataError

os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")  # as in `warp`, whichever is imported first
from albumentations import Compose, ImageOnlyTransform

Classes = npt.NDArray[np.uint8]


class GreyValues(ImageOnlyTransform):  # type: ignore[misc]
    """Varies the grey values of an image normalised to mean 0 and standard deviation 1, without clipping.

    albumentations' own brightness, contrast, gamma and noise clip float32 images to 0..1, a range that normalised
    images exceed. Applied in this order, with one draw for all channels except for the noise:

    - gamma: ``x -> low + (high - low) ((x - low) / (high - low)) ** g`` in the tile's own range, ``log g`` uniform in
      +- ``log(1 + gamma)``;
    - contrast about the training mean, and brightness: ``x -> a x + b``, ``a`` uniform in 1 +- ``contrast``, ``b``
      uniform in +- ``brightness``;
    - noise: Gaussian, independent per pixel.

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
        ranges = {"brightness": brightness, "contrast": contrast, "gamma": gamma, "noise_std": noise_std}
        for name, value in ranges.items():
            if value < 0:
                raise ConfigError(f"augment.{name}={value} must not be negative", hint="use 0 or more")
        if contrast >= 1:
            raise ConfigError(f"augment.contrast={contrast} would invert grey values", hint="use less than 1")
        self.brightness, self.contrast, self.gamma, self.noise_std = brightness, contrast, gamma, noise_std

    def get_params(self) -> dict[str, Any]:
        """Draws a variation, in a fixed order."""
        rng = self.random_generator
        return {
            "factor": rng.uniform(1 - self.contrast, 1 + self.contrast),
            "offset": rng.uniform(-self.brightness, self.brightness),
            "exponent": math.exp(rng.uniform(-1, 1) * math.log1p(self.gamma)),
            "noise_seed": int(rng.integers(2**63)),
        }

    def apply(self, img: Array, factor: float, offset: float, exponent: float, noise_seed: int, **_: Any) -> Floats:
        """Varies a float32 array of any shape."""
        varied = img
        if exponent != 1 and (low := img.min()) < (high := img.max()):
            varied = low + (high - low) * ((img - low) / (high - low)) ** np.float32(exponent)
        varied = varied * np.float32(factor) + np.float32(offset)
        if self.noise_std:
            # torch draws normal numbers about twice as fast as numpy; the generator is local to this call.
            generator = torch.Generator().manual_seed(noise_seed)
            varied += torch.randn(img.shape, generator=generator).mul_(self.noise_std).numpy()
        return varied

    def apply_to_images(self, images: Array, **params: Any) -> Floats:
        """Varies all channels ``(C, S, S)`` in the same way."""
        return self.apply(images, **params)


class Augment:
    """The augmentation of one training tile: a pure function of its arguments and the seed.

    It neither reads nor changes a global random state, and calls are independent. Not thread-safe.

    Args:
        flip: See :class:`TileWarp`, also for the arguments down to ``elastic_span_px``.
        rotate_deg: Degrees.
        scale: Two magnifications.
        shift_px: Pixels.
        elastic_grid: Nodes per side.
        elastic_std_px: Pixels.
        elastic_span_px: Pixels, or ``None``.
        brightness: See :class:`GreyValues`, also for the arguments that follow.
        contrast: A share.
        gamma: A share.
        noise_std: Standard deviations of the training set.

    Raises:
        ConfigError: If an argument is out of range.

    >>> mirror_only = Augment(flip=False, rotate_deg=0, scale=(1, 1), shift_px=0, elastic_grid=3, elastic_std_px=0,
    ...                       elastic_span_px=None, brightness=0, contrast=0, gamma=0, noise_std=0)
    >>> image = np.arange(9, dtype=np.float32).reshape(3, 3)
    >>> tile, classes, weights = mirror_only(image, np.eye(3, dtype=np.uint8), image, center_yx=(0, 1),
    ...                                      tile_size=4, output_size=2, seed=0)
    >>> tile[0], classes.tolist(), weights.tolist()
    (array([7., 6., 7., 8.], dtype=float32), [[0, 1], [1, 0]], [[3.0, 4.0], [0.0, 1.0]])
    """

    def __init__(
        self,
        *,
        flip: bool,
        rotate_deg: float,
        scale: Sequence[float],
        shift_px: float,
        elastic_grid: int,
        elastic_std_px: float,
        elastic_span_px: int | None,
        brightness: float,
        contrast: float,
        gamma: float,
        noise_std: float,
    ) -> None:
        self._warp = partial(
            TileWarp,
            flip=flip,
            rotate_deg=rotate_deg,
            scale=tuple(scale),
            shift_px=shift_px,
            elastic_grid=elastic_grid,
            elastic_std_px=elastic_std_px,
            elastic_span_px=elastic_span_px,
        )
        self._warp(tile_size=2, output_size=2)  # rejects bad ranges now, not in a worker
        grey = GreyValues(brightness=brightness, contrast=contrast, gamma=gamma, noise_std=noise_std)
        self._grey = [grey] if any((brightness, contrast, gamma, noise_std)) else []
        self._pipelines: dict[tuple[int, int], Compose] = {}

    def __call__(
        self,
        image: Floats,
        classes: Classes,
        weights: Floats,
        *,
        center_yx: tuple[float, float],
        tile_size: int,
        output_size: int,
        seed: int,
    ) -> tuple[Floats, Classes, Floats]:
        """Cuts and augments a tile.

        Args:
            image: ``(H, W)`` or ``(C, H, W)`` float32, the whole image, normalised with training-set statistics.
            classes: ``(H, W)`` uint8 class indices.
            weights: ``(H, W)`` float32.
            center_yx: Row and column of the tile's middle in pixels.
            tile_size: Side S of the image tile.
            output_size: Side s of the labels and weights.
            seed: Not negative; a hash of (seed, step, index), such as a word of a ``numpy.random.SeedSequence``.

        Returns:
            Image ``(S, S)`` or ``(C, S, S)`` float32, classes ``(s, s)`` uint8, weights ``(s, s)`` float32.

        Raises:
            ConfigError: If the sizes do not match.
            DataError: If the shapes of the arrays do not match.
        """
        if image.dtype != np.float32 or image.ndim not in {2, 3}:
            raise DataError(
                f"an image has shape {image.shape} and type {image.dtype}", hint="pass (H, W) or (C, H, W) float32"
            )
        key = (tile_size, output_size)
        if key not in self._pipelines:
            warp = self._warp(tile_size=tile_size, output_size=output_size)
            self._pipelines[key] = Compose([warp, *self._grey], is_check_shapes=False, strict=True)
        pipeline = self._pipelines[key]
        # One random stream for all transforms: set_random_seed would give each the same one and couple their draws.
        pipeline.set_random_state(np.random.default_rng(seed), random.Random(seed))
        name = "image" if image.ndim == 2 else "images"
        out = pipeline(**{name: image}, mask=classes, weights=weights, center_yx=center_yx)
        return out[name], out["mask"], out["weights"]
