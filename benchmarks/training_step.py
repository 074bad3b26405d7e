"""Times a training step (forward, weighted cross-entropy, backward, optimizer) against a plain implementation.

    python benchmarks/training_step.py [--rounds 7] [--width 8 16 64] [--tile 252 572]

*plain NCHW* is the network as tutorials write it: default memory order, sliced and concatenated skips, log-softmax and
weighting as torch's functions, a loop over parameters in the optimizer. Batch 1, SGD with momentum, all cores; in turn.
"""

import argparse
import itertools
import os
from collections.abc import Callable

import torch
import torch.nn.functional as F  # noqa: N812
from harness import Record, in_turn
from torch import Tensor, nn

from unet_repro.geometry import layers, output_size
from unet_repro.losses import weighted_mean
from unet_repro.models.unet import UNet
from unet_repro.placement import use_machine

DEPTH = 4
SIDE, PRODUCTS = 2048, 10


class PlainUNet(nn.Module):
    """The paper's network without any care for speed."""

    def __init__(self, width: int) -> None:
        super().__init__()
        widths = [width * 2**level for level in range(DEPTH + 1)]
        self.down = nn.ModuleList(self.double(a, b) for a, b in zip([1, *widths], widths, strict=False))
        self.up = nn.ModuleList(nn.ConvTranspose2d(2 * c, c, 2, 2) for c in widths[-2::-1])
        self.join = nn.ModuleList(self.double(2 * c, c) for c in widths[-2::-1])
        self.head = nn.Conv2d(width, 2, 1)

    @staticmethod
    def double(a: int, b: int) -> nn.Module:
        return nn.Sequential(nn.Conv2d(a, b, 3), nn.ReLU(), nn.Conv2d(b, b, 3), nn.ReLU())

    def forward(self, x: Tensor) -> Tensor:
        skips = []
        for level, block in enumerate(self.down):
            x = block(F.max_pool2d(x, 2) if level else x)
            skips.append(x)
        x = F.dropout(skips.pop(), 0.5, self.training)
        for up, join in zip(self.up, self.join, strict=True):
            x = up(x)
            skip = skips.pop()
            margin = (skip.shape[-1] - x.shape[-1]) // 2
            x = join(torch.cat([skip[..., margin:-margin, margin:-margin], x], 1))
        return self.head(x)


Batch = tuple[Tensor, Tensor, Tensor]


def random_batch(tile: int) -> Batch:
    out = output_size(tile, DEPTH)
    return torch.randn(1, 1, tile, tile), torch.randint(0, 2, (1, out, out)), torch.rand(1, out, out) + 0.5


def plain(width: int, batch: Batch) -> Callable[[], object]:
    net = PlainUNet(width)
    optimizer = torch.optim.SGD(net.parameters(), lr=1e-4, momentum=0.99)
    x, classes, weights = batch

    def step() -> None:
        optimizer.zero_grad()
        losses = F.nll_loss(F.log_softmax(net(x), 1), classes, reduction="none")
        ((losses * weights).sum() / weights.sum()).backward()
        optimizer.step()

    return step


def ours(width: int, batch: Batch) -> Callable[[], object]:
    net = UNet(width=width).to(memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(net.parameters(), lr=1e-4, momentum=0.99)
    x, classes, weights = batch

    def step() -> None:
        optimizer.zero_grad()
        scores = net(x.contiguous(memory_format=torch.channels_last))
        weighted_mean(F.cross_entropy(scores, classes, reduction="none"), weights).backward()
        optimizer.step()

    return step


def product() -> Callable[[], object]:
    """A matrix product, the machine's limit, timed beside the steps so that both find the machine equally busy."""
    a, b = torch.randn(2, SIDE, SIDE)
    out = torch.empty(SIDE, SIDE)
    return lambda: [torch.mm(a, b, out=out) for _ in range(PRODUCTS)]


def flop(width: int, tile: int) -> int:
    """Operations of a step: forward, and twice that backward, but for the gradient of the image."""
    passed = layers((tile, tile), DEPTH, width=width)
    return 3 * sum(layer.flop for layer in passed) - passed[0].flop


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--width", type=int, nargs="+", default=[8, 16, 64])
    parser.add_argument("--tile", type=int, nargs="+", default=[252, 572])
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    asked = parser.parse_args()
    use_machine(asked.threads)
    torch.manual_seed(0)
    record = Record("training_step", "Training step, batch of one tile")
    found = {}
    for width, tile in itertools.product(asked.width, asked.tile):
        batch = random_batch(tile)
        candidates = {"plain": plain(width, batch), "ours": ours(width, batch), "product": product()}
        found[width, tile] = in_turn(candidates, rounds=asked.rounds, warm_up=2)
        record.raise_limits()
    for (width, tile), times in found.items():
        name = f"width {width}, tile {tile}"
        record.add(f"{name}, plain NCHW", times["plain"])
        faster = times["plain"].median / times["ours"].median
        goal = ">= 1.6" if (width, tile) == (8, 572) else ""
        record.add(f"{name}", times["ours"], ratio=faster, to="plain NCHW, times faster", goal=goal)
        limit = PRODUCTS * 2 * SIDE**3 / times["product"].median
        rate = flop(width, tile) / times["ours"].median / limit
        goal = ">= 0.85" if (width, tile) == (64, 572) else ""
        record.add(f"{name}: operations", times["ours"], ratio=rate, to="fp32 matrix product, in turn", goal=goal)
    record.write()


if __name__ == "__main__":
    main()
