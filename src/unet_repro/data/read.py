"""Reads PNG and TIFF files with one or more pages, and detects truncated and damaged files."""

import struct
import zlib
from pathlib import Path
from typing import TypeVar

import cv2
import numpy as np
import numpy.typing as npt
import tifffile

from unet_repro.data.labels import Labels
from unet_repro.errors import DataError

SUFFIXES = (".png", ".tif", ".tiff")

Image = npt.NDArray[np.generic]

_Page = TypeVar("_Page")

_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
# What decoders raise on damaged files, including undocumented exceptions.
BROKEN = (
    OSError,
    EOFError,
    ValueError,
    LookupError,
    TypeError,
    ArithmeticError,
    RuntimeError,
    struct.error,
    zlib.error,
    cv2.error,
)


def read_pages(path: Path) -> list[Image]:
    """Reads all pages of an image file.

    Args:
        path: A PNG, TIFF or multi-page TIFF file.

    Returns:
        One ``(H, W)`` or ``(3, H, W)`` array per page, all of one shape; uint8 or uint16 as stored. Other types that
        float32 holds exactly become float32; float64 is rounded to float32.

    Raises:
        DataError: If the file is missing, unreadable, truncated, of an unsupported kind, or has pages that are
            constant, not finite, or of different shapes.
    """
    return [_image(page, where) for page, where in _raw_pages(path)]


def read_image(path: Path) -> Image:
    """Reads an image file of exactly one page; see ``read_pages``."""
    return _only(read_pages(path), path)


def read_label_pages(path: Path) -> list[Labels]:
    """Reads all pages of a label file.

    Args:
        path: A PNG, TIFF or multi-page TIFF file of one channel.

    Returns:
        One ``(H, W)`` int32 array per page with the values as stored, all of one shape.

    Raises:
        DataError: As ``read_pages``, or if a page has colours or values that are negative, fractional or too large.
    """
    return [_labels(page, where) for page, where in _raw_pages(path)]


def read_labels(path: Path) -> Labels:
    """Reads a label file of exactly one page; see ``read_label_pages``."""
    return _only(read_label_pages(path), path)


def _only(pages: list[_Page], path: Path) -> _Page:
    if len(pages) != 1:
        raise DataError(f"{path} has {len(pages)} pages, expected one", hint="save each page as a separate file")
    return pages[0]


def _raw_pages(path: Path) -> list[tuple[Image, str]]:
    """All pages as ``(H, W)`` or ``(H, W, S)``, each with its location for error messages."""
    if path.suffix.lower() not in SUFFIXES:
        raise DataError(f"{path} is not a PNG or TIFF file", hint="save it as PNG or TIFF")
    try:
        pages = [decode_png(path.read_bytes())] if path.suffix.lower() == ".png" else _decode_tiff(path)
    except FileNotFoundError as error:
        raise DataError(f"{path} is missing", hint="check the path, or put the file there") from error
    except PermissionError as error:
        raise DataError(f"no permission to read {path}: {error}", hint="change the file's permissions") from error
    except BROKEN as error:
        raise DataError(f"{path} cannot be read: {error}", hint="copy, save or download the file again") from error
    shapes = sorted({(page.shape, str(page.dtype)) for page in pages})
    if len(shapes) > 1:
        raise DataError(
            f"the pages of {path} differ: {', '.join(f'{shape} {dtype}' for shape, dtype in shapes[:5])}",
            hint="save pages of one size and type per file",
        )
    return [(page, f"{path}" if len(pages) == 1 else f"page {i} of {path}") for i, page in enumerate(pages)]


def decode_png(data: bytes) -> Image:
    """Decodes a PNG file to ``(H, W)`` or ``(H, W, S)``, with channels in the file's order.

    Raises:
        ValueError: If it is truncated, damaged or of an unsupported kind.
    """
    _check_png(data)
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if pixels is None:
        raise ValueError("the PNG decoder rejected it")
    return _rgb(pixels)


