"""The warp against torch's two-dimensional bicubic, the kernel written out, and scipy's sampling of the whole image."""

import cv2
import numpy as np
import pytest
import torch
from scipy import ndimage

from unet_repro.data.augment.remap import bicubic_matrix, source_map
from unet_repro.data.augment.warp import WarpRanges


def keys(distance, a=-0.75):
    """Cubic convolution kernel, Keys 1981, equation 15 with free a."""
    x = abs(distance)
    if x <= 1:
        return (a + 2) * x**3 - (a + 3) * x**2 + 1
    if x < 2:
        return a * x**3 - 5 * a * x**2 + 8 * a * x - 4 * a
    return 0.0


def literal_bicubic(grid, size):
    """The field by its definition: sixteen taps per pixel, outer nodes repeated."""
    n = len(grid)
    padded = np.pad(grid, 2, mode="edge")
    field = np.zeros((size, size))
    position = np.arange(size) * (n - 1) / (size - 1)
    for i, y in enumerate(position):
        for j, x in enumerate(position):
            rows, columns = (range(int(c) - 1, int(c) + 3) for c in (y, x))
            field[i, j] = sum(keys(y - r) * keys(x - c) * padded[r + 2, c + 2] for r in rows for c in columns)
    return field


@pytest.mark.parametrize(
    ("size", "span", "num_nodes"),
    [(188, None, 3), (572, 572, 3), (61, 61, 5), (20, None, 2), (252, 572, 3), (188, 572, 3), (61, 75, 5), (40, 20, 3)],
)
def test_the_separable_field_equals_the_middle_of_torchs_two_dimensional_bicubic(size, span, num_nodes):
    grid = np.random.default_rng(size).normal(0, 10, (2, num_nodes, num_nodes))
    side = max(size, span or size)
    whole = torch.nn.functional.interpolate(
        torch.from_numpy(grid)[None], size=(side, side), mode="bicubic", align_corners=True
    )[0].numpy()
    middle = slice((side - size) // 2, (side + size) // 2)
    expected = whole[:, middle, middle]
    u = np.arange(size) - (size - 1) / 2
    got = source_map(size, np.eye(2), np.zeros(2), grid, span_px=span) - np.stack(np.meshgrid(u, u, indexing="ij"))
    np.testing.assert_allclose(got, expected, atol=1e-4)  # pixels; float32 holds coordinates up to 512 to 6e-5


@pytest.mark.parametrize(("size", "num_nodes"), [(23, 3), (16, 4)])
def test_the_separable_field_equals_cubic_convolution_written_out(size, num_nodes):
    grid = np.random.default_rng(size).normal(0, 10, (num_nodes, num_nodes))
    matrix = bicubic_matrix(size, num_nodes).astype(np.float64)
    np.testing.assert_allclose(matrix @ grid @ matrix.T, literal_bicubic(grid, size), atol=1e-5)


def same_draws(seed, std, scale, num_nodes=3):
    """The documented draws, repeated: flips, angle, magnification, shift, grid."""
    rng = np.random.default_rng(seed)
    flips = np.where(rng.random(2) < 0.5, -1, 1)
    angle = np.deg2rad(rng.uniform(-180, 180))
    magnification = rng.uniform(*scale)
    return flips, angle, magnification, rng.uniform(-3, 3, 2), rng.normal(0, std, (2, num_nodes, num_nodes))


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("center", [(0, 0), (100, 60), (149, 20)])
def test_a_warped_tile_equals_scipys_sampling_of_the_whole_image(seed, center):
    rng = np.random.default_rng(99)
    image = ndimage.gaussian_filter(rng.standard_normal((150, 120)), 1).astype(np.float32)
    classes = (image > 0).astype(np.uint8)
    size, output = 92, 52
    ranges = WarpRanges(scale=(0.8, 1.2), shift_px=3.0, elastic_std_px=4.0)
    place = {"center_yx": center, "image_hw": image.shape, "tile_size": size, "output_size": output}
    warp = ranges.draw(np.random.default_rng(seed), **place)
    got = {"image": warp.image(image), "mask": warp.labels(classes), "weights": warp.weights(image)}

    flips, angle, magnification, shift, grid = same_draws(seed, 4.0, (0.8, 1.2))
    displacement = torch.nn.functional.interpolate(
        torch.from_numpy(grid)[None], size=(size, size), mode="bicubic", align_corners=True
    )[0].numpy()
    middle = (size - 1) / 2
    v, h = np.mgrid[:size, :size] - middle + displacement  # down and to the right, from the tile's middle
    v, h = v * flips[0] / magnification, h * flips[1] / magnification
    rows = center[0] - size // 2 + middle + shift[0] + np.cos(angle) * v + np.sin(angle) * h
    columns = center[1] - size // 2 + middle + shift[1] - np.sin(angle) * v + np.cos(angle) * h
    linear = ndimage.map_coordinates(image.astype(np.float64), [rows, columns], order=1, mode="mirror")
    # OpenCV 5 interpolates in float32. OpenCV 4 rounds to 1/32 px: at most 1/64 px times the slope per axis.
    slope = max(np.abs(np.diff(image, axis=axis)).max() for axis in (0, 1))
    tolerance = 1e-4 if int(cv2.__version__.split(".")[0]) >= 5 else 1e-4 + 2 * slope / 64
    np.testing.assert_allclose(got["image"], linear, atol=tolerance)
    np.testing.assert_allclose(got["weights"], linear[20:-20, 20:-20], atol=tolerance)

    def fold(coordinate, length):
        period = 2 * (length - 1)
        index = np.rint(coordinate).astype(int) % period
        return np.where(index < length, index, period - index)

    nearest = classes[fold(rows, 150), fold(columns, 120)][20:-20, 20:-20]
    fractions = [np.abs(c - np.floor(c) - 0.5)[20:-20, 20:-20] for c in (rows, columns)]
    decided = np.minimum(*fractions) > (1e-3 if tolerance == 1e-4 else 1 / 32)
    assert decided.mean() > 0.85
    np.testing.assert_array_equal(got["mask"][decided], nearest[decided])
