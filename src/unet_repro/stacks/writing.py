"""Writes planes ``(C, H, W)`` block by block, in any order; a killed process' blocks are found again.

What is unfinished lies beside the target as ``.NAME.partial``, at its full size from the beginning, so that a full disk
shows at once. ``finish`` gives it its name.
"""

import contextlib
import os
import shutil
from pathlib import Path
from types import TracebackType
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import tifffile
import zarr

from unet_repro.errors import ConfigError, RunError
from unet_repro.files import replacing

Block = npt.NDArray[Any]

ZARR_CHUNK_PX = 1024


class Writer:
    """An output that is being written.

    Args:
        target: Where it goes when it is finished.
        leading: Sizes of the axes before channels.
        axes: Their names.
        channels: Channels; one is written without an axis.
        height: Rows.
        width: Columns.
        dtype: Of the values.
        pixel_size_um: Height and width of a pixel, for formats that tell it.
        resume: Whether blocks of an earlier process are kept; its file must be of the same shape and type.

    Attributes:
        resumed: Whether there were any.

    Raises:
        RunError: If there is no space, or the folder cannot be written to.
    """

    def __init__(
        self,
        target: Path,
        *,
        leading: tuple[int, ...],
        axes: str,
        channels: int,
        height: int,
        width: int,
        dtype: np.dtype[Any],
        pixel_size_um: tuple[float, float] | None,
        resume: bool,
    ) -> None:
        self.target, self.partial = target, target.with_name(f".{target.name}.partial")
        self.leading, self.channels, self.height, self.width = leading, channels, height, width
        self.shape = (*leading, *([channels] if channels > 1 else []), height, width)
        self.axes = axes + ("C" if channels > 1 else "") + "YX"
        self.dtype, self.pixel_size_um = np.dtype(dtype), pixel_size_um
        self.array: Any = None
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            self.resumed = resume and self._reopen()
            if not self.resumed:
                _remove(self.partial)
                self._check_space()
                self._begin()
        except OSError as error:
            raise self._no_space(error) from error

    def _begin(self) -> None:
        """Makes the partial file at its full size, and ``array``."""
        raise NotImplementedError

    def _reopen(self) -> bool:
        """Opens an earlier process' file as ``array``; false if there is none that fits."""
        raise NotImplementedError

    def _check_space(self) -> None:
        needed = int(np.prod(self.shape, dtype=np.int64)) * self.dtype.itemsize
        free = shutil.disk_usage(self.target.parent).free
        if needed > free:
            raise RunError(
                f"{self.target} needs {needed / 1e9:.1f} GB, and {free / 1e9:.1f} GB are free",
                mend="free some space, or name an output elsewhere",
            )

    def _no_space(self, error: OSError) -> RunError:
        return RunError(
            f"cannot write {self.target}: {error.strerror or error}",
            mend="free some space, or name an output where you may write; the same command goes on",
        )

    def _index(self, plane: int, top: int, left: int, height: int, width: int) -> tuple[Any, ...]:
        before = tuple(int(i) for i in np.unravel_index(plane, self.leading)) if self.leading else ()
        channel = (slice(None),) if self.channels > 1 else ()
        return (*before, *channel, slice(top, top + height), slice(left, left + width))

    def write(self, plane: int, top: int, left: int, block: Block) -> None:
        """Writes a block ``(C, h, w)`` that lies inside a plane.

        Raises:
            RunError: If there is no space.
        """
        values = block if self.channels > 1 else block[0]
        try:
            self.array[self._index(plane, top, left, *block.shape[1:])] = values
        except OSError as error:
            raise self._no_space(error) from error

    def read(self, plane: int, top: int, left: int, height: int, width: int) -> Block:
        """What was written, ``(C, h, w)``."""
        block = np.array(self.array[self._index(plane, top, left, height, width)])
        return block if self.channels > 1 else block[None]

    def flush(self) -> None:
        """Brings what was written to the disk itself.

        Raises:
            RunError: If there is no space.
        """
        if isinstance(self.array, np.memmap):
            try:
                self.array.flush()
            except OSError as error:
                raise self._no_space(error) from error

    def finish(self) -> None:
        """Gives the output its name, in the place of an older one.

        Raises:
            RunError: If it cannot be written.
        """
        self.flush()
        self.close()
        try:
            if self.partial.is_dir():
                _remove(self.target)
            elif self.target.is_dir():
                shutil.rmtree(self.target)
            self.partial.replace(self.target)
        except OSError as error:
            raise self._no_space(error) from error

    def discard(self) -> None:
        """Removes what was written."""
        self.close()
        _remove(self.partial)

    def close(self) -> None:
        """Lets the file go; what is unfinished stays for the next time."""
        self.array = None

    def __enter__(self) -> "Writer":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class _Npy(Writer):
    def _begin(self) -> None:
        self.array = np.lib.format.open_memmap(self.partial, "w+", self.dtype, self.shape)
        _allocate(self.partial)

    def _reopen(self) -> bool:
        with contextlib.suppress(ValueError, OSError, EOFError):
            array = np.lib.format.open_memmap(self.partial, "r+")
            if array.shape == self.shape and array.dtype == self.dtype:
                self.array = array
        return self.array is not None


