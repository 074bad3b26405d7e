"""Outlines of objects along the edges of their pixels, so that filling them gives the same pixels."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from unet_repro.objects.planes import Labels, ObjectPlane

Ints = npt.NDArray[np.int64]
Ring = Ints  # (n, 2): corners x, y in pixels; (0, 0) is the outer corner of the first pixel


@dataclass(frozen=True)
class Outline:
    """The outline of an object.

    Attributes:
        number: The object.
        polygons: One for each 8-connected part: its outer ring, clockwise on the screen, then its holes,
            counter-clockwise. Rings are not closed: the first corner is not repeated.
    """

    number: int
    polygons: list[list[Ring]]


@dataclass(frozen=True)
class _Corners:
    """Corners of objects; where two pixels of an object touch by their corners only, it has two corners.

    Attributes:
        number: ``(n,)``, the object.
        y, x: ``(n,)``.
        row_tie, column_tie: Order of two corners at one place within their row and column.
        opens: Whether the pixel to the lower right belongs to the object.
    """

    number: Ints
    y: Ints
    x: Ints
    row_tie: Ints
    column_tie: Ints
    opens: npt.NDArray[np.bool_]

    def __getitem__(self, index: npt.NDArray[np.generic]) -> "_Corners":
        return _Corners(*(values[index] for values in self.__dict__.values()))

    def joined(self, other: "_Corners") -> "_Corners":
        """Both."""
        both = zip(self.__dict__.values(), other.__dict__.values(), strict=True)
        return _Corners(*(np.concatenate(pair) for pair in both))


def outlines(plane: ObjectPlane, ends: Ints) -> Iterator[Outline]:
    """Yields the outline of every object, as soon as the band with its last row is read.

    Args:
        plane: The plane.
        ends: ``(n,)``, the row after the last of object 1..n.

    Yields:
        The outlines; the memory needed is a band and the corners of the objects that continue below it.
    """
    height = plane.shape_hw[0]
    open_ones: _Corners | None = None
    for top, rows in plane.bands():
        last = top + rows == height
        padded = plane.padded(top, rows, 1)
        found = _corners(padded if last else padded[:-1], top)
        found = found if open_ones is None else open_ones.joined(found)
        complete = ends[found.number - 1] < top + rows + last
        open_ones = found[~complete]
        yield from _linked(found[complete])


def _corners(padded: Labels, top: int) -> _Corners:
    """Corners at the grid points between the rows and columns of labels; the first points have ``y = top``.

    A pixel has a corner of its object at a point if neither of its two neighbours there belongs to the object (convex),
    or if both do and the pixel opposite does not (concave).
    """
    corners = (padded[:-1, :-1], padded[:-1, 1:], padded[1:, :-1], padded[1:, 1:])
    upper_left, upper_right, lower_left, lower_right = corners
    straight = (upper_left == lower_left) & (upper_right == lower_right)
    straight |= (upper_left == upper_right) & (lower_left == lower_right)
    y, x = np.nonzero(~straight)
    pixels = [each[y, x] for each in corners]
    y += top
    parts = []
    # Ties: of two corners at one place, each joins the edges around one of the two pixels that do not belong to the
    # object: parts that touch by their corners are one polygon, and its holes touch the outline in points only.
    for own, (row_tie, column_tie) in enumerate(((1, 0), (0, 0), (1, 1), (0, 1))):
        pixel = pixels[own]
        beside, above, opposite = (pixels[own ^ flip] == pixel for flip in (1, 2, 3))
        taken = (pixel > 0) & ((~beside & ~above) | (beside & above & ~opposite))
        number = pixel[taken]
        by_row, by_column = (np.full(len(number), tie, np.int64) for tie in (row_tie, column_tie))
        parts.append(_Corners(number, y[taken], x[taken], by_row, by_column, (pixels[3] == pixel)[taken]))
    joined = parts[0]
    for part in parts[1:]:
        joined = joined.joined(part)
    return joined


def _linked(corners: _Corners) -> Iterator[Outline]:
    """Outlines of complete objects, by number: corners of a row, and of a column, are linked two by two."""
    if not len(corners.number):
        return
    corners = corners[_order(corners.number, corners.y, corners.x, corners.row_tie)]
    by_column = _order(corners.number, corners.x, corners.y, corners.column_tie)
    below = np.empty(len(by_column), np.int64)
    below[by_column[::2]], below[by_column[1::2]] = by_column[1::2], by_column[::2]
    linked, seen = below.tolist(), bytearray(len(below))
    order: list[int] = []
    starts: list[int] = []
    ends: list[int] = []
    # corners ring by ring: each starts at its first corner in the order of rows
    for start in range(0, len(linked), 2):
        if not seen[start]:
            at = start
            while not seen[at]:
                right = at ^ 1  # the corners of a row are linked two by two, at first to the right
                seen[at] = seen[right] = 1
                order += (at, right)
                at = linked[right]
            starts.append(start)
            ends.append(len(order))
    points = np.stack([corners.x, corners.y], 1)[order]
    numbers, opens = corners.number[starts].tolist(), corners.opens[starts].tolist()
    parts: list[list[Ring]] = []  # outer rings of an object with their holes
    begin = 0
    for index, end in enumerate(ends):
        ring = points[begin:end]
        if opens[index]:
            parts.append([ring])
        else:
            _outer(parts, ring).append(ring[::-1])
        begin = end
        if index + 1 == len(ends) or numbers[index + 1] != numbers[index]:
            yield Outline(numbers[index], parts)
            parts = []


def _outer(parts: list[list[Ring]], hole: Ring) -> list[Ring]:
    """The part that a hole belongs to: the innermost around it, which of those around it begins last."""
    if len(parts) == 1:
        return parts[0]
    return next(part for part in reversed(parts) if _is_inside(hole[0] + 0.5, part[0]))


def _is_inside(point: npt.NDArray[np.float64], ring: Ring) -> bool:
    """Whether a point lies inside a ring of horizontal and vertical edges: it crosses an odd number to its left."""
    following = np.roll(ring, -1, 0)
    spanned = (ring[:, 1] < point[1]) != (following[:, 1] < point[1])
    return int((spanned & (ring[:, 0] < point[0])).sum()) % 2 == 1


def _order(number: Ints, major: Ints, minor: Ints, tie: Ints) -> Ints:
    """Indices that sort corners by object, then coordinates, then tie."""
    key = number - number.min()
    for values in (major, minor, tie):
        lowest = int(values.min())
        key = key * (int(values.max()) - lowest + 1) + values - lowest
    order: Ints = key.argsort()
    return order
