"""The record never loses or changes a run, whatever is added to it, and however often."""

from dataclasses import replace

import pytest
from made_trial import made_run, made_trial

from unet_repro.commands.report import more_pictures
from unet_repro.errors import DataError, RunError
from unet_repro.report.record import RecordOfScale, digest, scales_of
from unet_repro.runs.ledger import Entry
from unet_repro.trial.run_record import RunRecord


@pytest.fixture
def record(tmp_path):
    return RecordOfScale(tmp_path / "laptop")


def test_an_empty_record_has_no_runs(record, tmp_path):
    assert record.records() == []
    assert record.pictures() == {}
    assert scales_of(tmp_path) == []


def test_what_is_added_is_read_back_and_adding_again_changes_no_byte(record, tmp_path):
    runs = made_trial([100, 101])
    assert record.add(runs) == (len(runs), [])
    before = record.runs_file.read_bytes()
    assert record.records() == runs
    assert record.add(reversed(runs)) == (0, [])
    assert record.runs_file.read_bytes() == before
    assert scales_of(tmp_path) == ["laptop"]


def test_the_order_of_additions_does_not_matter(record, tmp_path):
    first, second = made_trial([100]), made_trial([101])
    record.add(second)
    record.add(first)
    other = RecordOfScale(tmp_path / "other")
    other.add([*first, *second])
    assert record.runs_file.read_bytes() == other.runs_file.read_bytes()
    assert digest(record.records()) == digest(other.records())


def test_a_kept_run_may_join_comparisons_but_keeps_its_numbers(record):
    run = made_run("rotations", "base", 100)
    record.add([run])
    changed = replace(run, arms={"overlap_tile": "base"}, weights_sha256="other", curve={"step": []})
    assert record.add([changed]) == (0, [])
    (kept,) = record.records()
    assert kept == replace(run, arms={"rotations": "base", "overlap_tile": "base"})


def test_a_kept_run_joins_the_comparison_of_an_entry_if_it_has_what_that_asks_for(record):
    kept = made_run("few_images", "Adam, 3", 120)
    other = replace(kept, run_id="e" * 12)
    failed = replace(kept, run_id="f" * 12, seed=121, evaluation=None, failed="the loss is not finite")
    record.add([kept, failed])

    def entry(run: RunRecord, arm: str, *sections: str) -> Entry:
        return Entry(
            "augmentation", arm, run.seed, run.scale, run.data, "", run.run_id, (), 1.0, "", "", evaluations=sections
        )

    joins, fails = entry(kept, "with elastic", "scores"), entry(failed, "none", "scores")
    lacking = [entry(kept, "with elastic", "scores", "more"), entry(other, "none", "scores")]
    assert record.lacking([joins, *lacking, fails]) == lacking
    record.join([joins, *lacking, fails])
    assert [run.arms for run in record.records()] == [
        {**kept.arms, "augmentation": "with elastic"},
        {**failed.arms, "augmentation": "none"},
    ]


def test_a_kept_run_gains_the_sections_that_a_further_comparison_asks_for(record):
    whole = made_run("rotations", "base", 100)
    one_view = {"1": whole.evaluation["at_threshold"]["1"]}
    fewer = {**whole.evaluation, "sections": ["scores"], "at_threshold": one_view}
    record.add([replace(whole, arms={"optimizer": "Adam"}, evaluation=fewer)])
    changed = {**whole.evaluation, "all_cell": dict.fromkeys(whole.evaluation["all_cell"], 0.0)}
    record.add([replace(whole, weights_sha256="other")])
    assert record.records()[0].evaluation == fewer, "of other weights nothing is taken"
    record.add([replace(whole, evaluation=changed)])
    (kept,) = record.records()
    assert kept == replace(whole, arms={"optimizer": "Adam", "rotations": "base"}), "known numbers stay"


def test_the_first_run_of_a_cell_counts(record):
    first = made_run("rotations", "base", 100)
    second = replace(made_run("rotations", "base", 100), run_id="second", arms={"rotations": "base", "split": "x"})
    record.add([first])
    added, (note,) = record.add([second])
    assert added == 1
    assert note == f"second does not count as rotations, base, seed 100: {first.run_id} was first"
    arms = {one.run_id: one.arms for one in record.records()}
    assert arms == {first.run_id: {"rotations": "base"}, "second": {"split": "x"}}
    assert record.add([replace(second, arms={"rotations": "base"})])[0] == 0


def test_a_record_has_runs_on_one_data_set(record):
    record.add(made_trial([100]))
    before = record.runs_file.read_bytes()
    with pytest.raises(DataError, match="has runs on isbi2012: those on synthetic cannot be added"):
        record.add(made_trial([101], data="synthetic"))
    assert record.runs_file.read_bytes() == before
    record.check_data("isbi2012")


def test_a_damaged_record_is_an_error_and_stays_as_it_is(record):
    record.folder.mkdir()
    record.runs_file.write_bytes(b"not compressed")
    with pytest.raises(RunError, match="cannot read the record"):
        record.add(made_trial([100]))
    assert record.runs_file.read_bytes() == b"not compressed"
    record.pictures_file.write_text("{")
    with pytest.raises(RunError, match="damaged"):
        record.pictures()


def test_pictures_of_more_arms_replace_those_of_fewer():
    def shown(place, data, *arms):
        return {place: {"data": data, "arms": {arm: ["crop"] for arm in arms}}}

    def pictures(predictions, *tiles):
        gallery = {"tiles": {tile: ["tile"] for tile in tiles}, "predictions": predictions, "missing": ["no data"]}
        return {"gallery": gallery, "weight_maps": ["map"]}

    first = more_pictures({}, pictures(shown("a", "fold 0", "x") | shown("b", "fold 0", "x", "y"), "fold 0"))
    assert first["gallery"]["missing"] == []
    both = more_pictures(first, pictures(shown("a", "fold 1", "x", "y") | shown("b", "fold 1", "x"), "fold 1"))
    assert {place: one["data"] for place, one in both["gallery"]["predictions"].items()} == {
        "a": "fold 1",
        "b": "fold 0",
    }
    assert set(both["gallery"]["tiles"]) == {"fold 0", "fold 1"}
    assert more_pictures(both, pictures({})) == both
