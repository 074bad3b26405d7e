"""Times a training step against plain torch and against an earlier commit.

    python benchmarks/training_step.py [--before ../before/src] [--width 8 16 64] [--tile 252 572] [--threads 1 2]

A step is forward pass, weighted cross-entropy, backward pass and SGD with momentum. *plain* is a tutorial network
(skips sliced and concatenated) in float32, in both memory orders; *before* is that of an earlier commit,
channels-last as it was trained; *after* is this commit's, with the settings of `machine.py`. All run in one
process, in turn, with this project's allocator setting. `--device cuda --batch 4` runs the step as `trainer=gpu`
does: bf16, compiled.
"""

import importlib
import itertools
import sys
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from harness import Record, Seconds, at_levels, counted, in_turn, limit_key, options
from torch import Tensor, nn

from unet_repro.geometry import layers, output_size
from unet_repro.machine import autocast, memory_order, multiplies_bf16, usable_cores, use_machine
from unet_repro.models.unet import UNet
from unet_repro.training.losses import weighted_mean

DEPTH = 4
RUN_STEPS, RUN_GOAL_S = 4000, 60  # of the scale `paper`, on a data-centre GPU
LARGE_FLOP, LARGE_ROUNDS = 2e11, 3  # on CPU, where such a step takes more than two seconds
PLAIN = {"plain NCHW": torch.contiguous_format, "plain channels-last": torch.channels_last}
BEFORE, FP32, BF16 = "before", "after, fp32", "after, bf16"

Batch = tuple[Tensor, Tensor, Tensor]
Step = Callable[[], object]


class PlainUNet(nn.Module):
    """The paper's network without optimization for speed."""

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


def unet_of(source: Path) -> type[nn.Module]:
    """The network of another checkout's `src`; restores this checkout's modules afterwards."""

    def modules() -> list[str]:
        return [name for name in sys.modules if name.split(".")[0] == "unet_repro"]

    ours = {name: sys.modules.pop(name) for name in modules()}
    sys.path.insert(0, str(source.resolve(strict=True)))
    try:
        return importlib.import_module("unet_repro.models.unet").UNet
    finally:
        sys.path.pop(0)
        for name in modules():
            del sys.modules[name]
        sys.modules.update(ours)


def random_batch(tile: int, tiles: int = 1, device: str = "cpu") -> Batch:
    out = output_size(tile, DEPTH)
    image, weights = torch.randn(tiles, 1, tile, tile), torch.rand(tiles, out, out) + 0.5
    return image.to(device), torch.randint(0, 2, (tiles, out, out)).to(device), weights.to(device)


def step_of(net: nn.Module, batch: Batch, order: torch.memory_format, precision: str = "32-true") -> Step:
    """A step; ``precision`` as in ``trainer.precision``."""
    x, classes, weights = batch
    net.to(x.device, memory_format=order)
    optimizer = torch.optim.SGD(net.parameters(), lr=1e-4, momentum=0.99)

    def step() -> None:
        optimizer.zero_grad()
        with autocast(x.device, precision):
            scores = net(x.contiguous(memory_format=order))
        weighted_mean(F.cross_entropy(scores.float(), classes, reduction="none"), weights).backward()
        optimizer.step()

    return step


def ours(width: int, batch: Batch, precision: str = "32-true") -> Step:
    device, net = batch[0].device.type, UNet(width=width)
    if device == "cuda":
        net.compile()
    return step_of(net, batch, memory_order(device, width, training=True, precision=precision), precision)


def flop(width: int, tile: int) -> int:
    """Operations of a step: forward, and twice that backward, except for the gradient of the image."""
    passed = layers((tile, tile), DEPTH, width=width)
    return 3 * sum(layer.flop for layer in passed) - passed[0].flop


def candidates(width: int, batch: Batch, before: type[nn.Module] | None) -> dict[str, Step]:
    found = {name: step_of(PlainUNet(width), batch, order) for name, order in PLAIN.items()}
    if before:
        found[BEFORE] = step_of(before(width=width), batch, torch.channels_last)
    if batch[0].device.type == "cpu":
        found[FP32] = ours(width, batch)
    if multiplies_bf16(batch[0].device.type):
        found[BF16] = ours(width, batch, "bf16-mixed")
    return found


def compared(name: str, times: dict[str, Seconds]) -> dict[str, Any]:
    """A candidate's ratio and goal."""
    seconds, best = times[name].median, min(times[plain].median for plain in PLAIN)
    if name == FP32:
        return {"ratio": seconds / best, "to": "best plain, its time", "goal": "<= 1.03"}
    if name == BF16 and BEFORE in times:
        return {"ratio": times[BEFORE].median / seconds, "to": "before, times faster", "goal": ">= 1.5"}
    return {"ratio": best / seconds, "to": "best plain, times faster"} if name == BF16 else {}


def measure(record: Record, asked: Namespace) -> None:
    on_gpu = asked.device == "cuda"
    torch.backends.cudnn.benchmark = True  # as in Lightning's Trainer
    before = unet_of(Path(asked.before)) if asked.before else None
    found: dict[tuple[int, int, int], dict[str, Seconds]] = {}
    for threads, width, tile in itertools.product(asked.threads, asked.width, asked.tile):
        use_machine(threads)
        few = not on_gpu and asked.batch * flop(width, tile) > LARGE_FLOP
        rounds, warm_up = (min(asked.rounds, LARGE_ROUNDS), 1) if few else (asked.rounds, 3)
        steps = candidates(width, random_batch(tile, asked.batch, asked.device), before)
        found[threads, width, tile] = in_turn(steps, rounds=rounds, warm_up=warm_up)
        record.raise_limits()
    for (threads, width, tile), times in found.items():
        case = f"width {width}, tile {tile}, {counted(threads)}"
        for name, seconds in times.items():
            limit = f"{'cuda_' if on_gpu else ''}{'bf16' if name == BF16 else 'fp32'}_flops"
            rate = record.limits.get(limit_key(limit, threads))
            share = asked.batch * flop(width, tile) / seconds.median / rate if rate else None
            record.add(f"{case}, {name}", seconds, share=share, **compared(name, times))
        if on_gpu and (width, tile) == (64, 572):
            whole = RUN_STEPS * times[BF16].median / RUN_GOAL_S
            record.add(f"{case}: {RUN_STEPS} steps", times[BF16], ratio=whole, to="a minute", goal="<= 1")


def main() -> None:
    cores = usable_cores()
    asked = options(__doc__, before="", rounds=5, width=[8, 16, 64], tile=[252, 572], threads=sorted({1, cores}),
                    device="cpu", batch=1)  # fmt: skip
    torch.manual_seed(0)
    title = f"Training step, batch of {asked.batch} tile{'s' * (asked.batch > 1)}"
    if asked.device == "cuda":
        record, asked.threads = Record("training_step_cuda", title), [cores]
        measure(record, asked)
        record.write()
    else:
        at_levels(Record("training_step", title), lambda record, _: measure(record, asked))


if __name__ == "__main__":
    main()
