"""Objects numbered by bands are numbered as in one piece."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unet_repro.data.labels import instances_from_mask
from unet_repro.inference.labelling import label_by_bands


def by_bands(mask, band_rows, **options):
    labels = np.zeros(mask.shape, np.int32)

    def write(top, rows):
        labels[top : top + len(rows)] = rows

    number = label_by_bands(
        lambda top, rows: mask[top : top + rows],
        write,
        lambda top, rows: labels[top : top + rows].copy(),
        mask.shape,
        band_rows=band_rows,
        **options,
    )
    return labels, number


@settings(max_examples=80, deadline=None)
@given(
    st.integers(1, 30),
    st.integers(1, 30),
    st.integers(1, 12),
    st.floats(0.1, 0.9),
    st.integers(0, 2**32 - 1),
)
def test_any_mask_in_any_bands_is_numbered_as_in_one_piece(height, width, band_rows, share, seed):
    mask = np.random.default_rng(seed).random((height, width)) < share
    labels, number = by_bands(mask, band_rows)
    expected = instances_from_mask(mask)
    np.testing.assert_array_equal(labels, expected)
    assert number == expected.max()


def test_a_u_shape_whose_arms_meet_in_a_later_band_is_one_object():
    mask = np.array([[1, 0, 1], [1, 0, 1], [1, 1, 1]], bool)
    labels, number = by_bands(mask, 1)
    assert number == 1
    assert (labels[mask] == 1).all()


@pytest.mark.parametrize("band_rows", [1, 2, 7])
def test_small_objects_go_by_their_whole_size_not_by_their_part_in_a_band(band_rows):
    mask = np.zeros((7, 5), bool)
    mask[:, 0] = True  # 7 pixels over all bands
    mask[3, 3:] = True  # 2 pixels
    labels, number = by_bands(mask, band_rows, min_size_px=3)
    assert number == 1
    np.testing.assert_array_equal(labels > 0, np.arange(5)[None] * np.ones((7, 1)) == 0)
