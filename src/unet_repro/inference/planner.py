"""Chooses the cheapest tiles within a memory limit, with a model of the time and memory of one forward pass.

The time of a tile is ``flop / flop_rate + bytes / byte_rate + bytes that miss the cache / miss_rate + overhead``, with
counts summed over its convolutions. Larger tiles recompute less halo, but a layer whose input and output do not fit the
cache takes longer. The rates of the CPU were measured (``benchmarks/cost_model.py``), those of a GPU are calculated.
Choosing tiles needs only their ratios, which are similar on other processors of the same kind.
"""

import math
import sys
from dataclasses import dataclass
from pathlib import Path

import psutil
import torch
from torch import nn

from unet_repro.errors import ConfigError, GeometryError
from unet_repro.geometry import Layer, geometry_of, layers
from unet_repro.inference.footprint import values_per_pixel
from unet_repro.inference.overlap_tile import TilePlan, plan_tiles, smallest_tile
from unet_repro.models.protocol import first_width, tile_geometry
from unet_repro.models.unet import UNet
from unet_repro.tile_geometry import TileGeometry

FLOAT_BYTES = 4
_CONTROL_GROUP = Path("/sys/fs/cgroup")
# Ratio of measured to counted memory (1.1 to 2.5): reordered copies, and the allocator's cache and rounding.
MEMORY_FACTOR = 2.5
SHARE_OF_FREE = 0.5  # share of the free memory; the rest is for images, results and other programs
MAX_AUTO_GB = 0.75  # larger tiles gain about three percent, and a process should stay below 2 GB
MAX_AUTO_GPU_GB = 16.0
MAX_GPU_VALUES = 2**31 - 1  # largest number of values of a layer: cuDNN uses 32-bit indices


@dataclass(frozen=True)
class CostModel:
    """Cost of convolutions on a processor.

    Attributes:
        flop_rate: Operations per second.
        byte_rate: Bytes per second that a layer reads and writes.
        miss_rate: Rate of the additional bytes if a layer's input and output exceed the cache.
        cache_bytes: Size of the last-level cache.
        overhead_s: Constant seconds per pass.
    """

    flop_rate: float = 185e9
    byte_rate: float = 18.2e9
    miss_rate: float = 123e9
    cache_bytes: int = 32 << 20
    overhead_s: float = 2.7e-3


# Calculated, not measured: half the rates of an A100's data sheet (float32 19.5 TFLOP/s, memory 2 TB/s), no penalty for
# cache misses, and about 70 kernels per pass at 7 us.
GPU = CostModel(flop_rate=9.75e12, byte_rate=1e12, miss_rate=math.inf, overhead_s=5e-4)


@dataclass(frozen=True)
class NetworkShape:
    """The parameters that the cost of a U-Net depends on.

    Attributes:
        depth: Number of max-pools.
        width: Channels of the first level.
        in_channels: Channels of the image.
        num_classes: Classes.
    """

    depth: int
    width: int
    in_channels: int
    num_classes: int

    @property
    def geometry(self) -> TileGeometry:
        """Its legal tiles."""
        return geometry_of(self.depth)


@dataclass(frozen=True)
class OtherNetwork:
    """A network that is no U-Net; its time is taken as proportional to the pixels of a tile.

    Attributes:
        geometry: Its legal tiles.
        values_per_pixel: Values in memory at most during a forward pass, per input pixel.
    """

    geometry: TileGeometry
    values_per_pixel: float


def shape_of(net: nn.Module, in_channels: int, num_classes: int) -> NetworkShape | OtherNetwork:
    """What the plan needs to know of a network.

    Raises:
        GeometryError: If the network's legal tiles are unknown.
    """
    if isinstance(net, UNet):
        return NetworkShape(net.depth, first_width(net), in_channels, num_classes)
    geometry = tile_geometry(net)
    return OtherNetwork(geometry, values_per_pixel(net, geometry, in_channels))


def tile_seconds(tile_hw: tuple[int, int], shape: NetworkShape, model: CostModel) -> float:
    """Modelled seconds of one forward pass over one tile.

    >>> small, large = (tile_seconds((n, n), NetworkShape(4, 8, 1, 2), CostModel()) for n in (316, 572))
    >>> round(large / small, 1)
    3.8
    """
    seconds = model.overhead_s
    for layer in _layers(tile_hw, shape):
        moved = FLOAT_BYTES * (layer.in_values + layer.out_values)
        seconds += layer.flop / model.flop_rate + moved / model.byte_rate
        seconds += moved / model.miss_rate if moved > model.cache_bytes else 0
    return seconds


def tile_bytes(tile_hw: tuple[int, int], shape: NetworkShape | OtherNetwork) -> int:
    """Peak memory of one forward pass over one tile: input, output and stored skips of the largest layer."""
    if isinstance(shape, OtherNetwork):
        return int(MEMORY_FACTOR * FLOAT_BYTES * shape.values_per_pixel * tile_hw[0] * tile_hw[1])
    fullest = max(layer.out_values + layer.kept_values for layer in _layers(tile_hw, shape))
    return int(MEMORY_FACTOR * FLOAT_BYTES * fullest)


