"""Convolutions and instance normalisation with quicker gradients on CPU; the same mathematics, equal up to rounding.

Half of a training step on CPU was the gradient of convolutions' weights, for which oneDNN's channels-last kernels
reach a sixth (width 64) to a half of the rate of a matrix product. Here it is taken as matrix products over pieces that
stay in the cache, which reach nine tenths of that rate; ``weight_gradient`` says how.
"""

from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

# The other layers are left to torch, whose kernels are as quick there (benchmarks/training_step.py).
_LEAST_CHANNELS = 512  # input times output channels; but a grey image's one is worst of all in torch
_LEAST_WORK = 8e6  # these times pixels
_HEAVY_CHANNELS = 512  # of input and output, from which on weights outweigh the image
_PIECE_BYTES = 4 << 20  # of input and gradient together
_STRIPS = 4  # of an image, for products of few channels; fixed, so that sums do not depend on the number of cores
_STRIPS_VALUES = 1 << 18  # of all strips' gradients together, for one tap


class Conv2d(nn.Conv2d):
    """Unpadded convolution with stride 1, as ``torch.nn.Conv2d(in_channels, out_channels, kernel_size)``.

    In training on CPU, large layers take the gradient of their weights by ``weight_gradient``; all else is torch's own.
    """

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int) -> None:
        super().__init__(in_channels, out_channels, kernel_size)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """Convolves ``(B, in, H, W)`` to ``(B, out, H - k + 1, W - k + 1)``."""
        if self.training and _takes_products(x_BCHW, self.out_channels):
            return _Convolution.apply(x_BCHW, self.weight, self.bias)  # type: ignore[no-any-return, no-untyped-call]
        return super().forward(x_BCHW)


class UpConv2d(nn.ConvTranspose2d):
    """Transposed convolution whose kernel equals its stride, so that no two of its pixels overlap.

    As ``torch.nn.ConvTranspose2d(in_channels, out_channels, scale, scale)``; in training on CPU, large layers take the
    gradient of their weights as one matrix product.
    """

    def __init__(self, in_channels: int, out_channels: int, scale: int = 2) -> None:
        super().__init__(in_channels, out_channels, scale, scale)

    def forward(self, x_BCHW: Tensor) -> Tensor:  # type: ignore[override]  # one size fits: stride equals kernel
        """Enlarges ``(B, in, H, W)`` to ``(B, out, scale * H, scale * W)``."""
        if self.training and _takes_products(x_BCHW, self.out_channels):
            return _UpConvolution.apply(x_BCHW, self.weight, self.bias)  # type: ignore[no-any-return, no-untyped-call]
        return super().forward(x_BCHW)


def _takes_products(x_BCHW: Tensor, out_channels: int) -> bool:
    channels = x_BCHW.shape[1]
    return (
        x_BCHW.device.type == "cpu"
        and (channels * out_channels >= _LEAST_CHANNELS or channels == 1)
        and x_BCHW.numel() * out_channels >= _LEAST_WORK
    )


class _Convolution(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight)
        return F.conv2d(x, weight, bias)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor, Tensor]:
        x, weight = ctx.saved_tensors
        # Where weights outweigh the image, oneDNN is quicker in default order, even with the turning there and back.
        is_heavy = min(weight.shape[:2]) >= _HEAVY_CHANNELS
        order = torch.contiguous_format if is_heavy else torch.channels_last
        grad_x = _input_gradient(grad, x, weight, order=order) if ctx.needs_input_grad[0] else None
        return grad_x, weight_gradient(x, grad, weight.shape[-1]), grad.sum((0, 2, 3))


class _UpConvolution(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight)
        return F.conv_transpose2d(x, weight, bias, stride=weight.shape[-1])

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        x, weight = ctx.saved_tensors
        grad_x = _input_gradient(grad, x, weight, order=torch.channels_last, scale=weight.shape[-1])
        return grad_x, up_weight_gradient(x, grad, weight.shape[-1]), grad.sum((0, 2, 3))


