"""Geometry of networks that are not the U-Net: derived where the sizes show it, as declared otherwise, or refused."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from unet_repro.errors import GeometryError
from unet_repro.geometry import geometry_of
from unet_repro.models.protocol import first_width, in_channels, normalises_tiles, tile_geometry
from unet_repro.models.unet import UNet
from unet_repro.tile_geometry import TileGeometry


class Bare(nn.Module):
    """A U-Net that declares nothing."""

    def __init__(self, depth):
        super().__init__()
        self.net = UNet(3, 2, width=2, depth=depth)

    def forward(self, x):
        return self.net(x)


class Padded(nn.Module):
    """Same-padding, two poolings, and a skip that needs sizes of a multiple of four."""

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Conv2d(1, 4, 3, padding=1), nn.Conv2d(4, 4, 3, padding=1)
        self.pool, self.up = nn.MaxPool2d(2), nn.Upsample(scale_factor=4)
        self.head = nn.Conv2d(8, 2, 1)

    def forward(self, x):
        skip = self.first(x)
        return self.head(torch.cat([skip, self.up(self.pool(self.pool(self.second(skip))))], 1))


class Resized(Padded):
    """Takes any size: what is pooled is resized to the skip."""

    def forward(self, x):
        skip = self.first(x)
        deep = functional.interpolate(self.pool(self.pool(self.second(skip))), size=skip.shape[-2:])
        return self.head(torch.cat([skip, deep], 1))


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_the_geometry_of_a_u_net_is_found_from_its_shapes_alone(depth):
    found = tile_geometry(Bare(depth))
    assert found == geometry_of(depth)
    assert found.name == "Bare"


@pytest.mark.parametrize("net", [Padded(), Resized()])
def test_a_network_with_same_padding_has_no_halo_and_the_step_of_its_poolings(net):
    found = tile_geometry(net)
    assert (found.halo_px, found.step_px) == (0, 4)
    assert found.is_legal(64)
    assert not found.is_legal(66)
    assert found.output_size(64) == 64


@pytest.mark.parametrize("kernel", [1, 3, 7])
def test_a_convolution_alone_has_its_margin_as_halo(kernel):
    found = tile_geometry(nn.Conv2d(1, 2, kernel))
    assert (found.halo_px, found.step_px) == (kernel // 2, 1)
    assert found.smallest_px == (kernel if kernel > 1 else 64)


def test_a_declared_geometry_is_taken_as_it_is():
    net = Padded()
    net.tile_geometry = TileGeometry(smallest_px=96, step_px=32)
    assert tile_geometry(net) is net.tile_geometry


@pytest.mark.parametrize(
    ("net", "message"),
    [
        (nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten()), "no legal tile size of Sequential"),
        (nn.Sequential(nn.Conv2d(1, 2, 3), nn.MaxPool2d(2)), "constant halo"),
        (nn.Sequential(nn.Conv2d(1, 2, 3), nn.Upsample(scale_factor=2)), "constant halo"),
        (nn.Sequential(nn.Conv2d(1, 2, 2)), "constant halo"),
        (nn.ReLU(), "no in_channels"),
    ],
)
def test_a_network_that_neither_declares_nor_shows_its_geometry_is_refused(net, message):
    with pytest.raises(GeometryError, match=message):
        tile_geometry(net)


def test_deriving_changes_neither_the_network_nor_the_random_state():
    net = Bare(2)
    before, state = {k: v.clone() for k, v in net.state_dict().items()}, torch.get_rng_state()
    tile_geometry(net)
    assert net.training
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())


def test_channels_widths_and_norms_are_read_from_the_modules():
    assert (in_channels(Bare(1)), first_width(Bare(1)), first_width(nn.ReLU())) == (3, 2, 64)
    assert [normalises_tiles(UNet(width=2, depth=1, norm=norm)) for norm in ("none", "batch", "instance", "group")] == [
        False,
        False,
        True,
        True,
    ]
