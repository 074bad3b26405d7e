"""The exported page tiles as the prediction here does."""

import numpy as np
import pytest
from page_scripts import call, copy_scripts, needs_node

from unet_repro.data.tiles import crop_mirrored, mirror_indices
from unet_repro.geometry import geometry_of
from unet_repro.inference.overlap_tile import plan_tiles
from unet_repro.tile_geometry import TileGeometry

pytestmark = needs_node

GEOMETRIES = [
    *(geometry_of(depth) for depth in (1, 2, 3, 4, 5)),
    geometry_of(3, kernel=5),
    TileGeometry(smallest_px=64, step_px=16, halo_px=0),
    TileGeometry(smallest_px=9, step_px=1, halo_px=4),
]


def as_record(geometry):
    return {"smallest_px": geometry.smallest_px, "step_px": geometry.step_px, "halo_px": geometry.halo_px}


@pytest.fixture(scope="module")
def scripts(tmp_path_factory):
    return copy_scripts(tmp_path_factory.mktemp("scripts"))


def test_plans_are_the_same_for_many_sizes_networks_and_limits(scripts):
    rng = np.random.default_rng(0)
    cases = []
    for geometry in GEOMETRIES:
        least = geometry.covering(geometry.step_px) ** 2
        for _ in range(60):
            size = [int(10 ** rng.uniform(0, 3.5)) for _ in range(2)]
            limit = int(least * 10 ** rng.uniform(0, 2))
            plan = plan_tiles((size[0], size[1]), geometry, max_tile_pixels=limit)
            expected = {"tile": list(plan.tile_hw), "offsets": [list(offset) for offset in plan.offsets]}
            cases.append({"size": size, "geometry": as_record(geometry), "limit": limit, "expected": expected})
    found = call(
        scripts, "planTiles from tiling", "given.map((each) => planTiles(each.size, each.geometry, each.limit))", cases
    )
    assert found == [case["expected"] for case in cases]
    assert max(len(plan["offsets"]) for plan in found) > 100


def test_a_limit_below_the_smallest_tile_is_refused(scripts):
    message = "(() => { try { planTiles([50, 50], given, 100) } catch (error) { return error.message } })()"
    assert "fits into 100 pixels" in call(scripts, "planTiles from tiling", message, as_record(geometry_of(4)))


def test_coordinates_are_mirrored_as_often_as_necessary(scripts):
    cases = [(start, length, size) for size in (1, 2, 3, 10) for start in (-47, -3, 0, 8) for length in (1, 60)]
    found = call(scripts, "mirrorIndices from tiling", "given.map((each) => Array.from(mirrorIndices(...each)))", cases)
    assert found == [mirror_indices(*case).tolist() for case in cases]


def test_crops_are_the_same(scripts):
    image = np.random.default_rng(1).integers(0, 65536, (3, 7, 11))
    places = [(-9, -2, 20, 5), (0, 0, 7, 11), (4, 6, 30, 30)]
    expression = """given.places.map(([top, left, height, width]) =>
        Array.from(cropMirrored(given.planes, [7, 11], [top, left], [height, width])))"""
    planes = image.reshape(3, -1).tolist()
    found = call(scripts, "cropMirrored from tiling", expression, {"planes": planes, "places": places})
    for crop, place in zip(found, places, strict=True):
        np.testing.assert_array_equal(crop, crop_mirrored(image.astype(np.float32), *place).ravel())
