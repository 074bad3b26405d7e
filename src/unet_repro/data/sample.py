"""The common interface of all data sources."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, TypeVar, runtime_checkable

import numpy as np
import numpy.typing as npt

Part = Literal["train", "test"]
_Item = TypeVar("_Item")


@dataclass(frozen=True)
class Sample:
    """One image with its truth.

    Attributes:
        key: Unique name within its source, sortable in acquisition order, such as ``train/07`` or ``01/t042``.
        sequence: The stack or time series that it belongs to; neighbours in a sequence are similar.
        part: Whether the publisher provides it for training or as the test set.
        image: ``(H, W)`` or ``(C, H, W)``, as stored (uint8, uint16 or float32), not normalised.
        labels: ``(H, W)`` int32 instance labels, 0 = background; ``None`` where there is no public truth.
        classes: ``(H, W)`` uint8, for labels with more than two classes or ignored pixels (``labels.IGNORED``);
            ``None`` if they follow from ``labels``, see ``labels.classes_of``.
    """

    key: str
    sequence: str
    part: Part
    image: npt.NDArray[np.generic]
    labels: npt.NDArray[np.int32] | None
    classes: npt.NDArray[np.uint8] | None = None


@runtime_checkable
class GoldSource(Protocol):
    """A source in which some frames have expert truth in addition to the labels from ``samples``."""

    def gold(self) -> dict[str, npt.NDArray[np.int32]]:
        """Instance labels by sample key, for the frames that experts annotated."""
        ...

    def markers(self) -> dict[str, npt.NDArray[np.int32]]:
        """One marker per cell, by sample key."""
        ...


class Source(Protocol):
    """A data set: its name, its class names and its samples in order."""

    name: str
    class_names: tuple[str, ...]

    def samples(self) -> list[Sample]:
        """Reads and checks everything. Raises ``DataError`` for anything missing, unpaired or unreadable."""
        ...


def evenly(items: Sequence[_Item], number: int) -> list[_Item]:
    """At most this number of items, evenly spaced from the first to the last.

    >>> evenly("abcdefg", 3), evenly("ab", 3), evenly("", 3)
    (['a', 'd', 'g'], ['a', 'b'], [])
    """
    places = np.linspace(0, len(items) - 1, min(number, len(items))).round().astype(int)
    return [items[place] for place in places]
