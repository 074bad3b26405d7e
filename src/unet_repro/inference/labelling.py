"""Connected components of a mask that is read and written in bands of rows, with the same result as in memory."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from scipy import ndimage

Mask = npt.NDArray[np.bool_]
Labels = npt.NDArray[np.int32]


def label_by_bands(
    read_mask: Callable[[int, int], Mask],
    write: Callable[[int, Labels], None],
    read_back: Callable[[int, int], Labels],
    shape_hw: tuple[int, int],
    *,
    min_size_px: int = 0,
    band_rows: int = 1024,
) -> int:
    """Numbers the 4-connected components, 1..n in raster order of their first pixels; at most two bands are in memory.

    The first pass numbers and writes each band separately, and records which numbers touch across bands. The second
    pass replaces them by the final numbers.

    Args:
        read_mask: First row and number of rows to ``(rows, W)`` bool.
        write: Called with the first row and ``(rows, W)`` int32; all rows are written twice.
        read_back: Reads what was written.
        shape_hw: Height and width of the mask.
        min_size_px: Components of fewer pixels become background.
        band_rows: Rows of a band.

    Returns:
        The number of components.
    """
    height = shape_hw[0]
    bands = [(top, min(band_rows, height - top)) for top in range(0, height, band_rows)]
    touching: list[npt.NDArray[np.int64]] = []
    sizes = [np.zeros(1, np.int64)]  # for the background, which is not counted
    known = 0
    above: Labels | None = None
    for top, rows in bands:
        labels = np.empty((rows, shape_hw[1]), np.int32)
        number = ndimage.label(read_mask(top, rows), output=labels)
        labels[labels > 0] += known
        sizes.append(np.bincount(labels.ravel(), minlength=known + number + 1)[known + 1 :])
        if above is not None:
            both = (above > 0) & (labels[0] > 0)
            touching.append(np.unique(np.stack([above[both], labels[0][both]]), axis=1).astype(np.int64))
        known, above = known + number, labels[-1].copy()
        write(top, labels)
    final = _final_numbers(known, touching, np.concatenate(sizes), min_size_px)
    for top, rows in bands:
        write(top, final[read_back(top, rows)])
    return int(final.max())


def _final_numbers(
    known: int, touching: list[npt.NDArray[np.int64]], sizes: npt.NDArray[np.int64], min_size_px: int
) -> Labels:
    """The final number for each provisional number."""
    parent = np.arange(known + 1)

    def root(number: int) -> int:
        while parent[number] != number:
            parent[number] = parent[parent[number]]
            number = int(parent[number])
        return number

    for pairs in touching:
        for one, other in pairs.T.tolist():
            low, high = sorted((root(one), root(other)))
            parent[high] = low  # the smallest number is the first in raster order
    roots = np.array([root(number) for number in range(known + 1)], np.int64)
    whole = np.bincount(roots, weights=sizes, minlength=known + 1)
    kept = (roots == np.arange(known + 1)) & (whole >= min_size_px)
    kept[0] = False
    numbers = np.where(kept, np.cumsum(kept), 0).astype(np.int32)
    return numbers[roots]
