"""Converts cell probabilities to numbered objects."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import product
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from skimage.feature import peak_local_max
from skimage.segmentation import watershed
from torch import Tensor

from unet_repro.data.labels import Labels, instances_from_mask
from unet_repro.errors import ConfigError

Method = Literal["components", "watershed"]


@dataclass(frozen=True)
class InstanceSettings:
    """Settings for converting probabilities to objects.

    Attributes:
        threshold: A pixel with at least this probability belongs to an object.
        method: ``components``: each 4-connected component is an object; ``watershed``: components are split at necks.
        min_size_px: Smaller objects become background.
        seed_distance_px: Smallest distance between two seeds of the watershed.

    Raises:
        ConfigError: If a value is out of range.
    """

    threshold: float = 0.5
    method: Method = "components"
    min_size_px: int = 0
    seed_distance_px: int = 5

    def __post_init__(self) -> None:
        if not 0 < self.threshold < 1:
            raise ConfigError(f"instances.threshold={self.threshold} must be between 0 and 1", hint="use e.g. 0.5")
        if self.method not in ("components", "watershed"):
            raise ConfigError(f"unknown instances.method={self.method}", hint="use components or watershed")
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

    def over(self, chosen: InstanceSettings) -> InstanceSettings:
        """The chosen settings, with the given ones in their place.

        Raises:
            ConfigError: If a value is out of range.

        >>> InstanceOverrides(threshold=0.7).over(InstanceSettings(min_size_px=50)).min_size_px
        50
        """
        return replace(chosen, **{name: value for name, value in vars(self).items() if value is not None})


_METHODS: tuple[tuple[Method, int], ...] = (("components", 5), ("watershed", 10), ("watershed", 30))

# Candidates for the choice on validation images, simple ones first.
CANDIDATES = tuple(
    InstanceSettings(threshold, method, size, distance)
    for (method, distance), size, threshold in product(_METHODS, (0, 50, 500), (0.5, 0.7, 0.9, 0.3))
)


def foreground(probabilities_KHW: Tensor) -> Tensor:
    """Probability ``(H, W)`` of all classes but the first; of two classes, that of the last as predicted.

    >>> foreground(Tensor([[[0.5]], [[0.125]], [[0.375]]]))
    tensor([[0.5000]])
    """
    return probabilities_KHW[1] if len(probabilities_KHW) == 2 else 1 - probabilities_KHW[0]


def to_instances(probability: npt.NDArray[np.floating], settings: InstanceSettings) -> Labels:
    """Applies a threshold, connected components or a seeded watershed, and removes small objects.

    Args:
        probability: ``(H, W)``, probability of the object class.
        settings: The settings.

    Returns:
        ``(H, W)`` int32, 0 = background, objects 1..n in raster order of their first pixels.

    >>> to_instances(np.array([[0.9, 0.2, 0.8, 0.7]]), InstanceSettings(min_size_px=2))
    array([[0, 0, 1, 1]], dtype=int32)
    """
    return without_small(_segmented(probability, settings), settings.min_size_px)


def each_candidate(probability: npt.NDArray[np.floating]) -> Iterator[Labels]:
    """``to_instances`` for each of ``CANDIDATES``, in order; those that differ only in size share a segmentation."""
    known: dict[InstanceSettings, Labels] = {}
    for settings in CANDIDATES:
        of_any_size = replace(settings, min_size_px=0)
        if of_any_size not in known:
            known[of_any_size] = _segmented(probability, of_any_size)
        yield without_small(known[of_any_size], settings.min_size_px)


def _segmented(probability: npt.NDArray[np.floating], settings: InstanceSettings) -> Labels:
    mask = probability >= settings.threshold
    labels = instances_from_mask(mask)
    if settings.method == "watershed" and mask.any():
        depth = ndimage.gaussian_filter(ndimage.distance_transform_edt(mask), 1)
        peaks = peak_local_max(  # type: ignore[no-untyped-call]
            depth, min_distance=settings.seed_distance_px, labels=labels, exclude_border=False
        )
        seeds = np.zeros(mask.shape, np.int32)
        seeds[tuple(peaks.T)] = np.arange(1, len(peaks) + 1)
        labels = watershed(-depth, seeds, mask=mask).astype(np.int32)  # type: ignore[no-untyped-call]
    return labels


def without_small(labels: Labels, min_size_px: int) -> Labels:
    """Removes objects of fewer pixels, and renumbers the others in raster order of their first pixels."""
    numbers, first, sizes = np.unique(labels, return_index=True, return_counts=True)
    kept = (sizes >= min_size_px) & (numbers > 0)
    in_order = numbers[kept][np.argsort(first[kept])]
    final = np.zeros(int(numbers[-1]) + 1, np.int32)
    final[in_order] = np.arange(1, len(in_order) + 1)
    return final[labels]
