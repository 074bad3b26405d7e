"""Pure functions from instance labels to the weight of every pixel in the loss.

Every map is ``f(instances, class_counts=None, *, classes=None, ...) -> weights``:

- ``instances``: ``(H, W)`` integers, 0 = background; ids may have gaps.
- ``class_counts``: ``(K,)`` float64, mean pixels of each class per image of the training set. A training passes them,
  so that equal pixels of different images have equal weights; by default those of the image itself are counted.
- ``classes``: ``(H, W)`` uint8, for more than two classes or ignored pixels; by default they follow from the instances.
- ``weights``: ``(H, W)`` float32, dimensionless, not negative; 0 for ignored pixels.

``d1`` and ``d2`` are the Euclidean distances in pixels from a pixel's centre to the nearest pixel of the nearest and of
the second-nearest instance, 0 inside an instance (Ronneberger et al. 2015, section 3, equation 2).
"""

# ``weight_cache`` stores the maps in files: if any number changes here, increase the version there.

import math
from collections.abc import Callable

import cv2
import numpy as np
import numpy.typing as npt
from scipy import ndimage

from unet_repro.data.labels import IGNORED, NUM_CLASSES, Labels, classes_of, compacted, two_within
from unet_repro.data.labels import class_counts as counted
from unet_repro.errors import DataError

Counts = npt.NDArray[np.float64]
Instances = npt.NDArray[np.integer]
Classes = npt.NDArray[np.uint8]
Weights = npt.NDArray[np.float32]
WeightMap = Callable[..., Weights]

_NEGLIGIBLE = 1e-7  # smaller border terms are left out; even the class weights of `border_only` are about 1e-6


def none(instances: Instances, class_counts: Counts | None = None, *, classes: Classes | None = None) -> Weights:
    """Weight 1 for every pixel.

    Raises:
        DataError: If the labels or counts are invalid (see above).

    >>> none(np.array([[1, 0, 2]], np.int32), np.array([1.0, 2.0]))
    array([[1., 1., 1.]], dtype=float32)
    """
    _, classes, _ = _checked(instances, class_counts, classes)
    return _of_known(np.ones(instances.shape, np.float32), classes)


def class_balance(
    instances: Instances, class_counts: Counts | None = None, *, classes: Classes | None = None
) -> Weights:
    """``w_k = 1 / (K f_k)`` with the class frequency ``f_k``: mean 1 over the training set, equal share per class.

    assumed: the paper balances class frequencies without giving the formula or the scale.

    Raises:
        DataError: If the labels or counts are invalid (see above), or a class has no pixels.

    >>> class_balance(np.array([[1, 0, 2]], np.int32), np.array([1.0, 3.0]))
    array([[0.6666667, 2.       , 0.6666667]], dtype=float32)
    """
    _, classes, class_counts = _balanced(instances, class_counts, classes)
    return _balance(classes, class_counts)


def border_only(
    instances: Instances,
    class_counts: Counts | None = None,
    *,
    classes: Classes | None = None,
    w0: float = 10.0,
    sigma_px: float = 5.0,
) -> Weights:
    """The earlier reproduction's map: ``1 / count + w0 exp(-(d1 + d2)^2 / (2 sigma^2))``, on cells as well.

    The class weights are so small (1e-6 to 1e-4) that pixels far from any border hardly count. Unlike in ``paper``, the
    border term also applies inside cells, where ``d1 = 0``. Source: github.com/txus/unet, ``compute_weight_map``.
    deviation: there the pixels of each image are counted, here the training set's mean is used.

    Args:
        instances: ``(H, W)`` integers.
        class_counts: ``(K,)`` float64; ``None``: of this image.
        classes: ``(H, W)`` uint8; ``None``: those that follow from the instances.
        w0: Height of the border term.
        sigma_px: Width of the border term in pixels.

    Raises:
        DataError: If the labels, the counts (see above) or a parameter are invalid, or a class has no pixels.

    >>> border_only(np.array([[1, 1, 0, 2]], np.int32), np.array([1e5, 2e5])).round(2)
    array([[8.35, 9.23, 9.23, 9.23]], dtype=float32)
    """
    _check_border(w0, sigma_px)
    labels, classes, class_counts = _balanced(instances, class_counts, classes)
    return _of_known(_by_class(1 / class_counts, classes) + _border_term(labels, w0, sigma_px), classes)


