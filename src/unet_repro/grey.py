"""Grey values of any range, stretched for display."""

from typing import Any

import numpy as np
import numpy.typing as npt

PERCENTILES = (0.5, 99.5)  # are shown black and white, so that hot or dead pixels do not determine the contrast


def stretched(image: npt.NDArray[Any], *, by_channel: bool = False) -> npt.NDArray[np.floating]:
    """Stretches grey values between two percentiles.

    Args:
        image: Of any shape and range; ``by_channel`` takes the last two axes as one channel's.
        by_channel: Whether each channel has percentiles of its own.

    Returns:
        Values from 0, black, to 1, white, in the shape of ``image``; an image of one value becomes 0.

    >>> stretched(np.linspace(-1, 1, 256).reshape(16, 16))[[0, 8, 15], [0, 0, 15]].round(2)
    array([0. , 0.5, 1. ])
    """
    low, high = np.percentile(image, PERCENTILES, axis=(-2, -1) if by_channel else None, keepdims=True)
    shown: npt.NDArray[np.floating] = np.clip((image - low) / np.where(high > low, high - low, 1), 0, 1)
    return shown
