"""The one form in which every source hands over its images."""

from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

Part = Literal["train", "test"]


@dataclass(frozen=True)
class Sample:
    """One image with its truth.

    Attributes:
        key: Unique name inside its source, sortable in acquisition order, such as ``train/07`` or ``01/t042``.
        sequence: The stack or time series that it belongs to; neighbours in a sequence look alike.
        part: Whether the publisher offers it for training or as the test set.
        image: ``(H, W)`` or ``(C, H, W)``, as stored (uint8, uint16 or float32), not normalised.
        labels: ``(H, W)`` int32 instance labels, 0 = background; ``None`` where there is no public truth.
    """

    key: str
    sequence: str
    part: Part
    image: npt.NDArray[np.generic]
    labels: npt.NDArray[np.int32] | None


@runtime_checkable
class GoldSource(Protocol):
    """A source some of whose frames have truth of experts beside that which ``samples`` hands over."""

    def gold(self) -> dict[str, npt.NDArray[np.int32]]:
        """Instance labels by sample key, on the frames that experts drew."""
        ...

    def markers(self) -> dict[str, npt.NDArray[np.int32]]:
        """One marker a cell by sample key."""
        ...


class Source(Protocol):
    """What a data set offers: its name, its class names and its samples in order."""

    name: str
    class_names: tuple[str, ...]

    def samples(self) -> list[Sample]:
        """Reads and checks everything. Raises ``DataError`` for anything missing, unpaired or unreadable."""
        ...
