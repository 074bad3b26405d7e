"""An output that is written block by block, in any order; a later process can reuse the blocks of a killed one.

An unfinished output is stored beside the target as ``.NAME.partial``, at its full size from the start, so that a full
disk is detected at once. ``finish`` renames it.
"""

import contextlib
import os
import shutil
from abc import abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from unet_repro.errors import RunError
from unet_repro.files import Closing, writing
from unet_repro.stacks.damage import BROKEN
from unet_repro.stacks.palette import Palette

Block = npt.NDArray[Any]


@dataclass(frozen=True)
class Layout:
    """The layout of an image file.

    Attributes:
        leading: Sizes of the axes before channels, rows and columns; ``()`` for a single plane.
        axes: Names of those axes, such as ``TZ``.
        channels: Channels of a plane; a single channel has no axis.
        height: Rows.
        width: Columns.
        dtype: Type of the stored values.
        pixel_size_um: Height and width of a pixel in micrometres, for formats that record it.
        palette: Colours of the values 0, 1, ... of one channel of 8 bit, for formats that record them (PNG).
    """

    leading: tuple[int, ...]
    axes: str
    channels: int
    height: int
    width: int
    dtype: np.dtype[Any]
    pixel_size_um: tuple[float, float] | None = None
    palette: Palette | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        """Sizes of all axes."""
        return (*self.leading, *([self.channels] if self.channels > 1 else []), self.height, self.width)

    @property
    def all_axes(self) -> str:
        """Names of all axes."""
        return self.axes + ("C" if self.channels > 1 else "") + "YX"

    @property
    def num_bytes(self) -> int:
        """Bytes of all values."""
        return int(np.prod(self.shape, dtype=np.int64)) * self.dtype.itemsize

    def index(self, plane: int, top: int, left: int, height: int, width: int) -> tuple[Any, ...]:
        """Index of a region of a plane in an array of this shape."""
        before = tuple(int(i) for i in np.unravel_index(plane, self.leading)) if self.leading else ()
        channel = (slice(None),) if self.channels > 1 else ()
        return (*before, *channel, slice(top, top + height), slice(left, left + width))


class Writer(Closing):
    """An output that is being written.

    Args:
        target: Path of the finished output.
        layout: Its layout.
        resume: Whether to keep blocks of an earlier process; its file must have the same shape and type.

    Attributes:
        resumed: Whether an earlier process's file is reused.

    Raises:
        RunError: If there is not enough space, or the folder is not writable.
    """

    def __init__(self, target: Path, layout: Layout, *, resume: bool) -> None:
        self.target, self.partial, self.layout = target, partial_of(target), layout
        self.array: Any = None
        with self._writing():
            target.parent.mkdir(parents=True, exist_ok=True)
            self.resumed = resume and self._reopen()
            if not self.resumed:
                remove(self.partial)
                self._check_space()
                self._begin()

    @abstractmethod
    def _begin(self) -> None:
        """Creates the partial file at its full size, and ``array``."""

    @abstractmethod
    def _open(self) -> Any:
        """Opens the partial file's array; raises the library's errors if the file is invalid."""

    def _reopen(self) -> bool:
        """Opens an earlier process's file as ``array``; false if there is no matching file."""
        with contextlib.suppress(*BROKEN):
            array = self._open()
            if array.dtype == self.layout.dtype and array.shape == self.layout.shape:
                self.array = array
        return self.array is not None

    def _check_space(self) -> None:
        needed, free = self.layout.num_bytes, shutil.disk_usage(self.target.parent).free
        if needed > free:
            raise RunError(
                f"{self.target} needs {needed / 1e9:.1f} GB, but only {free / 1e9:.1f} GB are free",
                hint="free some space, or choose an output on another disk",
            )

    def _writing(self) -> contextlib.AbstractContextManager[None]:
        return writing(self.target, hint="free some space, or choose a writable output; the same command resumes")

    def write(self, plane: int, top: int, left: int, block: Block) -> None:
        """Writes a block ``(C, h, w)`` inside a plane.

        Raises:
            RunError: If the disk is full.
        """
        values = block if self.layout.channels > 1 else block[0]
        with self._writing():
            self.array[self.layout.index(plane, top, left, *block.shape[1:])] = values

    def read(self, plane: int, top: int, left: int, height: int, width: int) -> Block:
        """Reads back what was written, ``(C, h, w)``."""
        block = np.array(self.array[self.layout.index(plane, top, left, height, width)])
        return block if self.layout.channels > 1 else block[None]

    def flush(self) -> None:
        """Syncs written blocks to disk.

        Raises:
            RunError: If the disk is full.
        """
        if isinstance(self.array, np.memmap):
            with self._writing():
                self.array.flush()

    def finish(self) -> None:
        """Renames the output to its target, replacing an older file.

        Raises:
            RunError: If it cannot be written.
        """
        self.flush()
        self.close()
        with self._writing():
            if self.partial.is_dir() or self.target.is_dir():  # `replace` cannot overwrite a folder
                remove(self.target)
            self.partial.replace(self.target)

    def discard(self) -> None:
        """Removes what was written."""
        self.close()
        remove(self.partial)

    def close(self) -> None:
        """Closes the file; an unfinished output is kept for the next process."""
        self.array = None


def partial_of(target: Path) -> Path:
    """Where an output is stored until it is finished."""
    return target.with_name(f".{target.name}.partial")


def allocate(path: Path) -> None:
    """Allocates the file's blocks on disk now: writing to a mapped hole on a full disk would kill the process."""
    if hasattr(os, "posix_fallocate"):
        with path.open("r+b") as file:
            os.posix_fallocate(file.fileno(), 0, path.stat().st_size)


def remove(path: Path) -> None:
    """Removes a file or folder, if there is one."""
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
