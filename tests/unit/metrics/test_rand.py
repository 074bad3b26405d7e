"""Rand and information scores on cases whose values are known by hand."""

import numpy as np
import pytest

from unet_repro.data.labels import instances_from_mask
from unet_repro.metrics.rand import rand_scores


def two_cells():
    cells = np.ones((12, 21), bool)
    cells[:, 10] = False
    return cells


def test_a_merge_costs_the_merge_scores_alone():
    truth = instances_from_mask(two_cells())
    scores = rand_scores(truth, np.ones_like(truth))
    assert scores.v_rand_split == 1.0
    assert scores.v_rand_merge == pytest.approx(0.5)
    assert scores.v_rand == pytest.approx(2 / 3)
    assert scores.v_info == 0.0


def test_a_split_costs_the_split_scores_alone():
    truth = np.ones((4, 6), np.int32)
    halves = np.repeat([[1, 1, 1, 2, 2, 2]], 4, 0)
    scores = rand_scores(truth, halves)
    assert (scores.v_rand_split, scores.v_rand_merge) == (0.5, 1.0)
    assert scores.v_rand == pytest.approx(2 / 3)


def test_one_cell_that_is_one_object_is_perfect():
    one = np.ones((5, 5), np.int32)
    scores = rand_scores(one, one * 9)
    assert (scores.v_rand, scores.v_info, scores.rand_error) == (1.0, 1.0, 0.0)
