"""A plane of objects that is read in bands of rows, so that memory does not grow with it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Labels = npt.NDArray[np.int32]
Pixels = npt.NDArray[np.generic]

BAND_PIXELS = 2_000_000  # pixels of a band


@dataclass(frozen=True)
class ObjectPlane:
    """A plane with its objects; each function maps a first row and a number of rows to whole rows.

    Attributes:
        labels: ``(rows, W)`` int32, 0 = background.
        image: ``(C, rows, W)``, grey values as stored.
        probability: ``(rows, W)`` float32, probability of the foreground.
        shape_hw: Height and width.
        channels: C.
    """

    labels: Callable[[int, int], Labels]
    image: Callable[[int, int], Pixels]
    probability: Callable[[int, int], npt.NDArray[np.float32]]
    shape_hw: tuple[int, int]
    channels: int

    def bands(self, multiple_of: int = 1) -> Iterator[tuple[int, int]]:
        """First row and number of rows of each band; all but the last have a multiple of that many rows."""
        height, width = self.shape_hw
        rows = max(1, BAND_PIXELS // width // multiple_of) * multiple_of
        return ((top, min(rows, height - top)) for top in range(0, height, rows))

    def padded(self, top: int, rows: int, margin: int) -> Labels:
        """Labels of a band with rows and columns around it; background outside of the plane."""
        first, end = max(0, top - margin), min(self.shape_hw[0], top + rows + margin)
        missing = (first - (top - margin), top + rows + margin - end)
        return np.pad(self.labels(first, end - first), (missing, (margin, margin)))
