"""Predicts one image file into one output, plane by plane; resumable at every row of tiles."""

import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from unet_repro.data.normalise import Normalisation, normaliser
from unet_repro.data.resample import Sizes, sizes_at
from unet_repro.errors import DataError
from unet_repro.heads import Head, probabilities_of
from unet_repro.inference.instance_settings import InstanceSettings
from unet_repro.inference.instances import (
    PROBABILITY_STEPS,
    grown_from_seeds,
    lowest_inside,
    to_instances,
    without_small,
)
from unet_repro.inference.journal import Journal, Position
from unet_repro.inference.labelling import label_by_bands
from unet_repro.inference.overlap_tile import TilePlan
from unet_repro.inference.result import Result
from unet_repro.inference.volume import Piece, Plane, Stitching, TileViews, predict_plane
from unet_repro.inference.working_plane import enlarge_plane, working_plane
from unet_repro.objects.planes import ObjectPlane
from unet_repro.objects.write import ObjectStack, write_objects
from unet_repro.stacks.palette import class_palette
from unet_repro.stacks.stack import Stack
from unet_repro.stacks.writer import Layout, Writer
from unet_repro.stacks.writing import create

Block = npt.NDArray[Any]

NOTE_EVERY_S = 2.0  # shortest time between two records of the position
LABELLED_PIXELS = 16_000_000  # pixels of a band in which objects are numbered at once
CHECK_ROWS = 512  # rows read at once when checking that a file is not constant


@dataclass(frozen=True)
class Predictor:
    """A network with its prediction settings.

    Attributes:
        network: ``(B, C, H, W)`` to scores ``(B, K, h, w)``, followed by the seed map of the head if it has one.
        head: What it predicts.
        scale: Its working resolution as a share of the images'; ``None``: the images' own.
        normalisation: Statistics of its training images.
        device: The device of the network.
        views: Number of rotated views of a tile to average.
        stitching: See ``volume.predict_plane``.
        result: What is written.
    """

    network: Callable[[Tensor], Tensor]
    head: Head
    scale: float | None
    normalisation: Normalisation
    device: torch.device
    views: TileViews
    stitching: Stitching
    result: Result

    def sizes(self, stack: Stack) -> Sizes:
        """Sizes of a plane, as stored and at the working resolution."""
        return sizes_at((stack.height, stack.width), self.scale)


def predict_file(
    predictor: Predictor,
    stack: Stack,
    target: Path,
    *,
    plan: TilePlan,
    journal: Journal,
    start: Position | None,
    unlike: str | None = None,
    tiles_done: Callable[[int], object],
) -> None:
    """Predicts all planes of a file; the output appears complete, or not at all, after the files about its objects.

    Args:
        predictor: The network and its settings.
        stack: The image.
        target: The output.
        plan: Tiles of a plane at the working resolution.
        journal: Records the position.
        start: Where an earlier process stopped; ``None`` to start from the beginning.
        unlike: Why the image is unlike the training images, if it is; recorded.
        tiles_done: Called with the number of tiles predicted.

    Raises:
        UserError: If the image is constant or not finite, or the output cannot be written; where possible, finished
            work is kept so that the next call resumes.
    """
    result, num_classes = predictor.result, predictor.head.num_classes
    layout = Layout(
        leading=stack.leading,
        axes=stack.axes,
        channels=result.channels(num_classes),
        height=stack.height,
        width=stack.width,
        dtype=result.stored_as,
        pixel_size_um=stack.pixel_size_um,
        palette=class_palette(num_classes) if result.kind == "classes" else None,
    )
    position = start or Position(plan.tile_hw)
    position.unlike = unlike
    if start is None:
        check_shows_something(stack)
    work = _Work(predictor, stack, plan, journal, position, tiles_done)
    with ExitStack() as opened:

        def opened_output(path: Path, layout: Layout) -> Writer:
            return opened.enter_context(create(path, layout, resume=start is not None))

        output = opened_output(target, layout)
        maps = None
        if (sizes := predictor.sizes(stack)).differ:
            maps = opened_output(scratch_of(target)[0], _of_maps(layout, predictor.head, sizes))
        if not output.resumed:
            position.numbered = 0
        if result.kind != "instances":
            work.predict(output, maps)
            work.finish(output)
        else:
            of_mask = replace(layout, channels=1 + predictor.head.has_seeds, dtype=np.dtype(np.uint8))
            mask = opened_output(scratch_of(target)[1], of_mask)
            work.predict(mask, maps)
            for plane in range(position.numbered, stack.num_planes):
                _number_objects(mask, output, plane, result.instances)
                position.numbered = plane + 1
                work.note(output)
            if result.extras:
                objects = _objects(stack, mask, output, result)
                position.summary = asdict(write_objects(target, objects, result.extras))
            work.finish(output)
            mask.discard()
        if maps is not None:
            maps.discard()
    position.done = True
    journal.write(position)


def scratch_of(target: Path) -> tuple[Path, Path]:
    """Hidden outputs beside an output, removed at its end: maps at the working resolution, and masks of objects."""
    return target.with_name(f".{target.name}.maps.npy"), target.with_name(f".{target.name}.mask.npy")


