"""Settings for converting probabilities to numbered objects: chosen by evaluation, stored with a run, or given."""

from dataclasses import dataclass, replace
from typing import Literal, get_args

from unet_repro.errors import ConfigError

Method = Literal["components", "watershed", "seeds"]


@dataclass(frozen=True)
class InstanceSettings:
    """Settings for converting probabilities to objects.

    Attributes:
        threshold: A pixel with at least this probability belongs to an object.
        method: ``components``: each 4-connected component is an object; ``watershed``: components are split at necks;
            ``seeds``: each piece of the seed map grows into an object, for networks with a seed map.
        min_size_px: Smaller objects become background.
        seed_distance_px: Smallest distance between two seeds of the watershed.
        seed_threshold: A pixel with at least this value of the seed map belongs to a seed.

    Raises:
        ConfigError: If a value is out of range.
    """

    threshold: float = 0.5
    method: Method = "components"
    min_size_px: int = 0
    seed_distance_px: int = 5
    seed_threshold: float = 0.5

    def __post_init__(self) -> None:
        for name in ("threshold", "seed_threshold"):
            if not 0 < (value := getattr(self, name)) < 1:
                raise ConfigError(f"instances.{name}={value} must be between 0 and 1", hint="use e.g. 0.5")
        if self.method not in get_args(Method):
            raise ConfigError(
                f"unknown instances.method={self.method}", hint=f"use one of {', '.join(get_args(Method))}"
            )
        if self.min_size_px < 0 or self.seed_distance_px < 1:
            raise ConfigError(
                f"instances.min_size_px={self.min_size_px} or .seed_distance_px={self.seed_distance_px} is too small",
                hint="use a size of 0 or more and a distance of 1 or more",
            )


@dataclass(frozen=True)
class InstanceOverrides:
    """Settings that a user gives; ``None`` for those that are chosen for the run. See ``InstanceSettings``."""

    threshold: float | None = None
    method: Method | None = None
    min_size_px: int | None = None
    seed_distance_px: int | None = None
    seed_threshold: float | None = None

    def over(self, chosen: InstanceSettings) -> InstanceSettings:
        """The chosen settings, with the given ones in their place.

        Raises:
            ConfigError: If a value is out of range.

        >>> InstanceOverrides(threshold=0.7).over(InstanceSettings(min_size_px=50)).min_size_px
        50
        """
        return replace(chosen, **{name: value for name, value in vars(self).items() if value is not None})
