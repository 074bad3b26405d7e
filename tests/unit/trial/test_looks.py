"""What a look can decide: words exclude each other, no spread decides nothing, and the levels add up to 5 %."""

from itertools import chain

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from unet_repro.stats import Stratified
from unet_repro.trial.contrasts import versus
from unet_repro.trial.looks import (
    LEVELS,
    LOOKS,
    NUM_FOLDS,
    OPPOSITE,
    REFUTED,
    SUPPORTED,
    UNDECIDED,
    decide,
    fold_of_seed,
    leaning,
    level_of,
    p_values,
    reserves_of_fold,
    seeds_of_look,
)

M = 0.02


def decision(kind, mean, error, degrees=20.0, level=0.001):
    return int(decide(kind, M, (np.array(mean), np.array(error), np.array(degrees)), level))


def test_the_levels_of_all_looks_add_up_to_five_percent_and_are_shared_by_21_contrasts():
    assert sum(LEVELS) == pytest.approx(0.05)
    assert len(LEVELS) == len(LOOKS)
    assert sum(21 * level_of(look + 1) for look in range(len(LOOKS))) == pytest.approx(0.05)


def test_looks_have_equally_many_replicates_of_each_fold_and_never_share_a_seed():
    seeds = [list(seeds_of_look(look + 1)) for look in range(len(LOOKS))]
    assert [*chain(*seeds)] == list(range(100, 100 + LOOKS[-1]))
    for of_look in seeds:
        assert len({[fold_of_seed(seed) for seed in of_look].count(fold) for fold in range(NUM_FOLDS)}) == 1
    reserves = [reserves_of_fold(fold) for fold in range(NUM_FOLDS)]
    assert sorted(chain(*reserves)) == list(range(200, 230))
    assert all(fold_of_seed(seed) == fold for fold, of_fold in enumerate(reserves) for seed in of_fold)


@pytest.mark.parametrize(
    ("kind", "mean", "expected"),
    [
        ("S", 0.05, SUPPORTED),
        ("S", 0.02, SUPPORTED),
        ("S", 0.015, REFUTED),  # a true gain, below the margin: no difference that matters
        ("S", 0.0, REFUTED),
        ("S", -0.01, OPPOSITE),
        ("N", 0.05, SUPPORTED),
        ("N", 0.0, SUPPORTED),
        ("N", -0.015, SUPPORTED),
        ("N", -0.025, REFUTED),
    ],
)
def test_a_difference_seen_sharply_has_its_word(kind, mean, expected):
    assert decision(kind, mean, 1e-4) == expected


@pytest.mark.parametrize("mean", [-1.0, -0.02, 0.0, 0.02, 1.0])
@pytest.mark.parametrize("kind", ["S", "N"])
@pytest.mark.parametrize(("error", "degrees"), [(0.0, np.nan), (np.nan, np.nan), (1e-9, 5.0)])
def test_no_spread_and_no_error_decide_nothing(kind, mean, error, degrees):
    assert decision(kind, mean, error, degrees) == UNDECIDED


@given(st.sampled_from(["S", "N"]), st.floats(-0.1, 0.1), st.floats(1e-4, 0.1), st.floats(1, 30), st.floats(1e-4, 0.2))
def test_each_word_is_said_only_if_its_own_hypothesis_is_rejected(kind, mean, error, degrees, level):
    word = decision(kind, mean, error, degrees, level)
    bounds = {
        ("S", SUPPORTED): (0.0, 1), ("S", REFUTED): (M, -1), ("S", OPPOSITE): (0.0, -1),
        ("N", SUPPORTED): (-M, 1), ("N", REFUTED): (-M, -1),
    }  # fmt: skip
    if word != UNDECIDED:
        bound, sign = bounds[kind, word]
        assert stats.t.sf(sign * (mean - bound) / error, degrees) <= level
    if (kind, word) == ("S", SUPPORTED):
        assert mean >= M


@given(st.sampled_from(["S", "N"]), st.floats(-0.1, 0.1), st.floats(1e-4, 0.1), st.floats(1, 30))
def test_a_stricter_level_never_changes_a_word_only_takes_it_away(kind, mean, error, degrees):
    loose, strict = (decision(kind, mean, error, degrees, level) for level in (0.01, 0.0001))
    assert strict in (loose, UNDECIDED) or (loose, strict) == (OPPOSITE, REFUTED)


def test_p_values_are_students_at_the_bounds_of_the_kind():
    estimates = np.array(0.01), np.array(0.005), np.array(7.0)
    support, refutation = p_values("S", M, estimates)
    assert float(support) == pytest.approx(stats.t.sf(0.01 / 0.005, 7))
    assert float(refutation) == pytest.approx(stats.t.cdf((0.01 - M) / 0.005, 7))
    support, refutation = p_values("N", M, estimates)
    assert float(support) == pytest.approx(stats.t.sf((0.01 + M) / 0.005, 7))
    assert float(support + refutation) == pytest.approx(1)


@pytest.mark.parametrize(
    ("kind", "mean", "expected"),
    [
        ("S", 0.030, SUPPORTED),
        ("S", 0.019, UNDECIDED),  # above 0 and perhaps above the margin
        ("S", -0.01, REFUTED),
        ("N", 0.0, SUPPORTED),
        ("N", -0.01, UNDECIDED),
        ("N", -0.05, REFUTED),
    ],
)
def test_leaning_is_the_side_of_the_uncorrected_interval(kind, mean, expected):
    assert leaning(versus("A", "B", kind, M), Stratified(mean, 0.007, 25.0, 30, 5, by_fold=True)) == expected


def test_without_an_interval_nothing_leans():
    assert leaning(versus("A", "B", "S", M), Stratified(0.5, None, None, 30, 5, by_fold=True)) == UNDECIDED
