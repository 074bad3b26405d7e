"""Verdicts on made-up records: looks, words, premises, replacements, and the runs that are still needed."""

import json
from dataclasses import replace

import numpy as np
import pytest
from made_records import ALL_CELL, PARTS, STEPS, made_part, made_record

from unet_repro.errors import DataError
from unet_repro.trial.judge import judge
from unet_repro.trial.looks import LOOKS
from unet_repro.trial.replicates import Cell

FIRST, SECOND, THIRD = (range(100, 100 + number) for number in LOOKS)


def result_of(part, records, scale="laptop"):
    return judge(records, scale).parts[part]


def words_of(part, records):
    return [one.word for one in result_of(part, records).contrasts]


def cells_of(part, records):
    return [
        (cell.arm, cell.seed) for cell in judge(records, "laptop").missing if cell.experiment == PARTS[part].experiment
    ]


def one_slow_start(*arms_and_seeds, **effects):
    """Runs of C9 of which some have not started."""
    records = made_part("C9", SECOND, **effects)
    return [
        replace(one, curve={**one.curve, "val/iou_own": [ALL_CELL] * len(STEPS)})
        if (next(iter(one.arms.values())), one.seed) in arms_and_seeds
        else one
        for one in records
    ]


@pytest.mark.parametrize(
    ("part", "arm", "effect", "word"),
    [
        ("C9", "with neighbours", 0.05, "supported"),
        ("C9", "with neighbours", 0.0, "refuted"),
        ("C9", "with neighbours", -0.05, "refuted"),
        ("C3a", "Adam", 0.5, "supported"),
        ("C2", "none", 0.05, "supported"),
        ("C2", "none", 0.0, "supported"),
        ("C2", "none", -0.05, "refuted"),
        ("C1a", "572", 0.0, "supported"),
        ("C1a", "572", -0.06, "refuted"),
        ("C10a", "none", -0.05, "supported"),
        ("C10a", "none", 0.05, "refuted"),
    ],
)
def test_a_planted_effect_has_its_word_at_the_second_look(part, arm, effect, word):
    result = result_of(part, made_part(part, SECOND, effects={arm: effect}, sd=0.002))
    assert result.word == word, result.found
    assert result.final
    assert result.missing == ()


def test_the_estimate_is_the_mean_difference_over_the_replicates_of_its_look():
    records = made_part("C9", THIRD, effects={"with neighbours": 0.05})
    (contrast,) = result_of("C9", records).contrasts
    by_cell = {(next(iter(one.arms.values())), one.seed): one.evaluation["at_threshold"]["1"] for one in records}
    number = LOOKS[contrast.look - 1]
    differences = [
        next(iter(by_cell["with neighbours", seed].values()))["iou"]
        - next(iter(by_cell["without neighbours", seed].values()))["iou"]
        for seed in range(100, 100 + number)
    ]
    assert contrast.figure.values == pytest.approx(differences)
    assert contrast.figure.estimate.mean == pytest.approx(np.mean(differences))
    assert contrast.figure.folds == tuple(seed % 5 for seed in contrast.figure.seeds)


def test_the_opposite_is_said_where_it_is_shown():
    result = result_of("C9", made_part("C9", SECOND, effects={"with neighbours": -0.05}))
    assert result.contrasts[0].opposite
    assert "lower the score" in result.found
    result = result_of("C9", made_part("C9", SECOND))
    assert not result.contrasts[0].opposite
    assert "do not raise the score by an amount that matters" in result.found


def test_a_part_is_judged_contrast_by_contrast_where_words_differ():
    result = result_of("C2", made_part("C2", SECOND, effects={"paper": 0.06, "border_only": -0.04}, sd=0.002))
    assert [one.word for one in result.contrasts] == ["supported", "supported", "supported", "refuted"]
    assert result.word == "mixed"
    claim = next(one for one in judge(made_part("C2", SECOND), "laptop").claims if one.claim.id == "C2")
    assert claim.word == "supported"


