"""Prediction of large images: against MONAI's sliding window, from disk to disk, and the cost of input and output.

    python benchmarks/prediction.py [--side 4096] [--large 16384] [--width 8]

All candidates run in one call, in turn; untrained networks take as long as trained ones. MONAI is
measured at its defaults (default memory order, roi 512) and at its best (channels-last, roi 1024), with a
same-padded twin of the network. All rows use this project's allocator setting. Whole commands run at the native level.
"""

import copy
import dataclasses
import tempfile
import time
from argparse import Namespace
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import tifffile
import torch
import yaml
from harness import UNET_REPRO, Record, Row, at_levels, in_turn, options, run
from monai.inferers import sliding_window_inference
from monai.networks.nets import BasicUNet
from torch import Tensor, nn

from unet_repro.commands.hydra_app import compose
from unet_repro.config import check
from unet_repro.data.normalise import Normalisation, normaliser
from unet_repro.files import write_atomically
from unet_repro.inference.planner import NetworkShape, describe, plan_within
from unet_repro.inference.volume import Plane, predict_plane
from unet_repro.machine import autocast, memory_order, multiplies_bf16, usable_cores, use_machine
from unet_repro.models.unet import UNet
from unet_repro.runs.checkpoint import write_checkpoint
from unet_repro.runs.folder import RunFolder
from unet_repro.runs.network import describe_network

GREY = Normalisation((128.0,), (60.0,))
CPU = torch.device("cpu")
SMALL = 256  # side of an image whose command takes only start-up time
ALONE = "the network alone on the same tiles, its time"
PLAIN, LAST = torch.contiguous_format, torch.channels_last
# Runs a command and prints its peak memory in kB. A process inherits the peak of its parent, so
# this small process is in between.
WATCHED = (
    "import resource, subprocess, sys\n"
    "subprocess.run([sys.executable, *sys.argv[1:]], stdout=subprocess.DEVNULL, check=True)\n"
    "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
)

Net = Callable[[Tensor], Tensor]


class SamePadded(nn.Module):
    """The same network with padded convolutions, whose output is as large as its input."""

    def __init__(self, net: UNet) -> None:
        super().__init__()
        self.net = copy.deepcopy(net)
        for module in self.net.modules():
            if isinstance(module, nn.Conv2d) and module.kernel_size == (3, 3):
                module.padding = (1, 1)

    def forward(self, x: Tensor) -> Tensor:
        skips = []
        for level, block in enumerate(self.net.down):
            x = block(self.net.pool(x) if level else x)
            skips.append(x)
        x = skips.pop()
        for block in self.net.up:
            x = block.conv(torch.cat([skips.pop(), block.up(x)], 1))
        return self.net.head(x)


def precisions() -> tuple[str, ...]:
    """As `unet_repro predict` calls them."""
    return ("32", "bf16") if multiplies_bf16() else ("32",)


def network(net: nn.Module, precision: str, order: torch.memory_format) -> Net:
    net = copy.deepcopy(net).eval().to(memory_format=order)

    def scores(x: Tensor) -> Tensor:
        with autocast(CPU, precision):
            return net(x)

    return scores


def ours(net: Net, image: np.ndarray, shape: NetworkShape) -> np.ndarray:
    classes = np.empty(image.shape, np.uint8)
    plan = plan_within(image.shape, shape)

    def take(piece):
        height, width = piece.scores.shape[1:]
        classes[piece.top : piece.top + height, piece.left : piece.left + width] = piece.scores.argmax(0).numpy()

    def read(top: int, left: int, height: int, width: int) -> np.ndarray:
        return image[None, top : top + height, left : left + width]

    predict_plane(net, Plane(read, normaliser(GREY, image.dtype), image.shape[1]), plan, take, device=CPU)
    return classes


def sliding_window(net: Net, x: Tensor, roi: int) -> Tensor:
    with torch.inference_mode():
        return sliding_window_inference(x, (roi, roi), 1, net, overlap=0.25).argmax(1)


