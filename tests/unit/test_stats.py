"""Intervals cover as often as they say, a planted effect is found, none is not; Holm and seeds needed are exact."""

import numpy as np
import pytest
from scipy import stats

from unet_repro.stats import estimate, estimate_share, holm, p_values, seeds_needed

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


def test_a_planted_effect_is_found_and_no_effect_is_not():
    rng = np.random.default_rng(8)
    spread = {"of_seed": 0.01, "of_image": 0.01, "of_both": 0.01}
    planted = [p_values(estimate(table(rng, 5, 6, mean=0.06, **spread)), "higher", 0.01)[0] <= 0.05 for _ in range(100)]
    nothing = [p_values(estimate(table(rng, 5, 6, mean=0.0, **spread)), "higher", 0.01)[0] <= 0.05 for _ in range(400)]
    assert np.mean(planted) > 0.95
    assert np.mean(nothing) <= 0.05


def test_equivalence_is_found_where_it_is_and_not_where_the_difference_is_the_margin():
    rng = np.random.default_rng(9)
    spread = {"of_seed": 0.002, "of_image": 0.002, "of_both": 0.002}
    same = [p_values(estimate(table(rng, 5, 6, **spread)), "equivalent", 0.01)[0] <= 0.05 for _ in range(100)]
    at_margin = [
        p_values(estimate(table(rng, 5, 6, mean=0.01, **spread)), "equivalent", 0.01)[0] <= 0.05 for _ in range(400)
    ]
    assert np.mean(same) > 0.95
    assert np.mean(at_margin) <= 0.07


def test_without_images_it_is_the_paired_t_test():
    values = np.random.default_rng(1).standard_normal((6, 1)) + 0.5
    found = estimate(values)
    exact = stats.ttest_1samp(values[:, 0], 0)
    assert (found.low, found.high) == pytest.approx(tuple(exact.confidence_interval()))
    assert p_values(found, "higher", 0.0)[0] == pytest.approx(exact.pvalue)
    assert p_values(found, "lower", 0.0)[1] == pytest.approx(
        stats.ttest_1samp(values[:, 0], 0, alternative="greater").pvalue * 2
    )


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


@pytest.mark.parametrize("expects", ["higher", "lower", "equivalent", "not lower"])
def test_p_values_mirror_with_the_sign_and_a_single_seed_proves_nothing(expects):
    values = np.random.default_rng(2).standard_normal((4, 5))
    mirrored = {"higher": "lower", "lower": "higher", "equivalent": "equivalent"}.get(expects)
    if mirrored:
        assert p_values(estimate(values), expects, 0.2) == pytest.approx(p_values(estimate(-values), mirrored, 0.2))
    assert p_values(estimate(values[:1]), expects, 0.2) == (1.0, 1.0)
    assert estimate(values[:1]).low is None


def test_no_spread_at_all_is_certain():
    assert p_values(estimate(np.full((3, 4), 0.02)), "higher", 0.01) == (0.0, 1.0)
    assert p_values(estimate(np.zeros((3, 4))), "equivalent", 0.01) == (0.0, 1.0)


def test_runs_that_agree_do_not_prove_that_all_would():
    found = estimate_share(np.zeros((3, 1)))
    assert found.low < -0.7
    assert found.high > 0.7
    many = estimate_share(np.zeros((100, 1)))
    assert -0.05 < many.low < many.high < 0.05


@pytest.mark.parametrize("share", [0.2, 0.5])
def test_the_interval_of_a_share_covers(share):
    rng = np.random.default_rng(3)
    covered = []
    for _ in range(300):
        drawn = rng.random((20, 1)) < share
        found = estimate_share(drawn.astype(float))
        covered.append(found.low <= share <= found.high)
    assert np.mean(covered) >= 0.95


def test_holm_is_ordered_and_never_below_the_raw_values():
    raw = [0.2, 0.001, 0.04, 0.01]
    assert holm(raw) == pytest.approx([0.2, 0.004, 0.08, 0.03])
    assert holm([]) == []


def test_holm_keeps_false_verdicts_rare():
    rng = np.random.default_rng(4)
    false = [min(holm(rng.random(10).tolist())) <= 0.05 for _ in range(2000)]
    assert np.mean(false) <= 0.06


def test_the_seeds_asked_for_are_the_fewest_that_settle_it():
    found = estimate(table(np.random.default_rng(11), 4, 6, mean=0.4, of_image=0.1, of_both=0.1))
    number = seeds_needed(found, "higher", 0.05)
    assert number is not None
    assert number > 4
    assert p_values(found, "higher", 0.05, seeds=number)[0] <= 0.05
    assert p_values(found, "higher", 0.05, seeds=number - 1)[0] > 0.05


def test_seeds_cannot_settle_what_hangs_on_the_images():
    found = estimate(table(np.random.default_rng(12), 4, 3, mean=0.2, of_seed=0.01, of_image=1.0, of_both=0.01))
    assert seeds_needed(found, "higher", 0.05) is None


@pytest.mark.parametrize("bad", [np.zeros((0, 3)), np.full((2, 2), np.nan), np.zeros(3)])
def test_what_is_no_table_is_refused(bad):
    with pytest.raises(ValueError, match="finite table"):
        estimate(bad)