def _check_png(data: bytes) -> None:
    """Checks all chunks: a decoder may silently fill the missing rows of a truncated file."""
    if not data.startswith(_PNG_SIGNATURE):
        raise ValueError("it does not start with the PNG signature")
    at, kind = len(_PNG_SIGNATURE), b""
    while kind != b"IEND":
        if at + 12 > len(data):
            raise ValueError(f"the file is truncated after {len(data)} bytes")
        length, kind = struct.unpack_from(">I4s", data, at)
        end = at + 12 + length
        if end > len(data):
            raise ValueError(f"the file is truncated after {len(data)} bytes")
        if zlib.crc32(data[at + 4 : end - 4]) != int.from_bytes(data[end - 4 : end], "big"):
            raise ValueError(f"chunk {kind!r} at byte {at} is damaged")
        at = end


def _decode_tiff(path: Path) -> list[Image]:
    with tifffile.TiffFile(path) as tif:
        check_tiff(tif)
        num_pages = len(tif.pages)
        try:
            return [page for series in tif.series for page in _split(series.asarray(), series.axes)]
        except ValueError as error:
            if "imagecodecs" not in str(error):
                raise
    # OpenCV decodes compressions, such as LZW, for which tifffile needs an optional package.
    complete, pages = cv2.imreadmulti(str(path), flags=cv2.IMREAD_UNCHANGED)
    if not complete or len(pages) != num_pages:
        raise ValueError(f"{len(pages)} of {num_pages} pages can be decoded")
    return [_rgb(page) for page in pages]


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


def _split(data: Image, axes: str) -> list[Image]:
    """Splits a TIFF series into pages.

    >>> [page.shape for page in _split(np.zeros((5, 3, 20, 30)), "ZSYX")][:2]
    [(20, 30, 3), (20, 30, 3)]
    """
    if "C" in axes:
        raise ValueError(f"it has separate channels (axes {axes}); expected grey or RGB pages")
    if "S" in axes:
        data, axes = np.moveaxis(data, axes.index("S"), -1), axes.replace("S", "") + "S"
    plane = 3 if axes.endswith("S") else 2
    if not axes.rstrip("S").endswith("YX"):
        raise ValueError(f"its axes are {axes}; expected pages of Y and X")
    return list(data.reshape(-1, *data.shape[-plane:]))


def _rgb(pixels: Image) -> Image:
    """Reverses OpenCV's channel order: BGR to RGB."""
    return pixels[..., ::-1] if pixels.ndim == 3 and pixels.shape[-1] == 3 else pixels


def _image(page: Image, where: str) -> Image:
    if page.ndim == 3 and page.shape[-1] != 3:
        raise DataError(
            f"{where} has {page.shape[-1]} channels (transparency?), expected 1 (grey) or 3 (RGB)",
            hint="save it as grey or RGB without an alpha channel",
        )
    if page.dtype == np.bool_:
        page = page.astype(np.uint8)
    elif page.dtype not in (np.uint8, np.uint16):
        if page.dtype != np.float64 and not np.can_cast(page.dtype, np.float32, "safe"):
            raise DataError(
                f"{where} is {page.dtype}, expected 8 or 16 bit or float32", hint="save it as 16 bit or float32"
            )
        page = page.astype(np.float32)
        if not np.isfinite(page).all():
            raise DataError(f"{where} contains NaN or infinite values", hint="replace them before saving the image")
    if page.min() == page.max():
        raise DataError(f"{where} is constant: every pixel is {page.min()}", hint="remove the image and its label")
    return np.ascontiguousarray(np.moveaxis(page, -1, 0) if page.ndim == 3 else page)


def _labels(page: Image, where: str) -> Labels:
    if page.ndim != 2:
        raise DataError(
            f"label {where} has {page.shape[-1]} channels, expected one with instance numbers or a mask",
            hint="save it as a grey image, not with colours or a palette",
        )
    low, high = page.min(), page.max()
    if not (low >= 0 and high <= np.iinfo(np.int32).max):  # written so that NaN fails too
        raise DataError(
            f"label {where} has values from {low} to {high}, expected 0 (background) to {np.iinfo(np.int32).max}",
            hint="number the instances from 1 upwards",
        )
    whole = page.astype(np.int32)
    if not np.array_equal(whole, page):
        raise DataError(
            f"label {where} has fractional values, expected integers", hint="save labels as integers, without smoothing"
        )
    return whole
