"""The meaning of stored label values, and its application: stored values to instances and classes."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from unet_repro.data.labels import IGNORED, Labels, classes_from_instances, instances_from_classes, instances_from_mask

Kind = Literal["binary", "instances", "classes"]
Classes = npt.NDArray[np.uint8]

BACKGROUND_AND_CELL = ("background", "cell")


@dataclass(frozen=True)
class Meaning:
    """What the values of a set of label images mean.

    Attributes:
        kind: ``binary``: connected components of the foreground are objects; ``instances``: values are object numbers;
            ``classes``: values are classes.
        class_names: Names of the K classes; background is the first.
        values: For ``classes``: the stored value of each class that occurs, by class.
        ignore: Stored value of pixels that are neither trained on nor measured.
        cut: For a binary set with grey ramps: larger values are foreground. Pages of 0 and 1 are not cut.
        reasons: Why, one sentence each.
        warnings: What the user should check, one sentence each.
    """

    kind: Kind
    class_names: tuple[str, ...]
    values: tuple[tuple[int, int], ...] = ()
    ignore: int | None = None
    cut: float | None = None
    reasons: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    def apply(self, stored: Labels) -> tuple[Labels, Classes | None]:
        """Instances and classes of a page.

        Args:
            stored: ``(H, W)`` int32, values as stored.

        Returns:
            ``(H, W)`` int32 instances, 0 = background or ignored; ``(H, W)`` uint8 classes with ``IGNORED``, or
            ``None`` if they follow from the instances (``labels.classes_from_instances``).

        >>> mask = Meaning("binary", ("background", "cell"), ignore=9)
        >>> mask.apply(np.array([[1, 0, 1, 9]], np.int32))
        (array([[1, 0, 2, 0]], dtype=int32), array([[  1,   0,   1, 255]], dtype=uint8))
        """
        ignored = np.zeros(stored.shape, bool) if self.ignore is None else stored == self.ignore
        known = np.where(ignored, 0, stored) if ignored.any() else stored
        if self.kind == "classes":
            classes = np.full(stored.shape, IGNORED, np.uint8)
            for value, number in self.values:
                classes[(stored == value) & ~ignored] = number
            return instances_from_classes(classes), classes
        if self.kind == "binary":
            lowest = 0 if self.cut is None or known.max() <= 1 else self.cut
            instances = instances_from_mask(known > lowest)
        else:
            instances = known
        if not ignored.any():
            return instances, None
        classes = classes_from_instances(instances)
        classes[ignored] = IGNORED
        return instances, classes


def listed(values: Sequence[int]) -> str:
    """Values as text, with the middle of a long list left out.

    >>> listed(range(9))
    '0, 1, 2, 3, 4, ... 8'
    """
    return ", ".join(map(str, values[:5])) + (f", ... {values[-1]}" if len(values) > 5 else "")
