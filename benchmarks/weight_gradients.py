"""Gradients of the convolutions' weights in one step: torch's own against those of ``models/conv.py``.

    python benchmarks/weight_gradients.py [--width 8 64] [--tile 572] [--rounds 5]

Of all layers that take their gradient by products in training, each timed for itself, and summed. torch's own in
channels-last order, which the network has, and in default order. The limit is a matrix product in turn.
"""

import argparse
import os
from collections import defaultdict
from collections.abc import Callable

import torch
from harness import Record, Seconds, in_turn
from torch import Tensor, nn
from training_step import product, random_batch

from unet_repro.models import conv
from unet_repro.models.unet import UNet
from unet_repro.placement import use_machine

OURS, LAST, DEFAULT = "by products", "torch, channels-last", "torch, default order"


def inputs(width: int, tile: int) -> list[tuple[nn.Module, tuple[int, ...]]]:
    """The network's layers that take products, each with the shape of its input."""
    found: list[tuple[nn.Module, tuple[int, ...]]] = []

    def note(module: nn.Module, arguments: tuple[Tensor], out: Tensor) -> None:
        if type(out.grad_fn).__name__ in ("_ConvolutionBackward", "_UpConvolutionBackward"):
            found.append((module, tuple(arguments[0].shape)))

    net = UNet(width=width).to(memory_format=torch.channels_last)
    for module in net.modules():
        if isinstance(module, conv.Conv2d | conv.UpConv2d):
            module.register_forward_hook(note)
    net(random_batch(tile)[0])
    return found


def candidates(layer: nn.Module, shape: tuple[int, ...]) -> tuple[dict[str, Callable[[], object]], int]:
    """Ways to the gradient of a layer's weights, and its number of operations."""
    up = isinstance(layer, conv.UpConv2d)
    weight = layer.weight.detach()
    scale, kernel = (weight.shape[-1], 1) if up else (1, weight.shape[-1])
    height, width = (scale * (side - kernel + 1) for side in shape[2:])
    channels = weight.shape[1 if up else 0]
    x, grad = torch.randn(shape), torch.randn(shape[0], channels, height, width)

    def by_torch(order: torch.memory_format) -> Callable[[], object]:
        x_, grad_, weight_ = (tensor.contiguous(memory_format=order) for tensor in (x, grad, weight))
        return lambda: torch.ops.aten.convolution_backward(
            grad_, x_, weight_, None, [scale] * 2, [0, 0], [1, 1], up, [0, 0], 1, [False, True, False]
        )

    ours = conv.up_weight_gradient if up else conv.weight_gradient
    x_, grad_ = (tensor.contiguous(memory_format=torch.channels_last) for tensor in (x, grad))
    ways = {
        LAST: by_torch(torch.channels_last),
        DEFAULT: by_torch(torch.contiguous_format),
        OURS: lambda: ours(x_, grad_, scale if up else kernel),
    }
    return ways, 2 * height * width * shape[1] * channels * kernel**2


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--width", type=int, nargs="+", default=[8, 64])
    parser.add_argument("--tile", type=int, default=572)
    parser.add_argument("--rounds", type=int, default=5)
    asked = parser.parse_args()
    use_machine(len(os.sched_getaffinity(0)))
    torch.manual_seed(0)
    record = Record("weight_gradients", f"Gradients of weights in a step, tile {asked.tile}, layers that take products")
    record.raise_limits()
    products, product_flop = product("cpu")
    for width in asked.width:
        sums: dict[tuple[str, str], list[Seconds]] = defaultdict(list)
        layers: dict[str, int] = defaultdict(int)
        limits: dict[str, float] = defaultdict(float)  # seconds that the operations take at the rate of a product
        for layer, shape in inputs(width, asked.tile):
            kind = "up-convolutions" if isinstance(layer, conv.UpConv2d) else "convolutions"
            ways, flop = candidates(layer, shape)
            times = in_turn({**ways, "": products}, rounds=asked.rounds)
            limits[kind] += flop / product_flop * times.pop("").median
            layers[kind] += 1
            for way, seconds in times.items():
                sums[kind, way].append(seconds)
        record.raise_limits()
        for (kind, way), seconds in sums.items():
            whole = Seconds(*(sum(getattr(s, part) for s in seconds) for part in ("median", "low", "high")))
            record.add(f"width {width}, {layers[kind]} {kind}, {way}", whole, ratio=limits[kind] / whole.median,
                       to="fp32 matrix product, in turn")  # fmt: skip
    record.write()


if __name__ == "__main__":
    main()
