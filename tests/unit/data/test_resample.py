"""The working resolution: parts equal the whole, averages are kept, labels stay safe, maps come back."""

import cv2
import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from unet_repro.data.resample import (
    covered,
    enlarge,
    enlarge_rows,
    needed_rows,
    reduce_image,
    reduce_labels,
    reduce_part,
    sizes_at,
)

SIDES = st.integers(3, 40)
SCALES = st.sampled_from([0.25, 0.37, 0.5, 0.73])


def noise(*shape, seed=0):
    return np.random.default_rng(seed).normal(0, 1, shape).astype(np.float32)


@given(height=SIDES, width=SIDES, scale=SCALES, data=st.data())
def test_a_reduced_part_is_bit_identical_to_that_part_of_the_reduced_image(height, width, scale, data):
    image = noise(2, height, width)
    whole, sizes = reduce_image(image, scale), sizes_at((height, width), scale)
    (top, rows), (left, columns) = (
        (start := data.draw(st.integers(0, side - 1)), data.draw(st.integers(1, side - start)))
        for side in sizes.working_hw
    )
    (row, num_rows), (column, num_columns) = (
        covered(top, rows, height, whole.shape[1]),
        covered(left, columns, width, whole.shape[2]),
    )
    part = image[:, row : row + num_rows, column : column + num_columns]
    np.testing.assert_array_equal(
        reduce_part(part, top, left, (rows, columns), sizes), whole[:, top : top + rows, left : left + columns]
    )


@given(height=SIDES, width=SIDES, scale=SCALES)
def test_reduction_is_the_area_average_of_opencv_and_keeps_the_mean(height, width, scale):
    image = noise(1, height, width)
    reduced = reduce_image(image, scale)
    expected = cv2.resize(image[0], reduced.shape[:0:-1], interpolation=cv2.INTER_AREA)
    np.testing.assert_allclose(reduced[0], expected, atol=1e-5)
    np.testing.assert_allclose(reduced.mean(), image.mean(), atol=1e-5)


@given(height=SIDES, width=SIDES, scale=SCALES, data=st.data())
def test_enlarged_rows_are_bit_identical_to_those_of_the_enlarged_map(height, width, scale, data):
    sizes = sizes_at((height, width), scale)
    reduced = torch.from_numpy(noise(3, *sizes.working_hw))
    whole = enlarge(reduced, (height, width))
    top = data.draw(st.integers(0, height - 1))
    rows = data.draw(st.integers(1, height - top))
    first, number = needed_rows(top, rows, sizes)
    part = enlarge_rows(reduced[:, first : first + number], top, rows, sizes)
    torch.testing.assert_close(part, whole[:, top : top + rows], rtol=0, atol=0)
    torch.testing.assert_close(
        whole[None],
        torch.nn.functional.interpolate(reduced[None], (height, width), mode="bilinear", align_corners=False),
        rtol=0,
        atol=1e-5,
    )


@given(scale=SCALES, seed=st.integers(0, 100))
def test_a_smooth_image_survives_a_round_trip(scale, seed):
    smooth = cv2.GaussianBlur(noise(60, 70, seed=seed), (0, 0), 3 / scale)[None]  # over three reduced pixels
    smooth /= smooth.std()
    back = enlarge(torch.from_numpy(reduce_image(smooth, scale)), (60, 70)).numpy()
    inner = np.s_[:, 4:-4, 4:-4]  # at the border the outer half of a pixel is repeated
    assert np.abs(back - smooth)[inner].max() < 0.35
    assert np.abs(back - smooth)[inner].mean() < 0.1


@given(scale=SCALES, seed=st.integers(0, 100))
def test_reduced_labels_have_the_numbers_of_the_objects_and_overlap_them(scale, seed):
    rows, columns = np.random.default_rng(seed).integers(0, 40, (2, 12))
    distances = np.hypot(*(np.indices((40, 44))[:, None] - np.stack([rows, columns])[:, :, None, None]))
    labels = (distances.argmin(0) + 1).astype(np.int32)  # objects that touch everywhere
    reduced = reduce_labels(labels, scale)
    assert reduced.dtype == labels.dtype
    assert set(np.unique(reduced)) <= set(np.unique(labels))
    back = cv2.resize(reduced, (44, 40), interpolation=cv2.INTER_NEAREST)
    assert (back == labels).mean() > 0.6
    assert reduce_labels(labels, None) is not None
    np.testing.assert_array_equal(reduce_labels(labels, 1.0), labels)


def test_without_a_working_resolution_the_image_itself_is_returned():
    image = noise(1, 5, 6)
    assert reduce_image(image, None) is image
