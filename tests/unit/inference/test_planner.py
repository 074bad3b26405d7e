"""Plans fit the memory, are the cheapest by the model, and the model is the sum over the layers."""

import pytest
import torch

from unet_repro.errors import ConfigError, GeometryError
from unet_repro.geometry import layers, tile_cost
from unet_repro.inference import planner
from unet_repro.inference.overlap_tile import plan_tiles, plan_with
from unet_repro.inference.planner import CostModel, NetworkShape, plan_within, tile_bytes, tile_seconds
from unet_repro.models.unet import UNet

SHAPE = NetworkShape(depth=4, width=8, in_channels=1, num_classes=2)


def test_layers_are_those_of_the_network():
    net, seen = UNet(width=4, depth=2, in_channels=3, num_classes=3), []
    for module in net.modules():
        if isinstance(module, torch.nn.Conv2d | torch.nn.ConvTranspose2d):
            module.register_forward_hook(lambda _, given, out: seen.append((given[0].numel(), out.numel())))
    net(torch.zeros(1, 3, 60, 84))
    counted = layers((60, 84), 2, width=4, in_channels=3, num_classes=3)
    assert [(layer.in_values, layer.out_values) for layer in counted] == seen


def test_a_turned_tile_costs_the_same():
    assert tile_seconds((572, 316), SHAPE, CostModel()) == pytest.approx(tile_seconds((316, 572), SHAPE, CostModel()))
    assert tile_bytes((572, 316), SHAPE) == tile_bytes((316, 572), SHAPE)


@pytest.mark.parametrize("memory_gb", [0.05, 0.2, 1.0])
def test_every_plan_fits_its_memory(memory_gb):
    plan = plan_within((3000, 5000), SHAPE, memory_gb=memory_gb)
    assert tile_bytes(plan.tile_hw, SHAPE) <= memory_gb * 1e9


def test_more_memory_never_costs_more():
    def seconds(gigabytes):
        plan = plan_within((3000, 5000), SHAPE, memory_gb=gigabytes)
        return len(plan.offsets) * tile_seconds(plan.tile_hw, SHAPE, CostModel(cache_bytes=planner.cache_bytes()))

    found = [seconds(gigabytes) for gigabytes in (0.05, 0.1, 0.2, 0.5, 1.0)]
    assert found == sorted(found, reverse=True)


def test_no_square_tile_within_memory_is_cheaper():
    model = CostModel()
    plan = plan_within((2048, 2048), SHAPE, memory_gb=0.3, model=model)
    chosen = len(plan.offsets) * tile_seconds(plan.tile_hw, SHAPE, model)
    for size in range(188, 2300, 16):
        if tile_bytes((size, size), SHAPE) <= 0.3e9:
            other = plan_with((2048, 2048), (size, size), 4)
            assert chosen <= len(other.offsets) * tile_seconds((size, size), SHAPE, model) * (1 + 1e-12)


def test_a_small_cache_that_costs_much_makes_tiles_smaller():
    slow = CostModel(miss_rate=1e9, cache_bytes=4 << 20)
    assert plan_within((4096, 4096), SHAPE, memory_gb=1, model=slow).tile_hw[0] < 700
    assert plan_within((4096, 4096), SHAPE, memory_gb=1).tile_hw[0] > 1000


@pytest.mark.parametrize("memory_gb", [0, -1])
def test_memory_that_is_not_positive_is_refused(memory_gb):
    with pytest.raises(ConfigError, match="must be positive"):
        plan_within((512, 512), SHAPE, memory_gb=memory_gb)


def test_memory_that_holds_no_tile_is_refused_with_what_would_do():
    with pytest.raises(GeometryError, match="memory_gb="):
        plan_within((512, 512), SHAPE, memory_gb=1e-4)


def test_auto_takes_a_share_of_what_is_free(monkeypatch):
    monkeypatch.setattr(planner, "free_bytes", lambda _: 100_000_000)
    assert tile_bytes(plan_within((4096, 4096), SHAPE).tile_hw, SHAPE) <= 50_000_000


def test_a_gpu_has_a_limit_of_its_own(monkeypatch):
    gpu = torch.device("cuda")
    monkeypatch.setattr(planner, "free_bytes", lambda _: 10**12)
    wide = NetworkShape(depth=4, width=64, in_channels=1, num_classes=2)
    auto, generous = (plan_within((20_000, 20_000), wide, device=gpu, memory_gb=gigabytes) for gigabytes in (None, 80))

    assert planner.MAX_AUTO_GB * 1e9 < tile_bytes(auto.tile_hw, wide) <= planner.MAX_AUTO_GPU_GB * 1e9
    assert all(layer.in_values < 2**31 for layer in layers(generous.tile_hw, 4, width=64))
    assert generous.input_pixels <= auto.input_pixels


def test_free_memory_and_cache_are_read():
    assert planner.free_bytes() > 10_000_000
    assert planner.cache_bytes() >= 1 << 18


def test_costs_default_to_input_pixels_as_validation_has_them():
    plan = plan_tiles((1000, 700), 4, max_tile_pixels=500_000)
    assert plan.input_pixels <= min(
        plan_with((1000, 700), (size, size), 4).input_pixels for size in range(188, 700, 16)
    )


def test_cost_of_a_tile_is_still_the_published_one():
    assert round(tile_cost(572, 4).gflop, 1) == 300.9


def test_cached_files_of_a_control_group_count_as_free(tmp_path, monkeypatch):
    monkeypatch.setattr(planner, "_CONTROL_GROUP", tmp_path)
    (tmp_path / "memory.max").write_text("max\n")
    (tmp_path / "memory.current").write_text("900000\n")
    assert planner.free_bytes() > 1_000_000
    (tmp_path / "memory.max").write_text("1000000\n")
    assert planner.free_bytes() == 100_000
    assert planner.total_bytes() == 1_000_000
    (tmp_path / "memory.stat").write_text("anon 100000\ninactive_file 800000\nactive_file 5\n")
    assert planner.free_bytes() == 900_000
