"""Predicts planes of any size tile by tile and passes on finished pieces. Memory does not grow with the plane.

While the network processes one batch of tiles, one thread reads and normalises the next and another writes the last.

Tensor names: B batch, C channels, H W input, h w output, K classes.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import groupby
from typing import Literal, Protocol, get_args

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from unet_repro.data.tiles import mirror_indices
from unet_repro.errors import ConfigError
from unet_repro.heads import probabilities_of, scores_of
from unet_repro.inference.overlap_tile import TilePlan, batches

TileViews = Literal[1, 4, 8]
Stitching = Literal["exact", "average"]
Block = npt.NDArray[np.generic]

BAND_BYTES = 64_000_000  # rows of a plane are read over its full width if they need no more


class Read(Protocol):
    """Reads ``(C, height, width)`` as stored."""

    def __call__(self, top: int, left: int, height: int, width: int) -> Block:
        """The region lies inside the plane."""
        ...


@dataclass(frozen=True)
class Plane:
    """A plane to predict.

    Attributes:
        read: Reads a region of it.
        normalise: Converts a block as stored to ``(C, H, W)`` float32.
        row_bytes: Bytes of one row of pixels as stored, over all channels.
    """

    read: Read
    normalise: Callable[[Block], npt.NDArray[np.float32]]
    row_bytes: int


@dataclass(frozen=True)
class Piece:
    """A finished part of a plane.

    Attributes:
        top: First row.
        left: First column.
        scores: ``(K, h, w)`` class scores, whose softmax gives the probabilities; a seed map may follow.
        row: The row of tiles that it belongs to.
    """

    top: int
    left: int
    scores: Tensor
    row: int


def predict_plane(
    network: Callable[[Tensor], Tensor],
    plane: Plane,
    plan: TilePlan,
    take: Callable[[Piece], None],
    *,
    num_classes: int | None = None,
    device: torch.device,
    views: TileViews = 1,
    stitching: Stitching = "exact",
    first_row: int = 0,
    row_done: Callable[[int], None] = lambda _: None,
    tiles_done: Callable[[int], object] = lambda _: None,
) -> None:
    """Predicts a plane by overlap-tiles and passes on its pieces, which cover each pixel once.

    Args:
        network: ``(B, C, H, W)`` to ``(B, K, h, w)`` scores, unpadded, of the plan's depth; a seed map may follow.
        plane: The plane to predict.
        plan: Its tiles; for ``average`` a plan with ``overlap``.
        take: Called with each finished piece, in a separate thread, one after the other.
        num_classes: K; ``None`` if no seed map follows.
        device: The device of the network.
        views: Averages probabilities of each tile over 90-degree rotations (4), and their mirror images (8).
        stitching: ``exact``, each pixel from one tile; or ``average``, the mean probabilities of all tiles over it,
            weighted by a Gaussian around their centres, which smooths the tile dependence of some normalisations.
        first_row: First row of tiles to predict, if an earlier process has done the rows before it.
        row_done: Called with the number of each row of tiles once all of its pieces have been taken.
        tiles_done: Called with the number of tiles predicted, after each batch.

    Raises:
        ConfigError: If the number of views is not supported.
        UserError: Raised by ``plane.read`` or ``take``.
    """
    if views not in get_args(TileViews):
        raise ConfigError(f"views={views} is not supported", hint=f"use {', '.join(map(str, get_args(TileViews)))}")
    rows = [list(offsets) for _, offsets in groupby(plan.offsets, key=lambda offset: offset[0])]
    averaging = _Averaging(plan, rows, num_classes) if stitching == "average" else None
    # Overlapping tiles of earlier rows extend into the first row: they are predicted again, but not passed on.
    output = plan.tile_hw[0] - 2 * plan.halo_px
    begin = first_row
    while averaging and 0 < begin < len(rows) and rows[begin - 1][0][0] + output > rows[first_row][0][0]:
        begin -= 1
    jobs = [(row, *batch) for row in range(begin, len(rows)) for batch in batches(rows[row], plan.tile_hw)]
    bands = _Bands(plane, plan)
    with torch.inference_mode(), ThreadPoolExecutor(1) as reader, ThreadPoolExecutor(1) as writer:
        coming: Future[Tensor] | None = reader.submit(bands.tiles, jobs[0][1]) if jobs else None
        going: Future[None] | None = None
        for number, (row, offsets, num_new) in enumerate(jobs):
            assert coming is not None, "each batch is read ahead"
            x_BCHW = coming.result().to(device, memory_format=torch.channels_last)
            coming = reader.submit(bands.tiles, jobs[number + 1][1]) if number + 1 < len(jobs) else None
            scores_BKhw = _seen(network, x_BCHW, views, num_classes)
            pieces = [
                Piece(top, left, scores[:, : plan.image_hw[0] - top, : plan.image_hw[1] - left], row)
                for scores, (top, left) in zip(scores_BKhw[-num_new:], offsets[-num_new:], strict=True)
            ]
            if averaging:
                pieces = [piece for tile in pieces for piece in averaging.add(tile) if piece.row >= first_row]
            if going is not None:
                going.result()
            ends = number + 1 == len(jobs) or jobs[number + 1][0] != row
            going = writer.submit(_hand_over, pieces, take, row_done if ends and row >= first_row else None, row)
            if row >= first_row:
                tiles_done(num_new)
        if going is not None:
            going.result()


def _hand_over(
    pieces: list[Piece], take: Callable[[Piece], None], row_done: Callable[[int], None] | None, row: int
) -> None:
    for piece in pieces:
        take(piece)
    if row_done is not None:
        row_done(row)


def _seen(network: Callable[[Tensor], Tensor], x_BCHW: Tensor, views: TileViews, num_classes: int | None) -> Tensor:
    """Scores of a batch; for several views the scores of their mean probabilities."""
    if views == 1:
        return network(x_BCHW).float()
    total: Tensor | float = 0.0
    for mirrored in (False, True) if views == 8 else (False,):
        flipped = x_BCHW.flip(-1) if mirrored else x_BCHW
        for turns in range(4):
            turned = flipped.rot90(turns, (-2, -1)).contiguous(memory_format=torch.channels_last)
            scores = network(turned).float()
            probabilities = probabilities_of(scores, num_classes or scores.shape[1]).rot90(-turns, (-2, -1))
            total = total + (probabilities.flip(-1) if mirrored else probabilities)
    assert isinstance(total, Tensor), "there is at least one view"
    return scores_of(total / views, num_classes or total.shape[1])


class _Bands:
    """Mirrored, normalised tiles of a plane; the pixels of one row of tiles are read once if memory allows it."""

    def __init__(self, plane: Plane, plan: TilePlan) -> None:
        self.plane, self.plan = plane, plan
        self.whole_rows = plan.tile_hw[0] * plane.row_bytes <= BAND_BYTES
        self.top: int | None = None
        self.band: Block | None = None

    def tiles(self, offsets: Sequence[tuple[int, int]]) -> Tensor:
        """``(B, C, H, W)`` float32."""
        return torch.from_numpy(np.stack([self._tile(*offset) for offset in offsets]))

    def _tile(self, top: int, left: int) -> npt.NDArray[np.float32]:
        (height, width), halo = self.plan.tile_hw, self.plan.halo_px
        rows = mirror_indices(top - halo, height, self.plan.image_hw[0])
        columns = mirror_indices(left - halo, width, self.plan.image_hw[1])
        first_row, first_column = int(rows.min()), int(columns.min())
        num_rows, num_columns = int(rows.max()) + 1 - first_row, int(columns.max()) + 1 - first_column
        if not self.whole_rows:
            block = self.plane.read(first_row, first_column, num_rows, num_columns)
        else:
            if self.band is None or self.top != top:
                self.band = None  # freed before the next one is read: only one is in memory
                self.band = self.plane.read(first_row, 0, num_rows, self.plan.image_hw[1])
                self.top = top
            block = self.band[:, :, first_column : first_column + num_columns]
        pixels = self.plane.normalise(block)
        if pixels.shape[1:] == (height, width):  # nothing was mirrored
            return pixels
        return pixels[:, (rows - first_row)[:, None], columns - first_column]


class _Averaging:
    """Sums overlapping tiles, and returns rows of pixels that no further tile overlaps."""

    def __init__(self, plan: TilePlan, rows: list[list[tuple[int, int]]], num_classes: int | None) -> None:
        self.plan, self.num_classes = plan, num_classes
        self.tops = [row[0][0] for row in rows]
        self.last = [row[-1] for row in rows]
        height, width = (side - 2 * plan.halo_px for side in plan.tile_hw)
        self.weight_hw = torch.outer(_bell(height), _bell(width))
        self.sum_KHW: Tensor | None = None
        self.top = 0

    def add(self, tile: Piece) -> list[Piece]:
        """Adds a tile and returns finished pieces; the last tile of a row finishes one."""
        num_classes = self.num_classes or len(tile.scores)
        probabilities = probabilities_of(tile.scores, num_classes, 0).cpu()
        num_maps, height, width = probabilities.shape
        if self.sum_KHW is None:  # one row of tiles high; the last channel holds the weights
            self.sum_KHW = torch.zeros(num_maps + 1, self.weight_hw.shape[0], self.plan.image_hw[1])
            self.top = tile.top
        weight = self.weight_hw[:height, :width]
        place = self.sum_KHW[:, tile.top - self.top :, tile.left : tile.left + width][:, :height]
        place[:-1] += probabilities * weight
        place[-1] += weight
        if (tile.top, tile.left) != self.last[tile.row]:
            return []
        end = self.tops[tile.row + 1] if tile.row + 1 < len(self.tops) else self.plan.image_hw[0]
        ready = self.sum_KHW[:, : end - self.top]
        mean = ready[:-1] / ready[-1]
        rest = torch.zeros_like(self.sum_KHW)
        rest[:, : self.sum_KHW.shape[1] - mean.shape[1]] = self.sum_KHW[:, mean.shape[1] :]
        piece = Piece(self.top, 0, scores_of(mean, num_classes, 0), tile.row)
        self.sum_KHW, self.top = rest, end
        return [piece]


def _bell(length: int) -> Tensor:
    """A Gaussian over a line of pixels with a standard deviation of an eighth of the line, as in nnU-Net and MONAI."""
    position = (torch.arange(length) - (length - 1) / 2) / (length / 8)
    return torch.exp(-(position**2) / 2).clamp(min=1e-3)