def test_nothing_is_judged_before_the_first_look_and_between_looks_nothing_new():
    records = made_part("C9", FIRST, effects={"with neighbours": 0.05}, sd=0.06)
    early = result_of("C9", records[:-1])
    assert (early.word, early.look, early.next_look, early.num_replicates) == ("pending", 0, 15, 14)
    assert early.contrasts[0].p_for is None
    first = result_of("C9", records)
    assert (first.word, first.look, first.next_look) == ("open", 1, 20)
    more = made_part("C9", range(100, 119), effects={"with neighbours": 0.05}, sd=0.06)
    between = result_of("C9", more)
    assert between.contrasts[0].figure == result_of("C9", more[: 2 * LOOKS[0]]).contrasts[0].figure
    assert (between.look, between.num_replicates, between.next_look) == (1, 19, 20)


def test_what_is_decided_stays_decided():
    rng = np.random.default_rng(3)
    settled = made_part("C9", SECOND, effects={"with neighbours": 0.05}, sd=0.002, rng=rng)
    after = made_part("C9", range(120, 130), effects={"with neighbours": -0.3}, sd=0.002, rng=rng)
    before, later = (result_of("C9", records).contrasts for records in (settled, settled + after))
    assert before[0].word == "supported"
    assert later == before


def test_an_early_support_says_that_its_estimate_is_too_high():
    assert (
        "favour the claim too much" in result_of("C9", made_part("C9", SECOND, effects={"with neighbours": 0.05})).sure
    )


def test_at_the_last_look_the_undecided_is_open_and_may_lean():
    records = made_part("C9", THIRD, effects={"with neighbours": 0.025}, sd=0.04, rng=np.random.default_rng(2))
    result = result_of("C9", records)
    assert (result.word, result.look, result.next_look, result.missing) == ("open", 3, None, ())
    assert result.contrasts[0].leans == "supported"
    assert "uncorrected interval leans to" in result.found
    assert result_of("C9", records[:40]).contrasts[0].leans is None  # only at the last look


def test_identical_differences_are_no_evidence():
    result = result_of("C9", made_part("C9", THIRD, effects={"with neighbours": 0.05}, sd=0.0))
    assert result.word == "open"
    assert result.contrasts[0].p_for == 1
    assert result.contrasts[0].figure.estimate.error is None