@dataclass
class _Work:
    """The prediction of a file: what its stages share; see ``predict_file``."""

    predictor: Predictor
    stack: Stack
    plan: TilePlan
    journal: Journal
    position: Position
    tiles_done: Callable[[int], object]
    noted: float = field(default_factory=time.monotonic)

    def note(self, output: Writer) -> None:
        """Records the position, once everything before it is on disk."""
        output.flush()
        self.journal.write(self.position)
        self.noted = time.monotonic()

    def finish(self, output: Writer) -> None:
        """Gives the output its name; a process that is killed between that and the last record is not repeated."""
        self.position.complete = True
        self.note(output)
        output.finish()

    def predict(self, output: Writer, maps: Writer | None) -> None:
        """Predicts all planes into the output; at a working resolution into maps first, which are then enlarged."""
        num_classes = self.predictor.head.num_classes

        def stored(scores: Tensor) -> Block:
            return self.predictor.result.of(scores, num_classes)

        if maps is None:
            self.predict_planes(output, stored)
            return
        self.predict_planes(maps, lambda scores: probabilities_of(scores, num_classes, 0).cpu().numpy())
        for plane in range(self.position.numbered, self.stack.num_planes):
            take = partial(_write_piece, output, plane, stored)
            enlarge_plane(maps, plane, self.predictor.sizes(self.stack), num_classes, take)
        output.flush()

    def predict_planes(self, output: Writer, stored: Callable[[Tensor], Block]) -> None:
        """Predicts all planes at the working resolution; ``stored`` converts scores to what the output stores."""
        predictor, stack, position = self.predictor, self.stack, self.position
        if not output.resumed:  # no partial output, with or without a record: start from the beginning
            position.plane = position.row = 0
        to_float = normaliser(predictor.normalisation, stack.dtype)

        def normalise(block: Block) -> npt.NDArray[np.float32]:
            if block.dtype.kind == "f" and not np.isfinite(block).all():
                where = str(stack.path) if stack.num_planes == 1 else f"plane {position.plane + 1} of {stack.path}"
                raise DataError(f"{where} contains NaN or infinite values", hint="replace them before saving the image")
            return to_float(block)

        def row_done(row: int) -> None:
            position.row = row + 1
            if time.monotonic() - self.noted > NOTE_EVERY_S:
                self.note(output)

        for plane in range(position.plane, stack.num_planes):
            as_stored = Plane(
                read=partial(stack.read, plane),
                normalise=normalise,
                row_bytes=stack.width * stack.channels * stack.dtype.itemsize,
            )
            predict_plane(
                predictor.network,
                working_plane(as_stored, predictor.sizes(stack)),
                self.plan,
                partial(_write_piece, output, plane, stored),
                num_classes=predictor.head.num_classes,
                device=predictor.device,
                views=predictor.views,
                stitching=predictor.stitching,
                first_row=position.row,
                row_done=row_done,
                tiles_done=self.tiles_done,
            )
            position.plane, position.row = plane + 1, 0
            if time.monotonic() - self.noted > NOTE_EVERY_S or position.plane == stack.num_planes:
                self.note(output)


def _write_piece(output: Writer, plane: int, stored: Callable[[Tensor], Block], piece: Piece) -> None:
    output.write(plane, piece.top, piece.left, stored(piece.scores))


def _of_maps(layout: Layout, head: Head, sizes: Sizes) -> Layout:
    """The layout of class probabilities, and the seed map, at the working resolution."""
    height, width = sizes.working_hw
    channels = head.num_classes + head.has_seeds
    return replace(layout, channels=channels, height=height, width=width, dtype=np.dtype(np.float32), palette=None)


def _objects(stack: Stack, mask: Writer, output: Writer, result: Result) -> ObjectStack:
    """The planes of an image with its numbered objects, read from the unfinished outputs."""
    width = stack.width

    def plane(number: int) -> ObjectPlane:
        return ObjectPlane(
            labels=lambda top, rows: output.read(number, top, 0, rows, width)[0],
            image=lambda top, rows: stack.read(number, top, 0, rows, width),
            probability=lambda top, rows: mask.read(number, top, 0, rows, width)[0] / np.float32(PROBABILITY_STEPS),
            shape_hw=(stack.height, width),
            channels=stack.channels,
        )

    return ObjectStack(stack.path.name, plane, stack.leading, stack.axes, stack.pixel_size_um, result.class_name)


def check_shows_something(stack: Stack) -> None:
    """Checks that the file is not constant; for nearly every image the first rows are enough.

    Raises:
        DataError: If all pixels of the file are equal.
    """
    first = stack.read(0, 0, 0, 1, 1)[:, 0, 0]
    for plane in range(stack.num_planes):
        for top in range(0, stack.height, CHECK_ROWS):
            rows = stack.read(plane, top, 0, min(CHECK_ROWS, stack.height - top), stack.width)
            if (rows != first[:, None, None]).any():
                return
    raise DataError(f"{stack.path} is constant: every pixel is {first[0]}", hint="leave it out")


def _number_objects(mask: Writer, output: Writer, plane: int, settings: InstanceSettings) -> None:
    """Numbers the objects of a plane from its probabilities on disk."""
    height, width = mask.layout.height, mask.layout.width
    lowest = lowest_inside(settings.threshold)
    if settings.method != "components":
        maps = mask.read(plane, 0, 0, height, width)
        inside = maps[0] >= lowest
        if settings.method == "seeds":
            objects = without_small(grown_from_seeds(inside, maps[1], settings), settings.min_size_px)
        else:
            objects = to_instances(inside.astype(np.float32), settings)
        output.write(plane, 0, 0, objects[None])
        return
    label_by_bands(
        lambda top, rows: mask.read(plane, top, 0, rows, width)[0] >= lowest,
        lambda top, labels: output.write(plane, top, 0, labels[None]),
        lambda top, rows: output.read(plane, top, 0, rows, width)[0],
        (height, width),
        min_size_px=settings.min_size_px,
        band_rows=max(1, min(height, LABELLED_PIXELS // width)),
    )
