"""Judges claims from finished runs: supported, refuted or inconclusive, by each claim's rule."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from unet_repro.stats import ALPHA, Estimate, estimate, estimate_share, holm, p_values, seeds_needed
from unet_repro.trial.claims import Claim
from unet_repro.trial.contrasts import Contrast, Term
from unet_repro.trial.finished_runs import Run
from unet_repro.trial.guard import Guard, Runs, guard
from unet_repro.trial.measures import MEASURES, Values

Word = Literal["supported", "refuted", "inconclusive", "pending", "refused"]
Outcome = Literal["higher", "lower", "equivalent", "unclear"]


@dataclass(frozen=True)
class Effect:
    """The result of one contrast.

    Attributes:
        contrast: The contrast.
        found: Its estimate.
        p_for: P-value for the expectation.
        p_against: P-value against it.
    """

    contrast: Contrast
    found: Estimate
    p_for: float
    p_against: float

    @property
    def outcome(self) -> Outcome:
        """The position of the mean, as far as its interval shows."""
        found, margin = self.found, self.contrast.margin
        if margin and found.num_seeds > 1 and p_values(found, "equivalent", margin)[0] <= ALPHA:
            return "equivalent"
        if found.low is None or found.high is None or found.low <= 0 <= found.high:
            return "unclear"
        return "higher" if found.low > 0 else "lower"


@dataclass(frozen=True)
class Verdict:
    """The verdict on a claim.

    Attributes:
        claim: The claim.
        word: The verdict; ``pending`` while runs are missing, ``refused`` if the comparison is unfair.
        reason: The reason, in one sentence.
        effects: Effects of its contrasts, as far as they are available.
        guard: Findings of the guard; ``None`` while runs are missing.
        seeds: Seeds that all arms have.
        seeds_needed: Seeds that an inconclusive verdict would need, if means and spreads stay; ``None`` if more seeds
            are not enough.
        images: Number of evaluated images.
        p_for: P-value for the claim.
        p_against: P-value against it.
        p_holm: The smaller of the two after Holm's correction over all claims of the report.
    """

    claim: Claim
    word: Word
    reason: str
    effects: tuple[Effect, ...] = ()
    guard: Guard | None = None
    seeds: tuple[int, ...] = ()
    seeds_needed: int | None = None
    images: int = 0
    p_for: float = 1.0
    p_against: float = 1.0
    p_holm: float = 1.0

    @property
    def primary(self) -> tuple[Effect, ...]:
        """The primary effects, which decide."""
        return tuple(effect for effect in self.effects if effect.contrast.primary)


def judge(claims: Mapping[str, tuple[Claim, Runs]]) -> dict[str, Verdict]:
    """Judges several claims at once, corrected for their number.

    Args:
        claims: Any name -> a claim, and the finished runs of its comparison by arm.

    Returns:
        Verdicts by the same names.
    """
    opened = {name: _open(claim, runs) for name, (claim, runs) in claims.items()}
    judged = {name: verdict for name, verdict in opened.items() if verdict.word == "inconclusive"}
    adjusted = holm([min(verdict.p_for, verdict.p_against) for verdict in judged.values()])
    for (name, verdict), p_holm in zip(judged.items(), adjusted, strict=True):
        opened[name] = _close(verdict, p_holm, len(judged))
    return opened


def _open(claim: Claim, arms: Runs) -> Verdict:
    """The verdict before the correction; if one is possible, the word is still ``inconclusive``."""
    missing = [arm for arm in claim.arms if not arms.get(arm)]
    if missing:
        return Verdict(claim, "pending", f"no finished run of {', '.join(map(repr, missing))}")
    seeds = _common_seeds(claim, arms)
    found = guard(claim, arms)
    if found.unfair:
        return Verdict(claim, "refused", f"unfair comparison: {found.unfair[0]}", guard=found, seeds=seeds)
    effects = tuple(effect for contrast in claim.contrasts if (effect := _effect(contrast, arms, seeds)) is not None)
    images = max((effect.found.num_images for effect in effects), default=0)
    primary = [effect for effect in effects if effect.contrast.primary]
    wanted = sum(contrast.primary for contrast in claim.contrasts)
    verdict = Verdict(claim, "pending", "", effects, found, seeds, images=images)
    if len(primary) < wanted:
        return replace(verdict, reason=f"{wanted - len(primary)} of {wanted} tests wait for evaluations of their runs")
    if len(seeds) < claim.seeds:
        return replace(verdict, reason=f"{len(seeds)} seeds are finished in all arms, {claim.seeds} are needed")
    return replace(
        verdict,
        word="inconclusive",
        p_for=max(effect.p_for for effect in primary),
        p_against=min(1.0, len(primary) * min(effect.p_against for effect in primary)),
    )


def _close(verdict: Verdict, p_holm: float, num_claims: int) -> Verdict:
    """The final word and its reason."""
    if p_holm > ALPHA:
        needed = _needed(verdict, num_claims)
        return replace(verdict, p_holm=p_holm, seeds_needed=needed, reason=_why_open(verdict, p_holm, needed))
    if verdict.p_for <= verdict.p_against:
        reason = "all of its tests hold" if len(verdict.primary) > 1 else "its test holds"
        return replace(verdict, word="supported", p_holm=p_holm, reason=f"{reason} (p = {p_holm:.2g} after Holm)")
    worst = min(verdict.primary, key=lambda effect: effect.p_against)
    reason = f"not so: {MEASURES[worst.contrast.measure].title}, {worst.contrast.name}: {_words(worst)}"
    return replace(verdict, word="refuted", p_holm=p_holm, reason=f"{reason} (p = {p_holm:.2g} after Holm)")


def _why_open(verdict: Verdict, p_holm: float, needed: int | None) -> str:
    side = "for" if verdict.p_for <= verdict.p_against else "against"
    seeds = f"about {needed} seeds would settle it" if needed else "more seeds alone would not settle it"
    return f"the evidence {side} it is weak (p = {p_holm:.2g} after Holm); {seeds}, if means and spreads stay"


def _words(effect: Effect) -> str:
    found, unit = effect.found, MEASURES[effect.contrast.measure].unit
    return f"{found.mean:+.3g} {unit} [{found.low:+.3g}, {found.high:+.3g}]"


def _needed(verdict: Verdict, num_claims: int) -> int | None:
    """The fewest seeds for support by all tests or refutation by one, at the strictest level of the correction."""
    level = ALPHA / num_claims
    tests = [(effect.found, effect.contrast.expects, effect.contrast.margin) for effect in verdict.primary]
    support = [seeds_needed(*test, alpha=level) for test in tests]
    refute = [seeds_needed(*test, against=True, alpha=level / len(tests)) for test in tests]
    ways = [number for number in refute if number is not None]
    if all(number is not None for number in support):
        ways.append(max(number for number in support if number is not None))
    return min(ways, default=None)


def _effect(contrast: Contrast, arms: Runs, seeds: Sequence[int]) -> Effect | None:
    """The effect of a contrast; ``None`` if an evaluation is missing, or there is no seed."""
    measure = MEASURES[contrast.measure]
    peers = [run for term in contrast.terms for arm in term.arms for run in arms[arm] if run.entry.seed in seeds]
    rows: list[Values] = []
    for seed in seeds:
        sides = [_values(term, arms, seed, contrast.measure, peers) for term in contrast.terms]
        if not all(sides):
            return None
        images = set.intersection(*(set(side) for side in sides))
        weights = [term.weight for term in contrast.terms]
        rows.append({
            image: sum(weight * side[image] for weight, side in zip(weights, sides, strict=True))
            for image in sorted(images)
        })  # fmt: skip
    if not rows or not rows[0]:
        return None
    table = np.array([[row[image] for image in rows[0]] for row in rows])
    found = estimate_share(table) if measure.yes_or_no else estimate(table)
    return Effect(contrast, found, *p_values(found, contrast.expects, contrast.margin))


def _values(term: Term, arms: Runs, seed: int, measure: str, peers: Sequence[Run]) -> Values:
    """One side's values for a seed; for several arms, pooled over their images."""
    joined: Values = {}
    for arm in term.arms:
        run = next(run for run in arms[arm] if run.entry.seed == seed)
        joined |= MEASURES[measure].values(run, term.variant, peers)
    return joined


def _common_seeds(claim: Claim, arms: Runs) -> tuple[int, ...]:
    return tuple(sorted(set.intersection(*({run.entry.seed for run in arms[arm]} for arm in claim.arms))))
