"""Convolution and instance normalisation against torch's own, in values and gradients."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional

from unet_repro.models import conv
from unet_repro.models.conv import Conv2d, InstanceNorm2d, UpConv2d, up_weight_gradient, weight_gradient
from unet_repro.models.unet import UNet

ORDERS = [torch.contiguous_format, torch.channels_last]


def in_order(order, *tensors):
    return [tensor.contiguous(memory_format=order).requires_grad_() for tensor in tensors]


def gradients(function, x, grad, parameters):
    out = function(x)
    return [out.detach(), *torch.autograd.grad(out, [x, *parameters], grad)]


sizes = st.integers(1, 5)


@settings(deadline=None)
@given(
    shape=st.tuples(st.integers(1, 3), sizes, st.integers(4, 9), st.integers(4, 9)),
    out_channels=sizes,
    kernel=st.integers(1, 4),
)
def test_the_weights_gradient_is_that_of_torch(shape, out_channels, kernel):
    x, channels = torch.randn(shape, dtype=torch.float64), shape[1]
    weight = torch.zeros(out_channels, channels, kernel, kernel, dtype=torch.float64, requires_grad=True)
    out = functional.conv2d(x, weight)
    grad = torch.randn_like(out)
    (expected,) = torch.autograd.grad(out, weight, grad)
    torch.testing.assert_close(weight_gradient(x, grad, kernel), expected)


@settings(deadline=None)
@given(shape=st.tuples(st.integers(1, 3), sizes, sizes, sizes), out_channels=sizes, scale=st.integers(1, 3))
def test_the_gradient_of_an_up_convolutions_weights_is_that_of_torch(shape, out_channels, scale):
    x = torch.randn(shape, dtype=torch.float64)
    weight = torch.zeros(shape[1], out_channels, scale, scale, dtype=torch.float64, requires_grad=True)
    out = functional.conv_transpose2d(x, weight, stride=scale)
    grad = torch.randn_like(out)
    (expected,) = torch.autograd.grad(out, weight, grad)
    torch.testing.assert_close(up_weight_gradient(x, grad, scale), expected)


@pytest.fixture
def all_large(monkeypatch):
    """Every layer takes the way of large ones."""
    monkeypatch.setattr(conv, "_LEAST_CHANNELS", 0)
    monkeypatch.setattr(conv, "_LEAST_WORK", 0)


@pytest.fixture(params=[0, conv._HEAVY_CHANNELS])
def some_heavy(request, monkeypatch):
    """Every layer's weights outweigh the image, or only those of very many channels."""
    monkeypatch.setattr(conv, "_HEAVY_CHANNELS", request.param)


@pytest.mark.usefixtures("all_large", "some_heavy")
@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize(("channels", "out_channels", "kernel"), [(1, 4, 3), (3, 4, 3), (16, 32, 3), (32, 16, 1)])
def test_the_convolution_is_that_of_torch(channels, out_channels, kernel, order):
    torch.manual_seed(0)
    ours = Conv2d(channels, out_channels, kernel).double().to(memory_format=order)
    theirs = nn.Conv2d(channels, out_channels, kernel).double()
    theirs.load_state_dict(ours.state_dict())
    x, grad = in_order(
        order,
        torch.randn(2, channels, 50, 40, dtype=torch.float64),
        torch.randn(2, out_channels, 51 - kernel, 41 - kernel, dtype=torch.float64),
    )
    assert takes_products(ours, x)
    for got, expected in zip(
        gradients(ours, x, grad, ours.parameters()), gradients(theirs, x, grad, theirs.parameters()), strict=True
    ):
        torch.testing.assert_close(got, expected)


@pytest.mark.usefixtures("all_large")
@pytest.mark.parametrize("order", ORDERS)
def test_the_up_convolution_is_that_of_torch(order):
    torch.manual_seed(0)
    ours = UpConv2d(32, 16).double().to(memory_format=order)
    theirs = nn.ConvTranspose2d(32, 16, 2, 2).double()
    theirs.load_state_dict(ours.state_dict())
    x, grad = in_order(
        order, torch.randn(2, 32, 20, 15, dtype=torch.float64), torch.randn(2, 16, 40, 30, dtype=torch.float64)
    )
    assert takes_products(ours, x)
    for got, expected in zip(
        gradients(ours, x, grad, ours.parameters()), gradients(theirs, x, grad, theirs.parameters()), strict=True
    ):
        torch.testing.assert_close(got, expected)


