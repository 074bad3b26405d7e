"""Grey values vary linearly, by gamma and by noise, without clipping."""

import numpy as np
from tile_samples import sample

from unet_repro.data.augment.grey import GreyRanges


def varied(ranges, image, seed):
    return ranges.apply(image, ranges.draw(np.random.default_rng(seed)))


def test_grey_values_are_not_clipped_and_change_linearly_without_gamma_and_noise():
    image = sample()[0]
    grey = GreyRanges(brightness=0.3, contrast=0.4)
    slopes, offsets = [], []
    for seed in range(200):
        out = varied(grey, image, seed)
        slope, offset = np.polyfit(image.ravel(), out.ravel(), 1)
        np.testing.assert_allclose(out, slope * image + offset, atol=1e-4)
        slopes.append(slope)
        offsets.append(offset)
    np.testing.assert_allclose([min(slopes), max(slopes)], [0.6, 1.4], atol=0.05)
    np.testing.assert_allclose([min(offsets), max(offsets)], [-0.3, 0.3], atol=0.05)
    assert abs(np.corrcoef(slopes, offsets)[0, 1]) < 0.25


def test_gamma_keeps_range_and_order():
    image = np.sort(sample()[0], axis=None).reshape(90, 110)
    out = varied(GreyRanges(brightness=0, contrast=0, gamma=1.0), image, 0)
    assert out.dtype == np.float32
    np.testing.assert_allclose([out.min(), out.max()], [image.min(), image.max()], rtol=1e-6)
    assert np.all(np.diff(out.ravel()) >= 0)
    assert np.abs(out - image).max() > 0.05


def test_gamma_leaves_a_flat_tile_alone():
    flat = np.full((8, 8), 1.5, np.float32)
    np.testing.assert_array_equal(varied(GreyRanges(brightness=0, contrast=0, gamma=0.5), flat, 0), flat)


def test_noise_has_the_stated_deviation_and_is_independent_between_channels():
    noise = varied(GreyRanges(brightness=0, contrast=0, noise_std=0.25), np.zeros((2, 200, 200), np.float32), 0)
    np.testing.assert_allclose(noise.std(axis=(1, 2)), 0.25, rtol=0.03)
    assert abs(np.corrcoef(noise[0].ravel(), noise[1].ravel())[0, 1]) < 0.03
