"""Simulates the trial: how often its words are false, and how often true effects are found.

``python -m unet_repro.trial.simulate`` prints the table of docs/science/trial.md. The decisions are those of
``trial.looks``; premises are assumed to hold, and all runs to start. All contrasts of the family are simulated
together, and those of the base arm share its noise.

Array names: T trials, C contrasts of the family, n replicates.
"""

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from unet_repro.files import markdown_table
from unet_repro.stats import stratified_t
from unet_repro.trial.claims import CLAIMS
from unet_repro.trial.contrasts import Contrast
from unet_repro.trial.looks import (
    FIRST_SEED,
    LOOKS,
    NUM_FOLDS,
    OPPOSITE,
    REFUTED,
    SUPPORTED,
    UNDECIDED,
    decide,
    fold_of_seed,
    level_of,
)

Array = npt.NDArray[np.float64]
Decisions = npt.NDArray[np.int8]
Noise = Literal["normal", "heavy tails", "skewed", "strongly skewed"]
SIGMAS = {"skewed": 0.3, "strongly skewed": 1.0}  # of log-normal arms; their skewness is 0.95 and 6.2

PARTS = [part for claim in CLAIMS for part in claim.parts]
CONTRASTS: tuple[Contrast, ...] = tuple(contrast for part in PARTS for contrast in part.contrasts)
PART_OF: tuple[str, ...] = tuple(part.id for part in PARTS for _ in part.contrasts)
_SHARE_BASE = {"C1a", "C1b", "C2", "C9", "C10a"}  # parts with the base as an arm
_SEEDS = range(FIRST_SEED, FIRST_SEED + LOOKS[-1])
_FOLDS = np.array([fold_of_seed(seed) for seed in _SEEDS])


@dataclass(frozen=True)
class World:
    """What is true in simulated trials.

    Attributes:
        effects: ``(C,)`` true differences.
        sds: ``(C,)`` standard deviations of the differences within folds.
        noise: Distribution of an arm around its mean; a skewed arm is compared with one that is not.
        skew: Direction of the long tail of all differences: 1 or -1.
        fold_ratio: The largest fold's standard deviation over the smallest; their mean square is that of ``sds``.
        fold_sd: Standard deviation of the differences' means between folds.
    """

    effects: Array
    sds: Array
    noise: Noise = "normal"
    skew: int = 1
    fold_ratio: float = 1.0
    fold_sd: float = 0.0


def simulate(world: World, num_trials: int, *, seed: int = 0) -> tuple[Decisions, npt.NDArray[np.int8]]:
    """Simulates trials.

    Args:
        world: What is true.
        num_trials: T.
        seed: Seed of the simulation.

    Returns:
        Decisions ``(T, C)`` by ``trial.looks.decide`` and the looks ``(T, C)`` at which they were made, from 1; of
        undecided contrasts ``UNDECIDED`` and the last look.
    """
    values_TCn = _differences(world, num_trials, np.random.default_rng(seed))
    decided = np.zeros(values_TCn.shape[:2], np.int8)
    looks = np.full(decided.shape, len(LOOKS), np.int8)
    for look, num in enumerate(LOOKS, start=1):
        estimates = stratified_t(values_TCn[..., :num], _FOLDS[:num])
        for index, contrast in enumerate(CONTRASTS):
            still_open = decided[:, index] == UNDECIDED
            of_contrast = tuple(one[still_open, index] for one in estimates)
            now = decide(contrast.kind, contrast.margin, of_contrast, level_of(look))
            looks[still_open, index] = np.where(now == UNDECIDED, looks[still_open, index], look)
            decided[still_open, index] = now
    return decided, looks


def _differences(world: World, num_trials: int, rng: np.random.Generator) -> Array:
    """Differences ``(T, C, n)`` of the replicates: of an arm of its own, and of the base where a part has it."""
    shape = (num_trials, len(CONTRASTS), len(_SEEDS))
    arms, others = _noise(world, shape, rng), _noise(world, shape, rng, other=True)
    of_base = [index for index, part in enumerate(PART_OF) if part in _SHARE_BASE]
    others[:, of_base] = others[:, of_base[:1]]
    spreads = np.geomspace(1, world.fold_ratio, NUM_FOLDS)
    spreads /= np.sqrt(np.mean(spreads**2))
    between = rng.normal(0, 1, (num_trials, len(CONTRASTS), NUM_FOLDS))
    between -= between.mean(-1, keepdims=True)  # the true difference is that of these folds
    means = world.effects[:, None] + world.fold_sd * between[..., _FOLDS]
    return np.asarray(means + world.sds[:, None] * spreads[_FOLDS] * (arms - others) / np.sqrt(2))


def _noise(world: World, shape: tuple[int, ...], rng: np.random.Generator, *, other: bool = False) -> Array:
    """Independent values with mean 0 and variance 1; only one of two compared arms is skewed."""
    if world.noise == "heavy tails":
        return np.asarray(rng.standard_t(3, shape) / np.sqrt(3))
    if world.noise == "normal" or other:
        return rng.standard_normal(shape)
    sigma = SIGMAS[world.noise]
    mean, variance = np.exp(sigma**2 / 2), np.expm1(sigma**2) * np.exp(sigma**2)
    return np.asarray(world.skew * (rng.lognormal(0, sigma, shape) - mean) / np.sqrt(variance))


