"""Measures of all objects at once are those of scikit-image, whatever the bands."""

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from planes_of import blobs, plane_of
from skimage.measure import regionprops_table

from unet_repro.objects import planes
from unet_repro.objects.measure import inner_border, measure


def by_scikit_image(labels, image):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        names = ("area", "centroid", "bbox", "perimeter", "eccentricity", "intensity_mean")
        return regionprops_table(labels, np.moveaxis(image, 0, -1), properties=names)


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 40), st.integers(1, 40), st.floats(0.05, 0.95), st.integers(1, 400), st.integers(0, 2**32 - 1),
    st.booleans(),
)  # fmt: skip
def test_random_labels_in_any_bands_measure_as_in_scikit_image(height, width, share, band_pixels, seed, scattered):  # noqa: PLR0917
    rng = np.random.default_rng(seed)
    labels = blobs(height, width, share, seed)
    if scattered:  # any labels, of several pieces each
        labels = np.unique(rng.integers(0, 6, (height, width)), return_inverse=True)[1].astype(np.int32)
    number = int(labels.max())
    image = rng.integers(0, 60000, (2, height, width)).astype(np.uint16)
    probability = rng.random((height, width), np.float32)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(planes, "BAND_PIXELS", band_pixels)
        found = measure(plane_of(labels, image, probability), number)
    expected = by_scikit_image(labels, image)
    np.testing.assert_array_equal(found.area, expected["area"])
    np.testing.assert_allclose(found.centroid, np.stack([expected["centroid-0"], expected["centroid-1"]], 1))
    np.testing.assert_array_equal(found.box, np.stack([expected[f"bbox-{side}"] for side in range(4)], 1))
    np.testing.assert_allclose(found.perimeter, expected["perimeter"])
    np.testing.assert_allclose(found.eccentricity, expected["eccentricity"], atol=1e-6)
    np.testing.assert_allclose(
        found.mean_intensity, np.stack([expected["intensity_mean-0"], expected["intensity_mean-1"]], 1)
    )
    at_edge = np.unique(np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]]))
    np.testing.assert_array_equal(found.touches_border, np.isin(np.arange(1, number + 1), at_edge))
    means = [probability[labels == each].mean(dtype=float) for each in range(1, number + 1)]
    np.testing.assert_allclose(found.mean_probability, means)
    assert found.total_probability == pytest.approx(probability.sum(dtype=float))


def test_far_from_the_corner_nothing_is_lost_to_rounding():
    labels = np.zeros((3, 2_000_000), np.int32)
    labels[:, -4:] = 1
    found = measure(plane_of(labels), 1)
    near = measure(plane_of(labels[:, -4:].copy()), 1)
    np.testing.assert_array_equal(found.eccentricity, near.eccentricity)
    assert found.eccentricity[0] > 0
    assert found.centroid.tolist() == [[1.0, 1_999_997.5]]


def test_the_border_inside_an_object_includes_the_border_of_the_plane():
    labels = np.pad(np.ones((4, 4), np.int32), 1)
    assert inner_border(labels).sum() == 12
