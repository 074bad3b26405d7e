"""Pure functions from instance labels to the weight of every pixel in the loss.

Every map is ``f(instances, class_counts, *, ...) -> weights``:

- ``instances``: ``(H, W)`` int32, 0 = background; ids may have gaps.
- ``class_counts``: ``(K,)`` float64, mean pixels of each class per image over the training set. They are passed in, not
  counted in the image, so that equal pixels of different images have equal weights.
- ``weights``: ``(H, W)`` float32, dimensionless, not negative.

``d1`` and ``d2`` are the Euclidean distances in pixels from a pixel's centre to the nearest pixel of the nearest and of
the second-nearest instance, 0 inside an instance (Ronneberger et al. 2015, section 3, equation 2).

``weight_cache`` stores the maps in files: if any number changes here, increase the version there.
"""

import math
from collections.abc import Callable

import cv2
import numpy as np
import numpy.typing as npt
from scipy import ndimage

from unet_repro.data.labels import NUM_CLASSES, Labels, classes_from_instances, extreme_ids
from unet_repro.errors import DataError

Counts = npt.NDArray[np.float64]
Weights = npt.NDArray[np.float32]
WeightMap = Callable[[Labels, Counts], Weights]

_NEGLIGIBLE = 1e-7  # smaller border terms are left out; even the class weights of `border_only` are about 1e-6


def none(instances: Labels, class_counts: Counts) -> Weights:
    """Weight 1 for every pixel.

    Raises:
        DataError: If the labels or counts are invalid (see the module).

    >>> none(np.array([[1, 0, 2]], np.int32), np.array([1.0, 2.0]))
    array([[1., 1., 1.]], dtype=float32)
    """
    _check(instances, class_counts)
    return np.ones(instances.shape, np.float32)


def class_balance(instances: Labels, class_counts: Counts) -> Weights:
    """``w_k = 1 / (K f_k)`` with the class frequency ``f_k``: mean 1 over the training set, equal share per class.

    assumed: the paper balances class frequencies without giving the formula or the scale.

    Raises:
        DataError: If the labels or counts are invalid (see the module), or a class has no pixels.

    >>> class_balance(np.array([[1, 0, 2]], np.int32), np.array([1.0, 3.0]))
    array([[0.6666667, 2.       , 0.6666667]], dtype=float32)
    """
    return _balance(_classes(instances, class_counts), class_counts)


def border_only(instances: Labels, class_counts: Counts, *, w0: float = 10.0, sigma_px: float = 5.0) -> Weights:
    """The earlier reproduction's map: ``1 / count + w0 exp(-(d1 + d2)^2 / (2 sigma^2))``, on cells as well.

    The class weights are so small (1e-6 to 1e-4) that pixels far from any border hardly count. Unlike in ``paper``, the
    border term also applies inside cells, where ``d1 = 0``. Source: github.com/txus/unet, ``compute_weight_map``.
    deviation: there the pixels of each image are counted, here the training set's mean is used.

    Args:
        instances: ``(H, W)`` int32.
        class_counts: ``(K,)`` float64.
        w0: Height of the border term.
        sigma_px: Width of the border term in pixels.

    Raises:
        DataError: If the labels, the counts (see the module) or a parameter are invalid, or a class has no pixels.

    >>> border_only(np.array([[1, 1, 0, 2]], np.int32), np.array([1e5, 2e5])).round(2)
    array([[8.35, 9.23, 9.23, 9.23]], dtype=float32)
    """
    _check_border(w0, sigma_px)
    classes = _classes(instances, class_counts)
    return (1 / class_counts).astype(np.float32)[classes] + _border_term(instances, w0, sigma_px)


def morphological(
    instances: Labels, class_counts: Counts, *, w0: float = 10.0, sigma_px: float = 5.0, radius_px: int = 5
) -> Weights:
    """``class_balance`` plus ``w0 exp(-d^2 / (2 sigma^2))``, ``d`` the distance to a morphological separation border.

    assumed: the paper says only that the border is computed "using morphological operations". Here the separation
    border is every background pixel with two different instances within ``radius_px``, found by a grey dilation and a
    grey erosion of the labels with a disk; the term is applied to background pixels, and is 0 without such a border.

    Args:
        instances: ``(H, W)`` int32.
        class_counts: ``(K,)`` float64.
        w0: Height of the border term.
        sigma_px: Width of the falloff beside the border in pixels.
        radius_px: Radius of the disk in pixels; gaps of up to ``2 radius_px - 1`` pixels are borders.

    Raises:
        DataError: If the labels, the counts (see the module) or a parameter are invalid, or a class has no pixels.

    >>> morphological(np.array([[1, 0, 2, 0, 0]], np.int32), np.ones(2), radius_px=1).round(2)
    array([[ 1.  , 11.  ,  1.  , 10.23,  9.35]], dtype=float32)
    """
    _check_border(w0, sigma_px)
    if radius_px < 1 or int(radius_px) != radius_px:
        raise DataError(f"radius_px {radius_px} must be a positive integer", hint="use 1 or more, such as 5")
    classes = _classes(instances, class_counts)
    weights, background = _balance(classes, class_counts), classes == 0
    border = background & _two_within(instances, int(radius_px))
    if border.any():
        weights += background * _gaussian(_rounded(_distance(~border)), w0, sigma_px)
    return weights


