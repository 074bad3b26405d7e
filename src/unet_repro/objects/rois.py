"""Objects as a ZIP file of ImageJ regions of interest, which Fiji's ROI Manager opens.

The format of ``ij/io/RoiDecoder.java``: big-endian, a header of 64 bytes, then coordinates.
"""

import struct
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

from unet_repro.objects.outlines import Outline, Ring
from unet_repro.objects.stored_zip import StoredZip

_POLYGON, _RECTANGLE = 0, 1
_MOVE, _LINE, _CLOSE = 0.0, 1.0, 4.0  # segments of a composite: java.awt.geom.PathIterator
_VERSION = 227
_LONGEST, _FARTHEST = 65535, 32767  # corners and coordinates that a polygon's 16 bit can hold


class RoiZip:
    """A ZIP file that is written object by object."""

    def __init__(self, file: BinaryIO) -> None:
        self._zip = StoredZip(file)

    def add(self, outline: Outline, position: int | None) -> None:
        """Writes an object; its name is its number, after that of its plane.

        Args:
            outline: Its outline.
            position: Its plane in a stack, from 1; ``None`` for a single plane.
        """
        name = f"{outline.number:06d}.roi" if position is None else f"{position:04d}-{outline.number:06d}.roi"
        self._zip.add(name, to_roi(outline, position or 0))

    def finish(self) -> None:
        """Ends the file."""
        self._zip.finish()


def to_roi(outline: Outline, position: int) -> bytes:
    """The bytes of a ``.roi`` file: a polygon, or a composite for objects with holes and for distant coordinates."""
    rings = [ring for rings in outline.polygons for ring in rings]
    corners = rings[0] if len(rings) == 1 else np.concatenate(rings)
    left, top = corners.min(0).tolist()
    right, bottom = corners.max(0).tolist()
    box = (top, left, bottom, right)
    if len(rings) == 1 and len(corners) <= _LONGEST and max(right, bottom) <= _FARTHEST:
        relative: bytes = (corners - (left, top)).T.astype(">i2").tobytes()
        return _header(_POLYGON, box, len(corners), 0, position) + relative
    path = np.concatenate([_path(ring) for ring in rings])
    body: bytes = path.astype(">f4").tobytes()
    return _header(_RECTANGLE, box, 0, len(path), position) + body


def _path(ring: Ring) -> npt.NDArray[np.float64]:
    """The segments of a closed ring: kind, x, y of each, and the kind that closes it."""
    kinds = np.full((len(ring), 1), _LINE)
    kinds[0] = _MOVE
    return np.append(np.hstack([kinds, ring]).ravel(), _CLOSE)


def _header(kind: int, box: tuple[int, int, int, int], corners: int, path_length: int, position: int) -> bytes:
    return struct.pack(
        ">4sHBx4HH16xHiii4xHxxiI",
        b"Iout",
        _VERSION,
        kind,
        *(side & 0xFFFF for side in box),
        corners,
        0,  # width of the line
        path_length,
        0,  # colour of the line
        0,  # colour of the area
        0,  # options
        position,
        0,  # no second header
    )
