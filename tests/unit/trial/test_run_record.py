"""Records of runs: from a folder to a line and back, rounded once, the same bytes for the same runs."""

import json
import math
from dataclasses import replace

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from made_records import made_record

from unet_repro.errors import RunError
from unet_repro.runs.folder import RunFolder
from unet_repro.runs.ledger import Entry
from unet_repro.trial.run_record import RunRecord, read_records, record_of, records_of, rounded, write_records

CONFIG = {
    "data": {"_target_": "isbi2012", "root": "/home/someone"},
    "split": {"_target_": "replicate", "fold": 3},
    "model": {"width": 8},
    "trainer": {"max_steps": 50, "threads": 2, "accelerator": "cpu", "precision": "32-true"},
    "logger": {"mode": "disabled"},
    "scale": "laptop",
    "seed": 103,
    "experiment": None,
    "arm": None,
    "runs_dir": "runs",
}
MANIFEST = {
    "source": "isbi2012",
    "digest": "d" * 64,
    "split": {"train": ["train/00"], "val": ["train/20"], "test": []},
    "samples": {key: {"image": f"i{key}", "labels": f"l{key}"} for key in ("train/00", "train/20")},
}
PROVENANCE = {
    "seconds": 10.0, "seconds_at": [5.0, 10.0], "threads": 1, "instruction_set": "AVX2",
    "made_by": {"device": "cpu", "commit": "abc", "torch": "2.13.0", "python": "3.11"},
}  # fmt: skip
RESULT = {"steps": 50, "batch": {"num_tiles": 1}, "parameters": 7, "weights": {"last": "w", "best": "b"}}


def entry(experiment="weight_map", arm="none", run_id="abc", evaluations=("scores",), **changes):
    fields = {"scale": "laptop", "data": "isbi2012", "variant": "", "overrides": (), "cost": 1.0, "comparison": "c"}
    return Entry(experiment, arm, 103, run_id=run_id, evaluations=evaluations, **{**fields, **changes})


def made_folder(path, *, history="step,val/iou,val/iou_own\n25.0,0.5,0.333333333\n50.0,,0.6\n"):
    path.mkdir(parents=True)
    folder = RunFolder(path)
    folder.config.write_text(yaml.safe_dump(CONFIG))
    folder.manifest.write_text(json.dumps(MANIFEST))
    folder.history.write_text(history)
    return folder


def finish(folder, sections=("scores",), **proven):
    folder.finish(RESULT, {**PROVENANCE, **proven})
    (folder.path / "evaluations").mkdir()
    evaluation = {"name": "trial", "version": 3, "sections": list(sections), "all_cell": {"train/20": 1 / 3}}
    (folder.path / "evaluations" / "trial.json").write_text(json.dumps(evaluation))


def test_a_finished_run_has_all_its_fields(tmp_path):
    folder = made_folder(tmp_path / "abc", history="step,val/iou,val/iou_own\n25.0,0.5,0.333333333\n50.0,0.7,0.6\n")
    finish(folder)
    record = record_of(folder, [entry(), entry("tile_size", "572")])
    assert (record.run_id, record.seed, record.fold) == ("abc", 103, 3)
    assert record.arms == {"weight_map": "none", "tile_size": "572"}
    assert record.curve == {"step": [25, 50], "val/iou": [0.5, 0.7], "val/iou_own": [0.333333, 0.6]}
    assert record.evaluation["all_cell"] == {"train/20": 0.333333}
    assert record.settings["trainer"] == {"max_steps": 50, "precision": "32-true"}
    assert "/home/someone" not in record.to_line()
    assert set(record.settings) == {"split", "model", "trainer", "scale", "seed"}
    assert record.manifest["split"] == MANIFEST["split"]
    assert {len(content) for content in record.manifest["samples"].values()} == {12}
    assert record.outcome == {
        "seconds": 10.0, "seconds_at": [5.0, 10.0], "threads": 1, "instruction_set": "AVX2", "steps": 50,
        "batch": {"num_tiles": 1}, "parameters": 7, "device": "cpu", "commit": "abc", "torch": "2.13.0",
    }  # fmt: skip
    assert (record.failed, record.weights_sha256) == (None, "w")


def test_an_unfinished_or_unevaluated_run_has_no_record(tmp_path):
    folder = made_folder(tmp_path / "abc")
    assert record_of(folder, [entry()]) is None
    folder.finish(RESULT, PROVENANCE)
    assert record_of(folder, [entry()]) is None


