"""Times a training step (forward, weighted cross-entropy, backward, optimizer) against a plain implementation.

    python benchmarks/training_step.py [--rounds 7] [--width 8 16 64] [--tile 252 572] [--device cpu] [--batch 1]

*plain NCHW* is the network as tutorials write it: default memory order, sliced and concatenated skips, log-softmax and
weighting as torch's functions. SGD with momentum, all cores; in turn. With `--device cuda --batch 4` ours is as
`trainer=gpu` runs it, bf16 and compiled, and the limit a bf16 matrix product.
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
RUN_STEPS, RUN_GOAL_S = 4000, 60  # of the scale `paper`, on a data-centre GPU


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


def random_batch(tile: int, tiles: int = 1, device: str = "cpu") -> Batch:
    out = output_size(tile, DEPTH)
    image, weights = torch.randn(tiles, 1, tile, tile), torch.rand(tiles, out, out) + 0.5
    return image.to(device), torch.randint(0, 2, (tiles, out, out)).to(device), weights.to(device)


def plain(width: int, batch: Batch) -> Callable[[], object]:
    x, classes, weights = batch
    net = PlainUNet(width).to(x.device)
    optimizer = torch.optim.SGD(net.parameters(), lr=1e-4, momentum=0.99)

    def step() -> None:
        optimizer.zero_grad()
        losses = F.nll_loss(F.log_softmax(net(x), 1), classes, reduction="none")
        ((losses * weights).sum() / weights.sum()).backward()
        optimizer.step()

    return step


def ours(width: int, batch: Batch) -> Callable[[], object]:
    x, classes, weights = batch
    on_gpu = x.device.type == "cuda"
    net = UNet(width=width).to(x.device, memory_format=torch.channels_last)
    if on_gpu:
        net.compile()
    optimizer = torch.optim.SGD(net.parameters(), lr=1e-4, momentum=0.99)

    def step() -> None:
        optimizer.zero_grad()
        with torch.autocast(x.device.type, torch.bfloat16, enabled=on_gpu):
            scores = net(x.contiguous(memory_format=torch.channels_last))
            loss = weighted_mean(F.cross_entropy(scores, classes, reduction="none"), weights)
        loss.backward()
        optimizer.step()

    return step


def product(device: str) -> tuple[Callable[[], object], int]:
    """The machine's limit, timed beside the steps so that both find it equally busy.

    Returns:
        Matrix products, and their number of operations.
    """
    side, number, kind = (8192, 10, torch.bfloat16) if device == "cuda" else (2048, 3, torch.float32)
    a, b = torch.randn(2, side, side, device=device, dtype=kind)
    out = torch.empty_like(a)
    return lambda: [torch.mm(a, b, out=out) for _ in range(number)], number * 2 * side**3


def flop(width: int, tile: int) -> int:
    """Operations of a step: forward, and twice that backward, but for the gradient of the image."""
    passed = layers((tile, tile), DEPTH, width=width)
    return 3 * sum(layer.flop for layer in passed) - passed[0].flop


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--width", type=int, nargs="+", default=[8, 16, 64])
    parser.add_argument("--tile", type=int, nargs="+", default=[252, 572])
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--batch", type=int, default=1, help="tiles a step")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    asked = parser.parse_args()
    use_machine(asked.threads)
    torch.manual_seed(0)
    on_gpu = asked.device == "cuda"
    name = "training_step_cuda" if on_gpu else "training_step"
    record = Record(name, f"Training step, batch of {asked.batch} {'tile' if asked.batch == 1 else 'tiles'}")
    record.raise_limits()
    limit = f"{'bf16' if on_gpu else 'fp32'} matrix product, in turn"
    products, product_flop = product(asked.device)
    for width, tile in itertools.product(asked.width, asked.tile):
        batch = random_batch(tile, asked.batch, asked.device)
        candidates = {"plain": plain(width, batch), "ours": ours(width, batch), "product": products}
        times = in_turn(candidates, rounds=asked.rounds, warm_up=2)
        record.raise_limits()
        name, largest = f"width {width}, tile {tile}", (width, tile) == (64, 572)
        record.add(f"{name}, plain NCHW", times["plain"])
        faster = times["plain"].median / times["ours"].median
        goal = ">= 1.6" if (width, tile) == (8, 572) and not on_gpu else ""
        record.add(f"{name}", times["ours"], ratio=faster, to="plain NCHW, times faster", goal=goal)
        rate = asked.batch * flop(width, tile) / times["ours"].median / (product_flop / times["product"].median)
        goal = (">= 0.4" if on_gpu else ">= 0.85") if largest else ""
        record.add(f"{name}: operations", times["ours"], ratio=rate, to=limit, goal=goal)
        if largest and on_gpu:
            share = RUN_STEPS * times["ours"].median / RUN_GOAL_S
            record.add(f"{name}: {RUN_STEPS} steps", times["ours"], ratio=share, to="a minute", goal="<= 1")
    record.write()


if __name__ == "__main__":
    main()
