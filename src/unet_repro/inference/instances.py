"""Converts cell probabilities, and a map of seeds where the network has one, to numbered objects."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import product

import numpy as np
import numpy.typing as npt
import torch
from scipy import ndimage
from skimage.feature import peak_local_max
from skimage.segmentation import watershed
from torch import Tensor

from unet_repro.data.labels import Labels, instances_from_mask
from unet_repro.errors import ConfigError
from unet_repro.inference.instance_settings import InstanceSettings, Method

_METHODS: tuple[tuple[Method, int], ...] = (("components", 5), ("watershed", 10), ("watershed", 30))

# Candidates for the choice on validation images, simple ones first.
CANDIDATES = tuple(
    InstanceSettings(threshold, method, size, distance)
    for (method, distance), size, threshold in product(_METHODS, (0, 50, 500), (0.5, 0.7, 0.9, 0.3))
)
SEED_CANDIDATES = tuple(
    InstanceSettings(threshold, "seeds", size, seed_threshold=seed)
    for seed, size, threshold in product((0.5, 0.7, 0.9, 0.3), (0, 50, 500), (0.5, 0.7, 0.3))
)
PROBABILITY_STEPS = 255  # probabilities, and seed maps, are kept in 8 bit until the objects are found and measured


def candidates(*, has_seeds: bool) -> tuple[InstanceSettings, ...]:
    """The settings among which a run's are chosen, simple ones first: for networks with a seed map, or without."""
    return SEED_CANDIDATES if has_seeds else CANDIDATES


def foreground(probabilities_KHW: Tensor) -> Tensor:
    """Probability ``(H, W)`` of all classes but the first, without further maps; of two, that of the last as predicted.

    >>> foreground(Tensor([[[0.5]], [[0.125]], [[0.375]]]))
    tensor([[0.5000]])
    """
    return probabilities_KHW[1] if len(probabilities_KHW) == 2 else 1 - probabilities_KHW[0]


def to_instances(
    probability: npt.NDArray[np.floating], settings: InstanceSettings, seeds: npt.NDArray[np.floating] | None = None
) -> Labels:
    """Applies a threshold, connected components or a seeded watershed, and removes small objects.

    Args:
        probability: ``(H, W)``, probability of the object class.
        settings: The settings.
        seeds: The seed map ``(H, W)`` in [0, 1]; needed by the method ``seeds`` only.

    Returns:
        ``(H, W)`` int32, 0 = background, objects 1..n in raster order of their first pixels.

    Raises:
        ConfigError: If the settings need a seed map and there is none.

    >>> to_instances(np.array([[0.9, 0.2, 0.8, 0.7]]), InstanceSettings(min_size_px=2))
    array([[0, 0, 1, 1]], dtype=int32)
    """
    return without_small(_segmented(probability, settings, seeds), settings.min_size_px)


def each_candidate(
    probability: npt.NDArray[np.floating], seeds: npt.NDArray[np.floating] | None = None
) -> Iterator[Labels]:
    """``to_instances`` for each of ``candidates``, in order; those that differ only in size share a segmentation."""
    known: dict[InstanceSettings, Labels] = {}
    for settings in candidates(has_seeds=seeds is not None):
        of_any_size = replace(settings, min_size_px=0)
        if of_any_size not in known:
            known[of_any_size] = _segmented(probability, of_any_size, seeds)
        yield without_small(known[of_any_size], settings.min_size_px)


def lowest_inside(threshold: float) -> int:
    """The smallest stored probability of a pixel that belongs to an object."""
    return min(max(1, round(threshold * PROBABILITY_STEPS)), PROBABILITY_STEPS)


def stored_probability(probability: Tensor, threshold: float) -> Tensor:
    """Probabilities as uint8, exactly those of at least the threshold as ``lowest_inside`` or more.

    >>> stored_probability(torch.tensor([0.0, 0.4999, 0.5, 1.0]), 0.5)
    tensor([  0, 127, 128, 255], dtype=torch.uint8)
    """
    lowest = lowest_inside(threshold)
    nearest = (probability * PROBABILITY_STEPS).round()
    inside = probability >= threshold
    return torch.where(inside, nearest.clamp(min=lowest), nearest.clamp(max=lowest - 1)).to(torch.uint8)


def check_seeds(settings: InstanceSettings, *, has_seeds: bool) -> None:
    """Checks that settings suit a network.

    Raises:
        ConfigError: If they need a seed map and there is none.
    """
    if settings.method == "seeds" and not has_seeds:
        raise ConfigError(
            "instances.method=seeds needs a network with a seed map",
            hint="use a run that was trained with target=border or target=distance, or another method",
        )


def _segmented(
    probability: npt.NDArray[np.floating], settings: InstanceSettings, seeds: npt.NDArray[np.floating] | None
) -> Labels:
    check_seeds(settings, has_seeds=seeds is not None)
    mask = probability >= settings.threshold
    if settings.method == "seeds":
        assert seeds is not None, "checked above"
        return grown_from_seeds(
            mask, stored_probability(torch.from_numpy(seeds), settings.seed_threshold).numpy(), settings
        )
    labels = instances_from_mask(mask)
    if settings.method == "watershed" and mask.any():
        depth = ndimage.gaussian_filter(ndimage.distance_transform_edt(mask), 1)
        peaks = peak_local_max(  # type: ignore[no-untyped-call]
            depth, min_distance=settings.seed_distance_px, labels=labels, exclude_border=False
        )
        markers = np.zeros(mask.shape, np.int32)
        markers[tuple(peaks.T)] = np.arange(1, len(peaks) + 1)
        labels = watershed(-depth, markers, mask=mask).astype(np.int32)  # type: ignore[no-untyped-call]
    return labels


def grown_from_seeds(mask: npt.NDArray[np.bool_], stored: npt.NDArray[np.uint8], settings: InstanceSettings) -> Labels:
    """The objects that the pieces of the seed map grow into: a watershed on the seed map within the mask.

    A piece of the mask without a seed is no object.

    Args:
        mask: ``(H, W)``, pixels of objects.
        stored: The seed map ``(H, W)``, from ``stored_probability`` at the threshold of the seeds.
        settings: The settings.

    Returns:
        ``(H, W)`` int32, of any size and order.
    """
    markers = instances_from_mask(mask & (stored >= lowest_inside(settings.seed_threshold)))
    grown: Labels = watershed(PROBABILITY_STEPS - stored, markers, mask=mask).astype(np.int32)  # type: ignore[no-untyped-call]
    return grown


def without_small(labels: Labels, min_size_px: int) -> Labels:
    """Removes objects of fewer pixels, and renumbers the others in raster order of their first pixels."""
    numbers, first, sizes = np.unique(labels, return_index=True, return_counts=True)
    kept = (sizes >= min_size_px) & (numbers > 0)
    in_order = numbers[kept][np.argsort(first[kept])]
    final = np.zeros(int(numbers[-1]) + 1, np.int32)
    final[in_order] = np.arange(1, len(in_order) + 1)
    return final[labels]