def paper(instances: Labels, class_counts: Counts, *, w0: float = 10.0, sigma_px: float = 5.0) -> Weights:
    """The paper's equation 2: ``class_balance + w0 exp(-(d1 + d2)^2 / (2 sigma^2))``.

    assumed: the border term is applied to background pixels only, those of class 0, which include the pixels where two
    cells touch; inside a cell ``d1`` is 0. With fewer than two instances the term is 0.

    The distances are computed in each instance's own neighbourhood, wide enough that the omitted terms are below 1e-7.
    The error against distances over the whole image is below 1e-5, and the time is linear in the number of cells.

    Args:
        instances: ``(H, W)`` int32.
        class_counts: ``(K,)`` float64.
        w0: Height of the border term; 10 in the paper.
        sigma_px: Width of the border term in pixels; about 5 in the paper.

    Raises:
        DataError: If the labels, the counts (see the module) or a parameter are invalid, or a class has no pixels.

    >>> paper(np.array([[1, 1, 0, 2]], np.int32), np.ones(2)).round(2)
    array([[ 1.  ,  1.  , 10.23,  1.  ]], dtype=float32)
    """
    _check_border(w0, sigma_px)
    classes = _classes(instances, class_counts)
    weights = _balance(classes, class_counts)
    weights += (classes == 0) * _border_term(instances, w0, sigma_px)
    return weights


def _check(instances: Labels, class_counts: Counts) -> None:
    if instances.ndim != 2 or instances.dtype != np.int32 or instances.size == 0:
        raise DataError(
            f"instance labels are {instances.dtype} of shape {instances.shape}, expected non-empty (H, W) int32",
            hint="pass one image's labels as `labels.astype(numpy.int32)`",
        )
    if instances.min() < 0:
        raise DataError(
            f"instance labels contain the negative id {instances.min()}",
            hint="number instances from 1 and use 0 for the background",
        )
    if class_counts.shape != (NUM_CLASSES,) or not np.all(np.isfinite(class_counts) & (class_counts >= 0)):
        raise DataError(
            f"class counts {class_counts!r} must be {NUM_CLASSES} finite numbers of 0 or more",
            hint="pass the mean of `labels.class_counts` over the training images",
        )


def _check_border(w0: float, sigma_px: float) -> None:
    if not (math.isfinite(w0) and w0 >= 0):
        raise DataError(f"w0 {w0} must be a finite number of 0 or more", hint="use 10, as in the paper")
    if not (math.isfinite(sigma_px) and sigma_px > 0):
        raise DataError(f"sigma_px {sigma_px} must be a finite positive number", hint="use 5, as in the paper")


def _classes(instances: Labels, class_counts: Counts) -> npt.NDArray[np.uint8]:
    """The class of every pixel, after checking that the input can be balanced by class."""
    _check(instances, class_counts)
    if not class_counts.all():
        raise DataError(
            f"class {int(np.argmin(class_counts))} has no pixels in the training set, so it cannot be balanced",
            hint="train on images that contain every class, or use the weight map `none`",
        )
    return classes_from_instances(instances)


def _balance(classes: npt.NDArray[np.uint8], class_counts: Counts) -> Weights:
    by_class: Weights = (class_counts.sum() / (len(class_counts) * class_counts)).astype(np.float32)
    return by_class[classes]


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
    if instances.max() > instances.size:  # find_objects returns a list as long as the highest id
        ids = np.unique(instances[instances > 0])
        instances = np.searchsorted(ids, instances, side="right").astype(np.int32)
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


def _two_within(instances: Labels, radius_px: int) -> npt.NDArray[np.bool_]:
    """Whether a disk around each pixel contains two different instances: its highest and lowest ids differ."""
    across = np.square(np.arange(-radius_px, radius_px + 1))
    highest, lowest = extreme_ids(instances, (across[:, None] + across <= radius_px**2).astype(np.uint8))
    return np.asarray((highest > 0) & (lowest < highest))