def morphological(
    instances: Instances,
    class_counts: Counts | None = None,
    *,
    classes: Classes | None = None,
    w0: float = 10.0,
    sigma_px: float = 5.0,
    radius_px: int = 5,
) -> Weights:
    """``class_balance`` plus ``w0 exp(-d^2 / (2 sigma^2))``, ``d`` the distance to a morphological separation border.

    assumed: the paper says only that the border is computed "using morphological operations". Here the separation
    border is every background pixel with two different instances within ``radius_px``, found by a grey dilation and a
    grey erosion of the labels with a disk; the term is applied to background pixels, and is 0 without such a border.

    Args:
        instances: ``(H, W)`` integers.
        class_counts: ``(K,)`` float64; ``None``: of this image.
        classes: ``(H, W)`` uint8; ``None``: those that follow from the instances.
        w0: Height of the border term.
        sigma_px: Width of the falloff beside the border in pixels.
        radius_px: Radius of the disk in pixels; gaps of up to ``2 radius_px - 1`` pixels are borders.

    Raises:
        DataError: If the labels, the counts (see above) or a parameter are invalid, or a class has no pixels.

    >>> morphological(np.array([[1, 0, 2, 0, 0]], np.int32), np.ones(2), radius_px=1).round(2)
    array([[ 1.  , 11.  ,  1.  , 10.23,  9.35]], dtype=float32)
    """
    _check_border(w0, sigma_px)
    if radius_px < 1 or int(radius_px) != radius_px:
        raise DataError(f"radius_px {radius_px} must be a positive integer", hint="use 1 or more, such as 5")
    labels, classes, class_counts = _balanced(instances, class_counts, classes)
    weights, background = _balance(classes, class_counts), classes == 0
    border = background & two_within(labels, int(radius_px))
    if border.any():
        weights += background * _gaussian(_rounded(_distance(~border)), w0, sigma_px)
    return weights


def paper(
    instances: Instances,
    class_counts: Counts | None = None,
    *,
    classes: Classes | None = None,
    w0: float = 10.0,
    sigma_px: float = 5.0,
) -> Weights:
    """The paper's equation 2: ``class_balance + w0 exp(-(d1 + d2)^2 / (2 sigma^2))``.

    assumed: the border term is applied to background pixels only, those of class 0, which include the pixels where two
    cells touch; inside a cell ``d1`` is 0. With fewer than two instances the term is 0.

    The distances are computed in each instance's own neighbourhood, wide enough that the omitted terms are below 1e-7.
    The error against distances over the whole image is below 1e-5, and the time is linear in the number of cells.

    Args:
        instances: ``(H, W)`` integers.
        class_counts: ``(K,)`` float64; ``None``: of this image.
        classes: ``(H, W)`` uint8; ``None``: those that follow from the instances.
        w0: Height of the border term; 10 in the paper.
        sigma_px: Width of the border term in pixels; about 5 in the paper.

    Raises:
        DataError: If the labels, the counts (see above) or a parameter are invalid, or a class has no pixels.

    >>> paper(np.array([[1, 1, 0, 2]], np.int32), np.ones(2)).round(2)
    array([[ 1.  ,  1.  , 10.23,  1.  ]], dtype=float32)
    >>> paper(np.array([[1, 1, 0, 2]])).round(2)  # balanced over this image
    array([[ 0.67,  0.67, 11.23,  0.67]], dtype=float32)
    """
    _check_border(w0, sigma_px)
    labels, classes, class_counts = _balanced(instances, class_counts, classes)
    weights = _balance(classes, class_counts)
    weights += (classes == 0) * _border_term(labels, w0, sigma_px)
    return weights


def _checked(
    instances: Instances, class_counts: Counts | None, given: Classes | None
) -> tuple[Labels, Classes, Counts]:
    """The labels as int32, the class of every pixel, and the counts, those of the image by default."""
    if instances.ndim != 2 or instances.dtype.kind not in "iu" or instances.size == 0:
        raise DataError(
            f"instance labels are {instances.dtype} of shape {instances.shape}, expected non-empty (H, W) integers",
            hint="pass one image's labels as `labels.astype(numpy.int32)`",
        )
    if (lowest := instances.min()) < 0:
        raise DataError(
            f"instance labels contain the negative id {lowest}",
            hint="number instances from 1 and use 0 for the background",
        )
    if (highest := instances.max()) > np.iinfo(np.int32).max:
        raise DataError(f"instance labels contain the id {highest}, above int32", hint="number instances from 1")
    labels = instances.astype(np.int32, copy=False)
    classes = classes_of(labels, given)
    highest_class = int(classes[classes != IGNORED].max(initial=0))
    if class_counts is None:
        return labels, classes, counted(classes, max(NUM_CLASSES, highest_class + 1))
    num_classes = NUM_CLASSES if given is None else max(len(class_counts), highest_class + 1)
    if class_counts.shape != (num_classes,) or not np.all(np.isfinite(class_counts) & (class_counts >= 0)):
        raise DataError(
            f"class counts {class_counts!r} must be {num_classes} finite numbers of 0 or more",
            hint="pass the mean of `labels.class_counts` over the training images",
        )
    return labels, classes, class_counts


