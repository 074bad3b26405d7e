"""Masks become instances, instances become classes with background between touching cells."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from unet_repro.data.labels import (
    class_counts,
    classes_from_instances,
    classes_of,
    instances_from_classes,
    instances_from_mask,
)

SHAPES = hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=8)
instance_maps = hnp.arrays(np.int32, SHAPES, elements=st.integers(0, 3))
masks = hnp.arrays(np.uint8, SHAPES, elements=st.sampled_from([0, 1, 255]))


@settings(deadline=None)
@given(instances=instance_maps)
def test_a_pixel_is_cell_where_no_pixel_of_another_cell_lies_in_its_neighbourhood(instances):
    expected = np.zeros(instances.shape, np.uint8)
    for (row, column), own in np.ndenumerate(instances):
        around = instances[max(row - 1, 0) : row + 2, max(column - 1, 0) : column + 2]
        expected[row, column] = own > 0 and not ((around > 0) & (around != own)).any()
    classes = classes_from_instances(instances)

    assert classes.dtype == np.uint8
    assert np.array_equal(classes, expected)


def test_touching_cells_are_parted_even_at_a_corner():
    instances = np.array([[7, 7, 0, 0], [7, 7, 0, 0], [0, 0, 2_000_000_000, 2_000_000_000]], np.int32)

    assert classes_from_instances(instances).tolist() == [[1, 1, 0, 0], [1, 0, 0, 0], [0, 0, 0, 1]]


def test_apart_cells_keep_all_their_pixels():
    instances = np.array([[1, 1, 0, 2, 2]], np.int32)

    assert classes_from_instances(instances).tolist() == [[1, 1, 0, 1, 1]]


@settings(deadline=None)
@given(mask=masks)
def test_instances_are_the_4_connected_components_in_raster_order(mask):
    expected = np.zeros(mask.shape, np.int32)
    number = 0
    for seed in zip(*np.nonzero(mask), strict=True):
        if expected[seed]:
            continue
        number += 1
        todo = [seed]
        while todo:
            row, column = todo.pop()
            inside = 0 <= row < mask.shape[0] and 0 <= column < mask.shape[1]
            if inside and mask[row, column] and not expected[row, column]:
                expected[row, column] = number
                todo += [(row + 1, column), (row - 1, column), (row, column + 1), (row, column - 1)]
    instances = instances_from_mask(mask)

    assert instances.dtype == np.int32
    assert np.array_equal(instances, expected)


@pytest.mark.parametrize(("classes", "counts"), [([[0, 1, 1]], [1, 2]), ([[0, 0]], [2, 0]), ([[1], [1]], [0, 2])])
def test_counts_have_a_place_for_every_class(classes, counts):
    got = class_counts(np.array(classes, np.uint8))

    assert got.dtype == np.float64
    assert got.tolist() == counts


def test_pieces_of_each_class_are_numbered_and_ignored_pixels_are_not():
    classes = np.array([[1, 1, 2, 0, 2], [0, 255, 2, 255, 2]], np.uint8)

    assert instances_from_classes(classes).tolist() == [[1, 1, 2, 0, 3], [0, 0, 2, 0, 3]]
    assert instances_from_classes(np.full((2, 2), 255, np.uint8)).tolist() == [[0, 0], [0, 0]]


def test_given_classes_go_before_those_of_the_instances():
    instances, given = np.array([[1, 2]], np.int32), np.array([[2, 255]], np.uint8)

    assert classes_of(instances, given) is given
    assert classes_of(instances, None).tolist() == [[0, 0]]
