"""What a page of label values looks like: its values, the pieces they form, grey ramps, outlines."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
import numpy.typing as npt
from scipy import ndimage
from skimage.measure import label as number_pieces

from unet_repro.data.labels import Labels
from unet_repro.data.sample import evenly

MAX_PAGES = 40  # pages of a set that are looked at in detail, evenly spaced

_MIN_RANGE = 32  # a page with a smaller range of values holds no grey ramps
_EXTREME = 0.2  # share of the range, at both ends, in which the two grey values of a mask lie
_FEW = 0.1  # pixels of other values that are tolerated where two values are expected, as a share of the foreground
_SEVERAL = 6  # thin classes, such as arteries and veins, are fewer
_SPECKS = 4  # specks of each value that show interpolation, where there are _SEVERAL values
_SUBSTANTIAL = 0.1  # smaller pieces, relative to the largest one of the same value, are not counted
_MAX_HALF_WIDTH_PX = 5.0  # of a drawn line
_EDGE_PX = 8  # half a block of JPEG, or a strong smoothing: grey values of a mask's edges are no farther from it
_FAR = 0.1  # share of the grey values that may be farther
_ENCLOSED = 0.5  # area that outlines enclose, relative to their own


def distinct(page: Labels) -> tuple[int, ...]:
    """The values of a page, in ascending order.

    >>> distinct(np.array([[7, 0], [7, 3]], np.int32))
    (0, 3, 7)
    """
    if page.size and page.min() >= 0 and page.max() <= np.iinfo(np.uint16).max:
        return tuple(np.flatnonzero(np.bincount(page.ravel())).tolist())
    return tuple(np.unique(page).tolist())


def some(pages: Sequence[Labels]) -> list[Labels]:
    """At most ``MAX_PAGES`` of the pages, evenly spaced."""
    return evenly(pages, MAX_PAGES)


@dataclass(frozen=True)
class Evidence:
    """Lazily computed evidence of one page.

    Args:
        page: ``(H, W)`` int32, values as stored; those of ignored pixels are already replaced by 0.
    """

    page: Labels

    @cached_property
    def values(self) -> tuple[int, ...]:
        """The values other than 0, in ascending order."""
        return tuple(value for value in distinct(self.page) if value != 0)

    @cached_property
    def pieces(self) -> dict[int, int]:
        """Number of 8-connected pieces of each value other than 0, without specks.

        >>> Evidence(np.array([[1, 0, 1], [0, 0, 0], [2, 2, 0]], np.int32)).pieces
        {1: 2, 2: 1}
        """
        position, is_speck = self._all_pieces
        numbers = np.bincount(position[~is_speck], minlength=len(self.values))
        return dict(zip(self.values, numbers.tolist(), strict=True))

    @cached_property
    def is_mask(self) -> bool:
        """Whether there is a single value, in several pieces."""
        return len(self.values) == 1 and self.pieces[self.values[0]] > 1

    @cached_property
    def _all_pieces(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
        """Position of each piece's value in ``values``, and whether it is a speck, small for its value."""
        numbered = number_pieces(self.page, connectivity=2, background=0)  # type: ignore[no-untyped-call]
        areas = np.bincount(numbered.ravel())
        value_of = np.zeros(len(areas), np.int64)
        value_of[numbered.ravel()] = self.page.ravel()
        position = np.searchsorted(self.values, value_of[1:])
        largest = np.zeros(len(self.values))
        np.maximum.at(largest, position, areas[1:])
        return position, areas[1:] < _SUBSTANTIAL * largest[position]

    @cached_property
    def _solid(self) -> npt.NDArray[np.bool_]:
        """Pixels whose 3 x 3 neighbourhood has one value."""
        as_float, window = self.page.astype(np.float64), np.ones((3, 3), np.uint8)
        return np.asarray(cv2.dilate(as_float, window) == cv2.erode(as_float, window))

    @cached_property
    def cut(self) -> float | None:
        """For a mask with grey ramps (JPEG, smoothing, resizing): the value between its two grey values, else ``None``.

        In such a mask only two values, near the ends of the range, fill areas; all others are thin and scattered. The
        pieces of instance numbers and of classes fill areas at any value.
        """
        low, high = int(self.page.min()), int(self.page.max())
        if high - low < _MIN_RANGE or len(self.values) < 2:
            return None
        cut = (low + high) / 2
        above = self.page > cut
        dark, bright = _most_common(self.page[~above]), _most_common(self.page[above])
        if dark > low + _EXTREME * (high - low) or bright < high - _EXTREME * (high - low):
            return None
        others = (self.page != dark) & (self.page != bright)
        num_others = len(set(self.values) - {dark, bright})
        scattered = sum(number for value, number in self.pieces.items() if value not in (dark, bright))
        if not num_others or (num_others < 16 and scattered < 2 * num_others):
            return None  # values without a ramp between them
        near = cv2.dilate((self.page == bright).astype(np.uint8), np.ones((2 * _EDGE_PX + 1,) * 2, np.uint8)) > 0
        if (self._solid & others).sum() > _FEW * above.sum() or (others & ~near).sum() > _FAR * others.sum():
            return None  # objects of many values, perhaps beside a large one
        between = others & (np.abs(self.page - cut) < (0.5 - _EXTREME) * (high - low))
        if not (self._solid & (self.page == bright)).any() and between.sum() > _FEW * above.sum():
            return None  # small objects of many values
        return cut

    @cached_property
    def is_smoothed(self) -> bool:
        """Whether most of several values fill no area, or have many specks, as numbers that were interpolated."""
        if len(self.values) >= _SEVERAL and self._all_pieces[1].sum() >= _SPECKS * len(self.values):
            return True
        filling = set(distinct(self.page[self._solid])) - {0}
        thin = [number for value, number in self.pieces.items() if value not in filling]
        is_several = len(filling) >= 2 or len(thin) >= _SEVERAL
        return is_several and len(thin) > len(filling) and sum(thin) >= 2 * len(thin)

    @cached_property
    def is_outlined(self) -> bool:
        """Whether the foreground is thin lines around larger areas, which the image's border may close."""
        foreground = self.page > 0
        if not foreground.any() or foreground.all():
            return False
        half_width = ndimage.distance_transform_edt(foreground).max()
        if half_width > _MAX_HALF_WIDTH_PX:
            return False
        around, number = ndimage.label(~foreground)
        areas = np.bincount(around.ravel())[1:]
        areas[areas.argmax()] = 0  # the background
        half_widths = ndimage.maximum(ndimage.distance_transform_edt(~foreground), around, range(1, number + 1))
        return bool(areas[half_widths > half_width].sum() >= _ENCLOSED * foreground.sum())


def _most_common(values: Labels) -> int:
    numbers, counts = np.unique(values, return_counts=True)
    return int(numbers[counts.argmax()])
