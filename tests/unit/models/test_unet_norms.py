"""Normalisation against group normalisation, in values and gradients; float32 statistics; why instance norm is ours."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from unet_repro.models.unet import InstanceNorm2d, UNet, _norm

ORDERS = [torch.contiguous_format, torch.channels_last]


def in_order(order, *tensors):
    return [tensor.contiguous(memory_format=order).requires_grad_() for tensor in tensors]


def gradients(function, x, grad, parameters):
    out = function(x)
    return [out.detach(), *torch.autograd.grad(out, [x, *parameters], grad)]


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


@pytest.mark.parametrize("norm", ["none", "batch", "instance", "group"])
def test_a_networks_gradients_are_the_same_in_both_memory_orders(norm):
    torch.manual_seed(0)
    net = UNet(width=16, depth=1, dropout=0.0, norm=norm).double()
    x = torch.randn(1, 1, 52, 60, dtype=torch.float64)
    found = []
    for order in ORDERS:
        scores = net.to(memory_format=order)(x.contiguous(memory_format=order))
        found.append(torch.autograd.grad(scores.square().sum(), list(net.parameters())))
    for default, last in zip(*found, strict=True):
        torch.testing.assert_close(last, default)


def test_torchs_own_gradient_for_one_channels_last_image_is_still_wrong():
    """When this fails, torch is right again: if it is as fast too, ``InstanceNorm2d`` can go."""
    theirs = nn.InstanceNorm2d(4, affine=True).double()
    x, grad = in_order(torch.channels_last, *torch.randn(2, 1, 4, 6, 7, dtype=torch.float64))
    _, got, *_ = gradients(theirs, x, grad, theirs.parameters())
    _, wanted, *_ = gradients(theirs, x.contiguous(), grad.contiguous(), theirs.parameters())
    assert not torch.allclose(got, wanted)


@pytest.mark.parametrize("kind", ["batch", "instance", "group"])
@pytest.mark.parametrize("images", [1, 3])
def test_statistics_are_taken_in_float32_whatever_the_products_precision(kind, images):
    """In bfloat16 sums, ten thousand values around 100 would have no variance left."""
    torch.manual_seed(0)
    (norm,) = _norm(kind, 8)
    x = (100 + torch.randn(images, 8, 100, 100)).bfloat16().contiguous(memory_format=torch.channels_last)
    with torch.autocast("cpu", torch.bfloat16):
        got = norm(x)
    torch.testing.assert_close(got.float(), norm(x.float()), rtol=0.01, atol=0.02)