def _input_gradient(
    grad: Tensor, x: Tensor, weight: Tensor, *, order: torch.memory_format, scale: int | None = None
) -> Tensor:
    """Torch's own gradient of the input, of a convolution or of a transposed one that enlarges by ``scale``."""
    grad_x: Tensor = torch.ops.aten.convolution_backward(
        grad.contiguous(memory_format=order),
        torch.empty_like(x, memory_format=order),  # its values are not asked for
        weight.contiguous(memory_format=order),
        None,
        [scale or 1] * 2,
        [0, 0],
        [1, 1],
        scale is not None,
        [0, 0],
        1,
        [True, False, False],
    )[0]
    return grad_x.contiguous(memory_format=torch.channels_last)


def up_weight_gradient(x_BCHW: Tensor, grad_BKhw: Tensor, scale: int) -> Tensor:
    """Gradient of the weights of a transposed convolution whose kernel equals its stride, as one matrix product.

    Args:
        x_BCHW: ``(B, C, H, W)``, the input.
        grad_BKhw: ``(B, K, scale * H, scale * W)``, the output's gradient.
        scale: Kernel and stride.

    Returns:
        ``(C, K, scale, scale)``.
    """
    (B, C, H, W), K = x_BCHW.shape, grad_BKhw.shape[1]
    # One row for each pixel of the input: the square of the output that it alone made.
    squares = grad_BKhw.permute(0, 2, 3, 1).reshape(B, H, scale, W, scale, K).transpose(2, 3).reshape(B * H * W, -1)
    product = x_BCHW.permute(0, 2, 3, 1).reshape(-1, C).t() @ squares
    return product.view(C, scale, scale, K).permute(0, 3, 1, 2)


def weight_gradient(x_BCHW: Tensor, grad_BKhw: Tensor, kernel: int) -> Tensor:
    """Gradient of the weights of an unpadded convolution with stride 1, as matrix products.

    In channels-last order an image is a matrix, a row a pixel. The gradient of the tap ``(i, j)`` of the kernel is the
    product of the input's rows with those of the output's gradient, ``i`` image rows and ``j`` pixels further back. A
    window of ``kernel`` neighbouring pixels of the gradient serves all ``j`` at once; strips of the image are the batch
    of a batched product, since few channels alone make a product too small for its processor.

    Args:
        x_BCHW: ``(B, C, H, W)``, the input.
        grad_BKhw: ``(B, K, H - kernel + 1, W - kernel + 1)``, the output's gradient.
        kernel: Side of the kernel.

    Returns:
        ``(K, C, kernel, kernel)``.
    """
    images, grads = (t.permute(0, 2, 3, 1).contiguous() for t in (x_BCHW, grad_BKhw))  # (B, H, W, C), (B, h, w, K)
    (_, _, width, channels), (_, h, w, out_channels) = images.shape, grads.shape
    strips = max(1, min(_STRIPS, _STRIPS_VALUES // (channels * out_channels)))
    row_bytes = images.element_size() * width * (channels + kernel * out_channels)
    piece = max(1, _PIECE_BYTES // (row_bytes * strips))  # image rows of a strip that stay in the cache
    # Many weights are summed in the order that channels-last ones have: turning them takes as long as the products.
    has_many = strips < _STRIPS
    sides = (kernel * out_channels, channels)
    taps = images.new_zeros(kernel, strips, *(sides if has_many else sides[::-1]))
    # Filled where the kernel stays inside the image; zero elsewhere.
    windows = images.new_zeros(strips, piece, width, kernel, out_channels)

    def add(image: Tensor, grad: Tensor, strips: int) -> None:
        high = len(grad) // strips
        for first in range(0, high, piece):
            rows = min(piece, high - first)
            window = windows[:strips, :rows]
            for j in range(kernel):
                window[:, :, j : j + w, j] = grad.view(strips, high, w, out_channels)[:, first : first + rows]
            neighbours = window.reshape(strips, rows * width, -1)
            for i in range(kernel):
                pixels = image[first + i :].as_strided(
                    (strips, rows * width, channels), (high * width * channels, channels, 1)
                )
                left, right = (neighbours, pixels) if has_many else (pixels, neighbours)
                taps[i, :strips].baddbmm_(left.mT, right)

    whole = h // strips * strips
    for image, grad in zip(images, grads, strict=True):
        add(image, grad[:whole], strips)
        add(image[whole:], grad[whole:], 1)
    sums = taps.sum(1)
    if has_many:
        return sums.view(kernel, kernel, out_channels, channels).permute(2, 3, 0, 1)
    return sums.view(kernel, channels, kernel, out_channels).permute(3, 1, 0, 2)


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
