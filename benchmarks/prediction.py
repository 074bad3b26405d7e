"""Prediction of large images: against MONAI's sliding window, from disk to disk, and what reading and writing cost.

    python benchmarks/prediction.py [--side 4096] [--large 16384] [--width 8]

Everything that is compared runs in one call, in turn; untrained networks take as long as trained ones. The MONAI rows
use the allocator setting that this program makes for its process too.
"""

import argparse
import copy
import dataclasses
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import tifffile
import torch
import yaml
from harness import Record, Row, in_turn
from monai.inferers import sliding_window_inference
from monai.networks.nets import BasicUNet
from torch import nn

from unet_repro.commands.hydra_app import compose
from unet_repro.config import check
from unet_repro.data.normalise import Normalisation, normaliser
from unet_repro.inference.planner import NetworkShape, describe, plan_within
from unet_repro.inference.volume import Plane, predict_plane
from unet_repro.models.unet import UNet
from unet_repro.placement import use_machine
from unet_repro.runs.checkpoint import write_checkpoint
from unet_repro.runs.folder import RunFolder, write_atomically
from unet_repro.runs.network import describe_network

GREY = Normalisation((128.0,), (60.0,))
CPU = torch.device("cpu")
SMALL = 256  # side of an image whose command is nothing but start
# Runs a command and prints its peak memory in kB. A process's own peak begins at that of the one that started it, so
# this one, which holds nothing, stands between.
WATCHED = (
    "import resource, subprocess, sys\n"
    "subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL, check=True)\n"
    "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
)


