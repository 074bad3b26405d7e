"""Judges the claims from the records of runs: looks, words and the runs still needed (docs/science/trial.md)."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np

from unet_repro.errors import DataError
from unet_repro.stats import Stratified, stratified
from unet_repro.trial.claims import CLAIMS
from unet_repro.trial.contrasts import Claim, Contrast, Part, Quantity
from unet_repro.trial.guard import labels, unfairness
from unet_repro.trial.looks import (
    FIRST_SEED,
    LOOKS,
    NUM_FOLDS,
    OPPOSITE,
    REFUTED,
    SUPPORTED,
    UNDECIDED,
    decide,
    leaning,
    level_of,
    p_values,
    seeds_of_look,
)
from unet_repro.trial.measures import MEASURES
from unet_repro.trial.replicates import Batch, Cell, Replicates, Runs, by_cell, seeds_with_all, value_of
from unet_repro.trial.results import (
    ClaimResult,
    ContrastResult,
    Figure,
    PartResult,
    Trial,
    Word,
    shared_word,
)
from unet_repro.trial.run_record import RunRecord
from unet_repro.trial.sentences import in_words

WITHOUT_VERDICTS = ("smoke",)  # scales whose networks have learned nothing


def judge(records: Iterable[RunRecord], scale: str, *, claims: Sequence[Claim] = CLAIMS) -> Trial:
    """Judges all claims at one scale. A pure function of the records.

    Args:
        records: Runs, those of other scales included; of one data set. Of two runs in one cell (comparison, arm, seed)
            the first counts.
        scale: The scale.
        claims: The claims.

    Raises:
        DataError: If the runs of the scale are from several data sets.
    """
    of_scale = [record for record in records if record.scale == scale]
    data = sorted({record.data for record in of_scale})
    if len(data) > 1:
        raise DataError(f"the runs are from several data sets: {', '.join(data)}", hint="judge each data set alone")
    runs = by_cell(of_scale)
    results = []
    for claim in claims:
        parts = tuple(_judge_part(part, runs, verdicts=scale not in WITHOUT_VERDICTS) for part in claim.parts)
        results.append(ClaimResult(claim, shared_word([part.word for part in parts]), parts))
    missing = sorted({cell for result in results for part in result.parts for cell in part.missing})
    return Trial(scale, data[0] if data else "", tuple(results), tuple(missing), len(of_scale))


def _judge_part(part: Part, runs: Runs, *, verdicts: bool) -> PartResult:
    every = [runs[cell] for cell in sorted(runs) if cell[0] == part.experiment and cell[1] in part.arms]
    of_part = [run for run in every if run.seed >= FIRST_SEED] or every
    if not verdicts:
        result = replace(_described(part, runs, "no verdict"), next_look=None, missing=())
    elif unfair := unfairness(part, runs):
        result = replace(_described(part, runs, "refused"), next_look=None, missing=(), unfair=unfair)
    elif part.exact is not None:
        result = _exact(part, of_part)
    else:
        result = _looks(part, runs)
    return in_words(replace(result, labels=labels(of_part)), of_part)


def _exact(part: Part, of_part: Sequence[RunRecord]) -> PartResult:
    """An exact part is decided by every run that made a prediction."""
    exact = part.exact
    assert exact is not None
    values = [MEASURES[exact.measure].value(record, record.held_out) for record in of_part if record.failed is None]
    values = [value for value in values if not np.isnan(value)]
    if not values:
        first = seeds_of_look(1)[0]
        missing = (Cell(first, part.experiment, exact.arm, first % NUM_FOLDS),)
        return PartResult(part, "pending", missing=missing, next_look=LOOKS[0])
    extreme = min(values) if exact.above else max(values)
    holds = extreme > exact.bound if exact.above else extreme <= exact.bound
    return PartResult(part, "supported" if holds else "refuted", exact=extreme, num_runs=len(values))


def _looks(part: Part, runs: Runs) -> PartResult:
    """Makes every look for which the runs are complete; what one look decides, later ones leave as it is."""
    replicates, used, not_started = Replicates(part, runs), list[int](), list[int]()
    results: dict[Contrast, ContrastResult] = {}
    look, batch, premise = 0, Batch((), (), ()), tuple[Figure, ...]()
    while look < len(LOOKS):
        open_ones = tuple(one for one in part.contrasts if one not in results or results[one].word == "open")
        if not open_ones:
            break
        quantities = [*open_ones, *(part.premise.any_of if part.premise else ())]
        batch = replicates.batch(seeds_of_look(look + 1), quantities, part.arms_for(open_ones))
        if batch.missing:
            break
        look += 1
        used, not_started = sorted([*used, *batch.used]), sorted([*not_started, *batch.not_started])
        premise = _premise_figures(part, runs, used)
        holds = _premise_holds(part, premise)
        for contrast in open_ones:
            results[contrast] = _test(contrast, part, runs, used, look, premise_holds=holds)
    if not look:
        described = _described(part, runs, "pending", batch.used)
        return replace(
            described,
            num_replicates=len(batch.used),
            missing=batch.missing,
            next_look=LOOKS[0],
            not_started=batch.not_started,
        )
    still_open = any(result.word == "open" for result in results.values())
    contrasts = tuple(results[contrast] for contrast in part.contrasts)
    next_look = LOOKS[look] if still_open and look < len(LOOKS) else None
    return PartResult(
        part,
        shared_word([result.word for result in contrasts]),
        contrasts,
        premise=premise,
        premise_holds=_premise_holds(part, premise),
        beside=_beside(part, runs, used),
        look=look,
        num_replicates=len(used) + (len(batch.used) if next_look else 0),
        next_look=next_look,
        not_started=tuple(sorted([*not_started, *(batch.not_started if next_look else ())])),
        missing=batch.missing if next_look else (),
    )


def _test(
    contrast: Contrast, part: Part, runs: Runs, used: Sequence[int], look: int, *, premise_holds: bool | None
) -> ContrastResult:
    """One contrast at one look."""
    figure, last = _figure(contrast, part, runs, used), look == len(LOOKS)
    found = figure.estimate if figure is not None and _is_testable(figure.estimate) else None
    numbers = (found.mean, found.error, found.degrees) if found is not None else (np.nan, np.nan, np.nan)
    estimates = (np.array(numbers[0]), np.array(numbers[1], np.float64), np.array(numbers[2], np.float64))
    p_for, p_against = (float(p) for p in p_values(contrast.kind, contrast.margin, estimates))
    decision = int(decide(contrast.kind, contrast.margin, estimates, level_of(look)))
    word: Word = "supported" if decision == SUPPORTED else "refuted" if decision in (REFUTED, OPPOSITE) else "open"
    if premise_holds is False:
        word = "not testable here" if last else "open"
    leans = leaning(contrast, found) if found is not None and last and word == "open" else UNDECIDED
    return ContrastResult(
        contrast,
        word,
        figure,
        look=look,
        p_for=p_for,
        p_against=p_against,
        level=level_of(look),
        opposite=word == "refuted" and decision == OPPOSITE,
        leans="supported" if leans == SUPPORTED else "refuted" if leans == REFUTED else None,
    )


def _is_testable(found: Stratified) -> bool:
    """Whether every fold has replicates, and its spread is known."""
    return found.by_fold and found.num_folds == NUM_FOLDS and found.error is not None


def _described(part: Part, runs: Runs, word: Word, used: Sequence[int] = ()) -> PartResult:
    """Figures without tests.

    Args:
        part: The part.
        runs: All runs.
        word: The word of its contrasts.
        used: Seeds of the replicates; without any, all complete seeds of the trial or, without these, all others.
    """
    not_started: tuple[int, ...] = ()
    if not used:
        seeds = seeds_with_all(part, runs, trial=True) or seeds_with_all(part, runs, trial=False)
        quantities = [*part.contrasts, *(part.premise.any_of if part.premise else ())]
        batch = Replicates(part, runs).batch(seeds, quantities, part.arms)
        used, not_started = batch.used, batch.not_started
    premise = _premise_figures(part, runs, used)
    return PartResult(
        part,
        word,
        tuple(ContrastResult(one, word, _figure(one, part, runs, used)) for one in part.contrasts),
        premise=premise,
        premise_holds=_premise_holds(part, premise),
        beside=_beside(part, runs, used),
        num_replicates=len(used),
        not_started=not_started,
    )


def _figure(quantity: Quantity, part: Part, runs: Runs, seeds: Sequence[int]) -> Figure | None:
    """A quantity over these seeds; ``None`` without any."""
    if not seeds:
        return None
    measure = MEASURES[quantity.terms[0].measure]
    title = " − ".join(dict.fromkeys(MEASURES[term.measure].title for term in quantity.terms))
    values = [value_of(quantity, part, runs, seed) for seed in seeds]
    folds = [runs[part.experiment, quantity.arms[0], seed].fold for seed in seeds]
    found = stratified(np.array(values), np.array(folds))
    return Figure(quantity.name, title, measure.unit, found, tuple(seeds), tuple(folds), tuple(values))


def _beside(part: Part, runs: Runs, used: Sequence[int]) -> tuple[Figure, ...]:
    """Secondary figures, over the replicates that have them."""
    figures = []
    for quantity in part.beside:
        seeds = [
            seed
            for seed in used
            if all((part.experiment, arm, seed) in runs for arm in quantity.arms)
            and not np.isnan(value_of(quantity, part, runs, seed))
        ]
        figures.append(_figure(quantity, part, runs, seeds))
    return tuple(figure for figure in figures if figure is not None)


def _premise_figures(part: Part, runs: Runs, seeds: Sequence[int]) -> tuple[Figure, ...]:
    figures = [_figure(one, part, runs, seeds) for one in (part.premise.any_of if part.premise else ())]
    return tuple(figure for figure in figures if figure is not None)


def _premise_holds(part: Part, figures: Sequence[Figure]) -> bool | None:
    if part.premise is None or not figures:
        return None
    return any(figure.estimate.mean >= part.premise.at_least for figure in figures)