def plan_within(
    image_hw: tuple[int, int],
    shape: NetworkShape | OtherNetwork,
    *,
    memory_gb: float | None = None,
    device: torch.device | None = None,
    model: CostModel | None = None,
) -> TilePlan:
    """The cheapest aligned plan whose tiles fit into memory.

    Args:
        image_hw: Height and width of the image.
        shape: Shape of the network.
        memory_gb: Limit for one forward pass, in 1e9 bytes; ``None`` takes half of the free memory of the device, at
            most ``MAX_AUTO_GB``, on a GPU ``MAX_AUTO_GPU_GB``.
        device: The device of the network; ``None`` for the CPU.
        model: Rates of the processor; ``None`` for the measured rates with this machine's cache, or those of a GPU.

    Raises:
        ConfigError: If the limit is not positive.
        GeometryError: If not even the smallest tile fits.
    """
    if memory_gb is not None and memory_gb <= 0:
        raise ConfigError(f"memory_gb={memory_gb} must be positive", hint="use memory_gb=auto or a number of gigabytes")
    on_gpu = device is not None and device.type == "cuda"
    most = 1e9 * (MAX_AUTO_GPU_GB if on_gpu else MAX_AUTO_GB)
    limit = memory_gb * 1e9 if memory_gb is not None else min(SHARE_OF_FREE * free_bytes(device), most)
    if on_gpu:
        limit = min(limit, MEMORY_FACTOR * FLOAT_BYTES * MAX_GPU_VALUES)
    least = tile_bytes(smallest_tile(image_hw, shape.geometry), shape)
    if least > limit:
        raise GeometryError(
            f"no tile fits into {limit / 1e9:.2g} GB of memory", hint=f"allow memory_gb={least / 1e9:.2g} or more"
        )
    known = model or (GPU if on_gpu else CostModel(cache_bytes=cache_bytes()))
    cost = (lambda tile_hw: tile_seconds(tile_hw, shape, known)) if isinstance(shape, NetworkShape) else None
    return plan_tiles(image_hw, shape.geometry, cost=cost, fits=lambda tile_hw: tile_bytes(tile_hw, shape) <= limit)


def describe(plan: TilePlan, shape: NetworkShape | OtherNetwork) -> str:
    """Describes the plan in one line.

    >>> from unet_repro.inference.overlap_tile import plan_tiles
    >>> describe(plan_tiles((512, 512), 4), NetworkShape(4, 8, 1, 2))
    '1 tile of 700 x 700 (output 516 x 516), 7.8 GFLOP, 0.14 GB at once'
    """
    (height, width), number = plan.tile_hw, len(plan.offsets)
    work = ""
    if isinstance(shape, NetworkShape):
        work = f"{number * sum(layer.flop for layer in _layers(plan.tile_hw, shape)) / 1e9:,.1f} GFLOP, "
    tiles = "1 tile" if number == 1 else f"{number} tiles"
    return (
        f"{tiles} of {height} x {width} (output {height - 2 * plan.halo_px} x {width - 2 * plan.halo_px}), "
        f"{work}{tile_bytes(plan.tile_hw, shape) / 1e9:.2g} GB at once"
    )


def free_bytes(device: torch.device | None = None) -> int:
    """Memory that this process may still use: of the GPU, or of the machine and its control group."""
    if device is not None and device.type == "cuda":
        kept = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)  # cached for new tensors
        return int(torch.cuda.mem_get_info(device)[0]) + kept
    free = [int(psutil.virtual_memory().available)]
    limit, used, parts = (_CONTROL_GROUP / f"memory.{name}" for name in ("max", "current", "stat"))
    if limit.exists() and used.exists() and (text := limit.read_text().strip()) != "max":
        stat = dict(line.split() for line in parts.read_text().splitlines()) if parts.exists() else {}
        free.append(int(text) - int(used.read_text()) + int(stat.get("inactive_file", 0)))  # cached files give way
    return max(0, min(free))


def total_bytes(device: torch.device | None = None) -> int:
    """Memory of the GPU, or of the machine as far as its control group allows; the same at any time."""
    if device is not None and device.type == "cuda":
        return int(torch.cuda.get_device_properties(device).total_memory)
    limit, total = _CONTROL_GROUP / "memory.max", int(psutil.virtual_memory().total)
    allowed = limit.read_text().strip() if limit.exists() else "max"
    return total if allowed == "max" else min(total, int(allowed))


def cache_bytes() -> int:
    """Size of the last-level cache of the first core; that of the measured processor if it cannot be read."""
    sizes = Path("/sys/devices/system/cpu/cpu0/cache").glob("index*/size") if sys.platform == "linux" else ()
    found = [int(path.read_text().strip().rstrip("K")) << 10 for path in sizes]
    return max(found, default=CostModel.cache_bytes)


def _layers(tile_hw: tuple[int, int], shape: NetworkShape) -> list[Layer]:
    return layers(tile_hw, shape.depth, width=shape.width, in_channels=shape.in_channels, num_classes=shape.num_classes)
