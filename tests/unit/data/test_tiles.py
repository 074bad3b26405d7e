"""Mirroring is numpy's, budgets are read as written, positions are uniform."""

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unet_repro.data.tiles import Tiles, crop_mirrored, draw_center, mirror_indices
from unet_repro.errors import ConfigError, GeometryError


@settings(deadline=None)
@given(size=st.integers(1, 12), before=st.integers(0, 60), after=st.integers(0, 60))
def test_mirrored_coordinates_are_those_of_numpys_reflection_however_far(size, before, after):
    expected = np.pad(np.arange(size), (before, after), mode="reflect")

    assert np.array_equal(mirror_indices(-before, before + size + after, size), expected)


@settings(deadline=None)
@given(
    size=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    channels=st.integers(1, 3),
    corner=st.tuples(st.integers(-25, 25), st.integers(-25, 25)),
    extent=st.tuples(st.integers(1, 20), st.integers(1, 20)),
)
def test_a_crop_is_cut_from_the_endlessly_mirrored_image(size, channels, corner, extent):
    image = np.arange(channels * size[0] * size[1], dtype=np.float32).reshape(channels, *size)
    padded = np.pad(image, [(0, 0), (25, 50), (25, 50)], mode="reflect")
    top, left = corner[0] + 25, corner[1] + 25
    crop = crop_mirrored(image, *corner, *extent)

    assert crop.dtype == np.float32
    assert np.array_equal(crop, padded[:, top : top + extent[0], left : left + extent[1]])


def test_a_crop_is_a_copy():
    image = np.zeros((1, 4, 4), np.float32)
    crop_mirrored(image, 0, 0, 4, 4)[:] = 1

    assert not image.any()


@pytest.mark.parametrize(
    ("size", "budget", "unit", "number"),
    [
        (572, "1x572", "input", 1),
        (572, "4x572", "input", 4),
        (252, "4x572", "input", 21),  # 1308736 / 63504 = 20.6
        (252, "1x572", "output", 33),  # 150544 / 4624 = 32.6
        (252, 327184, "input", 5),
        (252, "327184", "input", 5),
        (252, 150544, "output", 33),
        (252, "3x512", "input", 12),  # a budget of input pixels may name any size: 786432 / 63504 = 12.4
        (572, 1, "input", 1),
    ],
)
def test_a_budget_is_a_number_of_pixels_or_of_tiles(size, budget, unit, number):
    assert Tiles(size=size, budget=budget, unit=unit).batch(depth=4).num_tiles == number


@pytest.mark.parametrize("budget", ["", "x572", "4x", "4 x 572", "4X572", "-572", "1.5x572", "2x3x4", "many", 1.5])
def test_a_budget_that_is_neither_is_refused_with_an_example(budget):
    with pytest.raises(ConfigError, match=r"tiles\.budget=.*(?s:.*)4x572"):
        Tiles(size=572, budget=budget).batch(depth=4)


@pytest.mark.parametrize("budget", [0, "0x572"])
def test_a_budget_of_nothing_is_refused(budget):
    with pytest.raises(GeometryError, match="must be positive"):
        Tiles(size=572, budget=budget).batch(depth=4)


def test_an_illegal_tile_size_is_refused_with_the_nearest_legal_ones():
    with pytest.raises(GeometryError, match="508 or 524"):
        Tiles(size=512, budget="1x572").batch(depth=4)


def test_a_budget_of_output_pixels_needs_a_legal_size():
    with pytest.raises(GeometryError, match="input size 512"):
        Tiles(size=572, budget="1x512", unit="output").batch(depth=4)


@pytest.mark.parametrize(("shape", "limit"), [((100, 200), 298), ((200, 100), 298), ((5, 5), 13)])
def test_a_tile_may_be_as_large_as_the_image_mirrored_once_and_no_larger(shape, limit):
    assert np.pad(np.zeros(min(shape)), min(shape) - 1, mode="reflect").size == limit
    Tiles(size=limit, budget=1).check_fits(*shape, "stack/03")

    with pytest.raises(GeometryError, match=rf"{limit + 1} .*stack/03 .* gives {limit}"):
        Tiles(size=limit + 1, budget=1).check_fits(*shape, "stack/03")


@given(side=st.integers(min_value=1, max_value=400), depth=st.integers(min_value=1, max_value=6))
def test_the_advice_for_a_tile_that_does_not_fit_is_accepted(side, depth):
    with pytest.raises(GeometryError) as caught:
        Tiles(size=3 * side - 1, budget=1).check_fits(side, side + 9, "a", depth)
    sizes = re.findall(r"(model\.depth|tiles\.size)=(\d+)", caught.value.hint)
    if sizes:
        advised = {"model.depth": depth, **{name: int(value) for name, value in sizes}}
        tiles = Tiles(size=advised["tiles.size"], budget=1)
        assert tiles.batch(advised["model.depth"]).num_tiles == 1
        tiles.check_fits(side, side + 9, "a", advised["model.depth"])
    else:
        assert caught.value.hint == "use larger images"
        assert 3 * side - 2 < 18  # the smallest tile of a U-Net of depth 1


def test_centres_are_uniform_over_all_pixels():
    rng = np.random.default_rng(0)
    drawn = np.array([draw_center(rng, 4, 3) for _ in range(6000)])
    cells, counts = np.unique(drawn, axis=0, return_counts=True)

    assert cells.tolist() == [[row, column] for row in range(4) for column in range(3)]
    assert ((counts - 500) ** 2 / 500).sum() < 31  # chi-squared with 11 degrees of freedom: p > 0.001


def test_a_centre_is_a_function_of_the_generator_alone():
    assert draw_center(np.random.default_rng(5), 100, 100) == draw_center(np.random.default_rng(5), 100, 100)
