"""A picture of a plane with the outlines of its objects, of limited size."""

import cv2
import numpy as np
import numpy.typing as npt

from unet_repro.grey import stretched
from unet_repro.objects.measure import inner_border
from unet_repro.objects.planes import ObjectPlane

LARGEST_SIDE_PX = 2048
OUTLINE_BGR = (66, 228, 240)  # yellow, which is seen by all and does not occur in grey images

Picture = npt.NDArray[np.uint8]


def draw_overlay(plane: ObjectPlane) -> Picture:
    """The image in grey, three channels as red, green and blue, with yellow outlines.

    A plane with a side of more than 2048 pixels is reduced by a whole number: to the mean of its pixels, with an
    outline wherever one of them has one.

    Returns:
        ``(h, w, 3)`` uint8, blue, green, red.
    """
    height, width = plane.shape_hw
    factor = -(-max(height, width) // LARGEST_SIDE_PX)
    grey = np.zeros((plane.channels, -(-height // factor), -(-width // factor)), np.float32)
    outline = np.zeros(grey.shape[1:], np.bool_)
    for top, rows in plane.bands(factor):
        place = slice(top // factor, -(-(top + rows) // factor))
        outline[place] = _blocks(inner_border(plane.padded(top, rows, 1)), factor).any((1, 3))
        for channel, band in enumerate(plane.image(top, rows)):
            grey[channel, place] = _blocks(band, factor).mean((1, 3), dtype=np.float32)
    shown = (stretched(grey) * 255).astype(np.uint8)
    colours = shown[::-1] if len(shown) == 3 else np.repeat(shown.mean(0, keepdims=True, dtype=np.float32), 3, 0)
    picture = np.ascontiguousarray(np.moveaxis(colours, 0, -1), np.uint8)
    picture[outline] = OUTLINE_BGR
    return picture


def to_png(picture: Picture) -> bytes:
    """A picture as PNG."""
    return cv2.imencode(".png", picture)[1].tobytes()


def _blocks(band: npt.NDArray[np.generic], factor: int) -> npt.NDArray[np.generic]:
    """``(h, factor, w, factor)``, the band's last row and column repeated to whole blocks."""
    missing = [(0, -side % factor) for side in band.shape]
    whole = np.pad(band, missing, mode="edge")
    return whole.reshape(whole.shape[0] // factor, factor, whole.shape[1] // factor, factor)
