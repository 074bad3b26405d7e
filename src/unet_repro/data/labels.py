"""Instance labels and the classes that a network is trained on."""

import numpy as np
import numpy.typing as npt
from scipy import ndimage

NUM_CLASSES = 2  # background (or membrane) and inside of a cell: every source here is of this kind

Labels = npt.NDArray[np.int32]


def instances_from_mask(mask: npt.NDArray[np.generic]) -> Labels:
    """Numbers the 4-connected components of a binary mask.

    Args:
        mask: ``(H, W)``, non-zero inside cells.

    Returns:
        ``(H, W)`` int32, 0 = background, 1..n = components in raster order.

    >>> instances_from_mask(np.array([[1, 0, 1], [1, 0, 0]]))
    array([[1, 0, 2],
           [1, 0, 0]], dtype=int32)
    """
    labels = np.empty(mask.shape, np.int32)
    ndimage.label(mask != 0, output=labels)
    return labels


def classes_from_instances(instances: Labels) -> npt.NDArray[np.uint8]:
    """Foreground where a pixel lies in a cell and no other cell touches it.

    The paper separates touching cells of one class by background between them (section 3): a pixel with a pixel of
    another instance in its 3x3 neighbourhood becomes background.

    Args:
        instances: ``(H, W)`` int32, 0 = background.

    Returns:
        ``(H, W)`` uint8, 0 = background, 1 = cell.

    >>> classes_from_instances(np.array([[1, 1, 2, 2]], np.int32))
    array([[1, 0, 0, 1]], dtype=uint8)
    """
    big = np.iinfo(np.int32).max
    highest = ndimage.maximum_filter(instances, size=3)
    lowest = ndimage.minimum_filter(np.where(instances == 0, big, instances), size=3)
    classes: npt.NDArray[np.uint8] = ((instances > 0) & (highest == lowest)).astype(np.uint8)
    return classes


def class_counts(classes: npt.NDArray[np.uint8]) -> npt.NDArray[np.float64]:
    """Counts the pixels of every class.

    Args:
        classes: Class indices of any shape.

    Returns:
        ``(K,)`` float64.

    >>> class_counts(np.array([[0, 1, 1]], np.uint8))
    array([1., 2.])
    """
    return np.bincount(classes.ravel(), minlength=NUM_CLASSES).astype(np.float64)
