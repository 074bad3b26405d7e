"""The sequential trial: trains what the undecided parts need for their next look, until every part is decided."""

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

from unet_repro.errors import RunError, Stopped, SweepFailed
from unet_repro.files import counted
from unet_repro.trial.claims import CLAIMS
from unet_repro.trial.contrasts import Claim
from unet_repro.trial.judge import judge
from unet_repro.trial.looks import LOOKS
from unet_repro.trial.replicates import Cell
from unet_repro.trial.results import PartResult, Trial
from unet_repro.trial.run_record import RunRecord

Records = Callable[[], Sequence[RunRecord]]
Train = Callable[[list[str]], None]


def settle(records: Records, train: Train, *, scale: str, experiments: Sequence[str]) -> Trial:
    """Trains replicates until every part is decided or has had its last look.

    Earlier looks come first, and of these the part that lacks the fewest runs, so that each answer is there as soon as
    possible; the order changes no test. Looks are made when their replicates are complete, and at no other time: what
    is trained between two looks decides nothing. A replicate whose runs do not start is replaced, so one look can take
    several rounds.

    Args:
        records: Reads the records of all runs that have ended.
        train: Trains runs; its argument is overrides that select comparisons, arms and seeds.
        scale: The scale.
        experiments: Only the parts of these comparisons are settled.

    Returns:
        The trial at its end.

    Raises:
        SweepFailed: If runs failed, and training brought no progress.
        RunError: If training brought no progress for another reason.
    """
    claims, failure = _parts_of(experiments), None
    trained = dict[str, tuple[Cell, ...]]()
    while True:
        trial = judge(records(), scale, claims=claims)
        if not trial.missing:
            return trial
        waiting = [part for part in _by_need(trial) if part.missing != trained.get(part.part.id)]
        if not waiting:
            first = trial.missing[0]
            raise failure or RunError(
                f"{counted(len(trial.missing), 'result')} still missing after training, the first: "
                f"{first.experiment}: {first.arm}, seed {first.seed}",
                hint="look at them with `unet-repro runs`; remove their folders to train them again",
            )
        part = waiting[0]
        trained[part.part.id] = part.missing
        sys.stderr.write(f"{_state(trial)}; now {part.part.id}: {len(part.missing)}\n")
        for overrides in rounds(part.missing):
            try:
                train(overrides)
            except SweepFailed as failed:  # a run that diverges counts as such; others do not end the suite
                failure = failed


def what_is_left(records: Records, show: Train, *, scale: str, experiments: Sequence[str]) -> None:
    """Prints the state of the trial, and has the next look's runs printed."""
    trial = judge(records(), scale, claims=_parts_of(experiments))
    print(_state(trial))
    shown = set[Cell]()
    for part in _by_need(trial):
        for overrides in rounds([cell for cell in part.missing if cell not in shown]):
            show(overrides)
        shown.update(part.missing)


def rounds(cells: Sequence[Cell]) -> Iterator[list[str]]:
    """Overrides of one sweep for each set of arms, seeds in order.

    >>> next(rounds([Cell(100, "split", "a", 0), Cell(101, "split", "a", 1)]))
    ['experiment=split', 'seed=100,101', "hydra.sweeper.only=['split: a']"]
    """
    arms: dict[int, tuple[str, ...]] = {}
    for cell in cells:
        arms[cell.seed] = (*arms.get(cell.seed, ()), f"{cell.experiment}: {cell.arm}")
    for wanted in dict.fromkeys(arms.values()):
        experiments = dict.fromkeys(arm.partition(": ")[0] for arm in wanted)
        seeds = [str(seed) for seed in sorted(arms) if arms[seed] == wanted]
        only = ",".join(f"'{arm}'" for arm in wanted)
        yield [f"experiment={','.join(experiments)}", f"seed={','.join(seeds)}", f"hydra.sweeper.only=[{only}]"]


@contextmanager
def deadline(hours: float | None) -> Iterator[None]:
    """Ends its block after some hours as SIGTERM would: running trainings write their checkpoints first.

    Args:
        hours: ``None`` for no limit.
    """
    spent = threading.Event()

    def stop() -> None:
        spent.set()
        os.kill(os.getpid(), signal.SIGTERM)

    def stopped(signum: int, _frame: object) -> None:
        raise Stopped(signal.Signals(signum))

    timer = threading.Timer(hours * 3600 if hours else threading.TIMEOUT_MAX, stop)
    timer.daemon = True
    before = signal.signal(signal.SIGTERM, stopped)
    timer.start()
    try:
        yield
    except Stopped:
        if not spent.is_set():
            raise
        sys.stderr.write(f"\nthe {hours:g} hours are over; the same command resumes from the last checkpoints\n")
    finally:
        timer.cancel()
        signal.signal(signal.SIGTERM, before)


def _parts_of(experiments: Sequence[str]) -> tuple[Claim, ...]:
    chosen = (
        replace(claim, parts=tuple(part for part in claim.parts if part.experiment in experiments)) for claim in CLAIMS
    )
    return tuple(claim for claim in chosen if claim.parts)


def _by_need(trial: Trial) -> list[PartResult]:
    """The parts that lack runs: earlier looks first, and of these the part that lacks the fewest."""
    return sorted(
        (part for part in trial.parts.values() if part.missing),
        key=lambda part: (part.next_look, len(part.missing)),
    )


def _state(trial: Trial) -> str:
    parts = trial.parts.values()
    decided = [part.part.id for part in parts if part.final and all(part.answered)]
    still_open = [part.part.id for part in parts if part.final and not all(part.answered)]
    looks = sorted({part.next_look for part in parts if part.next_look})
    state = f"scale {trial.scale}: {len(decided)} of {len(parts)} questions decided"
    if decided:
        state += f" ({', '.join(decided)})"
    if still_open:
        state += f", {', '.join(still_open)} open after {LOOKS[-1]} replicates"
    if not trial.missing:
        return f"{state}; no more runs are needed"
    seeds = sorted({cell.seed for cell in trial.missing})
    return (
        f"{state}; next interim analysis at {' and '.join(map(str, looks))} of at most {LOOKS[-1]} replicates; "
        f"{len(trial.missing)} results missing, of seeds {seeds[0]} to {seeds[-1]}"
    )
