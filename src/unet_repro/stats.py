"""Statistics of paired comparisons over few seeds and images: stratified means, and crossed random effects.

Replicates of the trial are seeds within folds: ``stratified`` is Student's t with folds as strata. A table of values
``d[s, i]`` of seed s and image i is different: every seed's network is evaluated on the same images, and a difficult
image is difficult for all of them. So seeds and images are crossed random effects, and the two-way analysis of variance
gives the variance of the mean due to each (Searle, Casella and McCulloch, "Variance Components", 1992, chapter 4). Both
use Satterthwaite's degrees of freedom (Biometrics Bulletin 1946, 10.2307/3002019).
"""

import math
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy import stats
from scipy.special import expit

Table = npt.NDArray[np.float64]
Values = npt.NDArray[np.float64]
LEVEL = 0.95  # of intervals
RESOLUTION = 1e-7  # a smaller standard error is rounding: recorded values have six digits


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
    def variance(self) -> float:
        """Variance of the mean."""
        return max(self.from_seeds + self.from_images - self.from_both, self.from_seeds, self.from_images)

    @property
    def error(self) -> float:
        """Standard error of the mean."""
        return math.sqrt(self.variance)

    @property
    def degrees(self) -> float:
        """Degrees of freedom by Satterthwaite's rule; at least 1, since the subtracted part may exceed the others."""
        if self.variance == 0:
            return max(self.num_seeds - 1.0, 1.0)
        seeds, images = self.num_seeds - 1, self.num_images - 1
        parts = zip((self.from_seeds, self.from_images, self.from_both), (seeds, images, seeds * images), strict=True)
        # shares of the variance, since the square of a tiny variance is 0
        return max(1 / sum((part / self.variance) ** 2 / free for part, free in parts if free > 0), 1.0)


def estimate(values: Table, *, bounds: tuple[float, float] | None = None) -> Estimate:
    """Mean of a table of values with its 95 % interval.

    Args:
        values: ``(S, I)`` float64: seeds by images; ``(S, 1)`` for a measure of whole runs.
        bounds: Range of a bounded measure; the interval then never leaves it (``bounded``).

    Raises:
        ValueError: If the table is empty or has non-finite values.

    >>> found = estimate(np.array([[0.10, 0.11], [0.12, 0.13], [0.11, 0.12]]))
    >>> print(f"{found.mean:.3f}, from {found.low:.2f} to {found.high:.2f}")
    0.115, from 0.09 to 0.14
    >>> found = estimate(np.array([[0.99], [0.80], [0.99]]), bounds=(0, 1))
    >>> print(f"{found.mean:.2f}, from {found.low:.2f} to {found.high:.3f}")
    0.93, from 0.19 to 0.999
    """
    if values.ndim != 2 or not values.size or not np.isfinite(values).all():
        raise ValueError(f"values must be a finite table of seeds by images, not of shape {values.shape}")
    num_seeds, num_images = values.shape
    free_seeds, free_images = max(num_seeds - 1, 1), max(num_images - 1, 1)  # a single value has no spread
    within = values - values.mean(1, keepdims=True)
    both = within - within.mean(0)
    found = Estimate(
        mean=float(values.mean()),
        low=None,
        high=None,
        from_seeds=float(values.mean(1).var()) / free_seeds,
        from_images=float(values.mean(0).var()) / free_images,
        from_both=float(both.var()) / (free_seeds * free_images),
        num_seeds=num_seeds,
        num_images=num_images,
    )
    if num_seeds < 2:
        return found
    low, high = _interval(found.mean, found.error, found.degrees, bounds)
    return replace(found, low=low, high=high)


def _interval(
    mean: float, error: float, degrees: float, bounds: tuple[float, float] | None = None
) -> tuple[float, float]:
    """The 95 % interval of Student's t; for a bounded measure on the logit scale, by the delta method.

    A mean that lies on a bound has no logit: its interval ends there, and on the other side where Student's t ends.
    """
    reach = float(stats.t.ppf((1 + LEVEL) / 2, degrees)) * error
    if bounds is None:
        return mean - reach, mean + reach
    bottom, top = bounds
    share = (mean - bottom) / (top - bottom)
    if not 0 < share < 1:
        return max(bottom, mean - reach), min(top, mean + reach)
    centre, spread = math.log(share / (1 - share)), reach / (top - bottom) / (share * (1 - share))
    low, high = (float(expit(centre + sign * spread)) for sign in (-1, 1))
    return bottom + (top - bottom) * low, bottom + (top - bottom) * high


