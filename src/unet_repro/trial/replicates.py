"""The replicates of a part: which runs are there, which are still to be trained, and which have been replaced."""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from unet_repro.trial.contrasts import Part, Quantity
from unet_repro.trial.looks import FIRST_SEED, NUM_FOLDS, RESERVE_SEED, fold_of_seed, reserves_of_fold
from unet_repro.trial.measures import MEASURES, as_all_cell, has_all_cell, has_started
from unet_repro.trial.run_record import RunRecord


@dataclass(frozen=True, order=True)
class Cell:
    """A run that the trial needs.

    Attributes:
        seed: Its seed.
        experiment: The comparison.
        arm: The arm.
        fold: The fold that it holds out.
    """

    seed: int
    experiment: str
    arm: str
    fold: int


Runs = Mapping[tuple[str, str, int], RunRecord]  # by experiment, arm and seed


def by_cell(records: Iterable[RunRecord]) -> dict[tuple[str, str, int], RunRecord]:
    """Records by experiment, arm and seed; failed runs as all-cell networks (``measures.as_all_cell``).

    Of two runs in one cell the first counts. A failed run is left out while no finished run with its held-out slices
    gives their all-cell scores.
    """
    records = list(records)
    finished = [record for record in records if record.evaluation is not None]
    all_cell = {key: score for one in finished for key, score in ((one.evaluation or {}).get("all_cell") or {}).items()}
    found: dict[tuple[str, str, int], RunRecord] = {}
    for record in records:
        filled = record
        if record.failed is not None:
            peers = [one for one in finished if one.seed == record.seed] or finished
            if not peers or not set(record.held_out) <= set(all_cell):
                continue
            filled = as_all_cell(record, all_cell, peers[0].curve["step"])
        for experiment, arm in record.arms.items():
            found.setdefault((experiment, arm, record.seed), filled)
    return found


@dataclass(frozen=True)
class Batch:
    """The replicates that one look adds to a part.

    Attributes:
        used: Seeds that count, replacements included.
        not_started: Seeds that were replaced, because a run has not started.
        missing: Runs that are still to be trained or evaluated; the batch is complete if there are none.
    """

    used: tuple[int, ...]
    not_started: tuple[int, ...]
    missing: tuple[Cell, ...]


class Replicates:
    """Gathers the batches of one part in the order of its looks. Reserve seeds are used once, in order.

    Args:
        part: The part.
        runs: All runs.
    """

    def __init__(self, part: Part, runs: Runs) -> None:
        self._part, self._runs = part, runs
        self._reserves = {fold: iter(reserves_of_fold(fold)) for fold in range(NUM_FOLDS)}

    def batch(self, seeds: Iterable[int], quantities: Sequence[Quantity], arms: Sequence[str]) -> Batch:
        """The batch of these seeds.

        Args:
            seeds: The seeds that the look adds.
            quantities: What must be measured.
            arms: The arms that are needed; a replicate counts if its runs in all of them have started.
        """
        used, not_started, missing = list[int](), list[int](), list[Cell]()
        for seed in seeds:
            state = self._state(seed, quantities, arms, missing)
            if state is not None:
                (used if state else not_started).append(seed)
        for fold, number in sorted(Counter(map(fold_of_seed, not_started)).items()):
            replaced = 0
            while replaced < number and (reserve := next(self._reserves[fold], None)) is not None:
                state = self._state(reserve, quantities, arms, missing)
                if state is False:
                    not_started.append(reserve)
                    continue
                replaced += 1  # a missing run is assumed to start; if it does not, the next reserve seed follows
                if state:
                    used.append(reserve)
        return Batch(tuple(sorted(used)), tuple(sorted(not_started)), tuple(sorted(missing)))

    def _state(
        self, seed: int, quantities: Sequence[Quantity], arms: Sequence[str], missing: list[Cell]
    ) -> bool | None:
        """Whether the replicate counts; ``None``, with its cells added to ``missing``, if it is not complete."""
        part = self._part
        lacks = [arm for arm in arms if (part.experiment, arm, seed) not in self._runs]
        if not lacks:
            lacks = [arm for one in quantities if math.isnan(value_of(one, part, self._runs, seed)) for arm in one.arms]
            lacks += [arm for arm in arms if not has_all_cell(self._runs[part.experiment, arm, seed])]
        if lacks:
            missing += [Cell(seed, part.experiment, arm, fold_of_seed(seed)) for arm in dict.fromkeys(lacks)]
            return None
        return part.keeps_all or all(has_started(self._runs[part.experiment, arm, seed]) for arm in arms)


def value_of(quantity: Quantity, part: Part, runs: Runs, seed: int) -> float:
    """A quantity in one replicate, over the slices that all of its arms hold out; NaN if it was not measured."""
    records = {arm: runs[part.experiment, arm, seed] for arm in quantity.arms}
    shared = set.intersection(*(set(record.held_out) for record in records.values()))
    first = next(iter(records.values()))
    keys = [key for key in first.held_out if key in shared]
    return math.fsum(term.weight * MEASURES[term.measure].value(records[term.arm], keys) for term in quantity.terms)


def seeds_with_all(part: Part, runs: Runs, *, trial: bool) -> list[int]:
    """Seeds that have a run of every arm of a part: of the trial, without reserves, or those before it."""
    seeds = [
        {seed for experiment, one, seed in runs if (experiment, one) == (part.experiment, arm)} for arm in part.arms
    ]
    wanted = range(FIRST_SEED, RESERVE_SEED) if trial else range(FIRST_SEED)
    return [seed for seed in sorted(set.intersection(*seeds)) if seed in wanted]
