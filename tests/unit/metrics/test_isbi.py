"""The ISBI 2012 measures on cases whose values are known by hand."""

import numpy as np

from unet_repro.data.labels import instances_from_mask
from unet_repro.metrics.isbi import SCORES, THRESHOLDS, slice_measures
from unet_repro.metrics.rand import rand_scores
from unet_repro.metrics.thinning import thin_borders
from unet_repro.metrics.warping import warping_error


def two_cells(border=1):
    cells = np.ones((12, 21), bool)
    cells[:, 10 - border // 2 : 11 + border // 2] = False
    return cells


def test_a_perfect_prediction_is_perfect_at_every_threshold():
    cells = two_cells()
    found = slice_measures(instances_from_mask(cells), cells.astype(np.float32))
    for name, values in found.items():
        np.testing.assert_allclose(values, 1.0 if name in SCORES else 0.0, atol=1e-12, err_msg=name)
        assert values.shape == (len(THRESHOLDS),)


def test_a_wide_border_costs_nothing_once_it_is_thinned():
    truth = instances_from_mask(two_cells())
    found = slice_measures(truth, two_cells(border=7).astype(np.float32), [0.5])
    assert found["v_rand"][0] == found["v_info"][0] == 1.0
    assert found["v_rand_unthinned"][0] < 0.9
    assert found["warping_error"][0] == 0.0
    assert found["pixel_error_f"][0] > 0.1


def test_a_shifted_border_warps_away_and_costs_rand_a_little():
    truth, shifted = two_cells(), np.roll(two_cells(), 1, axis=1)
    assert warping_error(truth, shifted) == 0.0
    assert 0.9 < rand_scores(instances_from_mask(truth), thin_borders(shifted)).v_rand < 1.0


def test_nothing_predicted_and_nothing_to_find():
    cells, nothing = instances_from_mask(two_cells()), np.zeros((12, 21), np.int32)
    assert rand_scores(cells, nothing).v_rand == 0.0
    assert rand_scores(cells, nothing).rand_error == 1.0
    assert rand_scores(nothing, cells).v_info == 0.0
    assert rand_scores(nothing, nothing).v_rand == 1.0
    found = slice_measures(nothing, np.zeros((12, 21), np.float32), [0.5])
    assert found["pixel_error_f"][0] == found["warping_error"][0] == 0.0
