"""Instance labels and the classes that a network is trained on."""

import cv2
import numpy as np
import numpy.typing as npt
from scipy import ndimage

NUM_CLASSES = 2  # background (or membrane) and cell interior, in every source but a user's own classes
IGNORED = 255  # class of pixels that are neither trained on nor measured

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
    """Foreground where a pixel is in a cell and touches no other cell.

    The paper separates touching cells of one class by background between them (section 3): a pixel with a pixel of
    another instance in its 3x3 neighbourhood becomes background.

    Args:
        instances: ``(H, W)`` int32, 0 = background.

    Returns:
        ``(H, W)`` uint8, 0 = background, 1 = cell.

    >>> classes_from_instances(np.array([[1, 1, 2, 2]], np.int32))
    array([[1, 0, 0, 1]], dtype=uint8)
    """
    highest, lowest = extreme_ids(instances, np.ones((3, 3), np.uint8))
    return np.asarray((instances > 0) & (highest == lowest), np.uint8)


def compacted(instances: Labels) -> Labels:
    """The same objects with numbers from 1, if theirs are so large that lists by number would be.

    >>> compacted(np.array([[0, 7, 2_000_000_000]], np.int32))
    array([[0, 1, 2]], dtype=int32)
    """
    if instances.max() <= instances.size:
        return instances
    numbers = np.unique(instances[instances > 0])
    return np.searchsorted(numbers, instances, side="right").astype(np.int32)


def instances_from_classes(classes: npt.NDArray[np.uint8]) -> Labels:
    """Numbers the 4-connected pieces of every class but 0 and ``IGNORED``, class by class.

    Args:
        classes: ``(H, W)`` uint8.

    Returns:
        ``(H, W)`` int32, 0 = background or ignored.

    >>> instances_from_classes(np.array([[1, 2, 0, 255, 1]], np.uint8))
    array([[1, 3, 0, 0, 2]], dtype=int32)
    """
    instances, before = np.zeros(classes.shape, np.int32), 0
    for number in np.flatnonzero(np.bincount(classes.ravel(), minlength=IGNORED)[1:IGNORED]) + 1:
        pieces = instances_from_mask(classes == number)
        instances += np.where(pieces > 0, pieces + before, 0)
        before += int(pieces.max())
    return instances


def classes_of(instances: Labels, classes: npt.NDArray[np.uint8] | None) -> npt.NDArray[np.uint8]:
    """The classes of an image: those given, or those that follow from its instances.

    Args:
        instances: ``(H, W)`` int32.
        classes: ``(H, W)`` uint8 with ``IGNORED``, or ``None``.
    """
    return classes_from_instances(instances) if classes is None else classes


def extreme_ids(
    instances: Labels, footprint: npt.NDArray[np.uint8]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Highest and lowest instance number under a footprint centred on each pixel.

    Args:
        instances: ``(H, W)`` int32, 0 = background.
        footprint: ``(h, w)`` uint8 with odd sides, 1 for pixels that belong to it.

    Returns:
        Two ``(H, W)`` float64 arrays; without an instance under the footprint, 0 and infinity.
    """
    ids = instances.astype(np.float64)  # OpenCV's morphology does not support int32; float64 holds every id exactly
    lowest = cv2.erode(np.where(instances == 0, np.inf, ids), footprint)
    return np.asarray(cv2.dilate(ids, footprint), np.float64), np.asarray(lowest, np.float64)


def two_within(instances: Labels, radius_px: int) -> npt.NDArray[np.bool_]:
    """Whether a disk around each pixel contains two different instances: its highest and lowest ids differ.

    Args:
        instances: ``(H, W)`` int32, 0 = background.
        radius_px: Radius of the disk in pixels.
    """
    across = np.square(np.arange(-radius_px, radius_px + 1))
    highest, lowest = extreme_ids(instances, (across[:, None] + across <= radius_px**2).astype(np.uint8))
    return np.asarray((highest > 0) & (lowest < highest))


def class_counts(classes: npt.NDArray[np.uint8], num_classes: int = NUM_CLASSES) -> npt.NDArray[np.float64]:
    """Counts the pixels of every class; ignored pixels are not counted.

    Args:
        classes: Class indices of any shape, below ``num_classes`` or ``IGNORED``.
        num_classes: K.

    Returns:
        ``(K,)`` float64.

    >>> class_counts(np.array([[0, 1, 1, 255]], np.uint8))
    array([1., 2.])
    """
    return np.bincount(classes.ravel(), minlength=num_classes)[:num_classes].astype(np.float64)
