"""Output formats for planes ``(C, H, W)``: TIFF, OME-TIFF, NumPy, PNG, OME-Zarr."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import tifffile
import zarr

from unet_repro.errors import ConfigError, RunError
from unet_repro.files import replacing
from unet_repro.stacks.palette import with_palette
from unet_repro.stacks.writer import Layout, Writer, allocate

ZARR_CHUNK_PX = 1024
CLASSIC_TIFF_BYTES = 3_900_000_000  # larger files are BigTIFF


class _Npy(Writer):
    def _begin(self) -> None:
        self.array = np.lib.format.open_memmap(self.partial, "w+", self.layout.dtype, self.layout.shape)
        allocate(self.partial)

    def _open(self) -> Any:
        return np.lib.format.open_memmap(self.partial, "r+")


class _Tiff(Writer):
    """An uncompressed, contiguous TIFF, so that it can be mapped into memory; a BigTIFF if necessary."""

    def _begin(self) -> None:
        layout = self.layout
        ome = self.target.name.lower().endswith((".ome.tif", ".ome.tiff"))
        metadata: dict[str, Any] = {"axes": _ome_axes(self.target, layout) if ome else layout.all_axes}
        if ome and layout.pixel_size_um is not None:
            for axis, size in zip("YX", layout.pixel_size_um, strict=True):
                metadata |= {f"PhysicalSize{axis}": size, f"PhysicalSize{axis}Unit": "µm"}
        tifffile.memmap(
            self.partial,
            shape=layout.shape,
            dtype=layout.dtype,
            bigtiff=layout.num_bytes > CLASSIC_TIFF_BYTES,
            ome=ome,
            photometric="minisblack",
            metadata=metadata,
        )
        allocate(self.partial)
        self.array = self._open()

    def _open(self) -> Any:
        return tifffile.memmap(self.partial, mode="r+").reshape(self.layout.shape)  # it drops axes of length 1


def _ome_axes(target: Path, layout: Layout) -> str:
    """The axes with a name of OME-TIFF for each.

    Raises:
        ConfigError: If they are too many, or one has no name there.
    """
    axes = layout.all_axes
    for free in (letter for letter in "ZT" if letter not in axes):
        axes = axes.replace("Q", free, 1)
    if len(set(axes)) < len(axes) or not set(axes) <= set("TZCYX"):
        raise ConfigError(f"OME-TIFF has no names for the axes {layout.all_axes} of {target}", hint="use format=tif")
    return axes


class _Png(_Npy):
    """A PNG, encoded at the end from a memory-mapped file."""

    def finish(self) -> None:
        block = self.read(0, 0, 0, self.layout.height, self.layout.width)
        pixels = block[0] if self.layout.channels == 1 else np.moveaxis(block, 0, -1)[..., ::-1]
        fits, encoded = cv2.imencode(".png", np.ascontiguousarray(pixels))
        if not fits:
            raise RunError(f"{self.target} cannot be encoded as PNG", hint="use format=tif")
        data = encoded.tobytes()
        with self._writing(), replacing(self.target) as file:
            file.write(data if self.layout.palette is None else with_palette(data, self.layout.palette))
        self.discard()


class _Zarr(Writer):
    """An OME-Zarr 0.5 (Zarr 3) with one level, in chunks of 1024 x 1024 pixels."""

    def _begin(self) -> None:
        layout = self.layout
        group = zarr.open_group(self.partial, mode="w", zarr_format=3)
        names = [{"T": "t", "Z": "z", "C": "c", "Y": "y", "X": "x"}.get(axis, "z") for axis in layout.all_axes]
        kinds = {"t": "time", "c": "channel"}
        axes = [{"name": name, "type": kinds.get(name, "space")} for name in names]
        if layout.pixel_size_um is not None:
            axes[-2:] = [{**axis, "unit": "micrometer"} for axis in axes[-2:]]
        scale = [*[1.0] * (len(names) - 2), *(layout.pixel_size_um or (1.0, 1.0))]
        group.attrs["ome"] = {
            "version": "0.5",
            "multiscales": [
                {
                    "axes": axes,
                    "datasets": [
                        {"path": "0", "coordinateTransformations": [{"type": "scale", "scale": scale}]},
                    ],
                }
            ],
        }
        sides = (min(ZARR_CHUNK_PX, layout.height), min(ZARR_CHUNK_PX, layout.width))
        self.array = group.create_array(
            "0",
            shape=layout.shape,
            chunks=(*[1] * (len(layout.shape) - 2), *sides),
            dtype=layout.dtype,
            dimension_names=names,
            fill_value=0,
        )

    def _open(self) -> Any:
        return zarr.open_group(self.partial, mode="r+")["0"]


FORMATS: dict[str, type[Writer]] = {".tif": _Tiff, ".tiff": _Tiff, ".npy": _Npy, ".png": _Png, ".zarr": _Zarr}


def create(target: Path, layout: Layout, *, resume: bool = False) -> Writer:
    """Starts or resumes an output.

    Args:
        target: Path of the output; its suffix determines the format.
        layout: Its layout.
        resume: Whether to keep blocks of an earlier process.

    Raises:
        ConfigError: If the format is unknown or does not support the layout.
        RunError: If there is not enough space, or the folder is not writable.
    """
    kind = FORMATS.get(target.suffix.lower())
    if kind is None:
        raise ConfigError(f"unsupported suffix of {target}", hint=f"use {', '.join(FORMATS)}")
    one_plane = layout.leading in ((), (1,)) and layout.channels in (1, 3)
    if kind is _Png and not (one_plane and layout.dtype in (np.uint8, np.uint16)):
        raise ConfigError(
            f"{target}: a PNG has one plane of 8 or 16 bit, not {layout.shape} {layout.dtype}", hint="use format=tif"
        )
    return kind(target, layout, resume=resume)
