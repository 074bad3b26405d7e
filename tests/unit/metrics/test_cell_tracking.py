"""SEG and DET on cases whose values are known by hand."""

import numpy as np
import pytest

from unet_repro.metrics.cell_tracking import DetCounts, det, det_counts, seg_scores

TRUTH = np.array([[1, 1, 1, 1, 0, 2, 2, 2, 2, 0]])


@pytest.mark.parametrize(
    ("predicted", "expected"),
    [
        ([[3, 3, 3, 3, 0, 5, 5, 5, 5, 0]], [1, 1]),
        ([[3, 3, 3, 0, 0, 5, 5, 5, 5, 5]], [0.75, 0.8]),
        ([[3, 3, 0, 0, 0, 0, 0, 0, 0, 0]], [0, 0]),  # a half is not more than a half
        ([[7, 7, 7, 7, 7, 7, 7, 7, 7, 7]], [0.4, 0.4]),  # a merge matches both
        ([[1, 1, 2, 2, 0, 0, 0, 0, 0, 0]], [0, 0]),  # a split matches neither
        ([[0] * 10], [0, 0]),
    ],
)
def test_seg_by_hand(predicted, expected):
    np.testing.assert_allclose(seg_scores(TRUTH, np.array(predicted)), expected)


def test_seg_of_a_frame_without_cells_is_empty():
    assert seg_scores(np.zeros((3, 3), int), np.ones((3, 3), int)).size == 0


@pytest.mark.parametrize(
    ("predicted", "misses", "false", "splits"),
    [
        ([[3, 3, 3, 3, 0, 5, 5, 5, 5, 0]], 0, 0, 0),
        ([[7] * 10], 0, 0, 1),
        ([[0] * 10], 2, 0, 0),
        ([[3, 3, 3, 3, 0, 0, 0, 0, 0, 9]], 1, 1, 0),
    ],
)
def test_detections_by_hand(predicted, misses, false, splits):
    assert det_counts(TRUTH, np.array(predicted)) == DetCounts(2, misses, false, splits)


def test_det_by_hand():
    assert det([DetCounts(2, 0, 0, 0)]) == 1.0
    assert det([DetCounts(2, 1, 1, 1), DetCounts(2, 0, 0, 0)]) == pytest.approx(1 - 16 / 40)
    assert det([DetCounts(2, 2, 50, 0)]) == 0.0
    assert det([DetCounts(0, 0, 0, 0)]) == 1.0
    assert det([DetCounts(0, 0, 1, 0)]) == 0.0
