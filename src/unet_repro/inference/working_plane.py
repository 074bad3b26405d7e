"""A plane of a file at the working resolution: read in parts and reduced; its predicted maps are enlarged by bands.

Memory is bounded by a row of tiles and by a band of rows. Both steps give the same values as for a complete image in
memory (``data.resample``).

Tensor names: K classes.
"""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import torch

from unet_repro.data.resample import Sizes, covered, enlarge_rows, needed_rows, reduce_part
from unet_repro.heads import scores_of
from unet_repro.inference.volume import Block, Piece, Plane
from unet_repro.stacks.writer import Writer

BAND_PIXELS = 1_000_000  # pixels of an enlarged band


def working_plane(plane: Plane, sizes: Sizes) -> Plane:
    """The plane at the working resolution, already normalised."""
    if not sizes.differ:
        return plane

    def read(top: int, left: int, height: int, width: int) -> Block:
        (row, rows), (column, columns) = (
            covered(start, length, full, working)
            for start, length, full, working in zip(
                (top, left), (height, width), sizes.full_hw, sizes.working_hw, strict=True
            )
        )
        return reduce_part(plane.normalise(plane.read(row, column, rows, columns)), top, left, (height, width), sizes)

    # As much as the stored rows that a reduced row covers, with their normalised values.
    covered_rows = -(-sizes.full_hw[0] // sizes.working_hw[0])
    return Plane(read, _as_it_is, row_bytes=covered_rows * plane.row_bytes * (1 + np.dtype(np.float32).itemsize))


def _as_it_is(block: Block) -> npt.NDArray[np.float32]:
    return np.asarray(block, np.float32)


def enlarge_plane(maps: Writer, number: int, sizes: Sizes, num_classes: int, take: Callable[[Piece], None]) -> None:
    """Passes on the scores of a plane at the image's resolution, in bands of rows.

    Args:
        maps: Class probabilities, and a seed map, at the working resolution.
        number: The plane.
        sizes: Its sizes.
        num_classes: K.
        take: Called with each band.
    """
    height, width = sizes.full_hw
    band = max(1, BAND_PIXELS // width)
    for top in range(0, height, band):
        num_rows = min(band, height - top)
        first, needed = needed_rows(top, num_rows, sizes)
        known = torch.from_numpy(maps.read(number, first, 0, needed, sizes.working_hw[1]))
        take(Piece(top, 0, scores_of(enlarge_rows(known, top, num_rows, sizes), num_classes, 0), 0))
