"""Predicts one image file into one output, plane by plane; resumable at every row of tiles."""

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from unet_repro.data.normalise import Normalisation, normaliser
from unet_repro.errors import DataError
from unet_repro.inference.instances import InstanceSettings, foreground, to_instances
from unet_repro.inference.journal import Journal, Position
from unet_repro.inference.labelling import label_by_bands
from unet_repro.inference.overlap_tile import TilePlan
from unet_repro.inference.volume import Piece, Plane, Stitching, TileViews, predict_plane
from unet_repro.objects.planes import ObjectPlane
from unet_repro.objects.write import Extra, ObjectStack, write_objects
from unet_repro.stacks.palette import class_palette
from unet_repro.stacks.stack import Stack
from unet_repro.stacks.writer import Layout, Writer
from unet_repro.stacks.writing import create

Kind = Literal["classes", "probabilities", "instances"]
Scale = Literal["float32", "uint8", "uint16"]
Block = npt.NDArray[Any]

NOTE_EVERY_S = 2.0  # shortest time between two records of the position
LABELLED_PIXELS = 16_000_000  # pixels of a band in which objects are numbered at once
PROBABILITY_STEPS = 255  # probabilities of the foreground are kept in 8 bit until the objects are measured
CHECK_ROWS = 512  # rows read at once when checking that a file is not constant


@dataclass(frozen=True)
class Result:
    """What is written for the class scores.

    Attributes:
        kind: Class indices, probabilities (for two classes only the last), or numbered objects of all classes but the
            first.
        dtype: Type of probabilities; integers store them times 255 or 65535, rounded.
        instances: Settings for converting probabilities to objects.
        extras: Files about the objects that are written beside numbered objects.
        class_name: Class of all objects; ``None`` if there are several.
    """

    kind: Kind
    dtype: Scale
    instances: InstanceSettings
    extras: frozenset[Extra] = frozenset()
    class_name: str | None = None

    def channels(self, num_classes: int) -> int:
        """Channels of the output."""
        return num_classes if self.kind == "probabilities" and num_classes > 2 else 1

    @property
    def stored_as(self) -> np.dtype[Any]:
        """Type of the output's values."""
        return np.dtype({"classes": "uint8", "probabilities": self.dtype, "instances": "int32"}[self.kind])

    def of(self, scores_Khw: Tensor) -> Block:
        """Converts scores ``(K, h, w)`` to stored values ``(C, h, w)``; for instances see ``stored_probability``."""
        if self.kind == "classes":
            # For two classes a comparison is seven times faster than argmax.
            best = scores_Khw[1:] > scores_Khw[:1] if len(scores_Khw) == 2 else scores_Khw.argmax(0, keepdim=True)
            return best.to("cpu", torch.uint8).numpy()
        probabilities = scores_Khw.softmax(0)
        if self.kind == "instances":
            return stored_probability(foreground(probabilities)[None], self.instances.threshold).cpu().numpy()
        chosen = probabilities if len(probabilities) > 2 else probabilities[-1:]
        if self.dtype == "float32":
            return chosen.cpu().numpy()
        scaled: Block = (chosen * np.iinfo(self.dtype).max).round().to("cpu", torch.int32).numpy()
        return scaled.astype(self.dtype)


def lowest_inside(threshold: float) -> int:
    """The smallest stored probability of a pixel that belongs to an object."""
    return min(max(1, round(threshold * PROBABILITY_STEPS)), PROBABILITY_STEPS)


def stored_probability(probability: Tensor, threshold: float) -> Tensor:
    """Probabilities as uint8, exactly those of at least the threshold as ``lowest_inside`` or more.

    >>> stored_probability(torch.tensor([0.0, 0.4999, 0.5, 1.0]), 0.5)
    tensor([  0, 127, 128, 255], dtype=torch.uint8)
    """
    lowest = lowest_inside(threshold)
    nearest = (probability * PROBABILITY_STEPS).round()
    inside = probability >= threshold
    return torch.where(inside, nearest.clamp(min=lowest), nearest.clamp(max=lowest - 1)).to(torch.uint8)


