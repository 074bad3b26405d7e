import os
import signal
import time

import pytest

from unet_repro.commands import sequential
from unet_repro.commands.sequential import deadline, rounds, settle, what_is_left
from unet_repro.errors import RunError, Stopped, SweepFailed
from unet_repro.trial.claims import CLAIMS
from unet_repro.trial.replicates import Cell
from unet_repro.trial.results import ClaimResult, ContrastResult, PartResult, Trial

CELLS = tuple(Cell(100 + seed, "split", arm, seed % 5) for seed in range(3) for arm in ("a", "b"))
FEWER = tuple(Cell(100 + seed, "rotations", "base", seed % 5) for seed in range(3))


@pytest.fixture
def trained(monkeypatch):
    """Cells that have been trained; the trial needs those of ``CELLS`` and ``FEWER`` that are not."""
    done = set()

    def judge(records, scale, *, claims):
        parts = [part for claim in claims for part in claim.parts]
        missing = {
            part: tuple(c for c in CELLS + FEWER if c.experiment == part.experiment and c not in done) for part in parts
        }
        results = tuple(PartResult(part, "pending", missing=missing[part], next_look=15) for part in parts)
        every = tuple(cell for part in parts for cell in missing[part])
        return Trial(scale, "isbi2012", (ClaimResult(claims[0], "pending", results),), every, len(done))

    monkeypatch.setattr(sequential, "judge", judge)
    return done


def test_a_sweep_is_made_for_each_set_of_arms_with_all_its_seeds():
    assert list(rounds([*CELLS[:4], CELLS[5]])) == [
        ["experiment=split", "seed=100,101", "hydra.sweeper.only=['split: a','split: b']"],
        ["experiment=split", "seed=102", "hydra.sweeper.only=['split: b']"],
    ]


def test_rounds_are_trained_until_nothing_is_missing(trained):
    asked = []

    def train(overrides):
        asked.append(overrides[1])
        trained.update(CELLS[: 2 * len(asked)])  # each round leaves some to the next

    trial = settle(list, train, scale="laptop", experiments=["split"])
    assert trial.missing == ()
    assert asked == ["seed=100,101,102", "seed=101,102", "seed=102"]


def test_a_round_without_progress_ends_the_suite_with_its_failure(trained):
    with pytest.raises(RunError, match="6 results still missing after training, the first: split: a, seed 100"):
        settle(list, lambda overrides: None, scale="laptop", experiments=["split"])

    def fail(overrides):
        raise SweepFailed("1 of 6 runs failed")

    with pytest.raises(SweepFailed, match="1 of 6"):
        settle(list, fail, scale="laptop", experiments=["split"])


def test_failed_runs_do_not_end_a_suite_that_makes_progress(trained):
    def train(overrides):
        before = len(trained)
        trained.update(CELLS[: before + 2])
        raise SweepFailed("others failed")

    assert settle(list, train, scale="laptop", experiments=["split"]).missing == ()


def test_the_part_that_lacks_the_fewest_runs_comes_first(trained):
    asked = []

    def train(overrides):
        asked.append(overrides[0])
        trained.update(FEWER if "rotations" in overrides[0] else CELLS)

    assert settle(list, train, scale="laptop", experiments=["split", "rotations"]).missing == ()
    assert asked == ["experiment=rotations", "experiment=split"]


def test_first_looks_come_before_second_ones():
    first, second = (
        PartResult(part, "open", missing=(CELLS[0],) * number, next_look=look)
        for part, number, look in zip(CLAIMS[0].parts, (3, 1), (15, 20), strict=False)
    )
    trial = Trial("laptop", "isbi2012", (ClaimResult(CLAIMS[0], "open", (second, first)),), (), 0)
    assert sequential._by_need(trial) == [first, second]


def test_a_part_that_cannot_be_trained_does_not_hold_up_the_others(trained):
    def train(overrides):
        if "rotations" in overrides[0]:
            raise SweepFailed("3 of 3 runs failed")
        trained.update(CELLS)

    with pytest.raises(SweepFailed, match="3 of 3"):
        settle(list, train, scale="laptop", experiments=["split", "rotations"])
    assert set(CELLS) <= trained


def test_a_dry_run_shows_what_each_part_lacks_the_fewest_first(trained, capsys):
    shown = []
    what_is_left(list, lambda overrides: shown.append(overrides[0]), scale="laptop", experiments=["split", "rotations"])
    assert shown == ["experiment=rotations", "experiment=split"]
    assert "9 results missing, of seeds" in capsys.readouterr().out


@pytest.mark.parametrize("answers", [("open",), ("supported", "open")])
def test_a_part_with_a_contrast_that_stays_open_does_not_count_as_decided(answers, capsys, monkeypatch):
    claim = next(each for each in CLAIMS if each.id == "C1")
    first, second = claim.parts
    contrasts = tuple(ContrastResult(one, word, None) for one, word in zip(first.contrasts, answers, strict=False))
    parts = (PartResult(first, "mixed", contrasts=contrasts), PartResult(second, "supported"))
    monkeypatch.setattr(
        sequential, "judge", lambda *_, **__: Trial("laptop", "isbi2012", (ClaimResult(claim, "mixed", parts),), (), 60)
    )
    what_is_left(list, list, scale="laptop", experiments=["tile_size"])
    state = "1 of 2 questions decided (C1b), C1a open after 30 replicates; no more runs are needed"
    assert state in capsys.readouterr().out


def test_parts_of_other_comparisons_are_left_alone():
    (claim,) = sequential._parts_of(["split"])
    assert [part.experiment for part in claim.parts] == ["split"]
    whole = {part.id for claim in sequential.CLAIMS for part in claim.parts}
    experiments = {part.experiment for claim in sequential.CLAIMS for part in claim.parts}
    assert {part.id for claim in sequential._parts_of(sorted(experiments)) for part in claim.parts} == whole


def test_a_deadline_stops_its_block_and_says_so(capsys):
    with deadline(0.2 / 3600):
        time.sleep(30)
    assert "hours are over" in capsys.readouterr().err


def test_another_stop_signal_is_passed_on():
    handler = signal.getsignal(signal.SIGTERM)

    @deadline(None)
    def terminated():
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(30)

    with pytest.raises(Stopped) as stopped:
        terminated()
    assert stopped.value.signum == signal.SIGTERM
    assert signal.getsignal(signal.SIGTERM) is handler


def test_a_block_that_ends_in_time_is_not_stopped():
    with deadline(0.2 / 3600):
        pass
    time.sleep(0.4)
