"""The values in memory that are counted for a network are those that exist at once."""

import pytest
import torch
from torch import nn

from unet_repro.inference.footprint import values_per_pixel
from unet_repro.inference.planner import NetworkShape, OtherNetwork, plan_within, shape_of, tile_bytes
from unet_repro.models.unet import UNet
from unet_repro.tile_geometry import TileGeometry


def test_what_is_freed_is_not_counted_and_views_and_in_place_operations_are_free():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.wide = nn.Conv2d(1, 10, 1)

        def forward(self, x):
            x = self.wide(x).relu_()[:, :4]  # 1 + 10 values a pixel; the view keeps all ten
            kept = x + 1  # 1 + 10 + 4
            del x
            return kept * 2  # 1 + 4 + 4

    assert values_per_pixel(Net(), TileGeometry(smallest_px=1), 1) == pytest.approx(15, abs=4)


def test_a_u_nets_count_is_near_its_model():
    net = UNet(width=8, depth=3)
    counted = values_per_pixel(net, net.tile_geometry, 1)
    size = net.tile_geometry.covering(300)
    modelled = tile_bytes((size, size), NetworkShape(3, 8, 1, 2)) / size**2
    assert tile_bytes((size, size), OtherNetwork(net.tile_geometry, counted)) / size**2 == pytest.approx(
        modelled, rel=0.35
    )


def test_a_network_of_ones_own_is_planned_within_memory():
    shape = shape_of(nn.Sequential(nn.Conv2d(1, 16, 3, padding=1), nn.Conv2d(16, 2, 1)), 1, 2)
    assert isinstance(shape, OtherNetwork)
    plan = plan_within((3000, 2000), shape, memory_gb=0.05)
    assert tile_bytes(plan.tile_hw, shape) <= 0.05e9
    assert 2 < len(plan.offsets) < 100
    whole = plan_within((300, 200), shape, memory_gb=0.5)
    assert (whole.tile_hw, len(whole.offsets)) == ((300, 200), 1)
    assert torch.is_grad_enabled()