def against_monai(record: Record, side: int, width: int, rounds: int) -> None:
    shape, image = NetworkShape(4, width, 1, 2), np.random.default_rng(0).integers(0, 256, (side, side), np.uint8)
    net = UNet(width=width)
    same, basic = SamePadded(net), BasicUNet(2, 1, 2, features=(*(width * 2**level for level in range(5)), width))
    x = torch.from_numpy(GREY.apply(image))[None]
    own = f"overlap-tile, unpadded, {describe(plan_within(image.shape, shape), shape)}"
    best = "MONAI at its best: channels-last, roi 1024"
    order = memory_order("cpu", width, training=False)
    candidates: dict[str, Callable[[], object]] = {
        "MONAI at its defaults: roi 512": partial(sliding_window, network(same, "32", PLAIN), x, 512),
        "MONAI at its defaults, BasicUNet: roi 512": partial(sliding_window, network(basic, "32", PLAIN), x, 512),
    }
    for precision in precisions():
        candidates[f"{best}, {precision}"] = partial(sliding_window, network(same, precision, LAST), x, 1024)
        candidates[f"{own}, {precision}"] = partial(ours, network(net, precision, order), image, shape)
    times = in_turn(candidates, rounds=rounds)
    for name, seconds in times.items():
        if not name.startswith(own):
            slower = seconds.median / times[f"{own}, 32"].median
            record.add(name, seconds, ratio=slower, to="overlap-tile in 32, its time")
    for precision in precisions():
        seconds = times[f"{own}, {precision}"]
        faster, goal = times[f"{best}, {precision}"].median / seconds.median, ">= 1.5" if precision == "32" else ""
        record.add(f"{own}, {precision}", seconds, ratio=faster, to=f"MONAI's best in {precision}, times faster",
                   goal=goal)  # fmt: skip
        over = seconds.median / network_alone(network(net, precision, order), image.shape, shape)
        record.add(f"with reading from memory, normalising, stitching, {precision}", seconds, ratio=over, to=ALONE)


def network_alone(net: Net, image_hw: tuple[int, int], shape: NetworkShape, passes: int = 8) -> float:
    """Seconds of all tiles of a plan, estimated from some, after warm-up."""
    plan = plan_within(image_hw, shape)
    x = torch.zeros(1, shape.in_channels, *plan.tile_hw).to(memory_format=LAST)
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
    state = UNet(width=width, dropout=0.1).state_dict()
    write_checkpoint(folder.best, {"state_dict": {f"net.{name}": value for name, value in state.items()}})


def disk_to_disk(record: Record, sides: list[int], width: int, precision: str) -> None:
    """Whole commands, less the seconds of one for a small image (start and imports)."""
    shape = NetworkShape(4, width, 1, 2)
    net = network(UNet(width=width), precision, memory_order("cpu", width, training=False))
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        make_run(folder / "run", width)
        start_s = 0.0
        for side in (SMALL, SMALL, *sides):  # the first one fills the disk cache
            image = np.random.default_rng(0).integers(0, 256, (side, side), np.uint8)
            tifffile.imwrite(folder / "in.tif", image)
            start = time.perf_counter()
            peak_kb = int(
                run("-c", WATCHED, *UNET_REPRO, "predict", f"run={folder / 'run'}", f"input={folder / 'in.tif'}",
                    f"output={folder / 'out.tif'}", f"precision={precision}")
            )  # fmt: skip
            taken = time.perf_counter() - start
            net_s = taken - start_s
            if side == SMALL:
                start_s = taken
            else:
                name = f"{side} x {side}, 8 bit TIFF, disk to disk, {precision}"
                over = net_s / network_alone(net, (side, side), shape)
                record.rows += [
                    Row(f"{name}, with the start", taken, "s"),
                    Row(name, net_s, "s", ratio=over, to=ALONE),
                    Row(f"{name}: a pixel", net_s / side**2 * 1e9, "ns"),
                    Row(f"{name}: memory at most", peak_kb / 1e6, "GB"),
                ]
            (folder / "in.tif").unlink()
            (folder / "out.tif").unlink()


def measure(record: Record, level: str, asked: Namespace) -> None:
    use_machine(usable_cores())
    torch.manual_seed(0)
    record.raise_limits()
    against_monai(record, asked.side, asked.width, asked.rounds)
    for precision in precisions() if level == "native" else ():
        disk_to_disk(record, [asked.side, asked.large], asked.width, precision)


if __name__ == "__main__":
    asked = options(__doc__, side=4096, large=16384, width=8, rounds=3)
    title = f"Prediction of a {asked.side} x {asked.side} image, width {asked.width}"
    at_levels(Record("prediction", title), lambda record, level: measure(record, level, asked))
