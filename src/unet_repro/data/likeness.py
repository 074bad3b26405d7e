"""How alike images are, by the correlation of small grey thumbnails."""

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

SIDE_PX = 32  # of a thumbnail
NEARLY_IDENTICAL = 0.95  # neighbouring slices of ISBI 2012 reach 0.7
ALIKE = 0.3  # assumed: of neighbours in a stack or time series; for those slices the median is 0.56
_ROUNDING = 1e-4  # of a constant image

Thumbnails = npt.NDArray[np.float32]


def thumbnails(images: Sequence[npt.NDArray[np.generic]]) -> Thumbnails:
    """The images' means over channels, reduced to thumbnails of mean 0 and length 1.

    Args:
        images: ``(H, W)`` or ``(C, H, W)`` arrays of any sizes.

    Returns:
        ``(N, SIDE_PX ** 2)`` float32; the product of two rows is the correlation of the two thumbnails.
    """
    rows = np.zeros((len(images), SIDE_PX**2), np.float32)
    for row, image in zip(rows, images, strict=True):
        grey = image.astype(np.float32)
        grey = grey.mean(axis=0) if grey.ndim == 3 else grey
        small = cv2.resize(grey, (SIDE_PX, SIDE_PX), interpolation=cv2.INTER_AREA).ravel()
        small -= small.mean()
        length = float(np.linalg.norm(small))
        row[:] = small / length if length > _ROUNDING * np.abs(grey).max() else 0
    return rows


def neighbours_are_alike(images: Sequence[npt.NDArray[np.generic]]) -> bool:
    """Whether the median correlation of consecutive images is at least ``ALIKE``, as in a stack or a time series."""
    small = thumbnails(images)
    return len(small) > 1 and float(np.median((small[1:] * small[:-1]).sum(axis=1))) >= ALIKE
