"""Crops for pictures: at most half an image's side, so that a complete image is never shown."""

import numpy as np
import numpy.typing as npt

MOST_PX = 192


def best_crop(marked: npt.NDArray[np.bool_], *, share: float) -> tuple[slice, slice]:
    """The square crop whose share of marked pixels is nearest to a value.

    Args:
        marked: ``(H, W)`` bool.
        share: The value: 1 for the crop with the most marked pixels.

    >>> best_crop(np.eye(4, dtype=bool)[::-1], share=1.0)
    (slice(0, 2, None), slice(2, 4, None))
    """
    side = max(1, min(MOST_PX, *(extent // 2 for extent in marked.shape)))
    sums = np.pad(marked.cumsum(0).cumsum(1), ((1, 0), (1, 0)))
    found = (sums[side:, side:] - sums[:-side, side:] - sums[side:, :-side] + sums[:-side, :-side]) / side**2
    top, left = np.unravel_index(int(np.abs(found - share).argmin()), found.shape)
    return np.s_[int(top) : int(top) + side, int(left) : int(left) + side]