@dataclass(frozen=True)
class Predictor:
    """A network with its prediction settings.

    Attributes:
        network: ``(B, C, H, W)`` to scores ``(B, K, h, w)``.
        num_classes: K.
        normalisation: Statistics of its training images.
        device: The device of the network.
        views: Number of rotated views of a tile to average.
        stitching: See ``volume.predict_plane``.
        result: What is written.
    """

    network: Callable[[Tensor], Tensor]
    num_classes: int
    normalisation: Normalisation
    device: torch.device
    views: TileViews
    stitching: Stitching
    result: Result


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
        plan: Tiles of a plane.
        journal: Records the position.
        start: Where an earlier process stopped; ``None`` to start from the beginning.
        unlike: Why the image is unlike the training images, if it is; recorded.
        tiles_done: Called with the number of tiles predicted.

    Raises:
        UserError: If the image is constant or not finite, or the output cannot be written; where possible, finished
            work is kept so that the next call resumes.
    """
    result = predictor.result
    layout = Layout(
        leading=stack.leading,
        axes=stack.axes,
        channels=result.channels(predictor.num_classes),
        height=stack.height,
        width=stack.width,
        dtype=result.stored_as,
        pixel_size_um=stack.pixel_size_um,
        palette=class_palette(predictor.num_classes) if result.kind == "classes" else None,
    )
    position = start or Position(plan.tile_hw)
    position.unlike = unlike
    if start is None:
        check_shows_something(stack)
    predict_planes = partial(
        _predict_planes, predictor, stack, plan, journal=journal, position=position, tiles_done=tiles_done
    )
    with create(target, layout, resume=start is not None) as output:
        if not output.resumed:
            position.numbered = 0
        if result.kind != "instances":
            predict_planes(output)
            output.finish()
        else:
            of_mask = replace(layout, dtype=np.dtype(np.uint8))
            mask_path = target.with_name(f".{target.name}.mask.npy")
            with create(mask_path, of_mask, resume=start is not None) as mask:
                predict_planes(mask)
                for plane in range(position.numbered, stack.num_planes):
                    _number_objects(mask, output, plane, result.instances)
                    output.flush()
                    position.numbered = plane + 1
                    journal.write(position)
                if result.extras:
                    objects = _objects(stack, mask, output, result)
                    position.summary = asdict(write_objects(target, objects, result.extras))
                output.finish()
                mask.discard()
    position.done = True
    journal.write(position)


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


def _predict_planes(
    predictor: Predictor,
    stack: Stack,
    plan: TilePlan,
    output: Writer,
    *,
    journal: Journal,
    position: Position,
    tiles_done: Callable[[int], object],
) -> None:
    if not output.resumed:  # no partial output, with or without a record: start from the beginning
        position.plane = position.row = 0
    to_float = normaliser(predictor.normalisation, stack.dtype)
    noted = time.monotonic()

    def normalise(block: Block, plane: int) -> npt.NDArray[np.float32]:
        if block.dtype.kind == "f" and not np.isfinite(block).all():
            where = str(stack.path) if stack.num_planes == 1 else f"plane {plane} of {stack.path}"
            raise DataError(f"{where} contains NaN or infinite values", hint="replace them before saving the image")
        return to_float(block)

    def note() -> None:
        nonlocal noted
        output.flush()
        journal.write(position)
        noted = time.monotonic()

    def row_done(row: int) -> None:
        position.row = row + 1
        if time.monotonic() - noted > NOTE_EVERY_S:
            note()

    for plane in range(position.plane, stack.num_planes):

        def take(piece: Piece, plane: int = plane) -> None:
            output.write(plane, piece.top, piece.left, predictor.result.of(piece.scores))

        predict_plane(
            predictor.network,
            Plane(
                read=partial(stack.read, plane),
                normalise=partial(normalise, plane=plane),
                row_bytes=stack.width * stack.channels * stack.dtype.itemsize,
            ),
            plan,
            take,
            device=predictor.device,
            views=predictor.views,
            stitching=predictor.stitching,
            first_row=position.row,
            row_done=row_done,
            tiles_done=tiles_done,
        )
        position.plane, position.row = plane + 1, 0
        if time.monotonic() - noted > NOTE_EVERY_S or position.plane == stack.num_planes:
            note()


def _number_objects(mask: Writer, output: Writer, plane: int, settings: InstanceSettings) -> None:
    """Numbers the objects of a plane from its probabilities on disk."""
    height, width = mask.layout.height, mask.layout.width
    lowest = lowest_inside(settings.threshold)
    if settings.method == "watershed":
        inside = (mask.read(plane, 0, 0, height, width)[0] >= lowest).astype(np.float32)
        output.write(plane, 0, 0, to_instances(inside, settings)[None])
        return
    label_by_bands(
        lambda top, rows: mask.read(plane, top, 0, rows, width)[0] >= lowest,
        lambda top, labels: output.write(plane, top, 0, labels[None]),
        lambda top, rows: output.read(plane, top, 0, rows, width)[0],
        (height, width),
        min_size_px=settings.min_size_px,
        band_rows=max(1, min(height, LABELLED_PIXELS // width)),
    )