def test_a_run_lacks_a_record_until_its_evaluation_has_what_all_its_comparisons_ask_for(tmp_path):
    folder = made_folder(tmp_path / "abc", history="step,val/iou\n25,0.5\n")
    finish(folder)
    assert record_of(folder, [entry()]) is not None
    assert record_of(folder, [entry(), entry("rotations", "base", evaluations=("scores", "views"))]) is None


@pytest.mark.parametrize(
    ("reason", "counts"),
    [("TrainingError: the loss is nan at step 7", True), ("OSError: disk full", False), ("RunError: killed", False)],
)
def test_only_a_training_with_a_non_finite_loss_is_a_failed_run(tmp_path, reason, counts):
    folder = made_folder(tmp_path / "abc", history="step,val/iou_own\n25,0.5\n")
    folder.place({"threads": 1, "instruction_set": "AVX2"})
    folder.fail(reason)
    record = record_of(folder, [entry()])
    assert (record is not None) is counts
    if counts:
        assert record.failed == "the loss is nan at step 7"
        assert (record.evaluation, record.weights_sha256) == (None, None)
        assert record.outcome == {"threads": 1, "instruction_set": "AVX2"}


def test_a_record_has_the_code_version_that_trained_it(tmp_path):
    old, new = (made_folder(tmp_path / name, history="step,val/iou\n25,0.5\n") for name in ("old", "new"))
    finish(old)
    finish(new, code_version=7)
    assert [record_of(folder, [entry()]).code_version for folder in (old, new)] == [2, 7]


def test_runs_that_diverge_before_their_first_validation_are_recorded(tmp_path):
    folder = made_folder(tmp_path / "abc")
    folder.history.unlink()
    folder.fail("TrainingError: the loss is nan at step 7")
    assert record_of(folder, [entry()]).curve == {"step": []}


def test_records_of_a_folder_leave_out_the_users_own_variants(tmp_path):
    for name in ("abc", "def", "ghi"):
        finish(made_folder(tmp_path / name, history="step,val/iou\n25,0.5\n"))
    entries = [entry(), entry("tile_size", "572"), entry("split", "x", "ghi", variant="model.width=4")]
    (record,) = records_of(entries, tmp_path)
    assert record.arms == {"weight_map": "none", "tile_size": "572"}


def test_a_line_comes_back_as_the_same_record_with_nan_as_null():
    record = made_record(curve=[0.5, 1 / 3, float("nan")])
    line = record.to_line()
    again = RunRecord.from_line(line)
    assert "NaN" not in line
    assert again.to_line() == line
    assert math.isnan(again.curve["val/iou_own"][2])
    assert again.curve["val/iou_own"][1] == 0.333333
    assert RunRecord.from_line(json.loads(line)).to_line() == line


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_rounding_twice_is_rounding_once_and_keeps_six_digits(value):
    once = rounded(value)
    assert rounded(once) == once
    assert once == pytest.approx(value, rel=1e-5)


def test_the_same_records_give_the_same_bytes_in_any_order(tmp_path):
    records = [made_record(seed=seed, arm=arm) for seed in (101, 100) for arm in ("paper", "none")]
    write_records(tmp_path / "a.gz", records)
    write_records(tmp_path / "b.gz", records[::-1])
    assert (tmp_path / "a.gz").read_bytes() == (tmp_path / "b.gz").read_bytes()
    found = read_records(tmp_path / "a.gz")
    assert [one.seed for one in found] == [100, 100, 101, 101]
    assert sorted(found, key=lambda one: one.run_id) == sorted(
        (RunRecord.from_line(one.to_line()) for one in records), key=lambda one: one.run_id
    )


def test_a_damaged_record_is_named(tmp_path):
    (tmp_path / "bad.gz").write_bytes(b"no gzip")
    with pytest.raises(RunError, match=r"bad\.gz"):
        read_records(tmp_path / "bad.gz")
    with pytest.raises(RunError, match="missing"):
        read_records(tmp_path / "missing.gz")
    for line in ("{", "[]", "{}", json.dumps({**json.loads(made_record().to_line()), "unknown": 1})):
        with pytest.raises(RunError, match="a line of the record is damaged"):
            RunRecord.from_line(line)


def test_a_run_with_its_settings_is_a_few_kilobytes(tmp_path):
    write_records(tmp_path / "a.gz", [replace(made_record(seed=seed), run_id=f"{seed:x}") for seed in range(100, 120)])
    assert (tmp_path / "a.gz").stat().st_size < 20 * 4096
