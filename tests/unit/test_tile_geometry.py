"""Legal sizes of any network are an arithmetic progression, with a constant halo."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unet_repro.errors import GeometryError
from unet_repro.geometry import batch_for_budget, covering, geometry_of, halo, output_size
from unet_repro.inference.overlap_tile import plan_tiles
from unet_repro.tile_geometry import TileGeometry

geometries = st.builds(
    lambda halo_px, step_px, more: TileGeometry(2 * halo_px + more, step_px, halo_px),
    st.integers(0, 50),
    st.integers(1, 40),
    st.integers(1, 40),
)


@given(geometry=geometries, size=st.integers(-5, 400))
def test_nearest_sizes_are_legal_and_enclose_the_size(geometry, size):
    near = geometry.nearest_legal(size)
    assert all(map(geometry.is_legal, near))
    if len(near) == 2:
        assert near[0] < size < near[1] == near[0] + geometry.step_px
    elif near[0] != size:
        assert size < near[0] == geometry.smallest_px


@given(geometry=geometries, output=st.integers(1, 300))
def test_covering_is_the_smallest_size_with_that_much_output(geometry, output):
    size = geometry.covering(output)
    assert geometry.output_size(size) >= output
    smaller = size - geometry.step_px
    assert not geometry.is_legal(smaller) or geometry.output_size(smaller) < output


@given(geometry=geometries, height=st.integers(1, 120), width=st.integers(1, 120), most=st.integers(40_000, 90_000))
def test_a_plan_covers_every_pixel_with_legal_tiles(geometry, height, width, most):
    plan = plan_tiles((height, width), geometry, max_tile_pixels=most)
    rows, columns = (geometry.output_size(side) for side in plan.tile_hw)
    seen = {(y, x) for top, left in plan.offsets for y in (top, top + rows - 1) for x in (left, left + columns - 1)}
    assert max(y for y, _ in seen) >= height - 1
    assert max(x for _, x in seen) >= width - 1
    assert all(top % geometry.step_px == left % geometry.step_px == 0 for top, left in plan.offsets)


def test_without_a_halo_few_large_tiles_are_preferred_to_a_perfect_fit():
    geometry = TileGeometry(smallest_px=1)
    plan = plan_tiles((1009, 1013), geometry, max_tile_pixels=300_000)  # prime: only tiles of one pixel fit exactly
    assert len(plan.offsets) <= 6


def test_the_functions_of_a_depth_take_a_geometry():
    geometry = TileGeometry(smallest_px=20, step_px=4, halo_px=3)
    assert (halo(geometry), output_size(24, geometry), covering(20, geometry)) == (3, 18, 28)
    assert geometry_of(geometry) is geometry
    assert batch_for_budget(24, 24 * 24 * 5, "input", geometry).num_tiles == 5
    with pytest.raises(GeometryError, match=r"25 is not legal for this network; legal sizes are 20 \+ 4 n"):
        output_size(25, geometry)


@pytest.mark.parametrize("wrong", [{"step_px": 0}, {"halo_px": -1}, {"halo_px": 10}, {"smallest_px": 0}])
def test_an_impossible_geometry_is_refused(wrong):
    with pytest.raises(GeometryError, match="is not a geometry"):
        TileGeometry(**{"smallest_px": 20, **wrong})
