"""Runs of a folder become arms, tables and figures; three IoUs, each under its own name."""

import csv
import io
import json

import numpy as np
import pytest
import yaml
from made_trial import SETTINGS, made_trial

from unet_repro.errors import RunError
from unet_repro.report.arm_runs import runs_of_record, runs_on_disk
from unet_repro.report.arms import arms_of, comparisons_of, cost_of
from unet_repro.report.figures import draw_all
from unet_repro.report.table import print_tables, to_csv, to_markdown, write_tables
from unet_repro.runs.folder import RunFolder
from unet_repro.runs.ledger import Entry, Ledger

POOLED = {("SGD", 0): 0.5, ("SGD", 1): 0.7, ("Adam", 0): 0.6}  # arm Adam, seed 1 is not finished


@pytest.fixture
def runs(tmp_path):
    """A ledger with two arms and two seeds, three of the four runs finished, one of these not evaluated."""
    folder = tmp_path / "runs"
    entries = []
    for seed in (0, 1):
        for arm in ("SGD", "Adam"):
            run_id = f"{arm}{seed}"
            entries.append(Entry("optimizer", arm, seed, "cpu", "isbi2012", "", run_id, ("seed=0",), 1.0, "k"))
            if (arm, seed) in POOLED:
                finish(RunFolder(folder / run_id), POOLED[arm, seed], seed, evaluated=arm == "SGD")
    Ledger(folder).record(entries)
    return folder


def finish(folder, pooled, seed, *, evaluated):
    rows = [{"step": step, "val/iou": value, "val/iou_membrane": value - 0.1, "val/loss": 1 - value}
            for step, value in ((5, pooled + 0.05), (10, pooled))]  # fmt: skip
    made_by = {"commit": "abc", "torch": "2", "device": "cpu", "machine": "Linux"}
    folder.finish({"seed": seed, "steps": 10, "final": rows[1], "best": rows[0]}, {"seconds": 60.0, "made_by": made_by})
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    folder.history.write_text(text.getvalue())
    folder.config.write_text(yaml.safe_dump(SETTINGS))
    split = {"train": ["train/00"], "val": ["train/24", "train/25"], "test": []}
    folder.manifest.write_text(json.dumps({"source": "isbi2012", "digest": "d", "split": split, "samples": {}}))
    if evaluated:
        own = {"train/24": {"iou": pooled + 0.1, "v_rand": 0.9}, "train/25": {"iou": pooled + 0.2, "v_rand": 0.8}}
        half = {key: {"iou": one["iou"] - 0.2, "v_rand": 0.7} for key, one in own.items()}
        path = folder.path / "evaluations/trial.json"
        path.parent.mkdir()
        path.write_text(json.dumps({"at_threshold": {"1": own}, "at_half": {"1": half}}))


def arms(folder):
    return arms_of(runs_on_disk(folder))


def test_a_comparison_without_runs_is_an_error(runs):
    with pytest.raises(RunError, match="no runs of 'optimiser'"):
        runs_on_disk(runs, ["optimiser"])


def test_arms_have_the_scores_of_their_finished_seeds(runs):
    sgd, adam = arms(runs)
    assert [run.seed for run in sgd.done] == [0, 1]
    assert sgd.scores["iou_pooled"].values == (0.5, 0.7)
    assert sgd.scores["iou_pooled"].spread == pytest.approx(np.std([0.5, 0.7], ddof=1))
    assert sgd.scores["iou_pooled_membrane"].mean == pytest.approx(0.5)
    assert (len(adam.done), len(adam.runs)) == (1, 2)
    assert adam.scores["iou_pooled"].spread == 0
    assert "iou" not in adam.scores  # not evaluated


def test_each_iou_has_its_own_name(runs):
    sgd, _ = arms(runs)
    assert sgd.scores["iou"].values == pytest.approx((0.65, 0.85))  # mean over images, own threshold
    assert sgd.scores["iou_per_image"].values == pytest.approx((0.45, 0.65))  # mean over images, at 0.5
    assert sgd.scores["iou_pooled"].values == (0.5, 0.7)  # all pixels together
    assert sgd.scores["v_rand"].mean == pytest.approx(0.85)
    assert sgd.done[0].images == pytest.approx({"24": 0.6, "25": 0.7})


