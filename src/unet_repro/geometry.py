"""Geometry of unpadded convolutions: legal tile sizes, their output sizes, and tiles per pixel budget.

A U-Net of depth ``D`` pools ``D`` times and applies two unpadded convolutions at each of ``D + 1`` levels going down
and ``D`` levels going up (Ronneberger et al. 2015, figure 1). With kernel ``k`` each removes ``k - 1`` pixels.
The functions that take a depth also take the ``TileGeometry`` of another network instead.
"""

from dataclasses import dataclass
from typing import Literal

from unet_repro.errors import GeometryError
from unet_repro.tile_geometry import TileGeometry

BudgetUnit = Literal["input", "output"]
Depth = int | TileGeometry  # number of a U-Net's max-pools, or the geometry of another network


def _check(depth: int, kernel: int) -> None:
    if depth < 1:
        raise GeometryError(f"depth {depth} is not legal", hint="use a depth of 1 or more")
    if kernel < 1 or kernel % 2 == 0:
        raise GeometryError(f"kernel {kernel} is not legal", hint="use an odd kernel size, 3 in the paper")


def geometry_of(depth: Depth = 4, kernel: int = 3) -> TileGeometry:
    """The geometry of a U-Net; another network's geometry is returned unchanged.

    Going down and going up, level ``l`` loses ``2 (k - 1)`` of its pixels, each ``2 ** l`` input pixels wide.

    Raises:
        GeometryError: If depth or kernel is not legal.

    >>> geometry_of(4)
    TileGeometry(smallest_px=188, step_px=16, halo_px=92, name='a U-Net of depth 4')
    """
    if isinstance(depth, TileGeometry):
        return depth
    _check(depth, kernel)
    lost = 2 * (kernel - 1)
    halo_px = (kernel - 1) * ((1 << depth + 1) - 1 + (1 << depth) - 1)
    size = 1
    # At the bottom at least one pixel must remain, and each up-convolution's pair of convolutions must leave one too.
    for _ in range(depth):
        size = -(-(size + lost) // 2)  # output of a level above -> size below it, rounded up
    size += lost
    for _ in range(depth):
        size = 2 * size + lost
    return TileGeometry(size, 1 << depth, halo_px, name=f"a U-Net of depth {depth}")


def halo(depth: Depth = 4, kernel: int = 3) -> int:
    """Pixels lost on each side between input and output.

    Raises:
        GeometryError: If depth or kernel is not legal.

    >>> halo(4)
    92
    """
    return geometry_of(depth, kernel).halo_px


def smallest(depth: Depth = 4, kernel: int = 3) -> int:
    """The smallest legal input size: the smallest with a non-empty output.

    Raises:
        GeometryError: If depth or kernel is not legal.

    >>> smallest(4), smallest(1)
    (188, 18)
    """
    return geometry_of(depth, kernel).smallest_px


def is_legal(size: int, depth: Depth = 4, kernel: int = 3) -> bool:
    """Whether every max-pool gets an even size and the output is not empty.

    >>> [n for n in (188, 508, 512, 524, 572) if is_legal(n, depth=4)]
    [188, 508, 524, 572]
    """
    return geometry_of(depth, kernel).is_legal(size)


def output_size(size: int, depth: Depth = 4, kernel: int = 3) -> int:
    """Size of the output for a legal input size.

    Raises:
        GeometryError: If the size is not legal; names the nearest legal sizes.

    >>> output_size(572)
    388
    """
    return geometry_of(depth, kernel).output_size(size)


def nearest_legal(size: int, depth: Depth = 4, kernel: int = 3) -> tuple[int, ...]:
    """The nearest legal sizes below and above, or the size itself if it is legal.

    >>> nearest_legal(512), nearest_legal(572), nearest_legal(3)
    ((508, 524), (572,), (188,))
    """
    return geometry_of(depth, kernel).nearest_legal(size)


def covering(output: int, depth: Depth = 4, kernel: int = 3) -> int:
    """The smallest legal input size whose output is at least ``output``.

    >>> covering(512), output_size(700)
    (700, 516)
    """
    return geometry_of(depth, kernel).covering(output)


@dataclass(frozen=True)
class Batch:
    """A batch of square tiles chosen for a pixel budget.

    Attributes:
        num_tiles: Tiles per step.
        tile_size: Input size of a tile in pixels.
        input_pixels: Input pixels per step, after rounding to whole tiles.
        output_pixels: Supervised pixels per step, after rounding.
        budget_share: Ratio of actual to requested pixels, in the budget's own unit.
    """

    num_tiles: int
    tile_size: int
    input_pixels: int
    output_pixels: int
    budget_share: float


def batch_for_budget(size: int, budget: int, unit: BudgetUnit, depth: Depth = 4, kernel: int = 3) -> Batch:
    """The number of tiles nearest to a budget of pixels per step, at least one.

    Args:
        size: Legal input size of a tile.
        budget: Pixels per step.
        unit: Whether the budget counts input pixels or supervised output pixels.
        depth: Number of max-pools, or a network's geometry.
        kernel: Size of the convolutions.

    Raises:
        GeometryError: If the size is not legal or the budget is not positive.

    >>> batch_for_budget(252, 572 * 572, "input", depth=4).num_tiles
    5
    >>> batch_for_budget(252, 388 * 388, "output", depth=4).num_tiles
    33
    """
    if budget < 1:
        raise GeometryError(f"a budget of {budget} pixels per step must be positive", hint="use a positive budget")
    output = output_size(size, depth, kernel)
    per_tile = size**2 if unit == "input" else output**2
    number = max(1, round(budget / per_tile))
    return Batch(number, size, number * size**2, number * output**2, number * per_tile / budget)


@dataclass(frozen=True)
class Layer:
    """One convolution of a forward pass over one tile.

    Attributes:
        flop: Floating-point operations; a multiply-add counts as two.
        in_values: Values that it reads, without its weights.
        out_values: Values that it writes.
        kept_values: Values in memory meanwhile: its input, the stored skips, and the inputs of a concatenation.
    """

    flop: int
    in_values: int
    out_values: int
    kept_values: int


def layers(
    tile_hw: tuple[int, int],
    depth: int,
    *,
    width: int = 64,
    in_channels: int = 1,
    num_classes: int = 2,
    kernel: int = 3,
) -> list[Layer]:
    """The convolutions of one forward pass over one tile, in order.

    Args:
        tile_hw: Input height and width, each legal.
        depth: Number of max-pools.
        width: Channels of the first level.
        in_channels: Channels of the image.
        num_classes: Classes.
        kernel: Size of the convolutions.

    Raises:
        GeometryError: If a size is not legal.

    >>> len(layers((572, 572), depth=4)), round(sum(layer.flop for layer in layers((572, 572), depth=4)) / 1e9, 1)
    (23, 300.9)
    """
    for size in tile_hw:
        output_size(size, depth, kernel)
    passed: list[Layer] = []
    (rows, columns), channels = tile_hw, in_channels
    skips: list[int] = []

    def convolution(out_channels: int, taps: int, lost: int, *, reads: int | None = None, beside: int = 0) -> None:
        nonlocal rows, columns, channels
        in_values = rows * columns * channels if reads is None else reads
        rows, columns = rows - lost, columns - lost
        flop = 2 * rows * columns * taps * channels * out_channels
        kept = in_values + sum(skips) + beside
        channels = out_channels
        passed.append(Layer(flop, in_values, rows * columns * channels, kept))

    for level in range(depth + 1):
        for _ in range(2):
            convolution(width << level, kernel**2, kernel - 1)
        if level < depth:
            skips.append(rows * columns * channels)
            rows, columns = rows // 2, columns // 2
    for level in reversed(range(depth)):
        below = rows * columns * channels
        rows, columns = 2 * rows, 2 * columns
        convolution(width << level, 1, 0, reads=below)  # 2x2 with stride 2: each output pixel has one tap
        joined = below + rows * columns * channels + skips.pop()  # the concatenated values and their inputs
        channels *= 2
        convolution(width << level, kernel**2, kernel - 1, beside=joined)
        convolution(width << level, kernel**2, kernel - 1)
    convolution(num_classes, 1, 0)
    return passed


@dataclass(frozen=True)
class TileCost:
    """Cost of one tile.

    Attributes:
        size: Input size in pixels.
        output: Output size in pixels.
        supervised: Share of the input pixels that have an output.
        gflop: Forward pass, 1e9 floating-point operations; a multiply-add counts as two.
        activation_mb: Outputs of all convolutions kept for the backward pass, float32, 1e6 bytes.
    """

    size: int
    output: int
    supervised: float
    gflop: float
    activation_mb: float


def tile_cost(
    size: int, depth: int, *, width: int = 64, in_channels: int = 1, num_classes: int = 2, kernel: int = 3
) -> TileCost:
    """Counts operations and activations of one forward pass layer by layer.

    Raises:
        GeometryError: If the size is not legal.

    >>> round(tile_cost(572, depth=4).gflop, 1)
    300.9
    """
    output = output_size(size, depth, kernel)
    passed = layers((size, size), depth, width=width, in_channels=in_channels, num_classes=num_classes, kernel=kernel)
    flop, activations = sum(layer.flop for layer in passed), sum(layer.out_values for layer in passed)
    return TileCost(size, output, output**2 / size**2, flop / 1e9, 4 * activations / 1e6)
