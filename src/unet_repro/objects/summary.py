"""The objects of an image in a few numbers."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from unet_repro.objects.measure import Measures

BINS_PER_DOUBLING = 2  # of the histogram of sizes


@dataclass
class Summary:
    """The objects of an image, over all of its planes.

    Attributes:
        objects: Their number.
        at_border: Number of those that touch the border.
        area_px: Their pixels.
        sizes: Number of objects in each bin of size; bin b holds ``2 ** (b / 2) <= area < 2 ** ((b + 1) / 2)``.
        probable_px: Sum of the probabilities of the objects' pixels.
        total_px: Sum of the probabilities of all pixels.
    """

    objects: int = 0
    at_border: int = 0
    area_px: int = 0
    sizes: list[int] = field(default_factory=list)
    probable_px: float = 0.0
    total_px: float = 0.0

    def add(self, measures: Measures) -> None:
        """Adds the objects of a plane."""
        self.objects += len(measures.area)
        self.at_border += int(measures.touches_border.sum())
        self.area_px += int(measures.area.sum())
        self.probable_px += float(measures.area @ measures.mean_probability)
        self.total_px += measures.total_probability
        bins = np.floor(np.log2(measures.area) * BINS_PER_DOUBLING + 1e-9).astype(int)
        self.sizes = add_counts(self.sizes, np.bincount(bins).tolist())

    @property
    def mean_area_px(self) -> float | None:
        """Mean area; ``None`` without objects."""
        return self.area_px / self.objects if self.objects else None

    @property
    def confidence(self) -> float | None:
        """The Dice index of the objects' pixels that is expected if the probabilities are right.

        ``None`` without objects.
        """
        return 2 * self.probable_px / (self.area_px + self.total_px) if self.objects else None


def add_counts(one: Sequence[int], other: Sequence[int]) -> list[int]:
    """The sum of two histograms, of which one may be longer.

    >>> add_counts([1, 2], [1])
    [2, 2]
    """
    total = [0] * max(len(one), len(other))
    for counts in (one, other):
        for index, count in enumerate(counts):
            total[index] += count
    return total
