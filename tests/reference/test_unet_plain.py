"""The network equals one that is written down layer by layer from figure 1 of the paper, and shifts with its input."""

import pytest
import torch
from torch import nn
from torch.nn.functional import conv2d, conv_transpose2d, max_pool2d

from unet_repro.geometry import geometry_of, smallest
from unet_repro.models.unet import UNet


class Figure1(nn.Module):
    """Arrows of figure 1 in reading order: each coloured arrow is a list of kernels and offsets."""

    def __init__(self, depth, width, channels, classes):
        super().__init__()
        self.depth = depth
        shapes = []
        before = channels
        for level in range(depth + 1):  # blue arrows of the left side and the bottom
            after = width * 2**level
            shapes += [(after, before, 3, 3), (after, after, 3, 3)]
            before = after
        for level in range(depth - 1, -1, -1):  # green arrow, then two blue ones on the right side
            after = width * 2**level
            shapes += [(before, after, 2, 2), (after, 2 * after, 3, 3), (after, after, 3, 3)]
            before = after
        shapes.append((classes, width, 1, 1))  # turquoise arrow
        ups = {2 * (depth + 1) + 3 * n for n in range(depth)}
        self.kernels = nn.ParameterList(torch.empty(shape) for shape in shapes)
        self.offsets = nn.ParameterList(
            torch.empty(shape[1] if n in ups else shape[0]) for n, shape in enumerate(shapes)
        )

    def forward(self, x):
        arrows = iter(zip(self.kernels, self.offsets, strict=True))
        left = []
        for level in range(self.depth + 1):
            if level > 0:
                x = max_pool2d(x, kernel_size=2, stride=2)
            x = torch.clamp(conv2d(x, *next(arrows)), min=0)
            x = torch.clamp(conv2d(x, *next(arrows)), min=0)
            left.append(x)
        for level in range(self.depth - 1, -1, -1):
            x = conv_transpose2d(x, *next(arrows), stride=2)
            wide, narrow = left[level].shape[2], x.shape[2]
            cut = (wide - narrow) // 2
            assert wide - 2 * cut == narrow
            x = torch.cat([left[level][:, :, cut : wide - cut, cut : wide - cut], x], dim=1)
            x = torch.clamp(conv2d(x, *next(arrows)), min=0)
            x = torch.clamp(conv2d(x, *next(arrows)), min=0)
        return conv2d(x, *next(arrows))

    def interleaved(self):
        for kernel, offset in zip(self.kernels, self.offsets, strict=True):
            yield from (kernel, offset)


def pair(depth, width=2, channels=1, classes=2):
    """Both networks in float64 with the same random weights and offsets, in evaluation."""
    torch.manual_seed(depth)
    net = UNet(in_channels=channels, num_classes=classes, width=width, depth=depth).double().eval()
    plain = Figure1(depth, width, channels, classes).double()
    with torch.no_grad():
        for ours, theirs in zip(net.parameters(), plain.interleaved(), strict=True):
            assert ours.shape == theirs.shape
            if ours.ndim == 1:
                ours.normal_(std=0.1)
            theirs.copy_(ours)
    return net, plain


@pytest.mark.parametrize(("depth", "channels", "classes"), [(1, 1, 2), (2, 3, 2), (3, 1, 4), (4, 2, 3)])
def test_scores_and_gradients_equal_those_of_the_plain_network(depth, channels, classes):
    net, plain = pair(depth, channels=channels, classes=classes)
    size = smallest(depth) + geometry_of(depth).step_px
    ours = torch.randn(2, channels, size, size, dtype=torch.float64, requires_grad=True)
    theirs = ours.detach().clone().requires_grad_()
    scores, expected = net(ours), plain(theirs)
    upstream = torch.randn_like(scores)
    scores.backward(upstream)
    expected.backward(upstream)

    assert scores.abs().max() > 0.1
    torch.testing.assert_close(scores, expected, rtol=0, atol=1e-10)
    torch.testing.assert_close(ours.grad, theirs.grad, rtol=0, atol=1e-9)
    for one, other in zip(net.parameters(), plain.interleaved(), strict=True):
        torch.testing.assert_close(one.grad, other.grad, rtol=1e-9, atol=1e-8)


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_the_output_shifts_exactly_with_the_input_by_multiples_of_two_to_the_depth_and_by_no_less(depth):
    torch.manual_seed(0)
    net, step = UNet(width=4, depth=depth).eval(), geometry_of(depth).step_px
    size = smallest(depth) + 4 * step
    image = torch.randn(1, 1, size + 2 * step, size + 2 * step)
    with torch.no_grad():
        unmoved = net(image[..., :size, :size])
        side = unmoved.shape[-1]
        for down, right in [(step, 0), (0, step), (2 * step, step)]:
            moved = net(image[..., down : down + size, right : right + size])
            assert torch.equal(moved[..., : side - down, : side - right], unmoved[..., down:, right:])
        for by in range(1, step):
            moved = net(image[..., by : by + size, :size])
            assert not torch.allclose(moved[..., : side - by, :], unmoved[..., by:, :], atol=1e-3)
