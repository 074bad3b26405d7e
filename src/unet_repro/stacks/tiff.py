"""TIFF files of any layout: BigTIFF, multi-page, tiled, compressed, OME-TIFF, ImageJ hyperstacks; read by regions."""

import contextlib
import re
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
import zarr

from unet_repro.errors import DataError
from unet_repro.stacks.choice import Series
from unet_repro.stacks.damage import BROKEN
from unet_repro.stacks.opened import COLOURS, Opened, one_of
from unet_repro.stacks.palette import white_entries

SUFFIXES = (".tif", ".tiff", ".btf", ".tf2", ".tf8", ".lsm", ".svs", ".ndpi")
_ALPHA = (1, 2)  # values of ExtraSamples: associated and unassociated
_MICROMETRES = {"nm": 1e-3, "µm": 1.0, "um": 1.0, "micron": 1.0, "microns": 1.0, "mm": 1e3, "cm": 1e4}


def open_tiff(path: Path, series: Series, opened: ExitStack) -> Opened:
    """Opens a file.

    Args:
        path: The file.
        series: See ``choice.Choice``.
        opened: Closes it.

    Raises:
        DataError: If it has no pages, no such series, or several of different kinds of which none is chosen.
        ValueError: If it is truncated or damaged.
    """
    tif = opened.enter_context(tifffile.TiffFile(path))
    check_tiff(tif)
    if not tif.series:
        raise DataError(f"{path} is empty: it has no pages", hint="leave it out")
    images = [_open_series(path, tif, number, opened) for number in range(len(tif.series))]
    return one_of(path, images, [each.name for each in tif.series], series)


def check_tiff(tif: tifffile.TiffFile) -> None:
    """Checks that all pixels and pages are within the file: tifffile only logs missing pages at the end."""
    size = tif.filehandle.size
    for page in tif.pages:
        for offset, count in zip(page.dataoffsets, page.databytecounts, strict=True):
            if offset + count > size:
                raise ValueError(f"the file is truncated after {size} bytes")
    end_of_chain = tif.pages.next_page_offset  # position of the next page's address
    if end_of_chain is None:
        raise ValueError("it has no list of pages")
    tif.filehandle.seek(end_of_chain)
    following = tif.filehandle.read(tif.tiff.offsetsize)
    if any(following):
        raise ValueError(f"the file is truncated after {size} bytes: page {len(tif.pages)} is missing")


def _open_series(path: Path, tif: tifffile.TiffFile, number: int, opened: ExitStack) -> Opened:
    series = tif.series[number]
    in_this_file = not tif.is_ome or all(page is None or page.parent is tif for page in series.pages)
    if in_this_file and series.dataoffset is not None and series.dtype is not None:  # uncompressed and in one piece
        array: Any = np.memmap(path, series.dtype.newbyteorder(tif.byteorder), "r", series.dataoffset, series.shape)
    else:
        store = opened.enter_context(series.aszarr(level=0))
        array = zarr.open(store, mode="r")
        array = array if isinstance(array, zarr.Array) else array["0"]
    axes = series.axes.replace("I", "Q")
    page = series.keyframe
    samples = int(array.shape[axes.index("S")]) if "S" in axes else 1
    names: tuple[str, ...] = ()
    alpha = samples > 1 and page.extrasamples[-1:] in [(kind,) for kind in _ALPHA]
    if page.photometric == tifffile.PHOTOMETRIC.RGB and samples - alpha == 3:
        names = (*COLOURS, "alpha")[:samples]
    elif "C" in axes:
        names = _channel_names(tif, number, int(array.shape[axes.index("C")]))
    return Opened(array, axes, names, _pixel_size(tif, number), _white(page), alpha)


def _white(page: Any) -> int | None:
    """The stored value that viewers show black, for pages of whole numbers of which 0 is white."""
    whole = np.dtype(page.dtype).kind in "bu"
    if whole and page.photometric == tifffile.PHOTOMETRIC.PALETTE and page.colormap is not None:
        is_white = white_entries(page.colormap.T // 257)
        return 1 if is_white is not None and is_white[0] and not is_white[1:].any() else None
    return 2 ** int(page.bitspersample) - 1 if whole and page.photometric == tifffile.PHOTOMETRIC.MINISWHITE else None


def _channel_names(tif: tifffile.TiffFile, number: int, channels: int) -> tuple[str, ...]:
    """Names in the OME or ImageJ metadata; empty if there are none, or if two are the same."""
    names: list[str] = []
    with contextlib.suppress(*BROKEN):
        if tif.is_ome:
            found = _ome_pixels(tif, number).get("Channel", [])
            names = [str(each.get("Name", "")) for each in (found if isinstance(found, list) else [found])]
        elif tif.is_imagej and tif.imagej_metadata:
            labels = [str(label) for label in tif.imagej_metadata.get("Labels", [])][:channels]
            # Bio-Formats writes "c:1/2 z:3/9 - name of the image", ImageJ the label of the slice.
            names = [re.sub(r"^(?:[czt]:\d+/\d+\s*)+(?:-\s*)?", "", label) for label in labels]
    complete = len(names) == channels and all(names) and len({name.casefold() for name in names}) == channels
    return tuple(names) if complete else ()


def _ome_pixels(tif: tifffile.TiffFile, number: int) -> dict[str, Any]:
    images = tifffile.xml2dict(tif.ome_metadata or "")["OME"]["Image"]
    pixels: dict[str, Any] = (images[number] if isinstance(images, list) else images)["Pixels"]
    return pixels


def _pixel_size(tif: tifffile.TiffFile, number: int) -> tuple[float, float] | None:
    with contextlib.suppress(*BROKEN):
        if tif.is_ome:
            pixels = _ome_pixels(tif, number)
            y, x = (
                float(pixels[f"PhysicalSize{axis}"]) * _MICROMETRES[pixels.get(f"PhysicalSize{axis}Unit", "µm")]
                for axis in "YX"
            )
            return (y, x) if y > 0 and x > 0 else None
        if tif.is_imagej and tif.imagej_metadata:
            unit = str(tif.imagej_metadata["unit"]).replace("\\u00B5", "µ")
            tags = tif.pages.first.tags
            y, x = (tags[f"{axis}Resolution"].value for axis in "YX")  # pixels per unit, as a fraction
            return (y[1] / y[0] * _MICROMETRES[unit], x[1] / x[0] * _MICROMETRES[unit])
    return None
