"""Statistics of paired comparisons over few seeds and images: random effects, equivalence, Holm, seeds needed.

The data are a table of paired differences ``d[s, i]`` of seed s and image i. Every seed's network is evaluated on the
same images, and a difficult image is difficult for all of them. So seeds and images are crossed random effects, and the
two-way analysis of variance gives the variance of the mean due to each (Searle, Casella and McCulloch, "Variance
Components", 1992, chapter 4). Student's t with Satterthwaite's degrees of freedom (Biometrics Bulletin 1946,
10.2307/3002019) gives the interval.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy import stats

Table = npt.NDArray[np.float64]
Expectation = Literal["higher", "lower", "equivalent", "not lower"]
LEVEL = 0.95
ALPHA = 1 - LEVEL
MAX_SEEDS = 1000  # larger numbers are not reported


@dataclass(frozen=True)
class Estimate:
    """A mean paired difference with its uncertainty.

    Attributes:
        mean: Mean over seeds and images.
        low: Lower end of the 95 % interval; ``None`` for a single seed.
        high: Upper end.
        from_seeds: Variance of the mean due to the choice of seeds.
        from_images: Variance due to the choice of images.
        from_both: Variance due to their interaction, which is included in both of the others.
        num_seeds: Number of seeds.
        num_images: Number of images; 1 for a measure of a whole run.
    """

    mean: float
    low: float | None
    high: float | None
    from_seeds: float
    from_images: float
    from_both: float
    num_seeds: int
    num_images: int

    @property
    def error(self) -> float:
        """Standard error of the mean."""
        return self.with_seeds(self.num_seeds)[0]

    @property
    def degrees(self) -> float:
        """Degrees of freedom by Satterthwaite's rule."""
        return self.with_seeds(self.num_seeds)[1]

    def with_seeds(self, number: int) -> tuple[float, float]:
        """Standard error and degrees of freedom for another number of seeds with the same variances."""
        share = self.num_seeds / number
        seeds, both = self.from_seeds * share, self.from_both * share
        # The variance due to images includes the interaction, which decreases with more seeds.
        images = max(self.from_images - self.from_both + both, 0.0)
        variance = max(seeds + images - both, seeds, images)
        if variance == 0:
            return 0.0, max(number - 1.0, 1.0)
        freedom = number - 1, self.num_images - 1, (number - 1) * (self.num_images - 1)
        parts = zip((seeds, images, both), freedom, strict=True)
        return math.sqrt(variance), variance**2 / sum(part**2 / degrees for part, degrees in parts if degrees > 0)


def estimate(differences: Table) -> Estimate:
    """Mean paired difference with its 95 % interval.

    Args:
        differences: ``(S, I)`` float64: seeds by images; ``(S, 1)`` for a measure of whole runs.

    Raises:
        ValueError: If the table is empty or has non-finite values.

    >>> found = estimate(np.array([[0.10, 0.11], [0.12, 0.13], [0.11, 0.12]]))
    >>> print(f"{found.mean:.3f}, from {found.low:.2f} to {found.high:.2f}")
    0.115, from 0.09 to 0.14
    """
    if differences.ndim != 2 or not differences.size or not np.isfinite(differences).all():
        raise ValueError(f"differences must be a finite table of seeds by images, not of shape {differences.shape}")
    num_seeds, num_images = differences.shape
    free_seeds, free_images = max(num_seeds - 1, 1), max(num_images - 1, 1)  # a single value has no spread
    within = differences - differences.mean(1, keepdims=True)
    both = within - within.mean(0)
    found = Estimate(
        mean=float(differences.mean()),
        low=None,
        high=None,
        from_seeds=float(differences.mean(1).var()) / free_seeds,
        from_images=float(differences.mean(0).var()) / free_images,
        from_both=float(both.var()) / (free_seeds * free_images),
        num_seeds=num_seeds,
        num_images=num_images,
    )
    if num_seeds < 2:
        return found
    reach = float(stats.t.ppf(1 - ALPHA / 2, found.degrees)) * found.error
    return replace(found, low=found.mean - reach, high=found.mean + reach)


