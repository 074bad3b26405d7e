from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from made import sample

from unet_repro.data.tiles import Tiles
from unet_repro.errors import GeometryError
from unet_repro.geometry import is_legal
from unet_repro.inspection.facts import facts_of
from unet_repro.inspection.training_plan import Conditions, memory_gb, plan_of, trained_side_px


def plan(height=512, width=512, *, object_px=28, num=8, conditions=None, **given):
    facts = facts_of([sample("0", height, width, object_px=object_px)])
    return plan_of(replace(facts, pixels=facts.pixels * num), conditions or Conditions(), given)


def test_data_like_em_have_the_measured_setting():
    found = plan()
    assert (found.depth, found.width, found.tile, found.batch, found.steps) == (3, 16, 396, 1, 2000)
    assert "89 pixels covers objects of 32 pixels" in found.reasons["depth"]


def test_objects_beyond_the_receptive_field_have_a_deeper_network():
    found = plan(object_px=110)
    assert (found.depth, found.tile) == (4, 572)
    assert "exceed the receptive field of depth 3, 89" in found.reasons["depth"]


@pytest.mark.parametrize(("side", "depth", "tile"), [(160, 3, 252), (80, 2, 120), (30, 1, 46)])
def test_small_images_have_a_smaller_network_and_tiles_that_cover_them(side, depth, tile):
    found = plan(side, side, object_px=4)
    assert (found.depth, found.tile) == (depth, tile)
    assert found.batch == max(1, round(396**2 / tile**2))
    assert ("mostly mirrored" in found.reasons["depth"]) == (depth < 3)


def test_a_divided_image_leaves_room_for_the_gap():
    whole, divided = (
        plan(128, 128, object_px=8),
        plan(128, 128, object_px=8, conditions=Conditions(divides_images=True)),
    )
    assert (whole.depth, divided.depth) == (3, 2), "at depth 3 a gap of 88 leaves 14 pixels"
    assert plan(128, 128, object_px=8, conditions=Conditions(divides_images=True, gap_px=0)).depth == 3


@given(height=st.integers(7, 700), width=st.integers(7, 700), divides=st.booleans())
def test_a_plan_can_be_trained_or_is_refused_once(height, width, divides):
    """Its tile is legal, and passes ``check_fits`` on the area that trains: no hint leads to another error."""
    conditions = Conditions(divides_images=divides)
    facts = facts_of([sample("0", height, width, object_px=3)])
    if trained_side_px(facts, conditions, 1) < 7:  # 3 x 7 - 2 = 19; the smallest tile is 18
        with pytest.raises(GeometryError, match="too small"):
            plan_of(facts, conditions, {})
        return
    found = plan_of(facts, conditions, {})
    assert is_legal(found.tile, found.depth)
    side = min(height, width)
    if divides:
        long = max(height, width)
        gap = 2 * {1: 8, 2: 20, 3: 44, 4: 92}[found.depth]
        side = min(side, long - round(0.2 * long) - gap)
    Tiles(size=found.tile, budget=1).check_fits(side, side, "image", found.depth)


def test_what_the_user_sets_stays_and_the_rest_suits_it():
    found = plan(depth=2, steps=300)
    assert (found.depth, found.steps, found.reasons["depth"]) == (2, 300, "as set")
    assert is_legal(found.tile, 2)
    budget = plan(conditions=Conditions(budget=Tiles(size=396, budget="4x396")))
    assert budget.batch == 4


def test_many_images_are_trained_on_longer_up_to_a_limit():
    assert plan(num=24).steps == 2000
    assert 2000 < plan(num=200).steps < 10_000
    assert plan(num=2000).steps == 10_000


def test_a_tile_stays_within_half_of_the_free_memory():
    assert plan(conditions=Conditions(memory_bytes=2e9)).tile == 396
    found = plan(conditions=Conditions(memory_bytes=2e8))
    assert is_legal(found.tile, 3)
    assert found.tile < 396
    assert found.memory_gb / found.batch <= 0.1 < memory_gb(found.tile + 8, 1, 3, 16)


def test_a_gpu_has_a_wider_network_and_more_tiles():
    found = plan(conditions=Conditions(on_gpu=True))
    assert (found.width, found.batch) == (32, 4)
