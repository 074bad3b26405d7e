"""The bicubic basis, the map of a tile, and mirrored borders."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unet_repro.data.augment.remap import bicubic_matrix, mirrored_span, source_map


@settings(deadline=None, max_examples=60)
@given(low=st.integers(-70, 70), length=st.integers(1, 70), size=st.integers(1, 30))
def test_a_span_mirrored_at_its_own_ends_reads_as_the_whole_line_mirrored(low, length, size):
    start, stop, before, after = mirrored_span(low, low + length, size)
    line = np.arange(start, stop, dtype=np.float32)[None]
    got = cv2.copyMakeBorder(line, 0, 0, before, after, cv2.BORDER_REFLECT_101)[0]
    skip = low - (start - before)
    period = max(2 * (size - 1), 1)
    folded = np.arange(low, low + length) % period
    np.testing.assert_array_equal(got[skip : skip + length], np.where(folded < size, folded, period - folded))


@settings(deadline=None)
@given(size=st.integers(2, 300), num_nodes=st.integers(2, 7))
def test_bicubic_weights_sum_to_one(size, num_nodes):
    np.testing.assert_allclose(bicubic_matrix(size, num_nodes).sum(axis=1), 1, atol=1e-6)


def displacement(size, grid, span_px=None):
    u = np.arange(size) - (size - 1) / 2
    return source_map(size, np.eye(2), np.zeros(2), grid, span_px=span_px) - np.stack(np.meshgrid(u, u, indexing="ij"))


@settings(deadline=None, max_examples=40)
@given(size=st.integers(2, 120), margin=st.integers(0, 60), num_nodes=st.integers(2, 5), seed=st.integers(0, 99))
def test_a_tile_smaller_than_the_span_sees_the_middle_of_the_field(size, margin, num_nodes, seed):
    grid = np.random.default_rng(seed).normal(0, 10, (2, num_nodes, num_nodes))
    span = size + 2 * margin
    middle = displacement(span, grid)[:, margin : margin + size, margin : margin + size]
    np.testing.assert_allclose(displacement(size, grid, span), middle, atol=2e-4)  # pixels


@pytest.mark.parametrize(("size", "span"), [(20, 41), (21, 42)])
def test_at_an_odd_difference_a_pixel_lies_halfway_between_two_of_the_span(size, span):
    whole = bicubic_matrix(2 * span - 1, 3)  # twice as fine, the same ends
    first = span - size
    assert first % 2 == 1
    np.testing.assert_allclose(bicubic_matrix(size, 3, span), whole[first : first + 2 * size : 2], atol=1e-6)


@pytest.mark.parametrize("span", [None, 2, 30])
def test_a_tile_as_large_as_the_span_or_larger_is_spanned_whole(span):
    grid = np.random.default_rng(0).normal(0, 10, (2, 3, 3))
    np.testing.assert_allclose(displacement(31, grid, span)[:, ::15, ::15], grid, atol=1e-5)
