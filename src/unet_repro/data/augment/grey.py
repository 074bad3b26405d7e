"""Varies the grey values of a normalised tile, without clipping."""

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch

from unet_repro.data.augment.remap import Array, Floats
from unet_repro.errors import ConfigError


class Variation(NamedTuple):
    """A drawn variation: ``factor * gamma(x) + offset``, plus noise."""

    factor: float
    offset: float
    exponent: float
    noise_seed: int


@dataclass(frozen=True, kw_only=True)
class GreyRanges:
    """What variations of an image normalised to mean 0 and standard deviation 1 are drawn from.

    Applied in this order, with one draw for all channels except for the noise:

    - gamma: ``x -> low + (high - low) ((x - low) / (high - low)) ** g`` in the tile's own range, ``log g`` uniform in
      +- ``log(1 + gamma)``;
    - contrast about the training mean, and brightness: ``x -> a x + b``, ``a`` uniform in 1 +- ``contrast``, ``b``
      uniform in +- ``brightness``;
    - noise: Gaussian, independent per pixel.

    Attributes:
        brightness: In standard deviations of the training set.
        contrast: Below 1.
        gamma: 0 for none.
        noise_std: In standard deviations of the training set.

    Raises:
        ConfigError: If a value is out of range.
    """

    brightness: float = 0.2
    contrast: float = 0.2
    gamma: float = 0.0
    noise_std: float = 0.0

    def __post_init__(self) -> None:
        for name in ("brightness", "contrast", "gamma", "noise_std"):
            if (value := getattr(self, name)) < 0:
                raise ConfigError(f"augment.{name}={value} must not be negative", hint="use 0 or more")
        if self.contrast >= 1:
            raise ConfigError(f"augment.contrast={self.contrast} would invert grey values", hint="use less than 1")

    @property
    def changes_nothing(self) -> bool:
        """Whether all ranges are empty."""
        return not any((self.brightness, self.contrast, self.gamma, self.noise_std))

    def draw(self, rng: np.random.Generator) -> Variation:
        """Draws a variation, in a fixed order."""
        return Variation(
            factor=rng.uniform(1 - self.contrast, 1 + self.contrast),
            offset=rng.uniform(-self.brightness, self.brightness),
            exponent=math.exp(rng.uniform(-1, 1) * math.log1p(self.gamma)),
            noise_seed=int(rng.integers(2**63)),
        )

    def apply(self, image: Array, variation: Variation) -> Floats:
        """Varies a float32 array of any shape, all channels in the same way."""
        varied = image
        if variation.exponent != 1 and (low := image.min()) < (high := image.max()):
            varied = low + (high - low) * ((image - low) / (high - low)) ** np.float32(variation.exponent)
        varied = varied * np.float32(variation.factor) + np.float32(variation.offset)
        if self.noise_std:
            # torch draws normal numbers about twice as fast as numpy; the generator is local to this call.
            generator = torch.Generator().manual_seed(variation.noise_seed)
            varied += torch.randn(image.shape, generator=generator).mul_(self.noise_std).numpy()
        return varied
