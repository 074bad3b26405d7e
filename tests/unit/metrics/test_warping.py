"""What a warp can change, and what it cannot."""

import numpy as np
import pytest

from unet_repro.metrics.warping import warp, warping_error


def two_cells():
    cells = np.ones((12, 21), bool)
    cells[:, 10] = False
    return cells


def test_a_merge_and_a_hole_cannot_be_warped_away():
    cells, holed = two_cells(), two_cells()
    holed[5, 4] = False
    assert warping_error(cells, np.ones_like(cells)) > 0
    assert warping_error(cells, holed) == pytest.approx(1 / cells.size)
    assert warp(cells, cells).all() == cells.all()
