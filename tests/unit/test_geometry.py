"""Tile arithmetic agrees with a walk through the layers and with what torch counts."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from unet_repro.errors import GeometryError
from unet_repro.geometry import (
    batch_for_budget,
    covering,
    geometry_of,
    halo,
    is_legal,
    nearest_legal,
    output_size,
    smallest,
    tile_cost,
)
from unet_repro.models.unet import UNet

depths = st.integers(1, 5)
kernels = st.sampled_from([1, 3, 5])


def walk(size: int, depth: int, kernel: int) -> int | None:
    """What is left after every layer of figure 1 in turn, or ``None`` where a layer cannot be applied."""
    for _ in range(depth):
        for _ in range(2):
            size = size - kernel + 1
            if size < 1:
                return None
        if size % 2:
            return None
        size = size // 2
    for _ in range(2):
        size = size - kernel + 1
        if size < 1:
            return None
    for _ in range(depth):
        size = size * 2
        for _ in range(2):
            size = size - kernel + 1
            if size < 1:
                return None
    return size


@settings(deadline=None)
@given(depth=depths, kernel=kernels, size=st.integers(-3, 900))
def test_a_size_is_legal_exactly_where_every_layer_can_be_applied(depth, kernel, size):
    assert is_legal(size, depth, kernel) == (walk(size, depth, kernel) is not None)


@settings(deadline=None)
@given(depth=depths, kernel=kernels, number=st.integers(0, 40))
def test_output_size_and_halo_are_those_of_the_walk(depth, kernel, number):
    size = smallest(depth, kernel) + number * geometry_of(depth).step_px

    assert output_size(size, depth, kernel) == walk(size, depth, kernel)
    assert 2 * halo(depth, kernel) == size - walk(size, depth, kernel)


@pytest.mark.parametrize("kernel", [1, 3, 5])
@pytest.mark.parametrize("depth", [1, 2, 3, 4, 5])
def test_smallest_is_the_first_size_that_the_walk_survives(depth, kernel):
    assert smallest(depth, kernel) == next(n for n in range(1, 2000) if walk(n, depth, kernel) is not None)


@settings(deadline=None)
@given(depth=depths, kernel=kernels, size=st.integers(-3, 900))
def test_nearest_legal_sizes_are_the_next_ones_below_and_above(depth, kernel, size):
    legal = [n for n in range(1, 1400) if walk(n, depth, kernel) is not None]
    below, above = max((n for n in legal if n <= size), default=None), min(n for n in legal if n >= size)

    assert nearest_legal(size, depth, kernel) == tuple(sorted({below, above} - {None}))


@settings(deadline=None)
@given(depth=depths, kernel=kernels, output=st.integers(1, 700))
def test_covering_is_the_smallest_size_with_that_much_output(depth, kernel, output):
    size = covering(output, depth, kernel)

    assert walk(size, depth, kernel) >= output
    assert all((walk(n, depth, kernel) or 0) < output for n in range(1, size))


@pytest.mark.parametrize(("size", "output"), [(188, 4), (508, 324), (524, 340), (572, 388), (700, 516)])
def test_sizes_of_the_paper_at_depth_four(size, output):
    assert output_size(size, depth=4) == output


def test_an_illegal_size_is_refused_with_the_nearest_legal_ones():
    with pytest.raises(GeometryError, match=r"512 .*(?s:.*)508 or 524"):
        output_size(512, depth=4)


@pytest.mark.parametrize(("depth", "kernel", "named"), [(0, 3, "depth 0"), (4, 2, "kernel 2"), (4, -1, "kernel -1")])
def test_an_impossible_network_is_refused(depth, kernel, named):
    with pytest.raises(GeometryError, match=named):
        output_size(572, depth, kernel)


@settings(deadline=None)
@given(
    depth=st.integers(1, 4),
    number=st.integers(0, 30),
    budget=st.integers(1, 5_000_000),
    unit=st.sampled_from(["input", "output"]),
)
def test_a_batch_comes_nearest_to_its_budget_and_reports_both_units(depth, number, budget, unit):
    size = smallest(depth) + number * geometry_of(depth).step_px
    batch = batch_for_budget(size, budget, unit, depth)
    per_tile = (size if unit == "input" else walk(size, depth, 3)) ** 2
    candidates = {1, max(1, budget // per_tile), budget // per_tile + 1}

    assert batch.num_tiles >= 1
    assert abs(batch.num_tiles * per_tile - budget) == min(abs(n * per_tile - budget) for n in candidates)
    assert batch.tile_size == size
    assert batch.input_pixels == batch.num_tiles * size**2
    assert batch.output_pixels == batch.num_tiles * walk(size, depth, 3) ** 2
    actual = batch.input_pixels if unit == "input" else batch.output_pixels
    assert batch.budget_share == pytest.approx(actual / budget)


def test_one_tile_is_drawn_where_the_budget_is_less():
    batch = batch_for_budget(572, 1000, "input", depth=4)

    assert (batch.num_tiles, batch.input_pixels) == (1, 572**2)


@pytest.mark.parametrize("budget", [0, -5])
def test_a_budget_that_is_not_positive_is_refused(budget):
    with pytest.raises(GeometryError, match="must be positive"):
        batch_for_budget(572, budget, "input", depth=4)


def test_the_papers_tile_costs_300_gflop_and_supervises_46_percent():
    cost = tile_cost(572, depth=4)

    assert cost.gflop == pytest.approx(300.9, abs=0.05)
    assert cost.supervised == pytest.approx(388**2 / 572**2)


@pytest.mark.parametrize(
    ("size", "depth", "width", "channels", "classes"), [(36, 1, 3, 1, 2), (60, 2, 2, 3, 4), (108, 3, 2, 1, 2)]
)
def test_cost_is_what_torch_counts(size, depth, width, channels, classes):
    net = UNet(in_channels=channels, num_classes=classes, width=width, depth=depth)
    numbers = []
    for module in net.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            module.register_forward_hook(lambda _module, _inputs, out: numbers.append(out.numel()))
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        net(torch.zeros(1, channels, size, size))
    cost = tile_cost(size, depth, width=width, in_channels=channels, num_classes=classes)

    assert cost.gflop * 1e9 == pytest.approx(counter.get_total_flops())
    assert cost.activation_mb * 1e6 == pytest.approx(4 * sum(numbers))
