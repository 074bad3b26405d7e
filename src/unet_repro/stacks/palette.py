"""Palettes: of PNG files of class numbers, which viewers show in colours, and of masks in black and white."""

import colorsys
import struct
import zlib

import numpy as np
import numpy.typing as npt

Palette = tuple[tuple[int, int, int], ...]  # red, green and blue of 0, 1, ..., each 0 to 255

# Black, then Okabe and Ito's colours, distinguishable with any kind of colour vision.
_COLOURS: Palette = (
    (0, 0, 0),
    (230, 159, 0),
    (86, 180, 233),
    (0, 158, 115),
    (240, 228, 66),
    (0, 114, 178),
    (213, 94, 0),
    (204, 121, 167),
)
_GOLDEN = 0.618034  # of the colour circle, between further hues
_HEADER_BYTES = 33  # signature and the chunk IHDR
_COLOUR_TYPE, _GREY, _INDEXED = 25, 0, 3  # position in the file, and its values


def class_palette(num_classes: int) -> Palette:
    """Colours of classes: black and white for two, else black and distinct colours.

    >>> class_palette(2)
    ((0, 0, 0), (255, 255, 255))
    >>> len(set(class_palette(40)))
    40
    """
    if num_classes == 2:
        return ((0, 0, 0), (255, 255, 255))
    further = [
        colorsys.hsv_to_rgb(number * _GOLDEN % 1, 0.6 + 0.4 * (number % 2), 1 - 0.1 * (number % 5))
        for number in range(max(0, num_classes - len(_COLOURS)))
    ]
    rounded = [(round(255 * red), round(255 * green), round(255 * blue)) for red, green, blue in further]
    return (*_COLOURS[:num_classes], *rounded)


def white_entries(palette: npt.NDArray[np.integer]) -> npt.NDArray[np.bool_] | None:
    """Which entries of a palette in black and white are white; ``None`` if it has other colours.

    Args:
        palette: ``(N, 3)``, red, green and blue from 0 to 255. Nearly black and white count as such.

    >>> white_entries(np.array([[255, 255, 255], [0, 0, 0]])).tolist()
    [True, False]
    """
    grey = (palette == palette[:, :1]).all(1)
    value = palette[:, 0]
    if not (grey & ((value < 64) | (value > 191))).all() or not (value < 64).any() or not (value > 191).any():
        return None
    return np.asarray(value > 191)


def with_palette(png: bytes, palette: Palette) -> bytes:
    """A grey 8-bit PNG with a palette: the stored values become its indices.

    Args:
        png: An encoded grey 8-bit PNG whose values are below the number of colours.
        palette: At most 256 colours.
    """
    assert png[24] == 8, "8 bit"
    assert png[_COLOUR_TYPE] == _GREY, "grey"
    header = bytearray(png[:_HEADER_BYTES])
    header[_COLOUR_TYPE] = _INDEXED
    header[29:33] = struct.pack(">I", zlib.crc32(header[12:29]))
    body = b"PLTE" + bytes(value for colour in palette for value in colour)
    colours = struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))
    return bytes(header) + colours + png[_HEADER_BYTES:]
