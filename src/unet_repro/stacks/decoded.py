"""PNG, JPEG and BMP files, which are decoded as a whole."""

import contextlib
import io
import re
import struct
import warnings
import zlib
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from PIL import ExifTags, Image

from unet_repro.stacks.damage import BROKEN
from unet_repro.stacks.opened import COLOURS, Opened
from unet_repro.stacks.palette import white_entries

Pixels = npt.NDArray[np.generic]

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp")
_SCAN, _END = b"\xff\xda", b"\xff\xd9"  # JPEG's markers of compressed data, which cannot contain them, and their end
_EXIF, _EXIF_BYTES = re.compile(rb"Exif\0\0|eXIf"), 2**16  # before it in JPEG and PNG, and its largest size
_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_PALETTE, _GREY_ALPHA = 3, 4  # colour types in a PNG's header


def open_decoded(path: Path, *, labels: bool) -> Opened:
    """Decodes a file.

    Args:
        path: A PNG, JPEG or BMP file.
        labels: Whether to return the numbers that index a palette instead of its colours (0 and 1 for black and
            white), and few-bit values as stored.

    Raises:
        ValueError: If it is truncated, damaged or of an unsupported kind.
    """
    data = path.read_bytes()
    pixels = _decode(path.suffix.lower(), data, labels=labels)
    alpha = pixels.ndim == 3 and pixels.shape[-1] in (2, 4)
    if alpha and np.all(pixels[..., -1] == (255 if pixels.dtype == np.uint8 else 65535)):  # opaque: nothing is lost
        pixels, alpha = pixels[..., :-1], False
        pixels = pixels[..., 0] if pixels.shape[-1] == 1 else pixels
    if pixels.ndim == 2:
        return Opened(pixels, "YX")
    names = (*COLOURS, "alpha")[: pixels.shape[-1]] if pixels.shape[-1] > 2 else ()
    return Opened(pixels, "YXS", names, alpha=alpha)


def _decode(suffix: str, data: bytes, *, labels: bool) -> Pixels:
    """``(H, W)`` or ``(H, W, S)``, with channels in the order red, green, blue, alpha."""
    if suffix == ".png":
        return _decode_png(data, labels=labels)
    if suffix == ".bmp":
        bits = _check_bmp(data)
        if labels and bits <= 8:
            return _palette_numbers(data)
    elif data.rfind(_END) < data.rfind(_SCAN):  # more data, such as a phone's, may follow the image
        raise ValueError(f"the file is truncated after {len(data)} bytes")
    return _upright(_rgb(_opencv(data)), data)


def _decode_png(data: bytes, *, labels: bool) -> Pixels:
    _check_png(data)
    bits, kind = data[24], data[25]
    if kind == _PALETTE and labels:
        return _palette_numbers(data)
    pixels = _upright(_rgb(_opencv(data)), data)
    if kind == _GREY_ALPHA:
        return pixels[..., [0, 3]]
    if kind == _PALETTE and pixels.ndim == 3 and (pixels[..., :1] == pixels[..., 1:3]).all():  # a palette of greys
        return pixels[..., 0] if pixels.shape[-1] == 3 else pixels[..., [0, 3]]
    if labels and kind == 0 and bits < 8:  # decoders scale two values to 0 and 255, four to 0, 85, 170, 255
        numbers: Pixels = (pixels // (255 // (2**bits - 1))).astype(np.uint8)
        return numbers
    return pixels


def _upright(pixels: Pixels, data: bytes) -> Pixels:
    """Turns and mirrors an image as its EXIF orientation says and viewers show it; a damaged one counts as none."""
    found = _EXIF.search(data)
    if found is None:
        return pixels
    exif = Image.Exif()
    with warnings.catch_warnings(), contextlib.suppress(*BROKEN):
        warnings.simplefilter("ignore")
        exif.load(data[found.end() :][:_EXIF_BYTES])
    orientation = exif.get(ExifTags.Base.Orientation, 1)
    if orientation in (5, 6, 7, 8):
        pixels = pixels.swapaxes(0, 1)
    rows, columns = (-1 if orientation in mirrored else 1 for mirrored in ((3, 4, 7, 8), (2, 3, 6, 7)))
    return np.ascontiguousarray(pixels[::rows, ::columns])


def _opencv(data: bytes) -> Pixels:
    pixels: Any = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if pixels is None:
        raise ValueError("the decoder rejected it")
    return pixels  # type: ignore[no-any-return]


def _palette_numbers(data: bytes) -> Pixels:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        try:
            with Image.open(io.BytesIO(data)) as image:
                if image.mode == "1":  # also 8-bit BMP in black and white, whose numbers Pillow misreads
                    shown = _opencv(data)
                    return np.asarray(shown[..., 0] if shown.ndim == 3 else shown, np.uint8) // 255
                numbers, palette = np.asarray(image), image.getpalette("RGB")
        except Image.DecompressionBombError as error:
            raise ValueError(str(error)) from error
    is_white = None if palette is None else white_entries(np.reshape(palette, (-1, 3)))
    return numbers if is_white is None else is_white[numbers].astype(np.uint8)


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
    if len(data) < 33 or data[12:16] != b"IHDR":
        raise ValueError("it has no PNG header")


def _check_bmp(data: bytes) -> int:
    """Checks the size of an uncompressed BMP, and returns its bits per pixel."""
    if not data.startswith(b"BM") or len(data) < 34:
        raise ValueError("it does not start with a BMP header")
    (offset,) = struct.unpack_from("<I", data, 10)
    width, height, _, bits, compression = struct.unpack_from("<iiHHI", data, 18)
    if compression in (0, 3) and len(data) < offset + abs(height) * ((abs(width) * bits + 31) // 32 * 4):
        raise ValueError(f"the file is truncated after {len(data)} bytes")
    return int(bits)


def _rgb(pixels: Pixels) -> Pixels:
    """Reverses OpenCV's channel order: BGR to RGB, BGRA to RGBA."""
    if pixels.ndim == 2:
        return pixels
    return pixels[..., [2, 1, 0, 3][: pixels.shape[-1]]]
