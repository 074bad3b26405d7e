"""The drawn warp: exact quarter turns, the stated deformation, tiles of any size."""

import cv2
import numpy as np
import pytest
from tile_samples import mirrored_crop, sample

from unet_repro.data.augment.warp import WarpRanges


@pytest.mark.parametrize("size", [20, 21])
@pytest.mark.parametrize(("degrees", "quarters"), [(90, 1), (180, 2), (270, 3)])
def test_a_quarter_turn_is_rot90(size, degrees, quarters):
    image, classes, weights = sample()
    output = 10 + size % 2
    ranges = WarpRanges(flip=False, scale=(1, 1), elastic_std_px=0)
    warp = draw(ranges, FixedAngle(degrees), (45, 60), image, (size, output))
    np.testing.assert_array_equal(warp.image(image), np.rot90(mirrored_crop(image, (45, 60), size), quarters))
    np.testing.assert_array_equal(warp.labels(classes), np.rot90(mirrored_crop(classes, (45, 60), output), quarters))
    np.testing.assert_array_equal(warp.weights(weights), np.rot90(mirrored_crop(weights, (45, 60), output), quarters))


def draw(ranges, rng, center, image, sizes):
    rng = np.random.default_rng(rng) if isinstance(rng, int) else rng
    place = {"center_yx": center, "image_hw": image.shape[-2:], "tile_size": sizes[0], "output_size": sizes[1]}
    return ranges.draw(rng, **place)


class FixedAngle:
    """A generator whose uniform draws are the middle of their range, save for the first: the angle."""

    def __init__(self, degrees):
        self.degrees = degrees

    def random(self, size):
        return np.zeros(size)

    def normal(self, mean, std, size):
        return np.zeros(size)

    def uniform(self, low, high, size=None):
        if low == -180.0:
            return self.degrees
        return (low + high) / 2 if size is None else np.full(size, (low + high) / 2)


def test_displacements_at_the_nodes_have_the_stated_deviation_and_are_independent():
    ramp = np.arange(1000, dtype=np.float32)
    rows = np.tile(ramp[:, None], (1, 1000))
    size = 201  # odd, so that the middle node lies on a pixel
    ranges = WarpRanges(flip=False, rotate_deg=0, scale=(1, 1), elastic_std_px=10.0)
    draws = []
    for seed in range(400):
        out = draw(ranges, seed, (500, 500), rows, (size, size)).image(np.stack([rows, rows.T]))
        plain = np.stack([rows, rows.T])[:, 400:601, 400:601]
        draws.append((out - plain)[:, ::100, ::100].ravel())
    draws = np.asarray(draws)
    assert draws.shape == (400, 18)
    np.testing.assert_allclose(draws.std(axis=0), 10, rtol=0.15)  # standard error 3.5 %
    np.testing.assert_allclose(draws.mean(axis=0), 0, atol=2.0)  # standard error 0.5
    off_diagonal = np.corrcoef(draws.T)[~np.eye(18, dtype=bool)]
    assert np.abs(off_diagonal).max() < 0.25


def test_with_equal_draws_a_small_tile_is_the_middle_of_a_large_one():
    image, classes, _ = sample(300, 280)
    tiles = {}
    for size, output in ((252, 68), (572, 388)):
        ranges = WarpRanges(shift_px=2.0, elastic_std_px=10.0, elastic_span_px=572)
        warp = draw(ranges, 4, (40, 250), image, (size, output))
        tiles[size] = {"image": warp.image(image), "mask": warp.labels(classes)}
    middle = np.s_[160:-160, 160:-160]
    # Coordinates differ in float32's last place; OpenCV 4 then rounds them to 1/32 px, perhaps to the other side.
    tolerance = 5e-3 if int(cv2.__version__.split(".")[0]) >= 5 else 0.4
    np.testing.assert_allclose(tiles[252]["image"], tiles[572]["image"][middle], atol=tolerance)
    assert np.abs(tiles[252]["image"] - tiles[572]["image"][middle]).mean() < 1e-3
    assert (tiles[252]["mask"] != tiles[572]["mask"][middle]).mean() < 1e-3


def test_a_span_makes_small_tiles_no_steeper():
    rows = np.tile(np.arange(1000, dtype=np.float32)[:, None], (1, 1000))
    steepest = {}
    for span in (None, 572):
        ranges = WarpRanges(flip=False, rotate_deg=0, scale=(1, 1), elastic_std_px=10, elastic_span_px=span)
        slopes = []
        for seed in range(100):
            warp = draw(ranges, seed, (500, 500), rows, (188, 4))
            slopes.append(np.diff(warp.image(rows), axis=0).std())
        steepest[span] = np.mean(slopes)
    assert steepest[572] < 0.5 * steepest[None]
