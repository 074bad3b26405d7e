"""An opened image: planes ``(C, H, W)`` that are read by regions."""

from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from unet_repro.data.read import BROKEN
from unet_repro.errors import DataError
from unet_repro.files import Closing
from unet_repro.stacks.writer import Block, Layout

_EXACT = ["uint8", "int8", "uint16", "int16", "float16", "float32", "float64", "bool"]


@dataclass(frozen=True, kw_only=True)
class Stack(Layout, Closing):
    """An opened image.

    Attributes:
        path: The file.
        array: An array-like object that supports slicing, with the axes ``(*leading, C, H, W)`` ordered by ``order``.
        order: Indices of the channel, row and column axes of ``array``; ``None`` for a missing channel axis.
        opened: Resources that are closed with it.
    """

    path: Path
    array: Any
    order: tuple[int | None, int, int]
    opened: ExitStack = field(default_factory=ExitStack)

    @property
    def num_planes(self) -> int:
        """Number of planes."""
        return int(np.prod(self.leading, dtype=np.int64))

    def read(self, plane: int, top: int, left: int, height: int, width: int) -> Block:
        """Reads a region as stored.

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
        if channel is not None:
            index[channel] = slice(None)
        try:
            block = np.asarray(self.array[tuple(index)])
        except BROKEN as error:
            raise DataError(f"{self.path} cannot be read: {error}", hint="copy, save or download it again") from error
        if channel is None:
            return block[None]
        return np.moveaxis(block, sorted(spatial).index(channel), 0)

    def close(self) -> None:
        """Closes the file."""
        self.opened.close()


def as_stack(
    path: Path, array: Any, axes: str, channels: int, pixel_size_um: tuple[float, float] | None = None
) -> Stack:
    """Finds channels, rows and columns among named axes.

    Args:
        path: The file, for messages.
        array: An array-like object that supports slicing.
        axes: A letter for each of its axes: ``Y``, ``X``, ``C`` or ``S`` for channels, any other letter for planes.
        channels: Required number of channels.
        pixel_size_um: Height and width of a pixel, if known.

    Raises:
        DataError: If it has no planes, other channels, no pixels, or values of an unsupported type.
    """
    if axes.count("Y") != 1 or axes.count("X") != 1 or len(axes) != len(array.shape):
        raise DataError(
            f"{path} has the axes {axes or 'none'} of sizes {tuple(array.shape)}; expected planes of rows and columns",
            hint="save it as a plane or a stack of planes",
        )
    found = [axis for axis in range(len(axes)) if axes[axis] in "CS"]
    sizes = [int(array.shape[axis]) for axis in found]
    given = int(np.prod(sizes)) if sizes else 1
    if given != channels or sum(size > 1 for size in sizes) > 1:
        raise DataError(
            f"{path} has {given} channel{'s' if given > 1 else ''} (axes {axes}), the run was trained on {channels}",
            hint="save it with that number of channels, without transparency",
        )
    if 0 in array.shape:
        raise DataError(f"{path} is empty: its axes {axes} have the sizes {tuple(array.shape)}", hint="leave it out")
    if np.dtype(array.dtype).name not in _EXACT:
        raise DataError(f"{path} is {array.dtype}, expected 8 or 16 bit or float", hint="save it as 16 bit or float32")
    channel = next((axis for axis, size in zip(found, sizes, strict=True) if size > 1), found[0] if found else None)
    row, column = axes.index("Y"), axes.index("X")
    leading = [axis for axis in range(len(axes)) if axis not in (channel, row, column)]
    return Stack(
        path=path,
        leading=tuple(int(array.shape[axis]) for axis in leading),
        axes="".join(axes[axis] for axis in leading),
        channels=channels,
        height=int(array.shape[row]),
        width=int(array.shape[column]),
        dtype=np.dtype(array.dtype),
        pixel_size_um=pixel_size_um,
        array=array,
        order=(channel, row, column),
    )
