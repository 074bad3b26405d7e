"""Warping error: the errors of a segmentation that remain if borders may be shifted but the topology is fixed."""

import numpy as np
import numpy.typing as npt
from scipy import ndimage

Mask = npt.NDArray[np.bool_]

# The eight neighbours of a pixel, in the bit order of a neighbourhood's code.
_AROUND = ((-1, -1), (-1, 0), (-1, 1), (0, -1), (0, 1), (1, -1), (1, 0), (1, 1))


def _is_simple(code: int) -> bool:
    """Whether flipping the centre of 3x3 pixels keeps the topology: cells 4-connected, membrane 8-connected."""
    cells = np.zeros((3, 3), bool)
    for bit, (row, column) in enumerate(_AROUND):
        cells[1 + row, 1 + column] = code >> bit & 1
    parts, _ = ndimage.label(cells)
    beside = {int(parts[0, 1]), int(parts[1, 0]), int(parts[1, 2]), int(parts[2, 1])} - {0}
    membrane = ~cells
    membrane[1, 1] = False
    _, membranes = ndimage.label(membrane, structure=np.ones((3, 3)))
    return len(beside) == 1 and membranes == 1


_SIMPLE = np.array([_is_simple(code) for code in range(256)])


def warp(truth: Mask, proposal: Mask) -> Mask:
    """Warps the truth towards the proposal as far as its topology allows.

    Flips pixels that differ and are *simple*: flipping them neither joins, splits, creates nor removes a cell or a
    piece of membrane. The original method does not fix the order. Here the pixels of each of the four sub-lattices of
    every second row and column are flipped at once (they are not neighbours, so the flips are independent), one
    sub-lattice after the other, until nothing changes. Pixels outside the image are membrane.

    Args:
        truth: ``(H, W)``, true inside cells.
        proposal: Likewise.

    Returns:
        ``(H, W)`` bool, with as many cells and pieces of membrane as the truth.
    """
    warped, wanted = np.pad(truth, 1), np.pad(proposal, 1)
    width = warped.shape[1]
    steps = np.array([row * width + column for row, column in _AROUND])
    flat, target = warped.ravel(), wanted.ravel()
    inner = np.zeros(warped.shape, bool)
    inner[1:-1, 1:-1] = True
    different = np.flatnonzero((flat != target) & inner.ravel())
    while different.size:
        flipped = 0
        for parity in range(4):
            here = different[(different // width % 2 * 2 + different % width % 2) == parity]
            codes = (flat[here[:, None] + steps] << np.arange(8)).sum(1)
            simple = here[_SIMPLE[codes]]
            flat[simple] = target[simple]
            flipped += simple.size
        if not flipped:
            break
        different = different[flat[different] != target[different]]
    return warped[1:-1, 1:-1].copy()


def warping_error(truth: Mask, proposal: Mask) -> float:
    """Share of pixels in which the proposal differs from the warped truth, in [0, 1].

    Jain et al., "Boundary Learning by Optimization with Topological Constraints", CVPR 2010,
    10.1109/CVPR.2010.5539950, without a geometric constraint, as in the ISBI 2012 challenge.

    Args:
        truth: ``(H, W)``, true inside cells.
        proposal: Likewise.

    >>> truth = np.array([[1, 1, 0, 1, 1]], bool)
    >>> warping_error(truth, np.array([[1, 0, 1, 1, 1]], bool))  # the border is shifted
    0.0
    >>> warping_error(truth, np.array([[1, 1, 1, 1, 1]], bool))  # two cells are merged
    0.2
    """
    return float((warp(truth, proposal) != proposal).mean())