def estimate_share(differences: Table) -> Estimate:
    """Mean paired difference of binary outcomes, one per seed, with exact binomial intervals for both directions.

    If all seeds agree, a standard error would be zero, although three runs without a collapse prove little.

    Args:
        differences: ``(S, 1)``, values -1, 0 or 1.

    >>> found = estimate_share(np.zeros((3, 1)))
    >>> print(f"{found.mean:.2f}, from {found.low:.2f} to {found.high:.2f}")
    0.00, from -0.77 to 0.77
    """
    number = len(differences)
    up, down = (
        stats.binomtest(int((differences == sign).sum()), number).proportion_ci(1 - ALPHA / 2, method="exact")
        for sign in (1, -1)
    )
    mean = float(differences.mean())
    low, high = float(up.low - down.high), float(up.high - down.low)
    reach = float(stats.norm.ppf(1 - ALPHA / 2))
    return Estimate(
        mean=mean,
        low=low,
        high=high,
        from_seeds=((high - low) / (2 * reach)) ** 2,
        from_images=0.0,
        from_both=0.0,
        num_seeds=number,
        num_images=1,
    )


def p_values(found: Estimate, expects: Expectation, margin: float, *, seeds: int | None = None) -> tuple[float, float]:
    """P-values for and against an expectation.

    - ``higher``: supported if the mean is above zero; refuted if it is below the margin, the smallest difference that
      matters. ``lower`` is analogous.
    - ``equivalent``: supported if two one-sided tests show that the mean is within the margin of zero (Schuirmann 1987,
      10.1007/BF01068419); refuted if it is beyond the margin.
    - ``not lower``: supported if the mean is above minus the margin; refuted if it is below that.

    One-sided p-values are doubled, except those of the two one-sided tests.

    Args:
        found: The estimate.
        expects: The expectation for the mean.
        margin: The margin, not negative.
        seeds: Assume this number of seeds with the same spread.

    Returns:
        The p-values of support and refutation; both are 1 for a single seed.
    """
    if found.num_seeds < 2:
        return 1.0, 1.0
    error, degrees = found.with_seeds(seeds or found.num_seeds)
    mean = -found.mean if expects == "lower" else found.mean

    def above(bound: float) -> float:
        if error == 0:
            return 0.0 if mean > bound else 1.0
        return float(stats.t.sf((mean - bound) / error, degrees))

    def below(bound: float) -> float:
        if error == 0:
            return 0.0 if mean < bound else 1.0
        return float(stats.t.cdf((mean - bound) / error, degrees))

    match expects:
        case "equivalent":
            return max(above(-margin), below(margin)), min(1.0, 2 * min(above(margin), below(-margin)))
        case "not lower":
            return min(1.0, 2 * above(-margin)), min(1.0, 2 * below(-margin))
        case _:
            return min(1.0, 2 * above(0.0)), min(1.0, 2 * below(margin))


def holm(p: Sequence[float]) -> list[float]:
    """Adjusted p-values that control the family-wise error rate (Holm 1979).

    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    adjusted = [0.0] * len(p)
    highest = 0.0
    for rank, index in enumerate(sorted(range(len(p)), key=p.__getitem__)):
        highest = max(highest, min(1.0, (len(p) - rank) * p[index]))
        adjusted[index] = highest
    return adjusted


def seeds_needed(
    found: Estimate, expects: Expectation, margin: float, *, against: bool = False, alpha: float = ALPHA
) -> int | None:
    """The smallest number of seeds for a significant result, if mean and spread stay the same.

    Args:
        found: The estimate.
        expects: The expectation.
        margin: Margin of the test.
        against: Whether to refute the expectation instead of supporting it.
        alpha: Significance level; smaller if many claims share it.

    Returns:
        The number; ``None`` if a thousand seeds are not enough, because the mean is on the other side or there are too
        few images.
    """

    def settles(seeds: int) -> bool:
        return p_values(found, expects, margin, seeds=seeds)[against] <= alpha

    low, high = found.num_seeds, MAX_SEEDS
    if found.num_seeds < 2 or not settles(high):
        return None
    while low < high:  # the error decreases with every seed
        middle = (low + high) // 2
        if settles(middle):
            high = middle
        else:
            low = middle + 1
    return low
