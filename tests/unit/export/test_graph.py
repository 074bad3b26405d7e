"""The exported graph pads as the run does, whatever the size."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from unet_repro.data.tiles import mirror_indices
from unet_repro.export.graph import covering_indices
from unet_repro.geometry import geometry_of
from unet_repro.tile_geometry import TileGeometry

GEOMETRIES = [geometry_of(1), geometry_of(4), TileGeometry(64, 2, 0), TileGeometry(20, 2, 6), TileGeometry(5, 1, 2)]


@pytest.mark.parametrize("geometry", GEOMETRIES)
@given(size=st.integers(1, 700))
def test_a_line_of_any_size_is_mirrored_to_its_covering_tile(geometry, size):
    expected = mirror_indices(-geometry.halo_px, geometry.covering(size), size)
    np.testing.assert_array_equal(covering_indices(size, geometry).numpy(), expected)