def takes_products(layer, x):
    return type(layer(x).grad_fn).__name__ in ("_ConvolutionBackward", "_UpConvolutionBackward")


def test_only_large_layers_in_training_take_their_gradient_by_products():
    large, narrow, first, up = Conv2d(16, 32, 3), Conv2d(8, 8, 3), Conv2d(1, 8, 3), UpConv2d(32, 16)
    assert takes_products(large, torch.zeros(1, 16, 140, 140))
    assert takes_products(first, torch.zeros(1, 1, 1100, 1100))
    assert takes_products(up, torch.zeros(1, 32, 140, 140))
    assert not takes_products(large, torch.zeros(1, 16, 60, 60))
    assert not takes_products(narrow, torch.zeros(1, 8, 570, 570))
    assert not takes_products(large.eval(), torch.zeros(1, 16, 140, 140))
    assert not takes_products(up.eval(), torch.zeros(1, 32, 140, 140))


@pytest.mark.parametrize("side", [300, 301, 303])  # with and without rows beyond the last whole strip
def test_large_maps_are_taken_in_pieces_that_add_up(side):
    x, grad = torch.randn(1, 16, side, 300), torch.randn(1, 32, side - 2, 298)
    weight = torch.zeros(32, 16, 3, 3, dtype=torch.float64, requires_grad=True)
    (expected,) = torch.autograd.grad(functional.conv2d(x.double(), weight), weight, grad.double())
    assert (weight_gradient(x, grad, 3) - expected).norm() < 1e-6 * expected.norm()


@pytest.mark.parametrize(("channels", "out_channels"), [(256, 384), (512, 256), (512, 512)])
def test_many_weights_too_in_the_order_that_they_are_turned_to_anyway(channels, out_channels):
    x, grad = torch.randn(2, channels, 9, 8), torch.randn(2, out_channels, 7, 6)
    weight = torch.zeros(out_channels, channels, 3, 3, dtype=torch.float64, requires_grad=True)
    (expected,) = torch.autograd.grad(functional.conv2d(x.double(), weight), weight, grad.double())
    got = weight_gradient(x, grad, 3)
    assert (got - expected).norm() < 1e-6 * expected.norm()
    assert got.stride(1) == 1  # input channels lie side by side, as in channels-last weights


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("images", [1, 3])
def test_instance_norm_is_group_norm_with_a_group_a_channel_in_any_memory_order(images, order):
    torch.manual_seed(0)
    ours = InstanceNorm2d(4).double()
    nn.init.normal_(ours.weight)
    nn.init.normal_(ours.bias)
    x, grad = in_order(order, *torch.randn(2, images, 4, 6, 7, dtype=torch.float64))
    expected = gradients(
        lambda t: functional.group_norm(t.contiguous(), 4, ours.weight, ours.bias), x, grad, ours.parameters()
    )
    for got, wanted in zip(gradients(ours, x, grad, ours.parameters()), expected, strict=True):
        torch.testing.assert_close(got, wanted)


def test_instance_norm_is_that_of_torch_in_default_order_and_keeps_channels_last():
    ours, theirs = InstanceNorm2d(4), nn.InstanceNorm2d(4, affine=True)
    x = torch.randn(1, 4, 6, 7)
    torch.testing.assert_close(ours(x), theirs(x))
    assert ours(x.contiguous(memory_format=torch.channels_last)).is_contiguous(memory_format=torch.channels_last)


@pytest.mark.usefixtures("all_large")
@pytest.mark.parametrize("norm", ["none", "batch", "instance", "group"])
def test_a_networks_gradients_in_channels_last_are_those_of_torchs_convolutions(norm):
    torch.manual_seed(0)
    net = UNet(width=16, depth=1, dropout=0.0, norm=norm).double()
    x = torch.randn(1, 1, 52, 60, dtype=torch.float64)
    expected = torch.autograd.grad(_plainly(net, x).square().sum(), list(net.parameters()))
    net = net.to(memory_format=torch.channels_last)
    got = torch.autograd.grad(
        net(x.contiguous(memory_format=torch.channels_last)).square().sum(), list(net.parameters())
    )
    for ours, theirs in zip(got, expected, strict=True):
        torch.testing.assert_close(ours, theirs)


def _plainly(net, x):
    """The network's output with torch's own convolutions in place of ours."""
    replaced = []
    for module in net.modules():
        if isinstance(module, Conv2d | UpConv2d):
            module.forward = lambda t, m=module: type(m).__base__.forward(m, t)
            replaced.append(module)
    out = net(x)
    for module in replaced:
        del module.forward
    return out
