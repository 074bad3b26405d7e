"""Opens an image file of any kind as planes ``(C, H, W)`` whose regions are read without the rest of the file.

TIFF (also BigTIFF, OME-TIFF, multi-page), Zarr and OME-Zarr (level 0), and NumPy files are read by regions: memory does
not grow with the image. PNG and JPEG can only be decoded whole.
"""

import glob
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

import cv2
import imageio.v3 as imageio
import numpy as np
import numpy.typing as npt
import tifffile
import zarr

from unet_repro.data.folder import natural_key
from unet_repro.data.read import BROKEN, check_png, check_tiff
from unet_repro.errors import DataError

Block = npt.NDArray[Any]

SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".zarr", ".npy")
_EXACT = ["uint8", "int8", "uint16", "int16", "float16", "float32", "float64", "bool"]
_ZARR_MARKS = ("zarr.json", ".zarray", ".zgroup")


@dataclass
class Stack:
    """An opened image.

    Attributes:
        path: The file.
        leading: Sizes of the axes before channels, rows and columns; ``()`` for a single plane.
        axes: Names of those axes, such as ``TZ``.
        channels: Channels of a plane.
        height: Rows.
        width: Columns.
        dtype: Of the values as stored.
        pixel_size_um: Height and width of a pixel in micrometres, where the file says so.
        array: Anything that is sliced like an array, with the axes ``(*leading, C, H, W)`` in the order of ``order``.
        order: Where channel, row and column stand among the axes of ``array``; ``None`` for a missing channel axis.
    """

    path: Path
    leading: tuple[int, ...]
    axes: str
    channels: int
    height: int
    width: int
    dtype: np.dtype[Any]
    pixel_size_um: tuple[float, float] | None
    array: Any
    order: tuple[int | None, int, int]
    _close: ExitStack = field(default_factory=ExitStack)

    @property
    def num_planes(self) -> int:
        """Planes in all."""
        return int(np.prod(self.leading, dtype=np.int64))

    def read(self, plane: int, top: int, left: int, height: int, width: int) -> Block:
        """A region as stored.

        Args:
            plane: Number of the plane, in the order of the leading axes.
            top: First row.
            left: First column.
            height: Rows.
            width: Columns; the region lies inside the plane.

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
            raise DataError(f"{self.path} cannot be read: {error}", mend="copy, save or download it again") from error
        if channel is None:
            return block[None]
        return np.moveaxis(block, sorted(spatial).index(channel), 0)

    def close(self) -> None:
        """Closes the file."""
        self._close.close()

    def __enter__(self) -> "Stack":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def find_inputs(pattern: str | Path) -> list[Path]:
    """The images that a user names.

    Args:
        pattern: A file, a folder of files, an OME-Zarr or Zarr folder, or a glob.

    Returns:
        Paths in natural order.

    Raises:
        DataError: If there is nothing, or nothing of a known kind.
    """
    path = Path(pattern)
    if path.is_dir() and not _is_zarr(path):
        found = [each for each in path.iterdir() if _is_image(each)]
        where = f"folder {path}"
    elif path.exists():
        found, where = [path] if _is_image(path) else [], str(path)
    else:
        matches = [Path(each) for each in glob.glob(str(pattern), recursive=True)]  # noqa: PTH207  # absolute ones too
        found, where = [each for each in matches if _is_image(each)], f"input={pattern}"
        if not matches:
            raise DataError(f"{where} does not exist", mend="check the path; a glob needs quotes")
    if not found:
        raise DataError(f"{where} holds no image of a known kind", mend=f"known are {', '.join(SUFFIXES)}")
    return sorted(found, key=lambda each: natural_key(each.name))


def _is_zarr(path: Path) -> bool:
    return path.is_dir() and any((path / mark).exists() for mark in _ZARR_MARKS)


def _is_image(path: Path) -> bool:
    if path.name.startswith("."):
        return False
    return _is_zarr(path) or (path.suffix.lower() in SUFFIXES and (path.is_file() or path.suffix.lower() == ".zarr"))


def open_stack(path: Path, *, channels: int) -> Stack:
    """Opens an image.

    Args:
        path: The file, or a Zarr folder.
        channels: Channels of the images that the network was trained on; decides which axis holds them.

    Raises:
        DataError: If it is missing, unreadable, truncated, empty, of an unsupported kind, or has other channels.
    """
    suffix = path.suffix.lower()
    if not path.exists():
        raise DataError(f"{path} is missing", mend="check the path")
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
        raise DataError(f"{path} is of no known kind", mend=f"known are {', '.join(SUFFIXES)}")
    with ExitStack() as opened:
        try:
            stack = opener(path, channels, opened)
        except PermissionError as error:
            raise DataError(f"{path} may not be read: {error}", mend="give yourself the right to read it") from error
        except BROKEN as error:
            raise DataError(f"{path} cannot be read: {error}", mend="copy, save or download it again") from error
        stack._close = opened.pop_all()
    return stack


def _stack(path: Path, array: Any, axes: str, channels: int, pixel_size_um: tuple[float, float] | None = None) -> Stack:
    """Finds channels, rows and columns among named axes: ``Y``, ``X``, and ``C`` or ``S`` for channels."""
    if axes.count("Y") != 1 or axes.count("X") != 1 or len(axes) != len(array.shape):
        raise DataError(
            f"{path} has the axes {axes or 'none'} of sizes {tuple(array.shape)}; expected planes of rows and columns",
            mend="save it as a plane or a stack of planes",
        )
    found = [axis for axis in range(len(axes)) if axes[axis] in "CS"]
    sizes = [int(array.shape[axis]) for axis in found]
    given = int(np.prod(sizes)) if sizes else 1
    if given != channels or sum(size > 1 for size in sizes) > 1:
        raise DataError(
            f"{path} has {given} channel{'s' if given > 1 else ''} (axes {axes}), the run was trained on {channels}",
            mend="save it with as many channels, without transparency",
        )
    if 0 in array.shape:
        raise DataError(f"{path} is empty: its axes {axes} have the sizes {tuple(array.shape)}", mend="leave it out")
    if np.dtype(array.dtype).name not in _EXACT:
        raise DataError(f"{path} is {array.dtype}, expected 8 or 16 bit or float", mend="save it as 16 bit or float32")
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


def _open_decoded(path: Path, channels: int, _: ExitStack) -> Stack:
    data = path.read_bytes()
    if path.suffix.lower() == ".png":
        check_png(data)
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
        if pixels is None:
            raise ValueError("the PNG decoder refuses it")
        pixels = pixels[..., ::-1] if pixels.ndim == 3 and pixels.shape[-1] == 3 else pixels
    else:
        if not data.rstrip(b"\x00").endswith(b"\xff\xd9"):
            raise ValueError(f"the file is truncated after {len(data)} bytes")
        pixels = imageio.imread(data, extension=".jpg")
    return _stack(path, pixels, "YX" if pixels.ndim == 2 else "YXS", channels)


def _open_tiff(path: Path, channels: int, opened: ExitStack) -> Stack:
    tif = opened.enter_context(tifffile.TiffFile(path))
    check_tiff(tif)
    if not tif.series:
        raise DataError(f"{path} is empty: it has no pages", mend="leave it out")
    series = tif.series[0]
    if len(tif.series) > 1:
        shapes = ", ".join(str(each.shape) for each in tif.series[:5])
        raise DataError(
            f"{path} holds {len(tif.series)} images of different kinds: {shapes}", mend="save them one by one"
        )
    axes = series.axes.replace("I", "Q")
    if series.dataoffset is not None and series.dtype is not None and tif.byteorder == _native():
        # Uncompressed and in one piece: mapped into memory.
        array: Any = np.memmap(path, series.dtype, "r", series.dataoffset, series.shape)
    else:
        store = opened.enter_context(series.aszarr(level=0))
        array = zarr.open(store, mode="r")
        array = array if isinstance(array, zarr.Array) else array["0"]
    return _stack(path, array, axes, channels, _tiff_pixel_size(tif))


def _native() -> str:
    return "<" if np.little_endian else ">"


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
    return _stack(path, array, _axes_by_shape(path, array.shape, channels), channels)


def _axes_by_shape(path: Path, shape: tuple[int, ...], channels: int) -> str:
    """Axes of an array without names: channels are third from the end or last, if they are as many as wanted.

    >>> _axes_by_shape(Path("a.npy"), (5, 64, 64), 1), _axes_by_shape(Path("a.npy"), (5, 3, 64, 64), 3)
    ('QYX', 'QCYX')
    >>> _axes_by_shape(Path("a.npy"), (64, 64, 3), 3)
    'YXC'
    """
    if len(shape) < 2:
        raise DataError(f"{path} has {len(shape)} axes, expected rows and columns", mend="save images as (H, W)")
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
        return _stack(path, node, axes, channels)
    attributes: dict[str, Any] = dict(node.attrs)
    multiscales = attributes.get("ome", attributes).get("multiscales")
    if not multiscales:
        raise DataError(f"{path} is a Zarr group without an image (no multiscales)", mend="name the array inside it")
    scale = multiscales[0]
    level = scale["datasets"][0]
    array = node[level["path"]]
    assert isinstance(array, zarr.Array), "a level is an array"
    named = [axis["name"] if isinstance(axis, dict) else axis for axis in scale.get("axes", "tczyx")]
    size = None
    for transform in level.get("coordinateTransformations", []):
        if transform.get("type") == "scale":
            size = (float(transform["scale"][-2]), float(transform["scale"][-1]))
    return _stack(path, array, "".join(name[0].upper() for name in named), channels, size)