def test_record_and_folder_name_measures_alike():
    (arm, *_) = arms_of(runs_of_record(made_trial([100])))
    assert {"iou", "iou_per_image", "iou_pooled", "v_rand", "val_loss", "train_loss"} == set(arm.scores)
    assert "| iou | iou_per_image | iou_pooled | v_rand | val_loss |" in to_markdown([arm])


def test_arms_are_in_the_order_of_their_comparison():
    found = comparisons_of(arms_of(runs_of_record(made_trial([100, 101]))))
    names = [arm.name for arm in found["weight_map/isbi2012/laptop"]]
    assert names == ["none", "class_balance", "border_only", "morphological", "paper"]


def test_an_arm_without_a_finished_run_keeps_its_row(runs):
    Ledger(runs).record([Entry("optimizer", "c", 0, "cpu", "isbi2012", "", "c0", (), 1.0, "k")])
    arm = arms(runs)[-1]
    assert (arm.name, arm.done, arm.scores, arm.cost) == ("c", (), {}, None)
    line = to_markdown(arms(runs)).splitlines()[-1]
    assert "0/1" in line
    assert " - " in line
    assert list(csv.DictReader(io.StringIO(to_csv(arms(runs)))))[-1]["iou_pooled_mean"] == ""


def test_a_comparison_with_changed_data_replaces_the_older_one(runs):
    Ledger(runs).record([Entry("optimizer", "SGD", 0, "cpu", "isbi2012", "", "new", (), 1.0, "other data")])
    (arm,) = arms(runs)
    assert [run.run_id for run in arm.runs] == ["new"]


def test_other_scales_and_variants_are_other_comparisons(runs):
    Ledger(runs).record([
        Entry("optimizer", "SGD", 0, "smoke", "isbi2012", "", "s", (), 1.0, "other scale"),
        Entry("optimizer", "SGD", 0, "cpu", "isbi2012", "model.width=16", "w", (), 1.0, "other width"),
    ])  # fmt: skip
    assert len(comparisons_of(arms(runs))) == 3


def test_an_ad_hoc_sweep_is_one_comparison(runs):
    Ledger(runs).record([
        Entry("model.norm", f"model.norm={norm}", 0, "cpu", "isbi2012", "", norm, (), 1.0, "same")
        for norm in ("none", "batch")
    ])  # fmt: skip
    members = comparisons_of(arms(runs))["model.norm/isbi2012/cpu"]
    assert [arm.name for arm in members] == ["model.norm=none", "model.norm=batch"]


def test_the_table_is_written_as_csv_and_markdown(runs, tmp_path):
    write_tables(runs, None, tmp_path / "out")
    rows = list(csv.DictReader(io.StringIO((tmp_path / "out/table.csv").read_text())))
    assert float(rows[0]["iou_pooled_mean"]) == pytest.approx(0.6)
    assert rows[0]["runs"] == "SGD0 SGD1"
    assert "seconds" not in " ".join(rows[0])  # times of different launchers are not compared
    markdown = (tmp_path / "out/table.md").read_text().splitlines()
    assert "0.600±.141" in markdown[2]
    assert "| iou | iou_per_image | iou_pooled |" in markdown[0]
    assert len({line.count("|") for line in markdown if line.startswith("|")}) == 1
    assert "at the run's own threshold" in markdown[-1]


def test_the_terminal_table_fits_80_columns(runs, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    print_tables(arms(runs))
    shown = capsys.readouterr().out
    assert "0.600±.141" in shown
    assert max(map(len, shown.splitlines())) <= 80


def test_every_comparison_gets_a_figure(runs, tmp_path):
    png, svg = draw_all(arms(runs), tmp_path / "out")
    assert (png.name, svg.name) == ("optimizer.png", "optimizer.svg")
    assert png.read_bytes().startswith(b"\x89PNG")
    assert svg.read_text().startswith("<?xml")


def test_recording_a_cell_again_replaces_it(runs):
    ledger = Ledger(runs)
    before = ledger.read("optimizer")
    ledger.record([Entry("optimizer", "SGD", 1, "cpu", "isbi2012", "", "new", (), 1.0, "k")])
    after = ledger.read("optimizer")
    assert len(after) == len(before)
    assert [entry.run_id for entry in after if (entry.arm, entry.seed) == ("SGD", 1)] == ["new"]


def test_a_network_of_ones_own_has_no_number_of_operations():
    cost = cost_of({**SETTINGS, "model": {**SETTINGS["model"], "_target_": "mine.Net"}})
    assert (cost.tflop, cost.steps) == (None, 1000)
