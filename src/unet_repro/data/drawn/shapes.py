"""Drawn objects, and the label image that they make."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from skimage.draw import polygon

from unet_repro.data.labels import Labels

Ring = npt.NDArray[np.float64]  # (N, 2): x, y in pixels; (0, 0) is the outer corner of the first pixel
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Drawn:
    """One drawn object.

    Attributes:
        name: Its class; empty if it has none.
        parts: Areas whose union is the object. The rings of an area alternate between outline and hole: a pixel belongs
            to it if its centre is inside an odd number of them.
        mask: For objects stored as pixels: ``(H, W)`` of the whole image.
        page: Page of the image that it is drawn on, from 0; ``None`` for all.
    """

    name: str
    parts: Sequence[Sequence[Ring]] = ()
    mask: Mask | None = field(default=None, repr=False)
    page: int | None = None


Pixels = tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]  # rows and columns


def paint(objects: Sequence[Pixels], values: Sequence[int], image_hw: tuple[int, int]) -> Labels:
    """Draws objects into a label image; smaller objects over larger ones.

    Args:
        objects: The pixels of each object.
        values: The value of each object.
        image_hw: Height and width of the image.

    Returns:
        ``(H, W)`` int32, 0 = background.

    >>> square = np.array([[1, 0], [3, 0], [3, 2], [1, 2]], float)
    >>> paint([pixels_of(Drawn("cell", [[square]]), (2, 4))], [7], (2, 4))
    array([[0, 7, 7, 0],
           [0, 7, 7, 0]], dtype=int32)
    """
    labels = np.zeros(image_hw, np.int32)
    for number in sorted(range(len(objects)), key=lambda number: -len(objects[number][0])):
        labels[objects[number]] = values[number]
    return labels


def is_area(drawn: Drawn) -> bool:
    """Whether an object has pixels, or a ring of at least three points, all of them finite."""
    if drawn.mask is not None:
        return bool(drawn.mask.any())
    rings = [ring for part in drawn.parts for ring in part]
    return any(len(ring) >= 3 for ring in rings) and all(np.isfinite(ring).all() for ring in rings)


def reaches_into(drawn: Drawn, image_hw: tuple[int, int]) -> bool:
    """Whether a part of an object is inside the image, be it smaller than a pixel."""
    if drawn.mask is not None:
        return bool(drawn.mask[: image_hw[0], : image_hw[1]].any())
    rings = [ring for part in drawn.parts for ring in part if len(ring)]
    return any((ring.max(0) >= 0).all() and (ring.min(0) <= image_hw[::-1]).all() for ring in rings)


def pixels_of(drawn: Drawn, image_hw: tuple[int, int]) -> Pixels:
    """Rows and columns of an object's pixels inside the image."""
    if drawn.mask is not None:
        rows, columns = np.nonzero(drawn.mask[: image_hw[0], : image_hw[1]])
        return rows, columns
    rings = [ring for part in drawn.parts for ring in part]
    points = np.concatenate(rings) if rings else np.zeros((1, 2))
    left, top = np.clip(np.floor(points.min(0)), 0, image_hw[::-1]).astype(int)
    right, bottom = np.clip(np.ceil(points.max(0)), 0, image_hw[::-1]).astype(int)
    inside = np.zeros((bottom - top, right - left), np.bool_)
    for part in drawn.parts:
        odd = np.zeros_like(inside)
        for ring in part:
            # scikit-image has its pixels' centres at whole numbers.
            filled: Pixels = polygon(ring[:, 1] - 0.5 - top, ring[:, 0] - 0.5 - left, inside.shape)  # type: ignore[no-untyped-call]
            odd[filled] ^= True
        inside |= odd
    rows, columns = np.nonzero(inside)
    return rows + top, columns + left