@dataclass(frozen=True)
class Stratified:
    """A mean over replicates in folds, each fold with the same weight.

    Attributes:
        mean: Mean over folds of the folds' means.
        error: Standard error; ``None`` if it cannot be estimated.
        degrees: Degrees of freedom; ``None`` without a standard error.
        num: Number of replicates.
        num_folds: Number of folds.
        by_fold: Whether the standard error is within folds. If a fold has a single replicate it is that of all
            replicates together, which is not too small, but is no test.
    """

    mean: float
    error: float | None
    degrees: float | None
    num: int
    num_folds: int
    by_fold: bool

    @property
    def interval(self) -> tuple[float, float] | None:
        """The uncorrected 95 % interval; ``None`` without a standard error."""
        if self.error is None or self.degrees is None:
            return None
        return _interval(self.mean, self.error, self.degrees)


def stratified(values: Values, folds: npt.NDArray[np.int64]) -> Stratified:
    """The mean of replicates' values with folds as strata.

    Equal values in all replicates have no standard error: they show no spread, not certainty.

    Args:
        values: ``(n,)`` float64, one for each replicate.
        folds: ``(n,)`` the fold of each.

    Raises:
        ValueError: If there are no values, or some are not finite.

    >>> found = stratified(np.array([0.1, 0.2, 0.5, 0.7]), np.array([0, 0, 1, 1]))
    >>> round(found.mean, 3), round(found.error, 4), round(found.degrees, 2)
    (0.375, 0.0559, 1.47)
    """
    if values.ndim != 1 or not values.size or values.shape != folds.shape or not np.isfinite(values).all():
        raise ValueError(f"values must be finite, one for each of the {len(folds)} replicates")
    names, numbers = np.unique(folds, return_counts=True)
    num, num_folds, by_fold = len(values), len(names), bool((numbers > 1).all())
    mean = float(np.mean([values[folds == name].mean() for name in names]))
    error = degrees = math.nan
    if by_fold:
        _, errors, free = stratified_t(values, folds)
        error, degrees = float(errors), float(free)
    elif num > 1:
        error, degrees = float(values.std(ddof=1)) / math.sqrt(num), num - 1.0
    if not error > RESOLUTION:
        return Stratified(mean, None, None, num, num_folds, by_fold)
    return Stratified(mean, error, degrees, num, num_folds, by_fold)


def stratified_t(values: Values, folds: npt.NDArray[np.int64]) -> tuple[Values, Values, Values]:
    """Mean, standard error and Satterthwaite's degrees of freedom, with folds as strata of the same weight.

    With n_f replicates of variance s_f^2 in fold f of F, the variance of the mean is the sum of s_f^2 / n_f over folds,
    divided by F^2; for folds of one size, the mean of s_f^2 divided by the number of replicates.

    Args:
        values: ``(..., n)`` float64: any number of samples at once.
        folds: ``(n,)`` the fold of each replicate; at least two replicates in each fold.

    Returns:
        ``(...)`` each; the degrees of freedom are NaN where the error is 0.
    """
    names = np.unique(folds)
    groups = [values[..., folds == name] for name in names]
    mean = np.mean([group.mean(-1) for group in groups], axis=0)
    parts = [group.var(-1, ddof=1) / group.shape[-1] / len(names) ** 2 for group in groups]
    variance = np.sum(parts, axis=0)
    spread = np.sum([part**2 / (group.shape[-1] - 1) for part, group in zip(parts, groups, strict=True)], axis=0)
    with np.errstate(invalid="ignore"):
        return mean, np.sqrt(variance), variance**2 / spread


def p_above(mean: Values, error: Values, degrees: Values, bound: float) -> Values:
    """One-sided p-value of the hypothesis that the true mean is at most ``bound``; 1 where there is no spread.

    >>> float(p_above(np.array(0.02), np.array(0.01), np.array(9.0), 0.0).round(4))
    0.0383
    """
    no_spread = ~(error > RESOLUTION)
    t = (mean - bound) / np.where(no_spread, 1.0, error)
    return np.where(no_spread, 1.0, stats.t.sf(t, np.where(no_spread, 1.0, degrees)))


def p_below(mean: Values, error: Values, degrees: Values, bound: float) -> Values:
    """One-sided p-value of the hypothesis that the true mean is at least ``bound``; 1 where there is no spread."""
    return p_above(-mean, error, degrees, -bound)
