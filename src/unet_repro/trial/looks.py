"""When the trial looks at its data, and what a look can decide."""

import math

import numpy as np
import numpy.typing as npt

from unet_repro.stats import Stratified, Values, p_above, p_below
from unet_repro.trial.claims import FAMILY
from unet_repro.trial.contrasts import Contrast, Kind

FIRST_SEED, RESERVE_SEED = 100, 200  # of replicates, and of those that replace others
NUM_FOLDS = 5
RESERVES = 6  # reserve seeds of each fold
LOOKS = (15, 20, 30)  # replicates at each look
OPPOSITE_SHARE = 0.25  # share of a contrast's level for the statement that the opposite is the case
LEVELS = (0.005, 0.015, 0.030)  # of each look, for all contrasts together; their sum is the level of the trial

SUPPORTED, REFUTED, OPPOSITE, UNDECIDED = 1, -1, -2, 0
Estimates = tuple[Values, Values, Values]  # of ``stats.stratified_t``


def fold_of_seed(seed: int) -> int:
    """The fold of a replicate's seed."""
    return seed % NUM_FOLDS


def seeds_of_look(look: int) -> range:
    """The seeds that look 1, 2 or 3 adds.

    >>> seeds_of_look(2)
    range(115, 120)
    """
    return range(FIRST_SEED + (0, *LOOKS)[look - 1], FIRST_SEED + LOOKS[look - 1])


def reserves_of_fold(fold: int) -> list[int]:
    """The reserve seeds of a fold, in the order of their use.

    >>> reserves_of_fold(1)
    [201, 206, 211, 216, 221, 226]
    """
    return [RESERVE_SEED + fold + NUM_FOLDS * index for index in range(RESERVES)]


def level_of(look: int) -> float:
    """The level of one contrast at look 1, 2 or 3 (Bonferroni)."""
    return LEVELS[look - 1] / FAMILY


def p_values(kind: Kind, margin: float, estimates: Estimates) -> tuple[Values, Values]:
    """One-sided p-values of support and refutation.

    Args:
        kind: ``S``: support rejects d <= 0, refutation d >= margin. ``N``: d <= -margin, and d >= -margin.
        margin: The margin.
        estimates: Estimates of d, standard errors and degrees of freedom, of one shape; no error or NaN gives 1.
    """
    support, refutation = (0.0, margin) if kind == "S" else (-margin, -margin)
    return p_above(*estimates, support), p_below(*estimates, refutation)


def decide(kind: Kind, margin: float, estimates: Estimates, level: float) -> npt.NDArray[np.int8]:
    """The decisions at a level: ``SUPPORTED``, ``REFUTED``, ``OPPOSITE`` or ``UNDECIDED``.

    ``OPPOSITE`` is the refutation of an ``S`` contrast whose difference is shown to be below 0.

    Args:
        kind: As for ``p_values``, like the other arguments.
        margin: The margin.
        estimates: As for ``p_values``.
        level: The level of one test.
    """
    support, refutation = p_values(kind, margin, estimates)
    decided = np.where(refutation <= level, REFUTED, UNDECIDED)
    if kind == "S":
        decided = np.where(p_below(*estimates, 0.0) <= OPPOSITE_SHARE * level, OPPOSITE, decided)
        support = np.where(estimates[0] >= margin, support, 1.0)
    return np.where(support <= level, SUPPORTED, decided).astype(np.int8)


def leaning(contrast: Contrast, found: Stratified) -> int:
    """The side of the uncorrected 95 % interval: ``SUPPORTED``, ``REFUTED``, or ``UNDECIDED`` if it has none."""
    low, high = found.interval or (-math.inf, math.inf)
    if contrast.kind == "S":
        supports, refutes = low > 0 and found.mean >= contrast.margin, high < contrast.margin
    else:
        supports, refutes = low > -contrast.margin, high < -contrast.margin
    return SUPPORTED if supports else REFUTED if refutes else UNDECIDED