def _check_border(w0: float, sigma_px: float) -> None:
    if not (math.isfinite(w0) and w0 >= 0):
        raise DataError(f"w0 {w0} must be a finite number of 0 or more", hint="use 10, as in the paper")
    if not (math.isfinite(sigma_px) and sigma_px > 0):
        raise DataError(f"sigma_px {sigma_px} must be a finite positive number", hint="use 5, as in the paper")


def _balanced(
    instances: Instances, class_counts: Counts | None, given: Classes | None
) -> tuple[Labels, Classes, Counts]:
    """Labels, the class of every pixel and the counts, after checking that the input can be balanced by class."""
    labels, classes, class_counts = _checked(instances, class_counts, given)
    if not class_counts.all():
        raise DataError(
            f"class {int(np.argmin(class_counts))} has no pixels in the training set, so it cannot be balanced",
            hint="train on images that contain every class, or use the weight map `none`",
        )
    return labels, classes, class_counts


def _balance(classes: Classes, class_counts: Counts) -> Weights:
    return _by_class(class_counts.sum() / (len(class_counts) * class_counts), classes)


def _by_class(values_K: Counts, classes: Classes) -> Weights:
    """The value of every pixel's class, 0 for ignored pixels."""
    table = np.zeros(IGNORED + 1, np.float32)
    table[: len(values_K)] = values_K
    return np.asarray(table[classes])


def _of_known(weights: Weights, classes: Classes) -> Weights:
    """The weights, 0 for ignored pixels; changes them in place."""
    weights[classes == IGNORED] = 0
    return weights


def _gaussian(distance: Weights, w0: float, sigma_px: float) -> Weights:
    """``w0 exp(-distance^2 / (2 sigma^2))``, float32; 0 where the distance is infinite."""
    weights = np.float32(w0) * np.exp(np.square(distance) * np.float32(-0.5 / sigma_px**2))
    return np.asarray(weights, np.float32)


def _border_term(instances: Labels, w0: float, sigma_px: float) -> Weights:
    """``w0 exp(-(d1 + d2)^2 / (2 sigma^2))`` of every pixel; 0 where fewer than two instances are within reach."""
    reach_px = sigma_px * math.sqrt(2 * math.log(max(w0 / _NEGLIGIBLE, 1)))
    nearest, second = _two_nearest(instances, math.ceil(reach_px))
    return _gaussian(nearest + second, w0, sigma_px)


def _two_nearest(instances: Labels, reach_px: int) -> tuple[Weights, Weights]:
    """``d1`` and ``d2``, exact up to ``reach_px``, and never too small beyond.

    Each instance is considered only in its bounding box extended by the reach, so distant pixels may be infinite.
    """
    instances = compacted(instances)  # find_objects returns a list as long as the highest id
    nearest = np.full(instances.shape, np.inf, np.float32)
    second = nearest.copy()
    for number, box in enumerate(ndimage.find_objects(instances), start=1):
        if box is None:
            continue
        grown = tuple(slice(max(side.start - reach_px, 0), side.stop + reach_px) for side in box)
        distance = _distance(instances[grown] != number)
        d1, d2 = nearest[grown], second[grown]
        np.minimum(d2, np.maximum(d1, distance), out=d2)
        np.minimum(d1, distance, out=d1)
    return _rounded(nearest), _rounded(second)


def _distance(outside: npt.NDArray[np.bool_]) -> Weights:
    """Euclidean distance in pixels to the nearest pixel that is not ``outside``; there must be one."""
    return np.asarray(cv2.distanceTransform(outside.view(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE), np.float32)


def _rounded(distance: Weights) -> Weights:
    """Correctly rounded distances up to 1000 pixels. OpenCV's last bit varies between calls; squares are integers."""
    return np.asarray(np.sqrt(np.rint(np.square(distance))), np.float32)
