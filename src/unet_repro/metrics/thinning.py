"""Thins the borders of a segmentation to one pixel, as for the scores of ISBI 2012."""

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from unet_repro.data.labels import Labels, instances_from_mask


def thin_borders(cells: npt.NDArray[np.bool_]) -> Labels:
    """Grows the cells until one pixel of border is left between them.

    Arganda-Carreras et al. 2015 score segmentations after border thinning, so that the width of a predicted membrane
    does not matter. The challenge's program uses a watershed. Here each border pixel is assigned to the nearest cell,
    and of two neighbours in different cells one becomes border again, which gives the same lines, up to ties.

    Args:
        cells: ``(H, W)``, true inside cells.

    Returns:
        The 4-connected components of ``cells``, grown, as ``(H, W)`` int32; 0 is the line between them. Every cell
        pixel is kept. Without any cell the result is 0.

    >>> thin_borders(np.array([[1, 0, 0, 0, 1]], bool))
    array([[1, 1, 0, 2, 2]], dtype=int32)
    """
    labels = instances_from_mask(cells)
    if not cells.any():
        return labels
    away, nearest = ndimage.distance_transform_edt(~cells, return_indices=True)
    grown: Labels = labels[tuple(nearest)]
    line = np.zeros(cells.shape, bool)
    for axis in (0, 1):
        before, after = [slice(None)] * 2, [slice(None)] * 2
        before[axis], after[axis] = slice(None, -1), slice(1, None)
        one, other = tuple(before), tuple(after)
        differ = (grown[one] != grown[other]) & ~line[one] & ~line[other]
        # Choose the pixel farther from the cells: the middle of the border, and never a cell pixel.
        first = differ & (away[one] > away[other])
        line[one] |= first
        line[other] |= differ & ~first
    grown[line] = 0
    return grown
