"""An image of the same kind is not flagged as unlike the training images; another kind, or another microscope, is."""

import cv2
import numpy as np
import pytest

from unet_repro.data.appearance import Appearance, middle


def cells(seed, *, size=160):
    """Bright discs with texture on an even background, as a camera would see them: mean 0 and deviation 1."""
    rng = np.random.default_rng(seed)
    image = rng.normal(0, 6, (size, size)).astype(np.float32)
    rows, columns = np.mgrid[:size, :size]
    for _ in range(rng.integers(10, 16)):
        row, column = rng.integers(15, size - 15, 2)
        image[(rows - row) ** 2 + (columns - column) ** 2 < rng.integers(7, 12) ** 2] += 80
    smooth = cv2.GaussianBlur(image, (0, 0), 0.7)
    return ((smooth - 20) / 35)[None]


def changed(image, **how):
    return np.stack([cv2.resize(channel, None, interpolation=cv2.INTER_LINEAR, **how) for channel in image])


TRAINED = Appearance.of(cells(seed) for seed in range(6))


@pytest.mark.parametrize("number", [1, 2, 6])
def test_images_of_the_same_kind_are_not_flagged(number):
    few = Appearance.of(cells(seed) for seed in range(number))
    assert not any(few.unlike(cells(seed)) for seed in range(100, 140))
    assert not few.unlike(cells(7)[:, ::-1, :90])


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (lambda image: image.max() + image.min() - image, "grey values"),
        (lambda image: 257 * image, "grey values"),
        (lambda image: image + 4, "grey values"),
        (lambda image: cv2.GaussianBlur(image[0], (0, 0), 3)[None], "detail"),
        (lambda image: changed(image, fx=3, fy=3), "detail"),
        (lambda image: image + np.random.default_rng(0).normal(0, 1, image.shape), "detail"),
        (lambda image: np.random.default_rng(0).normal(0, 1, image.shape), "detail"),
    ],
    ids=["inverted", "16 bit", "brighter", "blurred", "magnified", "noisy", "noise"],
)
def test_another_kind_of_image_is_flagged_with_what_differs(change, what):
    for seed in range(100, 110):
        differences = TRAINED.unlike(change(cells(seed)).astype(np.float32))
        assert what in [one.what for one in differences]
        assert all(one.found < one.low or one.found > one.high for one in differences)


def test_the_feature_that_differs_most_is_named_with_its_values():
    image = cells(0)
    image[0][image[0] > 1] += 9
    (grey,) = (one for one in TRAINED.unlike(image) if one.what == "grey values")
    assert grey.percentile == "99th percentile"
    assert grey.channel == 0
    assert grey.found == pytest.approx(np.percentile(image, 99), abs=1e-4)
    assert (grey.low, grey.high) == (TRAINED.low[0][2], TRAINED.high[0][2])


def test_each_channel_counts():
    both = np.concatenate([cells(0), cells(1)])
    two = Appearance.of([both])
    assert not two.unlike(both)
    assert {one.channel for one in two.unlike(both * [[[1]], [[-1]]])} == {1}


def test_only_the_middle_of_a_large_image_is_looked_at():
    assert middle(np.zeros((1, 700, 100), np.float32)).shape == (1, 512, 100)


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (5, 5)])
def test_images_of_any_size_have_an_appearance(shape):
    image = np.random.default_rng(0).normal(0, 1, (1, *shape)).astype(np.float32)
    assert not Appearance.of([image]).unlike(image)
