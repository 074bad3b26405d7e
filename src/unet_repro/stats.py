"""Statistics of paired comparisons over few seeds and images: random effects, equivalence, Holm, seeds needed.

What is compared is a table of paired differences ``d[s, i]`` of seed s and image i. Every seed's network is judged on
the same images, so an image that is hard is hard for all of them: the table has two crossed levels of random effects,
and the two-way analysis of variance gives the variance of the mean due to each (Searle, Casella and McCulloch,
"Variance Components", 1992, chapter 4). Student's t with Satterthwaite's degrees of freedom (Biometrics Bulletin 1946,
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
MAX_SEEDS = 1000  # more are not worth asking for


@dataclass(frozen=True)
class Estimate:
    """A mean paired difference and how well it is known.

    Attributes:
        mean: Over seeds and images.
        low: Lower end of the 95 % interval; ``None`` where one seed gives none.
        high: Upper end.
        from_seeds: Variance of the mean that comes from the choice of seeds.
        from_images: From the choice of images.
        from_both: From their interaction, which both of the others count.
        num_seeds: Seeds.
        num_images: Images; 1 for a measure of a whole run.
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
        """Standard error and degrees of freedom that another number of seeds would have, all else being as it is."""
        share = self.num_seeds / number
        seeds, both = self.from_seeds * share, self.from_both * share
        # The images' part includes the interaction, which more seeds average out.
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
        ValueError: If the table is empty or holds values that are not finite.

    >>> found = estimate(np.array([[0.10, 0.11], [0.12, 0.13], [0.11, 0.12]]))
    >>> print(f"{found.mean:.3f}, from {found.low:.2f} to {found.high:.2f}")
    0.115, from 0.09 to 0.14
    """
    if differences.ndim != 2 or not differences.size or not np.isfinite(differences).all():
        raise ValueError(f"differences must be a finite table of seeds by images, not of shape {differences.shape}")
    num_seeds, num_images = differences.shape
    free_seeds, free_images = max(num_seeds - 1, 1), max(num_images - 1, 1)  # one value alone shows no spread
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
    """Mean paired difference of yes-or-no outcomes, one a seed, by exact binomial intervals of either kind of change.

    Where all seeds agree a standard error would be zero; three runs that did not collapse do not prove that none does.

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
    """Evidence for an expectation, and against it.

    - ``higher``: for it, that the mean is above zero; against it, that the mean is below the margin, the smallest
      difference that matters. ``lower`` likewise.
    - ``equivalent``: for it, two one-sided tests that the mean lies within the margin of zero (Schuirmann 1987,
      10.1007/BF01068419); against it, that the mean lies beyond the margin.
    - ``not lower``: for it, that the mean is above minus the margin; against it, that it is below that.

    One-sided p-values are doubled, save those of the two one-sided tests.

    Args:
        found: The estimate.
        expects: What is expected of the mean.
        margin: At least zero.
        seeds: Pretend so many seeds of the same spread.

    Returns:
        The p-value of the support and that of the refutation, both 1 with a single seed.
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
    """Adjusted p-values that hold the chance of any false verdict among all (Holm 1979).

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
    """The least number of seeds that would settle it if mean and spread stayed what they are.

    Args:
        found: The estimate.
        expects: What is expected.
        margin: Of the test.
        against: Whether to settle that the expectation is wrong, not that it is right.
        alpha: The level that the p-value must reach; smaller if many claims share it.

    Returns:
        The number; ``None`` if a thousand seeds would not do: then the mean lies on the other side, or too few images
        were judged.
    """

    def settles(seeds: int) -> bool:
        return p_values(found, expects, margin, seeds=seeds)[against] <= alpha

    low, high = found.num_seeds, MAX_SEEDS
    if found.num_seeds < 2 or not settles(high):
        return None
    while low < high:  # the error falls with every seed
        middle = (low + high) // 2
        if settles(middle):
            high = middle
        else:
            low = middle + 1
    return low