class _Tiff(Writer):
    """Uncompressed and in one piece, so that it can be mapped into memory; a BigTIFF where it must be."""

    def _metadata(self) -> dict[str, Any]:
        return {"axes": self.axes}

    def _begin(self) -> None:
        size = int(np.prod(self.shape, dtype=np.int64)) * self.dtype.itemsize
        ome = self.target.name.lower().endswith((".ome.tif", ".ome.tiff"))
        metadata: dict[str, Any] = {"axes": self.axes.replace("Q", "Z", 1) if ome else self.axes}
        if ome and self.pixel_size_um is not None:
            metadata |= {
                "PhysicalSizeY": self.pixel_size_um[0],
                "PhysicalSizeYUnit": "µm",
                "PhysicalSizeX": self.pixel_size_um[1],
                "PhysicalSizeXUnit": "µm",
            }
        tifffile.memmap(
            self.partial,
            shape=self.shape,
            dtype=self.dtype,
            bigtiff=size > 3_900_000_000,
            ome=ome,
            photometric="minisblack",
            metadata=metadata,
        )
        _allocate(self.partial)
        if not self._reopen():
            raise OSError("the file that was just made cannot be opened")

    def _reopen(self) -> bool:
        with contextlib.suppress(ValueError, OSError, tifffile.TiffFileError):
            array = tifffile.memmap(self.partial, mode="r+")
            if array.dtype == self.dtype and array.size == np.prod(self.shape, dtype=np.int64):
                self.array = array.reshape(self.shape)
        return self.array is not None


class _Png(_Npy):
    """Written whole at the end, from a mapped file."""

    def finish(self) -> None:
        block = self.read(0, 0, 0, self.height, self.width)
        pixels = block[0] if self.channels == 1 else np.moveaxis(block, 0, -1)[..., ::-1]
        fits, encoded = cv2.imencode(".png", np.ascontiguousarray(pixels))
        if not fits:
            raise RunError(f"{self.target} cannot be encoded as PNG", mend="use format=tif")
        try:
            with replacing(self.target) as file:
                file.write(encoded.tobytes())
        except OSError as error:
            raise self._no_space(error) from error
        self.discard()


class _Zarr(Writer):
    """An OME-Zarr 0.5 (Zarr 3) with one level, in chunks of 1024 x 1024 pixels."""

    def _begin(self) -> None:
        group = zarr.open_group(self.partial, mode="w", zarr_format=3)
        names = [{"T": "t", "Z": "z", "C": "c", "Y": "y", "X": "x"}.get(axis, "z") for axis in self.axes]
        kinds = {"t": "time", "c": "channel"}
        scale = [1.0] * len(names)
        if self.pixel_size_um is not None:
            scale[-2:] = self.pixel_size_um
        group.attrs["ome"] = {
            "version": "0.5",
            "multiscales": [
                {
                    "axes": [{"name": name, "type": kinds.get(name, "space")} for name in names],
                    "datasets": [
                        {"path": "0", "coordinateTransformations": [{"type": "scale", "scale": scale}]},
                    ],
                }
            ],
        }
        chunks = (*[1] * (len(self.shape) - 2), min(ZARR_CHUNK_PX, self.height), min(ZARR_CHUNK_PX, self.width))
        self.array = group.create_array(
            "0", shape=self.shape, chunks=chunks, dtype=self.dtype, dimension_names=names, fill_value=0
        )

    def _reopen(self) -> bool:
        with contextlib.suppress(OSError, ValueError, KeyError):
            array = zarr.open_group(self.partial, mode="r+")["0"]
            if array.shape == self.shape and array.dtype == self.dtype:  # type: ignore[union-attr]
                self.array = array
        return self.array is not None


def create(
    target: Path,
    *,
    leading: tuple[int, ...],
    axes: str,
    channels: int,
    height: int,
    width: int,
    dtype: np.dtype[Any],
    pixel_size_um: tuple[float, float] | None = None,
    resume: bool = False,
) -> Writer:
    """Begins an output, or goes on with one; its suffix says the format. See ``Writer``.

    Raises:
        ConfigError: If the format cannot hold it.
        RunError: If there is no space, or the folder cannot be written to.
    """
    kinds: dict[str, type[Writer]] = {".tif": _Tiff, ".tiff": _Tiff, ".npy": _Npy, ".png": _Png, ".zarr": _Zarr}
    kind = kinds.get(target.suffix.lower())
    if kind is None:
        raise ConfigError(f"{target} has no known suffix", mend=f"use {', '.join(kinds)}")
    fits_png = leading in ((), (1,)) and str(np.dtype(dtype)) in ("uint8", "uint16") and channels in (1, 3)
    if kind is _Png and not fits_png:
        raise ConfigError(
            f"{target}: a PNG holds one plane of 8 or 16 bit, not {(*leading, channels, height, width)} {dtype}",
            mend="use format=tif",
        )
    return kind(
        target,
        leading=leading,
        axes=axes,
        channels=channels,
        height=height,
        width=width,
        dtype=np.dtype(dtype),
        pixel_size_um=pixel_size_um,
        resume=resume,
    )


def _allocate(path: Path) -> None:
    """Takes the file's blocks from the disk now: writing to a mapped hole on a full disk would kill the process."""
    if hasattr(os, "posix_fallocate"):
        with path.open("r+b") as file:
            os.posix_fallocate(file.fileno(), 0, path.stat().st_size)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
