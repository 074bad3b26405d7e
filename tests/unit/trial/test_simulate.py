"""The procedure of the whole trial, simulated: few false words under every null, and true effects are found."""

import zlib

import numpy as np
import pytest
from made_records import PARTS, made_record, middle

from unet_repro.trial import simulate as simulation
from unet_repro.trial.judge import judge
from unet_repro.trial.looks import LOOKS, REFUTED, SUPPORTED, UNDECIDED
from unet_repro.trial.simulate import CONTRASTS, PART_OF, World, false_words, null_effects, power_table, simulate

TRIALS = 4000
ERROR = 3 * (0.05 * 0.95 / TRIALS) ** 0.5  # three standard errors of a rate of 5 %
SDS = (0.01, 0.03, 0.08)


def rate_of_false_words(null, **world):
    effects = null_effects(null)
    rates = [
        false_words(simulate(World(effects, np.full(len(CONTRASTS), sd), **world), TRIALS)[0], effects).mean()
        for sd in SDS
    ]
    return max(rates)


@pytest.mark.parametrize("null", ["supported", "refuted"])
@pytest.mark.parametrize("fold_ratio", [1.0, 4.0])
@pytest.mark.parametrize(("noise", "skew"), [("normal", 1), ("heavy tails", 1), ("skewed", 1), ("skewed", -1)])
def test_false_words_in_at_most_five_of_a_hundred_trials(noise, skew, fold_ratio, null):
    rate = rate_of_false_words(null, noise=noise, skew=skew, fold_ratio=fold_ratio, fold_sd=0.03)
    assert rate <= 0.05 + ERROR


@pytest.mark.parametrize(("null", "skew"), [("supported", -1), ("refuted", 1)])
def test_the_strongest_skew_of_one_arm_gives_up_to_eight_percent(null, skew):
    """The figure that docs/science/trial.md states."""
    rate = rate_of_false_words(null, noise="strongly skewed", skew=skew, fold_ratio=4.0)
    assert 0.05 <= rate <= 0.08 + ERROR


def test_the_simulation_would_notice_levels_that_are_too_high(monkeypatch):
    monkeypatch.setattr(simulation, "level_of", lambda look: 0.05 / len(LOOKS))  # without the family of 21
    assert rate_of_false_words("refuted") > 0.2


def test_false_words_are_counted_as_defined():
    index = CONTRASTS.index(PARTS["C3a"].contrasts[0])
    decided = np.zeros((1, len(CONTRASTS)), np.int8)
    effects = np.full(len(CONTRASTS), 0.01)  # between 0 and the margin both words of an S contrast are right
    for word, effect, wrong in [
        (SUPPORTED, 0.01, False), (REFUTED, 0.01, False), (SUPPORTED, 0.0, True), (REFUTED, 0.02, True),
        (UNDECIDED, 0.0, False), (-2, 0.0, True), (-2, -0.01, False),
    ]:  # fmt: skip
        decided[0, index], effects[index] = word, effect
        assert false_words(decided, effects)[0] == wrong
    decided[0, index] = UNDECIDED
    index = CONTRASTS.index(PARTS["C2"].contrasts[0])
    for word, effect, wrong in [(SUPPORTED, -0.02, True), (REFUTED, -0.02 + 1e-9, True), (REFUTED, -0.03, False)]:
        decided[0, index], effects[index] = word, effect
        assert false_words(decided, effects)[0] == wrong


def share(part, sd, factor, words):
    margins = np.array([contrast.margin for contrast in CONTRASTS])
    decided, _ = simulate(World(factor * margins, np.full(len(CONTRASTS), sd)), TRIALS)
    own = [index for index, name in enumerate(PART_OF) if name == part]
    return np.isin(decided[:, own], words).all(1).mean()


def test_true_effects_are_found_and_the_table_says_how_often():
    found = share("C9", 0.03, 2.0, [SUPPORTED])
    assert found > 0.99
    assert 0.4 < share("C9", 0.03, 1.0, [SUPPORTED]) < 0.55  # the estimate must reach the margin
    refuted = share("C9", 0.03, 0.0, [REFUTED, -2])
    row = power_table({"C9": 0.03}, num_trials=TRIALS).splitlines()[-1]
    assert f"| 0 / {100 * refuted:.0f} (" in row
    assert f"| {100 * found:.0f} / 0 (" in row
    assert share("C2", 0.01, 0.0, [SUPPORTED]) > 0.99


def test_a_table_of_parts_with_their_own_spread_has_a_row_for_each_kind_of_their_contrasts():
    lines = power_table({"C4": 0.02, "C2": 0.01}, num_trials=50).splitlines()[2:]
    assert [line.split(" | ")[:2] for line in lines] == [["| C2", "N"], ["| C4", "S"], ["| C4", "N"]]


def test_the_simulated_decisions_are_those_of_the_judge():
    """The same differences, once simulated, once as records of runs."""
    index = PART_OF.index("C9")
    seen = set()
    for number in range(25):
        effects = np.full(len(CONTRASTS), 0.01 * (number % 5))
        world = World(effects, np.full(len(CONTRASTS), 0.012))
        decided, looks = simulate(world, 1, seed=number)
        differences = simulation._differences(world, 1, np.random.default_rng(number))[0, index]
        records = []
        for offset, difference in enumerate(differences):
            seed = 100 + offset
            records += [
                made_record("split", "without neighbours", seed, iou=0.6, curve=[0.6] * 10),
                made_record(
                    "split",
                    "with neighbours",
                    seed,
                    iou=0.6 + difference,
                    curve=[0.6] * 10,
                    val=middle(seed % 5),
                    settings={"split._target_": "neighbours"},
                    run_id=f"{zlib.crc32(str(seed).encode()):x}",
                ),
            ]
        (contrast,) = judge(records, "laptop").parts["C9"].contrasts
        word = {SUPPORTED: "supported", UNDECIDED: "open"}.get(int(decided[0, index]), "refuted")
        assert (contrast.word, contrast.look) == (word, int(looks[0, index]))
        seen.add((word, contrast.look))
    assert len(seen) >= 4
