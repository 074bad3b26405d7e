"""The network is the paper's: parameters, layers, sizes, initial weights, dropout."""

import pytest
import torch
from torch import nn

from unet_repro.errors import GeometryError
from unet_repro.geometry import output_size
from unet_repro.models.unet import UNet, crop_to


def convolutions(net):
    return [module for module in net.modules() if isinstance(module, nn.Conv2d | nn.ConvTranspose2d)]


def test_at_the_papers_setting_it_has_23_convolutions_and_maps_572_to_388():
    with torch.device("meta"):
        net = UNet()
        scores = net(torch.zeros(1, 1, 572, 572))

    assert sum(parameter.numel() for parameter in net.parameters()) == 31_030_658
    assert len(convolutions(net)) == 23
    assert scores.shape == (1, 2, 388, 388)


@pytest.mark.parametrize("shape", [(512, 572), (572, 512)])
def test_an_illegal_height_or_width_is_refused_with_the_nearest_legal_ones(shape):
    with torch.device("meta"), pytest.raises(GeometryError, match=r"512 .*(?s:.*)508 or 524"):
        UNet(width=2)(torch.zeros(1, 1, *shape))


def test_a_rectangle_is_mapped_side_by_side():
    assert UNet(width=2, depth=2)(torch.zeros(2, 1, 52, 64)).shape == (2, 2, 12, 24)


@pytest.mark.parametrize("norm", ["none", "batch", "instance", "group"])
@pytest.mark.parametrize(("channels", "classes", "width", "depth"), [(1, 2, 2, 1), (3, 4, 6, 2)])
def test_every_variant_gives_finite_scores_and_trains_all_its_parameters(norm, channels, classes, width, depth):
    torch.manual_seed(0)
    net = UNet(in_channels=channels, num_classes=classes, width=width, depth=depth, norm=norm)
    scores = net(torch.randn(2, channels, 60, 60))
    scores.square().sum().backward()

    assert scores.shape == (2, classes, output_size(60, depth), output_size(60, depth))
    assert scores.isfinite().all()
    assert all(parameter.grad is not None for parameter in net.parameters())


@pytest.mark.parametrize("width", [3, 12, 20, 48])
def test_group_norm_finds_groups_for_any_width(width):
    assert UNet(width=width, depth=1, norm="group")(torch.zeros(1, 1, 20, 20)).shape == (1, 2, 4, 4)


@pytest.mark.parametrize(
    ("norm", "layer"), [("batch", nn.BatchNorm2d), ("instance", nn.InstanceNorm2d), ("group", nn.GroupNorm)]
)
def test_a_norm_follows_each_of_the_unpadded_convolutions(norm, layer):
    net = UNet(width=2, depth=2, norm=norm)

    assert sum(isinstance(module, layer) for module in net.modules()) == 2 * (2 * 2 + 1)


def test_the_papers_network_has_no_norm():
    assert not any("Norm" in type(module).__name__ for module in UNet(width=2).modules())


def test_an_unknown_norm_is_refused():
    with pytest.raises(ValueError, match="none, batch, instance or group, not 'layer'"):
        UNet(width=2, depth=1, norm="layer")


def test_every_weight_starts_normal_with_variance_two_over_incoming_nodes_and_every_bias_at_zero():
    torch.manual_seed(0)
    for module in convolutions(UNet(in_channels=16, num_classes=64, width=64, depth=2)):
        # A 2x2 up-convolution of stride 2 has one tap per output pixel.
        taps = 1 if isinstance(module, nn.ConvTranspose2d) else module.kernel_size[0] * module.kernel_size[1]
        expected = (2 / (taps * module.in_channels)) ** 0.5

        assert module.weight.std().item() == pytest.approx(expected, rel=0.04)
        assert abs(module.weight.mean().item()) < 0.05 * expected
        assert not module.bias.any()


@pytest.mark.parametrize(("rows", "columns"), [(4, 6), (10, 12), (8, 2)])
def test_the_crop_is_exactly_central(rows, columns):
    skip = torch.arange(2 * 120.0).reshape(1, 2, 10, 12)
    top, left = (10 - rows) // 2, (12 - columns) // 2

    assert torch.equal(
        crop_to(skip, torch.zeros(1, 5, rows, columns)), skip[..., top : top + rows, left : left + columns]
    )


def test_dropout_acts_in_training_only_and_only_at_the_end_of_the_contracting_path():
    torch.manual_seed(0)
    net, x = UNet(width=4, depth=2, dropout=0.5), torch.randn(1, 1, 60, 60)
    seen = []
    net.dropout.register_forward_hook(lambda _module, inputs, out: seen.append((inputs[0], out)))
    net.train()
    first, second = net(x), net(x)
    net.eval()
    third, fourth = net(x), net(x)

    assert not torch.equal(first, second)
    assert torch.equal(third, fourth)
    assert [tuple(before.shape) for before, _ in seen] == [(1, 16, 8, 8)] * 4
    assert torch.equal(seen[2][0], seen[2][1])
    before, after = seen[0]
    kept = after != 0
    torch.testing.assert_close(after[kept], 2 * before[kept])
    assert 0.35 < kept[before != 0].double().mean() < 0.65


def test_without_dropout_training_and_evaluation_agree():
    torch.manual_seed(0)
    net, x = UNet(width=2, depth=1, dropout=0.0), torch.randn(1, 1, 20, 20)

    assert torch.equal(net.train()(x), net.eval()(x))