def test_an_undecided_contrast_needs_its_own_arms_only():
    first = made_part("C2", SECOND, effects={"paper": -0.05}, sd=0.004)
    mixed = [
        replace(one, evaluation=made_record(iou=0.7 + 0.4 * (-1) ** (one.seed // 5) - 0.2, seed=one.seed).evaluation)
        if one.arms == {"weight_map": "border_only"}
        else one
        for one in first
    ]
    assert words_of("C2", mixed) == ["supported", "open", "supported", "supported"]
    cells = cells_of("C2", mixed)
    assert {arm for arm, _ in cells} == {"none", "border_only"}
    assert {seed for _, seed in cells} == set(range(120, 130))
    more = made_part("C2", range(120, 130))
    only = [one for one in more if one.arms["weight_map"] in ("none", "border_only")]
    result = result_of("C2", mixed + only)
    assert (result.look, result.next_look) == (3, None)
    assert result.contrasts[0] == result_of("C2", mixed).contrasts[0]


def test_a_decided_trial_needs_nothing_and_an_empty_one_the_first_looks_replicates_of_all_arms():
    cells = judge([], "laptop").missing
    arms = {(part.experiment, arm) for part in PARTS.values() for arm in part.arms}
    assert {(cell.experiment, cell.arm) for cell in cells} == arms
    assert {cell.seed for cell in cells} == set(FIRST)
    assert len(cells) == len(FIRST) * len(arms)
    assert list(cells) == sorted(cells)
    assert all(cell.fold == cell.seed % 5 for cell in cells)
    assert cells_of("C9", made_part("C9", SECOND, effects={"with neighbours": 0.05})) == []
    assert cells_of("C9", made_part("C9", THIRD, sd=0.2)) == []


def test_needed_is_what_is_missing_up_to_the_next_look():
    records = made_part("C9", range(100, 104))
    assert cells_of("C9", [*records[:-2], records[-1]])[0] == (next(iter(records[-2].arms.values())), 103)
    assert len(cells_of("C9", records)) == 2 * (LOOKS[0] - 4)


def test_a_run_without_a_needed_section_of_its_evaluation_is_needed_again():
    records = made_part("C8", FIRST)
    del records[3].evaluation["at_threshold"]["7"]
    assert cells_of("C8", records) == [("base", 103)]
    assert result_of("C8", records).word == "pending"


def test_a_replicate_that_has_not_started_is_replaced_in_all_arms_by_a_reserve_seed_of_its_fold():
    records = one_slow_start(("with neighbours", 103), ("without neighbours", 108), effects={"with neighbours": 0.05})
    waiting = result_of("C9", records)
    assert (waiting.word, waiting.not_started) == ("pending", (103, 108))
    arms = ("with neighbours", "without neighbours")
    assert waiting.missing == tuple(Cell(seed, "split", arm, 3) for seed in (203, 208) for arm in arms)
    reserve = made_part("C9", (203, 208), effects={"with neighbours": 0.05})
    result = result_of("C9", records + reserve)
    assert result.word == "supported"
    seeds = result.contrasts[0].figure.seeds
    assert len(seeds) == LOOKS[result.look - 1]
    assert set(seeds) == {*range(100, 100 + len(seeds)), 203, 208} - {103, 108}
    (condition,) = result.qualifiers[1:]
    assert condition == "among runs that start (2 replicates with a run that did not start left out)"
    assert result.scope.endswith(condition)


def test_what_has_not_started_is_listed_while_a_later_look_waits():
    records = [one for one in one_slow_start(("with neighbours", 117), effects={"with neighbours": 0.018}, sd=0.01)
               if one.seed < 119]  # fmt: skip
    result = result_of("C9", records)
    assert (result.word, result.look, result.next_look) == ("open", 1, LOOKS[1])
    assert result.not_started == (117,)


def test_a_reserve_counts_once_while_the_first_look_waits():
    records = [one for one in one_slow_start(("with neighbours", 103)) if one.seed in (100, 103)]
    both = result_of("C9", records + made_part("C9", (203,)))
    assert (both.word, both.num_replicates) == ("pending", 2)
    assert both.contrasts[0].figure.seeds == (100, 203)


def test_replicates_of_later_looks_do_not_count_towards_the_first():
    result = result_of("C9", made_part("C9", (100, *range(115, 120))))
    assert (result.word, result.num_replicates) == ("pending", 1)
    assert "1 of the 15 replicates required." in result.found


def test_if_no_run_of_an_arm_starts_the_part_stays_open_and_the_others_are_judged():
    seeds = (*THIRD, *range(200, 230))
    dead = [
        replace(one, curve={**one.curve, "val/iou_own": [ALL_CELL] * len(STEPS)})
        if one.arms == {"optimizer": "SGD"}
        else one
        for one in made_part("C3a", seeds)
    ]
    trial = judge([*dead, *made_part("C9", THIRD, effects={"with neighbours": 0.05})], "laptop")
    result = trial.parts["C3a"]
    assert (result.word, result.look, result.next_look, result.num_replicates) == ("open", 3, None, 0)
    assert result.contrasts[0].figure is None
    assert "no replicate counts" in result.found
    assert trial.parts["C9"].word == "supported"


def test_without_a_fold_nothing_leans():
    records = [one for one in made_part("C9", THIRD, effects={"with neighbours": 0.05}, sd=0.03) if one.fold != 3]
    lost = [
        replace(one, curve={**one.curve, "val/iou_own": [ALL_CELL] * len(STEPS)})
        for one in made_part("C9", [*range(103, 130, 5), *range(203, 230, 5)])
    ]
    (contrast,) = result_of("C9", records + lost).contrasts
    assert (contrast.word, contrast.look, contrast.leans) == ("open", 3, None)
    assert contrast.figure.estimate.interval[0] > 0


def test_a_premise_that_fails_after_a_decision_leaves_it_and_says_no_further_verdict():
    def runs(seeds, drop):
        def constant(seed):
            return {"curve": [0.5, 0.7, 0.7 - drop * (1 + 0.01 * (seed % 7 - 3))]}

        return made_part("C5", seeds, sd=0.06, constant=constant, plateau={"curve": [0.5, 0.7, 0.7]})

    first = runs(FIRST, 0.024)
    assert [one.word for one in result_of("C5", first).contrasts] == ["supported", "open"]
    assert "No further verdict so far, whatever the p-values" not in result_of("C5", first).sure
    result = result_of("C5", first + runs(range(115, 120), 0.0))
    assert [one.word for one in result.contrasts] == ["supported", "open"]
    assert result.premise_holds is False
    assert result.sure.startswith("Decided at 15 replicates")
    assert "No further verdict so far, whatever the p-values" in result.sure
    assert "No verdict so far" not in result.sure


def test_a_reserve_that_has_not_started_is_replaced_by_the_next_until_none_is_left():
    records = one_slow_start(
        ("with neighbours", 103), ("with neighbours", 108), effects={"with neighbours": 0.05}, sd=0.0005
    )
    slow = [
        replace(one, curve={**one.curve, "val/iou_own": [ALL_CELL] * len(STEPS)})
        for one in made_part("C9", range(203, 230, 5))
    ]
    assert {seed for _, seed in cells_of("C9", records + slow[:2])} == {208, 213}
    result = result_of("C9", records + slow)
    assert result.missing == ()
    assert result.not_started == (103, 108, *range(203, 230, 5))
    # Fold 3 has a single replicate at the first look, which is no test; at the second it has two.
    assert (result.word, result.look, len(result.contrasts[0].figure.seeds)) == ("supported", 2, 18)


def test_c5_keeps_every_run_and_counts_failed_ones_as_all_cell():
    records = made_part("C5", SECOND, effects={"constant": 0.0}, sd=0.01)
    spoilt = []
    for one in records:
        if one.arms["lr_schedule"] == "constant":
            curve = {"step": STEPS[:5], "val/iou_own": [0.5, 0.6, 0.66 + 0.001 * (one.seed % 7), 0.6, float("nan")]}
            failed = replace(one, evaluation=None, failed="the loss is nan at step 480", curve=curve)
            spoilt.append(failed)
        else:
            spoilt.append(one)
    result = result_of("C5", spoilt)
    assert result.word == "supported", result.found
    assert result.not_started == ()
    assert result.contrasts[0].figure.estimate.mean == pytest.approx(0.66 - ALL_CELL, abs=0.01)
    assert result.premise[0].estimate.mean > 0.2
    assert result.premise_holds


def test_a_failed_run_that_had_started_counts_outside_c5_as_well():
    records = made_part("C9", SECOND, effects={"with neighbours": 0.05}, sd=0.002)
    index = next(n for n, one in enumerate(records) if one.arms == {"split": "with neighbours"} and one.seed == 104)
    curve = {"step": STEPS[:2], "val/iou_own": [0.5, 0.6]}
    records[index] = replace(records[index], evaluation=None, failed="the loss is nan at step 280", curve=curve)
    result = result_of("C9", records)
    assert result.not_started == ()
    (figure,) = (one.figure for one in result.contrasts)
    assert figure.values[figure.seeds.index(104)] == pytest.approx(ALL_CELL - 0.7, abs=0.01)


def test_a_failing_premise_is_said_at_the_last_look_only_and_decides_nothing_before():
    def flat(seeds):
        return made_part("C6", seeds, effects={"with elastic": 0.001}, sd=0.002)

    second = result_of("C6", flat(SECOND))
    assert (second.word, second.premise_holds, second.next_look) == ("open", False, 30)
    last = result_of("C6", flat(THIRD))
    assert (last.word, last.next_look) == ("not testable here", None)
    assert "without any augmentation less than 0.02 IoU is lost" in last.found
    helped = made_part("C6", SECOND, effects={"with elastic": 0.001, "none": -0.1}, sd=0.002)
    assert result_of("C6", helped).word == "refuted"


def test_a_premise_holds_if_either_of_its_figures_does():
    records = made_part("C3b", SECOND, Adam_3={"gap": 0.05}, sd=0.0)
    assert result_of("C3b", records).premise_holds
    assert not result_of("C3b", made_part("C3b", SECOND)).premise_holds


def test_exact_parts_need_no_statistics_and_count_every_run():
    records = made_part("C7a", (0, 1, 2))
    assert (result_of("C7a", records).word, result_of("C7a", records).num_runs) == ("supported", 3)
    spoilt = [*records, made_record("overlap_tile", "base", 3, seam=2e-5)]
    assert result_of("C7a", spoilt).word == "refuted"
    instance = [made_record("normalisation", "instance", seed, seam=0.01) for seed in range(3)]
    assert result_of("C10b", instance).word == "supported"
    one_without = result_of("C10b", [*instance, made_record("normalisation", "instance", 3, seam=5e-5)])
    assert one_without.word == "refuted"
    assert one_without.found.startswith(
        "With instance norm the prediction of some network does not depend on the tile:"
    )
    assert result_of("C7a", []).word == "pending"
    assert "Exact: measured in 3 runs" in result_of("C7a", records).sure


def test_few_seeds_outside_the_trial_are_described_and_never_tested():
    records = made_part("C9", range(3), effects={"with neighbours": 0.2})
    result = result_of("C9", records)
    assert (result.word, result.num_replicates) == ("pending", 0)
    assert "0 of the 15 replicates required, with seeds from 100 on." in result.found
    assert result.contrasts[0].figure.estimate.mean == pytest.approx(0.2, abs=0.02)
    assert result.contrasts[0].p_for is None
    many = made_part("C9", range(30), effects={"with neighbours": 0.2})
    assert result_of("C9", many).word == "pending"
    both = result_of("C9", made_part("C9", SECOND, effects={"with neighbours": 0.05}) + many)
    assert set(both.contrasts[0].figure.seeds) <= set(SECOND)


def test_at_smoke_there_are_no_verdicts_and_nothing_is_needed():
    records = [replace(one, scale="smoke") for one in made_part("C9", SECOND, effects={"with neighbours": 0.2})]
    trial = judge(records, "smoke")
    assert {part.word for part in trial.parts.values()} == {"no verdict"}
    assert trial.missing == ()


def test_an_unfair_comparison_is_refused_with_its_reason_and_needs_nothing():
    records = made_part("C9", SECOND, effects={"with neighbours": 0.05})
    records[7].settings["optimizer"]["lr"] = 0.5
    result = result_of("C9", records)
    assert (result.word, result.missing) == ("refused", ())
    assert "optimizer.lr" in result.found


def test_scales_are_apart_and_data_sets_are_never_mixed():
    records = made_part("C9", FIRST)
    other = [replace(one, scale="paper") for one in records]
    assert judge(records + other, "paper").num_runs == len(other)
    with pytest.raises(DataError, match="several data sets: isbi2012, mine"):
        judge([*records, replace(records[0], data="mine")], "laptop")


def test_the_first_result_of_a_cell_counts():
    records = made_part("C9", SECOND, effects={"with neighbours": 0.05})
    again = [
        replace(one, run_id="another", evaluation=made_record(iou=0.1, seed=one.seed).evaluation) for one in records
    ]
    assert judge(records + again, "laptop").parts["C9"].contrasts == judge(records, "laptop").parts["C9"].contrasts


def test_the_result_is_plain_json_with_a_sentence_for_every_question():
    records = [one for part in ("C1b", "C2", "C4", "C5", "C9", "C10a", "C7a") for one in made_part(part, SECOND)]
    for judged in (judge(records, "laptop"), judge([], "laptop")):
        plain = json.loads(json.dumps(judged.as_dict(), allow_nan=False))
        parts = [part for claim in plain["claims"] for part in claim["parts"]]
        assert [part["id"] for part in parts] == list(PARTS)
        assert all(part["found"] and part["sure"] and part["question"] for part in parts)
        assert all("width 8 after 1000 steps" in part["scope"] for part in parts if part["replicates"])
