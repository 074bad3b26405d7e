"""Borders are thinned to a line that keeps every cell."""

import numpy as np

from unet_repro.data.labels import instances_from_mask
from unet_repro.metrics.thinning import thin_borders


def test_thinning_keeps_every_cell_and_leaves_a_line():
    rng = np.random.default_rng(0)
    cells = rng.random((40, 50)) < 0.3
    thinned = thin_borders(cells)
    assert (thinned[cells] == instances_from_mask(cells)[cells]).all()
    for one, other in ((thinned[:-1], thinned[1:]), (thinned[:, :-1], thinned[:, 1:])):
        assert not ((one != other) & (one > 0) & (other > 0)).any()
    assert (thinned == 0).mean() < (~cells).mean()
