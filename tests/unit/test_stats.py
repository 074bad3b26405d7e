"""Intervals cover as often as they say; the stratified test equals Student's and Welch's; bounds are never left."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats

from unet_repro.stats import estimate, p_above, p_below, stratified, stratified_t

REPEATS = 1000


def table(rng, seeds, images, *, mean=0.0, of_seed=1.0, of_image=1.0, of_both=0.5):
    """Paired differences whose spread has three sources, as in a comparison of trained networks."""
    return (
        mean
        + of_seed * rng.standard_normal((seeds, 1))
        + of_image * rng.standard_normal((1, images))
        + of_both * rng.standard_normal((seeds, images))
    )


@pytest.mark.parametrize(
    ("seeds", "images", "spread"),
    [
        (3, 6, {"of_seed": 1.0, "of_image": 1.0, "of_both": 0.5}),
        (3, 6, {"of_seed": 1.0, "of_image": 0.3, "of_both": 0.5}),
        (3, 30, {"of_seed": 0.3, "of_image": 1.0, "of_both": 0.5}),
        (5, 6, {"of_seed": 1.0, "of_image": 1.0, "of_both": 1.0}),
        (10, 30, {"of_seed": 1.0, "of_image": 1.0, "of_both": 1.0}),
        (3, 1, {"of_seed": 1.0, "of_image": 0.0, "of_both": 0.0}),
    ],
)
def test_the_interval_covers_the_true_mean_in_93_to_97_of_100_trials(seeds, images, spread):
    rng = np.random.default_rng(5)
    covered = 0
    for _ in range(REPEATS):
        found = estimate(table(rng, seeds, images, mean=0.3, **spread))
        covered += found.low <= 0.3 <= found.high
    assert 0.93 <= covered / REPEATS <= 0.97


def test_where_only_chance_differs_between_images_and_seeds_the_interval_is_cautious_never_too_short():
    rng = np.random.default_rng(6)
    covered = [
        (found := estimate(table(rng, 3, 6, of_seed=0, of_image=0, of_both=1.0))).low <= 0 <= found.high
        for _ in range(400)
    ]
    assert np.mean(covered) >= 0.95


def test_a_percentile_bootstrap_would_not_cover():
    """Why the interval is not the bootstrap's percentiles: with three seeds they hold the true mean far too seldom."""
    rng = np.random.default_rng(7)
    covered = []
    for _ in range(400):
        drawn = table(rng, 3, 6, of_both=0.0)
        resampled = [
            drawn[rng.integers(3, size=3)][:, rng.integers(6, size=6)].mean() for _ in range(200)
        ]  # fmt: skip
        low, high = np.percentile(resampled, (2.5, 97.5))
        covered.append(low <= 0 <= high)
    assert np.mean(covered) < 0.9


def test_without_images_it_is_the_paired_t_test():
    values = np.random.default_rng(1).standard_normal((6, 1)) + 0.5
    found = estimate(values)
    exact = stats.ttest_1samp(values[:, 0], 0)
    assert (found.low, found.high) == pytest.approx(tuple(exact.confidence_interval()))


def test_the_variances_are_what_a_bootstrap_of_seeds_and_images_converges_to():
    rng = np.random.default_rng(13)
    drawn = table(rng, 4, 6)
    seeds = rng.multinomial(4, np.full(4, 1 / 4), 200_000) / 4
    images = rng.multinomial(6, np.full(6, 1 / 6), 200_000) / 6
    crossed = drawn - drawn.mean(1, keepdims=True) - drawn.mean(0) + drawn.mean()
    found = estimate(drawn)  # n / (n - 1) corrects the narrowness of each level of the bootstrap
    assert found.from_seeds == pytest.approx((seeds @ drawn.mean(1)).var() * 4 / 3, rel=0.02)
    assert found.from_images == pytest.approx((images @ drawn.mean(0)).var() * 6 / 5, rel=0.02)
    assert found.from_both == pytest.approx(((seeds @ crossed) * images).sum(1).var() * 4 / 3 * 6 / 5, rel=0.02)
    whole = ((seeds @ drawn) * images).sum(1).var()
    assert whole == pytest.approx(
        found.from_seeds * 3 / 4 + found.from_images * 5 / 6 + found.from_both * 3 / 4 * 5 / 6, rel=0.02
    )


def test_a_single_seed_has_no_interval():
    found = estimate(np.random.default_rng(2).standard_normal((1, 5)))
    assert (found.low, found.high) == (None, None)


@given(
    arrays(np.float64, st.tuples(st.integers(2, 6), st.integers(1, 4)), elements=st.floats(0, 1)),
)
def test_the_interval_of_a_bounded_measure_never_leaves_its_range_and_contains_the_mean(values):
    found = estimate(values, bounds=(0, 1))
    assert 0 <= found.low <= found.mean + 1e-12
    assert found.mean - 1e-12 <= found.high <= 1


def test_an_interval_stays_narrow_where_seeds_and_images_differ_only_together():
    found = estimate(np.array([[0.1, 0.3, 0.7], [0.7, 0.1, 0.3], [0.3, 0.7, 0.1]]))
    assert found.high - found.low < 1e-12


def test_an_interval_of_tiny_values_is_finite():
    found = estimate(np.array([[6e-101], [0.0]]))
    assert 0 < found.high < 1e-98


