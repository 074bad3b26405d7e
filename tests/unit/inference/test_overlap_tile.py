"""Stitched tiles equal the whole image to the last bit; plans are legal, complete, bounded and the cheapest."""

from itertools import product

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from unet_repro.errors import GeometryError
from unet_repro.geometry import covering, geometry_of, halo, is_legal, output_size
from unet_repro.inference import overlap_tile
from unet_repro.inference.overlap_tile import TilePlan, plan_tiles, predict
from unet_repro.models.unet import UNet

CPU = torch.device("cpu")


def network(depth, *, width=4, channels=1, classes=2):
    torch.manual_seed(depth)
    return (
        UNet(in_channels=channels, num_classes=classes, width=width, depth=depth)
        .to(memory_format=torch.channels_last)
        .eval()
    )


def noise(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def regular_plan(image_hw, tile_hw, depth):
    """Tiles of one size at every aligned offset that the size allows, more than needed if need be."""
    strides = [output_size(tile, depth) // geometry_of(depth).step_px * geometry_of(depth).step_px for tile in tile_hw]
    lines = [range(0, extent, stride) for extent, stride in zip(image_hw, strides, strict=True)]
    return TilePlan(image_hw, tile_hw, halo(depth), tuple(product(*lines)))


def whole(image_hw, depth):
    """One tile over everything."""
    height, width = (covering(extent, depth) for extent in image_hw)
    return TilePlan(image_hw, (height, width), halo(depth), ((0, 0),))


@pytest.mark.parametrize(
    ("depth", "channels", "image_hw", "tile_hw"),
    [
        (1, 1, (160, 160), (26, 26)),
        (1, 1, (151, 203), (42, 30)),
        (1, 3, (177, 129), (90, 26)),
        (2, 1, (208, 176), (56, 56)),
        (2, 2, (181, 207), (48, 104)),
        (2, 3, (150, 333), (160, 200)),
        (3, 1, (203, 190), (116, 132)),
    ],
)
def test_stitched_tiles_of_a_small_image_equal_it_but_for_the_order_of_sums(depth, channels, image_hw, tile_hw):
    net, image = network(depth, channels=channels), noise(channels, *image_hw)
    expected = predict(net, image, whole(image_hw, depth), device=CPU)
    stitched = predict(net, image, regular_plan(image_hw, tile_hw, depth), device=CPU)

    assert expected.shape == (2, *image_hw)
    torch.testing.assert_close(stitched, expected, rtol=0, atol=3e-5)  # bit by bit on some CPUs, not on all


@pytest.mark.parametrize(
    ("depth", "channels", "image_hw", "tile_hw"),
    [
        (1, 1, (40, 40), (26, 26)),
        (1, 1, (37, 53), (22, 30)),
        (1, 2, (5, 7), (22, 22)),
        (2, 1, (64, 48), (56, 56)),
        (2, 3, (9, 31), (64, 48)),
        (2, 2, (3, 2), (48, 48)),
        (1, 1, (1, 1), (22, 26)),
    ],
)
def test_stitched_tiles_of_a_tiny_image_equal_it_but_for_the_order_of_sums(depth, channels, image_hw, tile_hw):
    """On one thread torch takes another CPU kernel where a layer's input has at most 20480 numbers."""
    net, image = network(depth, channels=channels), noise(channels, *image_hw)
    expected = predict(net, image, whole(image_hw, depth), device=CPU)
    stitched = predict(net, image, regular_plan(image_hw, tile_hw, depth), device=CPU)

    assert expected.shape == (2, *image_hw)
    torch.testing.assert_close(stitched, expected, rtol=0, atol=3e-5)


@pytest.fixture(scope="module")
def slice_512():
    net, image = network(4), noise(1, 512, 512)
    return net, image, predict(net, image, whole((512, 512), 4), device=CPU)


@pytest.mark.parametrize("tile", [204, 252, 316, 444])
def test_stitched_tiles_of_a_slice_equal_the_whole_slice_at_depth_four(slice_512, tile):
    net, image, expected = slice_512

    assert torch.equal(predict(net, image, regular_plan((512, 512), (tile, tile), 4), device=CPU), expected)


def test_a_planned_prediction_in_little_memory_equals_the_whole_slice(slice_512):
    net, image, expected = slice_512
    plan = plan_tiles((512, 512), 4, max_tile_pixels=200_000)

    assert len(plan.offsets) > 1
    assert torch.equal(predict(net, image, plan, device=CPU), expected)


def test_the_number_of_tiles_that_go_through_at_once_changes_no_more_than_the_order_of_sums(monkeypatch):
    net, image = network(2), noise(1, 70, 90)
    plan = regular_plan((70, 90), (56, 56), 2)
    together = predict(net, image, plan, device=CPU)
    monkeypatch.setattr(overlap_tile, "BATCH_PIXELS", 4 * 56 * 56)

    assert len(plan.offsets) % 4 != 0
    torch.testing.assert_close(predict(net, image, plan, device=CPU), together, rtol=0, atol=3e-5)


@pytest.mark.parametrize(("depth", "image_hw"), [(1, (33, 20)), (2, (60, 45)), (2, (30, 30))])
def test_the_whole_image_is_predicted_as_if_numpy_had_mirrored_it(depth, image_hw):
    net, image, plan = network(depth, channels=2), noise(2, *image_hw), whole(image_hw, depth)
    margins = [(halo(depth), tile - halo(depth) - extent) for tile, extent in zip(plan.tile_hw, image_hw, strict=True)]
    padded = torch.from_numpy(np.pad(image, [(0, 0), *margins], mode="reflect"))[None]
    with torch.no_grad():
        expected = net(padded.to(memory_format=torch.channels_last))[0, :, : image_hw[0], : image_hw[1]]

    assert torch.equal(predict(net, image, plan, device=CPU), expected)


def test_a_plan_for_another_image_is_refused():
    with pytest.raises(GeometryError, match=r"\(40, 40\) pixels, the image has \(40, 41\)"):
        predict(network(1), noise(1, 40, 41), plan_tiles((40, 40), 1), device=CPU)


def test_a_bound_that_no_tile_meets_is_refused_with_the_least_that_would_do():
    with pytest.raises(GeometryError, match="no tile .* fits into 1000 pixels") as caught:
        plan_tiles((512, 512), 4, max_tile_pixels=1000)

    least = int(caught.value.hint.split()[-4])
    assert plan_tiles((512, 512), 4, max_tile_pixels=least).tile_hw == (204, 204)
    with pytest.raises(GeometryError):
        plan_tiles((512, 512), 4, max_tile_pixels=least - 1)


def line_costs(extent, depth):
    """Every legal tile along a line, with the fewest aligned tiles that cover the line."""
    step = geometry_of(depth).step_px
    costs = {}
    for output in range(1, covering(extent, depth) + 1):
        tile = output + 2 * halo(depth)
        if is_legal(tile, depth) and tile <= covering(extent, depth):
            stride = output // step * step
            if output >= extent:
                costs[tile] = 1
            elif stride:
                costs[tile] = 1 + -(-(extent - output) // stride)
    return costs


images = st.tuples(st.integers(1, 150), st.integers(1, 150))


@settings(deadline=None, max_examples=60)
@given(image_hw=images, depth=st.integers(1, 3), bound=st.integers(3_000, 80_000))
def test_a_plan_is_aligned_legal_bounded_and_covers_every_pixel(image_hw, depth, bound):
    try:
        plan = plan_tiles(image_hw, depth, max_tile_pixels=bound)
    except GeometryError:
        height, width = (min(line_costs(extent, depth)) for extent in image_hw)
        assert height * width > bound
        return
    seen = np.zeros(image_hw, bool)
    outputs = [output_size(tile, depth) for tile in plan.tile_hw]
    for top, left in plan.offsets:
        assert top % geometry_of(depth).step_px == left % geometry_of(depth).step_px == 0
        assert 0 <= top < image_hw[0]
        assert 0 <= left < image_hw[1]
        seen[top : top + outputs[0], left : left + outputs[1]] = True

    assert all(is_legal(tile, depth) for tile in plan.tile_hw)
    assert seen.all()
    assert plan.tile_hw[0] * plan.tile_hw[1] <= bound
    assert plan.halo_px == halo(depth)
    assert plan.image_hw == image_hw
    assert plan.input_pixels == len(plan.offsets) * plan.tile_hw[0] * plan.tile_hw[1]


@settings(deadline=None, max_examples=200)
@given(image_hw=images, depth=st.integers(1, 3), room=st.floats(1, 12))
def test_no_aligned_plan_of_equal_tiles_is_cheaper(image_hw, depth, room):
    rows, columns = (line_costs(extent, depth) for extent in image_hw)
    bound = int(room * min(rows) * min(columns))
    costs = [
        rows[height] * columns[width] * height * width
        for height, width in product(rows, columns)
        if height * width <= bound
    ]

    assert plan_tiles(image_hw, depth, max_tile_pixels=bound).input_pixels == min(costs)


@pytest.mark.parametrize(("extent", "tile"), [(388, 572), (516, 700), (20, 204), (68, 252)])
def test_one_tile_is_planned_where_its_output_is_the_image(extent, tile):
    plan = plan_tiles((extent, extent), 4)

    assert (plan.tile_hw, len(plan.offsets)) == ((tile, tile), 1)