def false_words(decided: Decisions, effects: Array) -> npt.NDArray[np.bool_]:
    """Trials ``(T,)`` with at least one false word.

    False are: ``supported`` where an S contrast is at most 0, or an N contrast at most -margin; ``refuted`` where an S
    contrast is at least its margin, or an N contrast above -margin; "the opposite" where an S contrast is at least 0.
    """
    wrong = np.zeros(decided.shape, bool)
    for index, (contrast, effect) in enumerate(zip(CONTRASTS, effects, strict=True)):
        of_one, margin = decided[:, index], contrast.margin
        if contrast.kind == "S":
            wrong[:, index] |= (of_one == SUPPORTED) & (effect <= 0)
            wrong[:, index] |= ((of_one == REFUTED) | (of_one == OPPOSITE)) & (effect >= margin)
            wrong[:, index] |= (of_one == OPPOSITE) & (effect >= 0)
        else:
            wrong[:, index] |= (of_one == SUPPORTED) & (effect <= -margin)
            wrong[:, index] |= (of_one == REFUTED) & (effect > -margin)
    return np.asarray(wrong.any(1))


def null_effects(false: Literal["supported", "refuted"]) -> Array:
    """True differences ``(C,)`` at which this word is false for all contrasts, and most likely.

    ``supported``: S at 0 and N at -margin; "the opposite" is then false for S as well. ``refuted``: S at its margin and
    N just above -margin.
    """
    just_above = 1e-9
    return np.array(
        [
            (0.0 if false == "supported" else contrast.margin)
            if contrast.kind == "S"
            else -contrast.margin + (0.0 if false == "supported" else just_above)
            for contrast in CONTRASTS
        ]
    )


def power_table(
    sds: Sequence[float] | Mapping[str, float] = (0.01, 0.02, 0.03, 0.04), *, num_trials: int = 2000
) -> str:
    """How often the contrasts of each part are decided, as a Markdown table.

    The true difference of all contrasts is -2, -1, 0, 1 or 2 margins, in the direction of the claim.

    Args:
        sds: Standard deviations of the paired differences within folds, the same for all parts; or part -> its own.
        num_trials: Simulated trials for each cell.

    Returns:
        For each kind of contrast of a part, percent of trials in which all of these contrasts are supported / refuted,
        and in brackets the mean number of replicates until the last of them is decided, or 30.
    """
    cases = [dict(sds)] if isinstance(sds, Mapping) else [dict.fromkeys(PART_OF, sd) for sd in sds]
    parts: dict[tuple[object, ...], list[str]] = {}  # alike groups of contrasts -> their parts
    cells: dict[tuple[object, ...], list[str]] = {}
    for case in cases:
        by_factor = [_power(case, factor, num_trials) for factor in FACTORS]
        for (part, kind), own in _GROUPS.items():
            if part in case:
                numbers = (kind, len(own), f"{CONTRASTS[own[0]].margin:g}", f"{case[part]:g}")
                alike = (*numbers, len(own) > 1 and part in _SHARE_BASE)
                parts.setdefault(alike, []).append(part)
                cells.setdefault(alike, [*map(str, numbers), *(power[part, kind] for power in by_factor)])
    head = ["parts", "kind", "contrasts", "m", "SD", *(f"d = {factor:g} m" for factor in FACTORS)]
    return markdown_table(head, [[", ".join(parts[alike]), *row] for alike, row in cells.items()])


FACTORS = (-2.0, -1.0, 0.0, 1.0, 2.0)  # true differences of the power table, in margins
_GROUPS: dict[tuple[str, str], list[int]] = {}  # part and kind -> its contrasts
for _index, (_part, _contrast) in enumerate(zip(PART_OF, CONTRASTS, strict=True)):
    _GROUPS.setdefault((_part, _contrast.kind), []).append(_index)


def _power(sds: Mapping[str, float], factor: float, num_trials: int) -> dict[tuple[str, str], str]:
    margins = np.array([contrast.margin for contrast in CONTRASTS])
    world = World(factor * margins, np.array([sds.get(part, 1.0) for part in PART_OF]))
    decided, looks = simulate(world, num_trials)
    cells = {}
    for group, own in _GROUPS.items():
        supported = (decided[:, own] == SUPPORTED).all(1).mean()
        refuted = np.isin(decided[:, own], (REFUTED, OPPOSITE)).all(1).mean()
        number = np.array(LOOKS)[looks[:, own].max(1) - 1].mean()
        cells[group] = f"{100 * supported:.0f} / {100 * refuted:.0f} ({number:.0f})"
    return cells


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=power_table.__doc__)
    parser.add_argument(
        "sds", nargs="*", default=["0.01", "0.02", "0.03", "0.04"], help="SDs for all parts, or PART=SD for each"
    )
    named = parser.parse_args().sds
    if all("=" in one for one in named):
        print(power_table({part: float(sd) for part, _, sd in (one.partition("=") for one in named)}))
    else:
        print(power_table([float(sd) for sd in named]))


if __name__ == "__main__":
    main()
