"""Convolution and instance normalisation with quicker gradients on CPU; the same mathematics, equal up to rounding.

Half of a training step on CPU was the gradient of convolutions' weights, for which oneDNN's channels-last kernels
reach a sixth (width 64) to a half of the rate of a matrix product. In that order the gradient is nine matrix products
without any copy of the input, one for each tap of the kernel: row ``p`` of the flattened input, shifted by the tap,
meets row ``p`` of the gradient. Taken in pieces that stay in the cache, they reach seven tenths of the rate.
"""

import itertools
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

# Narrower layers and smaller maps are left to torch, whose kernels are as quick there (benchmarks/training_step.py).
_LEAST_CHANNELS = 512  # input channels times output channels
_LEAST_WORK = 8e6  # these times pixels
_PIECE_BYTES = 2 << 20  # of input and gradient together


class Conv2d(nn.Conv2d):
    """Unpadded convolution with stride 1, as ``torch.nn.Conv2d(in_channels, out_channels, kernel_size)``.

    In training on CPU, large layers take the gradient of their weights by ``weight_gradient``; all else is torch's own.
    """

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int) -> None:
        super().__init__(in_channels, out_channels, kernel_size)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """Convolves ``(B, in, H, W)`` to ``(B, out, H - k + 1, W - k + 1)``."""
        is_large = (
            self.in_channels * self.out_channels >= _LEAST_CHANNELS
            and x_BCHW.numel() * self.out_channels >= _LEAST_WORK
        )
        if is_large and self.training and x_BCHW.device.type == "cpu":
            return _Convolution.apply(x_BCHW, self.weight, self.bias)  # type: ignore[no-any-return, no-untyped-call]
        return super().forward(x_BCHW)


class _Convolution(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight)
        return F.conv2d(x, weight, bias)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        x, weight = ctx.saved_tensors
        grad_x, _, _ = torch.ops.aten.convolution_backward(
            grad, x, weight, None, [1, 1], [0, 0], [1, 1], False, [0, 0], 1, [True, False, False]
        )
        return grad_x, weight_gradient(x, grad, weight.shape[-1]), grad.sum((0, 2, 3))


def weight_gradient(x_BCHW: Tensor, grad_BKhw: Tensor, kernel: int) -> Tensor:
    """Gradient of the weights of an unpadded convolution with stride 1, as matrix products of each tap.

    Args:
        x_BCHW: ``(B, C, H, W)``, the input.
        grad_BKhw: ``(B, K, H - kernel + 1, W - kernel + 1)``, the output's gradient.
        kernel: Side of the kernel.

    Returns:
        ``(K, C, kernel, kernel)``.
    """
    (channels, width), out_channels = (x_BCHW.shape[1], x_BCHW.shape[3]), grad_BKhw.shape[1]
    # With zeros where the kernel would leave the image, a pixel has the same number in input and gradient.
    lost = kernel - 1
    grads = F.pad(grad_BKhw, (0, lost, 0, lost)).permute(0, 2, 3, 1).reshape(-1, out_channels)
    pixels = x_BCHW.permute(0, 2, 3, 1).reshape(-1, channels)
    rows = len(pixels) - lost * (width + 1)  # the others are zeros
    piece = max(1, _PIECE_BYTES // (x_BCHW.element_size() * (channels + out_channels)))
    taps = x_BCHW.new_zeros(kernel, kernel, channels, out_channels)
    for first in range(0, rows, piece):
        last = min(first + piece, rows)
        for y, x in itertools.product(range(kernel), repeat=2):
            shift = y * width + x
            taps[y, x].addmm_(pixels[first + shift : last + shift].t(), grads[first:last])
    return taps.permute(3, 2, 0, 1)


class InstanceNorm2d(nn.InstanceNorm2d):
    """``torch.nn.InstanceNorm2d(channels, affine=True)`` that keeps channels-last order.

    torch's own converts its input to default order, and its result to it: three times slower on CPU. Worse, for one
    channels-last image with a channels-last gradient it returns a wrong gradient without a word (torch 2.13, CPU).
    Normalising one image is batch normalisation by the batch's own statistics, of several it is group normalisation
    with a group a channel.
    """

    def __init__(self, channels: int) -> None:
        super().__init__(channels, affine=True)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """Normalises every channel of every image of ``(B, C, H, W)`` over its pixels."""
        if torch.compiler.is_compiling():  # or exporting: there is a kernel, or an operator, of its own
            return super().forward(x_BCHW)
        if len(x_BCHW) == 1:
            return F.batch_norm(x_BCHW, None, None, self.weight, self.bias, training=True, eps=self.eps)
        return F.group_norm(x_BCHW, self.num_features, self.weight, self.bias, self.eps)
