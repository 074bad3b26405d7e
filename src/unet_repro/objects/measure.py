"""Measures all objects of a plane at once, by the definitions of scikit-image's ``regionprops``."""

from dataclasses import dataclass
from itertools import product

import numpy as np
import numpy.typing as npt

from unet_repro.objects.planes import Labels, ObjectPlane

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

_DIAGONAL, _BOTH = np.sqrt(2), (1 + np.sqrt(2)) / 2
# Length of a border pixel by its neighbours on the border, 2 for each at a side and 10 for each at a corner
# (Benkrid and Crookes 2000, as in scikit-image).
_LENGTHS = np.zeros(50)
_LENGTHS[[4, 6, 14, 16, 24, 26]], _LENGTHS[[20, 32]], _LENGTHS[[12, 22]] = 1, _DIAGONAL, _BOTH


@dataclass(frozen=True)
class Measures:
    """Measures of the objects 1..n of a plane, in pixels; row 0 of each array is object 1.

    Attributes:
        area: ``(n,)`` pixels.
        centroid: ``(n, 2)`` row and column; the centre of the first pixel is (0, 0).
        box: ``(n, 4)`` first row and column, and the row and column after the last.
        perimeter: ``(n,)``.
        eccentricity: ``(n,)`` of the ellipse with the same second moments; 0 for a circle.
        mean_intensity: ``(n, C)``, grey values as stored.
        touches_border: ``(n,)`` whether a pixel lies on the border of the plane.
        mean_probability: ``(n,)``.
        total_probability: Sum of the probabilities of all pixels of the plane.
    """

    area: Ints
    centroid: Floats
    box: Ints
    perimeter: Floats
    eccentricity: Floats
    mean_intensity: Floats
    touches_border: Mask
    mean_probability: Floats
    total_probability: float


def inner_border(padded: Labels, margin: int = 1) -> Mask:
    """Pixels of objects with a 4-neighbour that does not belong to them.

    Args:
        padded: ``(H + 2 margin, W + 2 margin)`` labels.
        margin: Rows and columns around the result, at least 1.

    Returns:
        ``(H + 2 margin - 2, W + 2 margin - 2)``.
    """
    assert margin >= 1, "the neighbours of every pixel must be known"
    middle = padded[1:-1, 1:-1]
    same = (middle == padded[:-2, 1:-1]) & (middle == padded[2:, 1:-1])
    same &= (middle == padded[1:-1, :-2]) & (middle == padded[1:-1, 2:])
    border: Mask = (middle > 0) & ~same
    return border


def measure(plane: ObjectPlane, num_objects: int) -> Measures:
    """Measures the objects 1..n of a plane.

    Args:
        plane: The plane.
        num_objects: n; every number up to n occurs.
    """
    height, width = plane.shape_hw
    area = np.zeros(num_objects + 1, np.int64)
    low, high = np.full((2, num_objects + 1), max(height, width), np.int64), np.full((2, num_objects + 1), -1, np.int64)
    origin = np.full((2, num_objects + 1), -1, np.int64)  # a pixel of each object: sums relative to it stay small
    sums = np.zeros((5, num_objects + 1))  # of dy, dx, dy dy, dx dx, dy dx
    grey = np.zeros((plane.channels, num_objects + 1))
    perimeter, probability, total = np.zeros(num_objects + 1), np.zeros(num_objects + 1), 0.0
    for top, rows in plane.bands():
        padded = plane.padded(top, rows, 2)
        labels = padded[2:-2, 2:-2]
        chance = plane.probability(top, rows)
        total += float(chance.sum(dtype=np.float64))
        where = np.flatnonzero(labels)
        if not len(where):
            continue
        numbers = labels.ravel()[where]
        first, last = int(numbers.min()), int(numbers.max()) + 1
        numbers = numbers - first
        part = slice(first, last)  # sums are kept for the numbers of the band only
        y, x = np.divmod(where, width)
        y += top
        area[part] += np.bincount(numbers, minlength=last - first)
        for axis, position in enumerate((y, x)):
            np.minimum.at(low[axis, part], numbers, position)
            np.maximum.at(high[axis, part], numbers, position)
        new = origin[0, part] < 0
        origin[:, part] = np.where(new, low[:, part], origin[:, part])
        dy, dx = y - origin[0, part][numbers], x - origin[1, part][numbers]
        for number, values in enumerate((dy, dx, dy * dy, dx * dx, dy * dx)):
            sums[number, part] += np.bincount(numbers, values, last - first)
        for channel, values in enumerate(plane.image(top, rows)):
            grey[channel, part] += np.bincount(numbers, values.ravel()[where], last - first)
        probability[part] += np.bincount(numbers, chance.ravel()[where], last - first)
        perimeter[part] += _perimeters(padded, first, last)
    return _measures(area, origin, sums, low, high, perimeter, grey, probability, total, plane.shape_hw)


def _perimeters(padded: Labels, first: int, last: int) -> Floats:
    """The perimeter inside a band of each object with ``first <= number < last``."""
    border = np.where(inner_border(padded, 2), padded[1:-1, 1:-1], 0)  # one row and column around the band
    y, x = np.nonzero(border[1:-1, 1:-1])
    own, code = border[y + 1, x + 1], np.zeros(len(y), np.int64)
    for down, right in product((0, 1, 2), repeat=2):
        if (down, right) != (1, 1):
            code += (border[y + down, x + right] == own) * (2 if 1 in (down, right) else 10)
    return np.bincount(own - first, _LENGTHS[code], last - first).astype(np.float64)


def _measures(  # noqa: PLR0917
    area: Ints,
    origin: Ints,
    sums: Floats,
    low: Ints,
    high: Ints,
    perimeter: Floats,
    grey: Floats,
    probability: Floats,
    total: float,
    shape_hw: tuple[int, int],
) -> Measures:
    """Measures from sums; all arrays include the background as their first element."""
    count = area[1:].astype(np.float64)
    dy, dx, dyy, dxx, dyx = sums[:, 1:] / count
    variance = [dyy - dy * dy, dxx - dx * dx]
    half, mixed = (variance[0] - variance[1]) / 2, dyx - dy * dx
    centre, spread = (variance[0] + variance[1]) / 2, np.hypot(half, mixed)
    large, small = centre + spread, np.maximum(centre - spread, 0)
    box = np.stack([*low[:, 1:], *(high[:, 1:] + 1)], 1)
    return Measures(
        area=area[1:],
        centroid=np.stack([origin[0, 1:] + dy, origin[1, 1:] + dx], 1),
        box=box,
        perimeter=perimeter[1:],
        eccentricity=np.sqrt(1 - np.divide(small, large, out=np.ones_like(small), where=large > 0)),
        mean_intensity=(grey[:, 1:] / count).T,
        touches_border=((box[:, :2] == 0) | (box[:, 2:] == shape_hw)).any(1),
        mean_probability=probability[1:] / count,
        total_probability=total,
    )
