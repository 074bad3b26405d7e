"""The U-Net of Ronneberger, Fischer and Brox (MICCAI 2015, arXiv:1505.04597), figure 1: unpadded convolutions.

Tensor names: B batch, C channels, H W input, h w output, K classes.
"""

import math
from typing import Literal

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from unet_repro.geometry import geometry_of

Norm = Literal["none", "batch", "instance", "group"]
KERNEL = 3


class InstanceNorm2d(nn.InstanceNorm2d):
    """``torch.nn.InstanceNorm2d(channels, affine=True)`` that keeps channels-last order.

    torch's own converts input and result to default order, which is three times slower on CPU. Also, for one
    channels-last image with a channels-last gradient it silently returns a wrong gradient (torch 2.13, CPU).
    For one image this is batch normalisation with the batch's own statistics, for several group normalisation
    with one group per channel.
    """

    def __init__(self, channels: int) -> None:
        super().__init__(channels, affine=True)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """Normalises every channel of every image of ``(B, C, H, W)`` over its pixels."""
        if torch.compiler.is_compiling():  # or exporting: both have their own kernel
            return super().forward(x_BCHW)
        if len(x_BCHW) == 1:
            return F.batch_norm(x_BCHW, None, None, self.weight, self.bias, training=True, eps=self.eps)
        return F.group_norm(x_BCHW, self.num_features, self.weight, self.bias, self.eps)


def _norm(kind: Norm, channels: int) -> list[nn.Module]:
    match kind:
        case "none":  # paper: no normalisation
            return []
        case "batch":
            return [nn.BatchNorm2d(channels)]
        case "instance":
            return [InstanceNorm2d(channels)]
        case "group":
            return [nn.GroupNorm(math.gcd(8, channels), channels)]
    raise ValueError(f"norm must be none, batch, instance or group, not {kind!r}")


class DoubleConv(nn.Sequential):
    """Two unpadded 3x3 convolutions, each with ReLU: ``(B, in, H, W)`` to ``(B, out, H - 4, W - 4)``."""

    def __init__(self, in_channels: int, out_channels: int, *, norm: Norm) -> None:
        layers: list[nn.Module] = []
        for channels in (in_channels, out_channels):
            layers += [
                nn.Conv2d(channels, out_channels, KERNEL),
                *_norm(norm, out_channels),
                nn.ReLU(inplace=True),
            ]
        super().__init__(*layers)


class Up(nn.Module):
    """Up-convolution, concatenation with the centre of the skip, two convolutions."""

    def __init__(self, in_channels: int, out_channels: int, *, norm: Norm) -> None:
        super().__init__()
        self.up = nn.ConvTranspose2d(in_channels, out_channels, 2, 2)
        self.conv = DoubleConv(2 * out_channels, out_channels, norm=norm)

    def forward(self, below: Tensor, skip: Tensor) -> Tensor:
        """Joins ``(B, 2C, H, W)`` from below with ``(B, C, H', W')``, H' >= 2H, to ``(B, C, 2H - 4, 2W - 4)``."""
        above = self.up(below)  # (B, C, 2H, 2W)
        return self.conv(torch.cat([crop_to(skip, above), above], dim=1))  # type: ignore[no-any-return]


def crop_to(skip: Tensor, target: Tensor) -> Tensor:
    """Crops the centre of ``skip`` to the size of ``target``; for legal tiles all margins are equal."""
    rows, columns = ((skip.shape[axis] - target.shape[axis]) // 2 for axis in (-2, -1))
    if torch.is_grad_enabled() and skip.is_contiguous(memory_format=torch.channels_last):
        # Negative padding, not a slice: its gradient stays channels-last, which saves an eighth of a training step.
        return F.pad(skip, (-columns, -columns, -rows, -rows))
    return skip[..., rows : -rows or None, columns : -columns or None]


class UNet(nn.Module):
    """Contracting path, expanding path, 1x1 convolution to class scores.

    Args:
        in_channels: Channels of the image.
        num_classes: Classes, one score map each.
        width: Channels of the first level, doubled at each level below (paper: 64).
        depth: Number of max-pools (paper: 4).
        dropout: Probability at the end of the contracting path (section 3.1; the paper states no probability).
        norm: Normalisation after each convolution; ``none`` as in the paper.

    It declares its legal tile sizes as ``tile_geometry``.

    At width 64, depth 4, one channel and two classes it has 23 convolutional layers and 31,030,658 parameters.

    >>> UNet(1, 2, width=4, depth=1)(torch.zeros(1, 1, 20, 20)).shape
    torch.Size([1, 2, 4, 4])
    """

    def __init__(
        self,
        in_channels: int = 1,
        num_classes: int = 2,
        *,
        width: int = 64,
        depth: int = 4,
        dropout: float = 0.1,
        norm: Norm = "none",
    ) -> None:
        super().__init__()
        self.in_channels, self.num_classes, self.depth = in_channels, num_classes, depth
        self.tile_geometry = geometry_of(depth, KERNEL)
        widths = [width * 2**level for level in range(depth + 1)]
        self.down = nn.ModuleList(
            DoubleConv(before, after, norm=norm) for before, after in zip([in_channels, *widths], widths, strict=False)
        )
        self.pool = nn.MaxPool2d(2)
        self.dropout = nn.Dropout(dropout)
        self.up = nn.ModuleList(Up(2 * channels, channels, norm=norm) for channels in reversed(widths[:-1]))
        self.head = nn.Conv2d(width, num_classes, 1)
        self.apply(_initialise)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """Class scores of the tile's valid centre.

        Args:
            x_BCHW: ``(B, C, H, W)`` float, H and W legal tile sizes, not necessarily equal.

        Returns:
            ``(B, K, h, w)`` scores before the softmax, ``h = H - 2 * halo(depth)``.

        Raises:
            GeometryError: If H or W is not legal; names the nearest legal sizes.
        """
        for size in x_BCHW.shape[-2:]:
            self.tile_geometry.output_size(size)
        x = x_BCHW
        skips: list[Tensor] = []
        for level, block in enumerate(self.down):
            x = block(self.pool(x) if level else x)
            skips.append(x)
        x = self.dropout(skips.pop())
        for block in self.up:
            x = block(x, skips.pop())
        return self.head(x)  # type: ignore[no-any-return]


def _initialise(module: nn.Module) -> None:
    """Weights ~ N(0, sqrt(2 / N)), N incoming nodes of one neuron (section 3, after He et al. 2015); biases zero."""
    if isinstance(module, nn.Conv2d):
        nn.init.kaiming_normal_(module.weight, mode="fan_in", nonlinearity="relu")
    elif isinstance(module, nn.ConvTranspose2d):
        # Stride equals kernel: each output pixel sees one tap of every input channel.
        nn.init.normal_(module.weight, std=(2 / module.in_channels) ** 0.5)
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d) and module.bias is not None:
        nn.init.zeros_(module.bias)
