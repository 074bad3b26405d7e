"""What images look like, in a few numbers for each channel, and whether another image looks unlike all of them.

Tensor names: I images, C channels, F features, H W image.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[np.float32]

SIDE_PX = 512  # of the region in the middle of an image that is looked at
# Of the grey values; others depend on how much of an image is foreground
_PERCENTILES = {"1st percentile": 1, "median": 50, "99th percentile": 99}
_LAGS_PX = (1, 8)  # between the pixels whose differences are averaged
# Assumed, and checked on phase contrast, DIC and EM (docs/how-to/prediction.md): how far beyond the training images a
# feature may lie, at least; further where these differ more. Standard deviations, and logarithms of a factor.
_GREY_MARGIN, _DETAIL_MARGIN = 1.5, float(np.log(1.6))
_ENOUGH = 3  # images whose range shows how much they differ
_NO_DETAIL = 1e-3


@dataclass(frozen=True)
class Difference:
    """A feature of an image that is too far outside the range of the training images.

    Attributes:
        what: "grey values" or "detail".
        channel: The channel, from 0.
        percentile: In words, which percentile of the grey values; empty for detail.
        found: Value of the image, normalised.
        low: Lowest value of the training images, normalised.
        high: Highest value.
    """

    what: str
    channel: int
    percentile: str
    found: float
    low: float
    high: float


@dataclass(frozen=True)
class Appearance:
    """The range of the features of the training images.

    Attributes:
        low: Lowest value of each feature of each channel, ``(C, F)``.
        high: Highest value.
    """

    low: tuple[tuple[float, ...], ...]
    high: tuple[tuple[float, ...], ...]

    @classmethod
    def of(cls, images: Iterable[Pixels]) -> "Appearance":
        """The range over normalised ``(C, H, W)`` images; over the quarters of one or two images as well."""
        seen = [middle(image) for image in images]
        if len(seen) < _ENOUGH:
            seen += [quarter for image in seen for quarter in _quarters(image)]
        features_ICF = np.stack([features(image) for image in seen])
        low, high = (np.round(each, 4).tolist() for each in (features_ICF.min(0), features_ICF.max(0)))
        return cls(tuple(map(tuple, low)), tuple(map(tuple, high)))

    def unlike(self, image: Pixels) -> tuple[Difference, ...]:
        """In what a normalised image ``(C, H, W)`` is unlike all training images.

        Returns:
            The largest difference of the grey values, and the largest of the detail; none of what is alike.
        """
        low_CF, high_CF = np.array(self.low), np.array(self.high)
        margin_F = np.array([*[_GREY_MARGIN] * len(_PERCENTILES), *[_DETAIL_MARGIN] * len(_LAGS_PX)])
        found_CF = features(middle(image))
        beyond_CF = np.maximum(low_CF - found_CF, found_CF - high_CF) - np.maximum(margin_F, high_CF - low_CF)
        differences = []
        for what, first, last in (("grey values", 0, len(_PERCENTILES)), ("detail", len(_PERCENTILES), None)):
            part_CF = beyond_CF[:, first:last]
            channel, feature = np.unravel_index(int(part_CF.argmax()), part_CF.shape)
            if part_CF[channel, feature] <= 0:
                continue
            percentile = list(_PERCENTILES)[feature] if what == "grey values" else ""
            at = (channel, first + feature)
            values = (float(values_CF[at]) for values_CF in (found_CF, low_CF, high_CF))
            differences.append(Difference(what, int(channel), percentile, *values))
        return tuple(differences)


def middle(image: Pixels) -> Pixels:
    """The region in the middle of an image, of up to 512 x 512 pixels."""
    height, width = (min(side, SIDE_PX) for side in image.shape[1:])
    top, left = (image.shape[1] - height) // 2, (image.shape[2] - width) // 2
    return image[:, top : top + height, left : left + width]


def _quarters(image: Pixels) -> list[Pixels]:
    row, column = (max(side // 2, 1) for side in image.shape[1:])
    return [
        image[:, rows, columns] for rows in _halves(row) for columns in _halves(column) if image[:, rows, columns].size
    ]


def _halves(middle: int) -> tuple[slice, slice]:
    return slice(middle), slice(middle, None)


def features(image: Pixels) -> npt.NDArray[np.float64]:
    """Percentiles, and logarithms of the root mean square difference of pixels at some distances: ``(C, F)``."""
    grey = np.percentile(image, list(_PERCENTILES.values()), axis=(1, 2)).T
    return np.concatenate([grey, np.stack([_detail(image, lag) for lag in _LAGS_PX], axis=1)], axis=1)


def _detail(image: Pixels, lag: int) -> npt.NDArray[np.float64]:
    steps = [
        np.square(image[:, lag:] - image[:, :-lag], dtype=np.float64),
        np.square(image[:, :, lag:] - image[:, :, :-lag], dtype=np.float64),
    ]
    means = [step.mean((1, 2)) if step.size else np.zeros(len(image)) for step in steps]
    return np.asarray(np.log(np.maximum(np.sqrt(np.mean(means, axis=0)), _NO_DETAIL)), np.float64)