class SamePadded(nn.Module):
    """The same network with padded convolutions: its output is as large as its input."""

    def __init__(self, net: UNet) -> None:
        super().__init__()
        self.net = copy.deepcopy(net)
        for module in self.net.modules():
            if isinstance(module, nn.Conv2d) and module.kernel_size == (3, 3):
                module.padding = (1, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        skips = []
        for level, block in enumerate(self.net.down):
            x = block(self.net.pool(x) if level else x)
            skips.append(x)
        x = skips.pop()
        for block in self.net.up:
            x = block.conv(torch.cat([skips.pop(), block.up(x)], 1))
        return self.net.head(x)


def image_of(side: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (side, side), np.uint8)


def ours(net: UNet, image: np.ndarray, shape: NetworkShape) -> np.ndarray:
    classes = np.empty(image.shape, np.uint8)
    plan = plan_within(image.shape, shape)

    def take(piece):
        height, width = piece.scores.shape[1:]
        classes[piece.top : piece.top + height, piece.left : piece.left + width] = piece.scores.argmax(0).numpy()

    def read(top: int, left: int, height: int, width: int) -> np.ndarray:
        return image[None, top : top + height, left : left + width]

    predict_plane(net, Plane(read, normaliser(GREY, image.dtype), image.shape[1]), plan, take, device=CPU)
    return classes


def sliding_window(net: nn.Module, x: torch.Tensor, roi: int, layout: torch.memory_format) -> torch.Tensor:
    net.to(memory_format=layout)
    with torch.inference_mode():
        return sliding_window_inference(x, (roi, roi), 1, net, overlap=0.25).argmax(1)


def against_monai(record: Record, side: int, width: int, rounds: int) -> None:
    torch.manual_seed(0)
    shape, image = NetworkShape(4, width, 1, 2), image_of(side)
    net = UNet(width=width).eval().to(memory_format=torch.channels_last)
    same = SamePadded(net).eval()
    basic = BasicUNet(2, 1, 2, features=(width, 2 * width, 4 * width, 8 * width, 16 * width, width)).eval()
    x = torch.from_numpy(GREY.apply(image))[None]
    plain, last = torch.contiguous_format, torch.channels_last
    own = f"overlap-tile, unpadded, {describe(plan_within(image.shape, shape), shape)}"
    candidates: dict[str, Callable[[], object]] = {own: lambda: ours(net, image, shape)}
    for name, peer, roi, layout in (
        ("MONAI sliding_window_inference, same-padded twin, roi 512", same, 512, plain),
        ("the same, channels_last", same, 512, last),
        ("the same, roi 1024, channels_last", same, 1024, last),
        ("MONAI sliding_window_inference, BasicUNet, roi 512", basic, 512, plain),
    ):
        candidates[name] = lambda peer=peer, roi=roi, layout=layout: sliding_window(peer, x, roi, layout)
    times = in_turn(candidates, rounds=rounds)
    for name, seconds in times.items():
        record.add(name, seconds, ratio=seconds.median / times[own].median, to="overlap-tile, its time")
    alone_s = network_alone(net, image.shape, shape)
    over = times[own].median / alone_s
    record.add("overlap-tile: with reading from memory, normalising, stitching", times[own], ratio=over,
               to="the network alone on the same tiles, its time")  # fmt: skip


def network_alone(net: UNet, image_hw: tuple[int, int], shape: NetworkShape, passes: int = 8) -> float:
    """Seconds of all tiles of a plan, from some of them, warm."""
    plan = plan_within(image_hw, shape)
    x = torch.zeros(1, shape.in_channels, *plan.tile_hw).to(memory_format=torch.channels_last)
    with torch.inference_mode():
        net(x)
        start = time.perf_counter()
        for _ in range(passes):
            net(x)
    return (time.perf_counter() - start) / passes * len(plan.offsets)


def make_run(path: Path, width: int) -> None:
    folder = RunFolder(path)
    config = check(compose("train", [f"model.width={width}"]))
    write_atomically(folder.config, yaml.safe_dump(dataclasses.asdict(config)))
    describe_network(folder, GREY, ("membrane", "cell"))
    torch.manual_seed(0)
    state = UNet(width=width, dropout=0.1).state_dict()
    write_checkpoint(folder.best, {"state_dict": {f"net.{name}": value for name, value in state.items()}})


def disk_to_disk(record: Record, sides: list[int], width: int) -> None:
    """Whole commands, less the seconds that one takes for a small image: start and imports."""
    shape = NetworkShape(4, width, 1, 2)
    net = UNet(width=width).eval().to(memory_format=torch.channels_last)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        make_run(folder / "run", width)
        start_s = 0.0
        for side in (SMALL, SMALL, *sides):  # the first one fills the disk's cache
            mapped = tifffile.memmap(folder / "in.tif", shape=(side, side), dtype=np.uint8)
            for top in range(0, side, 1024):
                rows = mapped[top : top + 1024]
                rows[:] = np.random.default_rng(top).integers(0, 256, rows.shape, np.uint8)
            mapped.flush()
            del mapped, rows
            command = [
                sys.executable, "-c", WATCHED, sys.executable, "-m", "unet_repro", "predict", f"run={folder / 'run'}",
                f"input={folder / 'in.tif'}", f"output={folder / 'out.tif'}",
            ]  # fmt: skip
            start = time.perf_counter()
            peak_kb = int(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)
            taken = time.perf_counter() - start
            net_s = taken - start_s
            if side == SMALL:
                start_s = taken
            else:
                name = f"{side} x {side}, 8 bit TIFF, disk to disk"
                over = net_s / network_alone(net, (side, side), shape)
                record.rows += [
                    Row(f"{name}, with the start", taken, "s"),
                    Row(name, net_s, "s", ratio=over, to="the network alone on the same tiles, its time"),
                    Row(f"{name}: a pixel", net_s / side**2 * 1e9, "ns"),
                    Row(f"{name}: memory at most", peak_kb / 1e6, "GB"),
                ]
            (folder / "in.tif").unlink()
            (folder / "out.tif").unlink()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--side", type=int, default=4096)
    parser.add_argument("--large", type=int, default=16384)
    parser.add_argument("--width", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    use_machine(len(os.sched_getaffinity(0)))
    record = Record("prediction", f"Prediction of a {asked.side} x {asked.side} image, width {asked.width}")
    record.raise_limits()
    against_monai(record, asked.side, asked.width, asked.rounds)
    disk_to_disk(record, [asked.side, asked.large], asked.width)
    record.write()
