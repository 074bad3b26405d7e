"""Every border map against distances over the whole image, one transform per instance, in float64."""

import os
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import ndimage

from unet_repro.data import weight_maps
from unet_repro.data.labels import class_counts, instances_from_mask

Labels = npt.NDArray[np.int32]
Counts = npt.NDArray[np.float64]
Array = npt.NDArray[np.float64]

TOLERANCE = 1e-5
# Pixel counts, not too unequal: float32 itself is coarser than the tolerance for weights above 80.
COUNTS = np.array([3e4, 7e4])
TINY = np.zeros((3, 4), np.int32)
TOUCHING = np.array([[1, 1, 2, 2], [1, 1, 2, 2], [0, 3, 3, 0]], np.int32)
SPLIT = np.array([[5, 0, 9, 0, 5], [0, 0, 0, 0, 0], [5, 0, 0, 0, 5]], np.int32)
HUGE = np.array([[0, 2**31 - 1, 0, 2**31 - 2, 0, 65535]], np.int32)


def touches_another(instances: Labels) -> npt.NDArray[np.bool_]:
    """Pixels of an instance with a pixel of another in their 3x3 neighbourhood, by comparing shifted copies."""
    height, width = instances.shape
    padded = np.pad(instances, 1)
    shifted = [padded[dy : dy + height, dx : dx + width] for dy in range(3) for dx in range(3)]
    return np.any([(other != 0) & (other != instances) for other in shifted], axis=0) & (instances != 0)


def by_class(instances: Labels, values: npt.ArrayLike) -> tuple[Array, npt.NDArray[np.bool_]]:
    background = (instances == 0) | touches_another(instances)
    return np.where(background, np.asarray(values)[0], np.asarray(values)[1]), background


def two_nearest(instances: Labels) -> tuple[Array, Array]:
    ids = [number for number in np.unique(instances) if number != 0]
    distances = [ndimage.distance_transform_edt(instances != number) for number in ids]
    distances += [np.full(instances.shape, np.inf)] * 2  # so that there are always two
    nearest, second = np.sort(distances, axis=0)[:2]
    return nearest, second


def references(instances: Labels, counts: Counts, w0: float, sigma: float, radius: int) -> dict[str, Array]:
    nearest, second = two_nearest(instances)
    border = w0 * np.exp(-((nearest + second) ** 2) / (2 * sigma**2))
    balance, background = by_class(instances, counts.sum() / (2 * counts))
    separation = background & (second <= radius)  # a dilation by a disk is a distance threshold
    falloff = np.zeros(instances.shape)
    if separation.any():
        falloff = w0 * np.exp(-(ndimage.distance_transform_edt(~separation) ** 2) / (2 * sigma**2))
    return {
        "border_only": by_class(instances, 1 / counts)[0] + border,
        "morphological": balance + background * falloff,
        "paper": balance + background * border,
    }


def largest_differences(
    instances: Labels, counts: Counts, w0: float = 10.0, sigma: float = 5.0, radius: int = 5
) -> dict[str, float]:
    results = {
        "border_only": weight_maps.border_only(instances, counts, w0=w0, sigma_px=sigma),
        "morphological": weight_maps.morphological(instances, counts, w0=w0, sigma_px=sigma, radius_px=radius),
        "paper": weight_maps.paper(instances, counts, w0=w0, sigma_px=sigma),
    }
    expected = references(instances, counts, w0, sigma, radius)
    return {name: float(np.abs(result - expected[name]).max()) for name, result in results.items()}


label_images = hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=24).flatmap(
    lambda shape: hnp.arrays(np.int32, shape, elements=st.sampled_from([0, 0, 0, 1, 2, 7, 300, 65535]), fill=st.just(0))
)


@given(label_images, st.floats(0, 12), st.floats(0.3, 9), st.integers(1, 9))
@example(TINY, 10.0, 5.0, 5)
@example(TINY + 3, 10.0, 5.0, 5)
@example(TOUCHING, 10.0, 5.0, 1)
@example(SPLIT, 10.0, 5.0, 3)
@example(HUGE, 10.0, 5.0, 5)
@settings(deadline=None, max_examples=100)
def test_maps_of_any_labels_equal_brute_force(instances: Labels, w0: float, sigma: float, radius: int) -> None:
    for name, difference in largest_differences(instances, COUNTS, w0, sigma, radius).items():
        assert difference < TOLERANCE, name


@given(st.integers(0, 2**32 - 1), st.integers(0, 12), st.sampled_from([1.0, 2.0, 5.0]))
@settings(deadline=None, max_examples=25)
def test_maps_of_cells_further_apart_than_the_reach_equal_brute_force(seed: int, num_cells: int, sigma: float) -> None:
    random = np.random.default_rng(seed)
    instances = np.zeros((90, 130), np.int32)
    for number in random.choice(np.arange(1, 5000), num_cells, replace=False):
        y, x = random.integers(0, (90, 130))
        cv2.ellipse(
            instances, (int(x), int(y)), (int(random.integers(1, 12)), 4), float(seed % 180), 0, 360, int(number), -1
        )
    for name, difference in largest_differences(instances, COUNTS, sigma=sigma).items():
        assert difference < TOLERANCE, name


@pytest.mark.skipif("UNET_REPRO_DATA" not in os.environ, reason="set UNET_REPRO_DATA to the folder of the real data")
@pytest.mark.parametrize("file", ["isbi2012/train/label/0.png", "DIC-C2DH-HeLa/01_GT/SEG/man_seg002.tif"])
def test_maps_of_real_slices_equal_brute_force(file: str) -> None:
    stored = cv2.imread(str(Path(os.environ["UNET_REPRO_DATA"]) / file), cv2.IMREAD_UNCHANGED)
    assert stored is not None
    instances = instances_from_mask(stored) if file.startswith("isbi") else stored.astype(np.int32)
    counts = class_counts(((instances > 0) & ~touches_another(instances)).astype(np.uint8))
    for name, difference in largest_differences(instances, counts).items():
        assert difference < TOLERANCE, name
