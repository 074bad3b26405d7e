"""Planes read by blocks come out as the whole image does, in any stitching, view and order of resumption."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from unet_repro.data.normalise import Normalisation, normaliser
from unet_repro.errors import ConfigError, DataError
from unet_repro.inference import volume
from unet_repro.inference.overlap_tile import plan_tiles, plan_with, predict
from unet_repro.inference.volume import Plane, predict_plane
from unet_repro.models.unet import UNet

CPU = torch.device("cpu")
CLOSE = 3e-5  # on images this small torch may change kernels; see test_overlap_tile.py
GREY = Normalisation((100.0,), (50.0,))


def network(norm="none", depth=1):
    torch.manual_seed(depth)
    return UNet(width=4, depth=depth, norm=norm).eval().to(memory_format=torch.channels_last)


def grey(height, width, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (1, height, width), np.uint8)


def plane_of(image, asked=None):
    def read(top, left, height, width):
        assert 0 <= top < top + height <= image.shape[1]
        assert 0 <= left < left + width <= image.shape[2]
        if asked is not None:
            asked.append((top, left, height, width))
        return image[:, top : top + height, left : left + width]

    return Plane(read, normaliser(GREY, image.dtype), image.shape[2])


class Canvas:
    """Collects pieces; refuses a pixel that comes twice."""

    def __init__(self, height, width):
        self.scores = np.full((2, height, width), np.nan, np.float32)

    def __call__(self, piece):
        height, width = piece.scores.shape[1:]
        place = self.scores[:, piece.top : piece.top + height, piece.left : piece.left + width]
        assert np.isnan(place).all()
        place[:] = piece.scores.numpy()


def predicted(image, plan, net, **options):
    canvas = Canvas(*image.shape[1:])
    predict_plane(net, plane_of(image), plan, canvas, device=CPU, **options)
    return canvas.scores


def whole(image, net, depth=1):
    return predict(net, GREY.apply(image), plan_tiles(image.shape[1:], depth), device=CPU).numpy()


@settings(max_examples=15, deadline=None)
@given(st.integers(9, 90), st.integers(9, 90), st.sampled_from([30, 42, 60]))
def test_blocks_of_any_image_give_what_the_whole_image_gives(height, width, tile):
    net, image = network(), grey(height, width)
    plan = plan_tiles((height, width), 1, max_tile_pixels=tile * tile)
    np.testing.assert_allclose(predicted(image, plan, net), whole(image, net), atol=CLOSE)


def test_rows_are_read_by_the_tile_where_a_band_would_take_too_much(monkeypatch):
    net, image, asked = network(), grey(70, 300), []
    plan = plan_tiles((70, 300), 1, max_tile_pixels=42 * 42)
    banded = predicted(image, plan, net)
    monkeypatch.setattr(volume, "BAND_BYTES", 0)
    canvas = Canvas(70, 300)
    predict_plane(net, plane_of(image, asked), plan, canvas, device=CPU)
    np.testing.assert_array_equal(canvas.scores, banded)
    assert max(width for *_, width in asked) <= plan.tile_hw[1] < 300


@pytest.mark.parametrize("views", [4, 8])
def test_mean_of_turned_tiles_does_not_depend_on_the_tile(views):
    net, image = network(), grey(80, 100)
    small = predicted(image, plan_tiles((80, 100), 1, max_tile_pixels=40 * 40), net, views=views)
    large = predicted(image, plan_tiles((80, 100), 1), net, views=views)
    np.testing.assert_allclose(small, large, atol=CLOSE)
    assert np.abs(large - torch.from_numpy(whole(image, net)).log_softmax(0).numpy()).max() > 1e-3


def test_views_that_are_not_turns_of_a_tile_are_refused():
    with pytest.raises(ConfigError, match="views=7 is not supported"):
        predicted(grey(30, 30), plan_tiles((30, 30), 1), network(), views=7)


def test_averaging_changes_nothing_where_stitching_is_exact():
    net, image = network(), grey(90, 110)
    plan = plan_with((90, 110), (42, 42), 1, overlap=True)
    averaged = predicted(image, plan, net, stitching="average")
    expected = torch.from_numpy(whole(image, net)).log_softmax(0).numpy()
    np.testing.assert_allclose(averaged, expected, atol=1e-4)


def test_averaging_smooths_what_instance_norm_makes_depend_on_the_tile():
    net, image = network("instance"), grey(90, 110)
    image[:, :, 55:] //= 4  # so that tiles differ in their statistics
    plan = plan_tiles((90, 110), 1, max_tile_pixels=42 * 42)
    seams = sorted({left for _, left in plan.offsets if left})

    def step(scores):
        return np.mean([np.abs(np.diff(scores, axis=2))[:, :, seam - 1].mean() for seam in seams])

    exact = torch.from_numpy(predicted(image, plan, net)).log_softmax(0).numpy()
    averaged = predicted(image, plan_with((90, 110), plan.tile_hw, 1, overlap=True), net, stitching="average")
    assert step(averaged) < step(exact)


@pytest.mark.parametrize("stitching", ["exact", "average"])
def test_a_prediction_begun_in_the_middle_gives_the_same_rest(stitching):
    net, image = network("instance"), grey(120, 70)
    plan = plan_tiles((120, 70), 1, max_tile_pixels=42 * 42)
    plan = plan_with((120, 70), plan.tile_hw, 1, overlap=stitching == "average")
    full = predicted(image, plan, net, stitching=stitching)
    rest = predicted(image, plan, net, stitching=stitching, first_row=2)
    done = np.isnan(rest)
    assert 0 < done.mean() < 1
    np.testing.assert_array_equal(rest[~done], full[~done])


def test_averaged_rows_begun_in_the_middle_get_every_tile_that_reaches_them():
    image = grey(80, 40)
    net, plan = network("instance"), plan_with((80, 40), (34, 44), 1, overlap=True)
    tops = sorted({top for top, _ in plan.offsets})
    output = plan.tile_hw[0] - 2 * plan.halo_px
    row = len(tops) - 1
    assert tops[row - 2] + output > tops[row], "two rows before it reach into it"
    full = predicted(image, plan, net, stitching="average")
    rest = predicted(image, plan, net, stitching="average", first_row=row)
    done = np.isnan(rest)
    np.testing.assert_array_equal(rest[~done], full[~done])


def test_rows_are_told_in_order_after_their_pieces():
    net, image, told = network(), grey(90, 90), []
    plan = plan_tiles((90, 90), 1, max_tile_pixels=42 * 42)
    predict_plane(
        net,
        plane_of(image),
        plan,
        lambda p: told.append(("piece", p.row)),
        device=CPU,
        row_done=lambda r: told.append(("row", r)),
    )
    rows = sorted({top for top, _ in plan.offsets})
    assert [row for what, row in told if what == "row"] == list(range(len(rows)))
    for row in range(len(rows)):
        assert max(i for i, entry in enumerate(told) if entry == ("piece", row)) < told.index(("row", row))


def test_tiles_are_counted_once():
    net, image, counts = network(), grey(90, 90), []
    plan = plan_tiles((90, 90), 1, max_tile_pixels=42 * 42)
    predict_plane(net, plane_of(image), plan, lambda _: None, device=CPU, tiles_done=counts.append)
    assert sum(counts) == len(plan.offsets)


@pytest.mark.parametrize("where", ["read", "take"])
def test_an_error_of_a_helping_thread_reaches_the_caller(where):
    def fail(*_):
        raise DataError("broken", hint="hint it")

    plane = Plane(fail if where == "read" else plane_of(grey(60, 60)).read, normaliser(GREY, np.dtype(np.uint8)), 60)
    with pytest.raises(DataError, match="broken"):
        predict_plane(
            network(),
            plane,
            plan_tiles((60, 60), 1, max_tile_pixels=42 * 42),
            fail if where == "take" else (lambda _: None),
            device=CPU,
        )


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int16, np.float32])
def test_the_table_of_grey_values_gives_the_same_numbers(dtype):
    statistics = Normalisation((3.7, 100.1), (1.9, 33.3))
    image = np.random.default_rng(0).integers(0, 250, (2, 20, 30)).astype(dtype)
    np.testing.assert_array_equal(normaliser(statistics, image.dtype)(image), statistics.apply(image))
    with pytest.raises(DataError, match="1 channel, but"):
        normaliser(statistics, image.dtype)(image[:1])
