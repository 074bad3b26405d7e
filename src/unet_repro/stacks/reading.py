"""Opens an image file in any supported format.

TIFF (also BigTIFF, OME-TIFF, multi-page), Zarr and OME-Zarr (level 0), and NumPy files are read by regions: memory does
not grow with the image. PNG and JPEG, and each strip of a compressed TIFF, can only be decoded as a whole.
"""

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import imageio.v3 as imageio
import numpy as np
import tifffile
import zarr

from unet_repro.data.read import BROKEN, check_tiff, decode_png
from unet_repro.errors import DataError
from unet_repro.stacks.names import SUFFIXES
from unet_repro.stacks.stack import Stack, as_stack


def open_stack(path: Path, *, channels: int) -> Stack:
    """Opens an image.

    Args:
        path: The file, or a Zarr folder.
        channels: Channels of the network's training images; used to find the channel axis.

    Raises:
        DataError: If it is missing, unreadable, truncated, empty, in an unsupported format, or has other channels.
    """
    suffix = path.suffix.lower()
    if not path.exists():
        raise DataError(f"{path} is missing", hint="check the path")
    openers: dict[str, Callable[[Path, int, ExitStack], Stack]] = {
        ".png": _open_decoded,
        ".jpg": _open_decoded,
        ".jpeg": _open_decoded,
        ".tif": _open_tiff,
        ".tiff": _open_tiff,
        ".npy": _open_npy,
    }
    opener = _open_zarr if path.is_dir() else openers.get(suffix)
    if opener is None:
        raise DataError(f"unsupported format of {path}", hint=f"supported: {', '.join(SUFFIXES)}")
    with ExitStack() as opened:
        try:
            stack = opener(path, channels, opened)
        except PermissionError as error:
            raise DataError(f"no permission to read {path}: {error}", hint="change its permissions") from error
        except BROKEN as error:
            raise DataError(f"{path} cannot be read: {error}", hint="copy, save or download it again") from error
        stack.opened.push(opened.pop_all())
    return stack


def _open_decoded(path: Path, channels: int, _: ExitStack) -> Stack:
    data = path.read_bytes()
    if path.suffix.lower() == ".png":
        pixels = decode_png(data)
    else:
        if not data.rstrip(b"\x00").endswith(b"\xff\xd9"):
            raise ValueError(f"the file is truncated after {len(data)} bytes")
        pixels = imageio.imread(data, extension=".jpg")
    return as_stack(path, pixels, "YX" if pixels.ndim == 2 else "YXS", channels)


def _open_tiff(path: Path, channels: int, opened: ExitStack) -> Stack:
    tif = opened.enter_context(tifffile.TiffFile(path))
    check_tiff(tif)
    if not tif.series:
        raise DataError(f"{path} is empty: it has no pages", hint="leave it out")
    series = tif.series[0]
    if len(tif.series) > 1:
        shapes = ", ".join(str(each.shape) for each in tif.series[:5])
        raise DataError(
            f"{path} has {len(tif.series)} images of different kinds: {shapes}", hint="save them as separate files"
        )
    axes = series.axes.replace("I", "Q")
    if series.dataoffset is not None and series.dtype is not None:  # uncompressed and in one piece
        array: Any = np.memmap(path, series.dtype.newbyteorder(tif.byteorder), "r", series.dataoffset, series.shape)
    else:
        store = opened.enter_context(series.aszarr(level=0))
        array = zarr.open(store, mode="r")
        array = array if isinstance(array, zarr.Array) else array["0"]
    return as_stack(path, array, axes, channels, _tiff_pixel_size(tif))


def _tiff_pixel_size(tif: tifffile.TiffFile) -> tuple[float, float] | None:
    if tif.is_ome and tif.ome_metadata:
        pixels = tifffile.xml2dict(tif.ome_metadata)["OME"]["Image"]
        pixels = (pixels[0] if isinstance(pixels, list) else pixels)["Pixels"]
        y, x = pixels.get("PhysicalSizeY"), pixels.get("PhysicalSizeX")
        units = {pixels.get("PhysicalSizeYUnit", "µm"), pixels.get("PhysicalSizeXUnit", "µm")}
        return (float(y), float(x)) if y and x and units == {"µm"} else None
    return None


def _open_npy(path: Path, channels: int, _: ExitStack) -> Stack:
    array = np.load(path, mmap_mode="r", allow_pickle=False)
    return as_stack(path, array, _axes_by_shape(path, array.shape, channels), channels)


def _axes_by_shape(path: Path, shape: tuple[int, ...], channels: int) -> str:
    """Axes of an array without names: the channel axis is third from the end or last, if its size matches.

    >>> _axes_by_shape(Path("a.npy"), (5, 64, 64), 1), _axes_by_shape(Path("a.npy"), (5, 3, 64, 64), 3)
    ('QYX', 'QCYX')
    >>> _axes_by_shape(Path("a.npy"), (64, 64, 3), 3)
    'YXC'
    """
    if len(shape) < 2:
        raise DataError(f"{path} has {len(shape)} axes, expected rows and columns", hint="save images as (H, W)")
    if channels > 1 and len(shape) > 2:
        if shape[-3] == channels:
            return "Q" * (len(shape) - 3) + "CYX"
        if shape[-1] == channels:
            return "Q" * (len(shape) - 3) + "YXC"
    return "Q" * (len(shape) - 2) + "YX"


def _open_zarr(path: Path, channels: int, _: ExitStack) -> Stack:
    node: Any = zarr.open(path, mode="r")
    if isinstance(node, zarr.Array):
        names = getattr(node.metadata, "dimension_names", None)
        axes = _axes_by_shape(path, node.shape, channels)
        if names and all(names) and {"y", "x"} <= {str(name).lower() for name in names}:
            axes = "".join(str(name)[0].upper() for name in names)
        return as_stack(path, node, axes, channels)
    attributes: dict[str, Any] = dict(node.attrs)
    multiscales = attributes.get("ome", attributes).get("multiscales")
    if not multiscales:
        raise DataError(
            f"{path} is a Zarr group without an image (no multiscales)", hint="use the path of the array inside it"
        )
    scale = multiscales[0]
    level = scale["datasets"][0]
    array = node[level["path"]]
    assert isinstance(array, zarr.Array), "a level is an array"
    named = [axis["name"] if isinstance(axis, dict) else axis for axis in scale.get("axes", "tczyx")]
    size = None
    for transform in level.get("coordinateTransformations", []):
        if transform.get("type") == "scale":
            size = (float(transform["scale"][-2]), float(transform["scale"][-1]))
    return as_stack(path, array, "".join(name[0].upper() for name in named), channels, size)