def test_far_from_its_bounds_the_bounded_interval_is_the_usual_one():
    values = 0.5 + np.random.default_rng(3).normal(0, 0.002, (8, 6))
    usual, bounded = estimate(values), estimate(values, bounds=(0, 1))
    assert (bounded.low, bounded.high) == pytest.approx((usual.low, usual.high), abs=1e-6)


@pytest.mark.parametrize("bad", [np.zeros((0, 3)), np.full((2, 2), np.nan), np.zeros(3)])
def test_what_is_no_table_is_refused(bad):
    with pytest.raises(ValueError, match="finite table"):
        estimate(bad)


# A standard deviation below 1e-5 is rounding of recorded values; above it the numbers must be exact.
SPREAD = st.floats(0.001, 1)


@given(st.integers(3, 12), SPREAD, st.integers(0, 10**6))
def test_with_one_fold_it_is_students_t(number, spread, seed):
    values = np.random.default_rng(seed).normal(0.1, spread, number)
    found = stratified(values, np.zeros(number, int))
    exact = stats.ttest_1samp(values, 0.02, alternative="greater")
    assert found.degrees == pytest.approx(number - 1)
    assert float(p_above(*stratified_t(values, np.zeros(number, int)), 0.02)) == pytest.approx(exact.pvalue, rel=1e-9)
    both = stats.ttest_1samp(values, 0)
    assert found.interval == pytest.approx(tuple(both.confidence_interval()))


@given(st.integers(2, 6), st.integers(0, 10**6))
def test_with_two_folds_it_is_welchs_t(number, seed):
    """The mean of two folds' means is half the difference of one fold and the other's mirror image."""
    rng = np.random.default_rng(seed)
    first, second = rng.normal(0.1, 0.5, number), rng.normal(0.3, 2.0, number + 1)
    folds = np.array([0] * number + [1] * (number + 1))
    welch = stats.ttest_ind(first, -second, equal_var=False, alternative="less")
    mean, error, degrees = stratified_t(np.concatenate([first, second]), folds)
    assert float(mean / error) == pytest.approx(welch.statistic)
    assert float(degrees) == pytest.approx(welch.df)
    assert float(p_below(mean, error, degrees, 0.0)) == pytest.approx(welch.pvalue)


def test_a_case_computed_by_hand():
    # Folds (1, 3), (2, 2), (0, 4): variances 2, 0, 8; SE^2 = (2 + 0 + 8) / 3 / 6; df = 10^2 / (2^2 + 8^2).
    values, folds = np.array([1.0, 2.0, 0.0, 3.0, 2.0, 4.0]), np.array([0, 1, 2, 0, 1, 2])
    found = stratified(values, folds)
    assert found.mean == pytest.approx(2)
    assert found.error == pytest.approx((10 / 18) ** 0.5)
    assert found.degrees == pytest.approx(100 / 68)
    assert (found.num, found.num_folds, found.by_fold) == (6, 3, True)


def test_folds_count_alike_whatever_their_numbers_of_replicates():
    found = stratified(np.array([0.0, 1.0, 0.0, 1.0, 5.0, 7.0]), np.array([0, 0, 0, 0, 1, 1]))
    assert found.mean == pytest.approx((0.5 + 6) / 2)
    assert found.error == pytest.approx(((1 / 3) / 4 / 4 + 2 / 2 / 4) ** 0.5)


@given(st.integers(0, 10**6))
def test_differences_between_folds_are_not_noise(seed):
    rng = np.random.default_rng(seed)
    values, folds = rng.normal(0, 0.01, 10), np.arange(10) % 5
    shifted = stratified(values + rng.normal(0, 1, 5)[folds], folds)
    assert shifted.error == pytest.approx(stratified(values, folds).error, rel=1e-6)


@pytest.mark.parametrize("value", [0.0, 0.1, 0.7 - 0.6])
def test_identical_values_in_all_replicates_are_no_evidence(value):
    values, folds = np.full(10, value), np.arange(10) % 5
    found = stratified(values, folds)
    assert (found.error, found.degrees, found.interval) == (None, None, None)
    assert float(p_above(*stratified_t(values, folds), -1.0)) == 1
    assert float(p_below(*stratified_t(values, folds), 1.0)) == 1


def test_rounding_is_no_spread():
    values = np.array([0.7 - 0.6, 0.8 - 0.7, 0.9 - 0.8, 0.3 - 0.2])
    assert len(set(values)) > 1
    assert stratified(values, np.array([0, 1, 0, 1])).error is None


def test_a_fold_with_one_replicate_gives_an_interval_for_display_only():
    values = np.array([0.1, 0.2, 0.4])
    found = stratified(values, np.arange(3))
    assert not found.by_fold
    assert found.interval == pytest.approx(tuple(stats.ttest_1samp(values, 0).confidence_interval()))
    assert stratified(values[:1], np.arange(1)).interval is None


@pytest.mark.parametrize("bad", [np.array([]), np.array([0.1, np.nan]), np.zeros(3)])
def test_values_that_do_not_fit_their_folds_are_refused(bad):
    with pytest.raises(ValueError, match="must be finite, one for each"):
        stratified(bad, np.zeros(len(bad) if len(bad) < 3 else 2, int))
