"""An opened image: planes ``(C, H, W)`` that are read by regions."""

from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from unet_repro.errors import DataError
from unet_repro.files import Closing, counted
from unet_repro.stacks.choice import Choice, chosen_channels
from unet_repro.stacks.damage import reading
from unet_repro.stacks.opened import Opened, axes_by_shape
from unet_repro.stacks.writer import Block, Layout

_EXACT = ["uint8", "int8", "uint16", "int16", "float16", "float32", "float64", "bool"]


@dataclass(frozen=True, kw_only=True)
class Stack(Layout, Closing):
    """An opened image.

    Attributes:
        path: The file.
        array: An array-like object that supports slicing, with the axes ``(*leading, C, H, W)`` ordered by ``order``.
        order: Indices of the channel, row and column axes of ``array``; ``None`` for a missing channel axis.
        picked: The file's channels that are taken, in order.
        channel_names: Their names; empty if unknown.
        white: The stored value that is shown black, for WhiteIsZero images, which are inverted; otherwise ``None``.
        opened: Resources that are closed with it.
    """

    path: Path
    array: Any
    order: tuple[int | None, int, int]
    picked: tuple[int, ...] = (0,)
    channel_names: tuple[str, ...] = ()
    white: int | None = None
    opened: ExitStack = field(default_factory=ExitStack)

    @property
    def num_planes(self) -> int:
        """Number of planes."""
        return int(np.prod(self.leading, dtype=np.int64))

    def read(self, plane: int, top: int, left: int, height: int, width: int) -> Block:
        """Reads a region as stored; a WhiteIsZero image as it is shown.

        Args:
            plane: Number of the plane, in the order of the leading axes.
            top: First row.
            left: First column.
            height: Rows.
            width: Columns; the region must be inside the plane.

        Returns:
            ``(C, height, width)``.

        Raises:
            DataError: If it cannot be decoded.
        """
        channel, row, column = self.order
        index: list[Any] = [0] * len(self.array.shape)
        spatial = {row, column} | ({channel} if channel is not None else set())
        others = (axis for axis in range(len(index)) if axis not in spatial)
        for axis, position in zip(others, np.unravel_index(plane, self.leading or (1,)), strict=False):
            index[axis] = int(position)
        index[row], index[column] = slice(top, top + height), slice(left, left + width)
        first = min(self.picked)
        if channel is not None:
            index[channel] = slice(first, max(self.picked) + 1)
        with reading(self.path):
            block = np.asarray(self.array[tuple(index)])
        if self.white is not None:
            block = ~block if block.dtype == np.bool_ else np.asarray(self.white - block, block.dtype)
        if row > column:
            block = np.swapaxes(block, *(sorted(spatial).index(axis) for axis in (row, column)))
        if channel is None:
            return block[None]
        block = np.moveaxis(block, sorted(spatial).index(channel), 0)
        kept = [number - first for number in self.picked]
        return block if kept == list(range(len(block))) else block[kept]

    def close(self) -> None:
        """Closes the file."""
        self.opened.close()


def as_stack(path: Path, image: Opened, channels: int | None, choice: Choice, *, labels: bool = False) -> Stack:
    """Finds channels, rows and columns among the axes, and picks the chosen channels.

    Args:
        path: The file, for messages.
        image: The image in it.
        channels: Required number of channels; ``None`` for any.
        choice: Which channels are taken.
        labels: Whether values may be of any type.

    Raises:
        DataError: If it has no planes, other channels, no pixels, or values of an unsupported type.
    """
    array = image.array
    axes = image.axes or axes_by_shape(path, array.shape, channels, chosen=choice.channels is not None)
    if axes.count("Y") != 1 or axes.count("X") != 1 or len(axes) != len(array.shape):
        raise DataError(
            f"{path} has the axes {axes or 'none'} of sizes {tuple(array.shape)}; expected planes of rows and columns",
            hint="save it as a plane or a stack of planes",
        )
    if 0 in array.shape:
        raise DataError(f"{path} is empty: its axes {axes} have the sizes {tuple(array.shape)}", hint="leave it out")
    if not labels and np.dtype(array.dtype).name not in _EXACT:
        raise DataError(f"{path} is {array.dtype}, expected 8 or 16 bit or float", hint="save it as 16 bit or float32")
    found = [axis for axis in range(len(axes)) if axes[axis] in "CS"]
    sizes = [int(array.shape[axis]) for axis in found]
    given = int(np.prod(sizes)) if sizes else 1
    if sum(size > 1 for size in sizes) > 1:
        raise DataError(f"{path} has {given} channels on two axes ({axes})", hint="save it with one channel axis")
    names = image.channel_names if len(image.channel_names) == given else ()
    picked = chosen_channels(path, choice.channels, given, names)
    _check_channels(path, replace(image, axes=axes), given, len(picked), channels, labels=labels)
    channel = next((axis for axis, size in zip(found, sizes, strict=True) if size > 1), found[0] if found else None)
    row, column = axes.index("Y"), axes.index("X")
    leading = [axis for axis in range(len(axes)) if axis not in (channel, row, column)]
    return Stack(
        path=path,
        leading=tuple(int(array.shape[axis]) for axis in leading),
        axes="".join(axes[axis] for axis in leading),
        channels=len(picked),
        height=int(array.shape[row]),
        width=int(array.shape[column]),
        dtype=np.dtype(array.dtype),
        pixel_size_um=image.pixel_size_um,
        array=array,
        order=(channel, row, column),
        picked=picked,
        channel_names=tuple(names[number] for number in picked) if names else (),
        white=None if choice.raw else image.white,
    )


def _check_channels(path: Path, image: Opened, given: int, taken: int, channels: int | None, *, labels: bool) -> None:
    """Checks that as many channels are taken as required, and that transparency is not among them unasked."""
    if channels is not None and taken != channels:
        named = ", ".join(image.channel_names) or f"axes {image.axes}"
        some = "" if taken == given else f", of which {taken} are taken"
        pick = f"choose {channels} of them with channels=[...]"
        raise DataError(
            f"{path} has {counted(given, 'channel')} ({named}){some}, but the run was trained on "
            f"{counted(channels, 'channel')}",
            hint=pick if given > channels else "save it with that number of channels, without transparency",
        )
    if image.alpha and taken == given and channels is None:
        others = f"channels=[{','.join(map(str, range(given - 1)))}] (in training data.channels=)"
        raise DataError(
            f"{path} has {given} channels, of which the last is transparency",
            hint="save the labels without it" if labels else f"choose the others with {others}, or save it without",
        )
