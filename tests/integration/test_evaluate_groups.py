"""`unet-repro evaluate` over folds, sequences and seeds: out of fold, with intervals; `submit-isbi` in its format."""

import csv
import json
import shutil
import sys

import cv2
import numpy as np
import pytest
import tifffile
from scipy import ndimage
from tiny import STACK, tiny

from unet_repro.cli import main
from unet_repro.commands import evaluate
from unet_repro.data.sources.isbi2012 import NUM_SLICES
from unet_repro.errors import DataError
from unet_repro.evaluation.assessment import assess, assess_trained
from unet_repro.evaluation.groups import Group, groups_of
from unet_repro.evaluation.held_out import number_of_images
from unet_repro.evaluation.measured import MEAN
from unet_repro.evaluation.summaries import rows_of
from unet_repro.evaluation.trained_run import Trained, open_trained
from unet_repro.report.open_table import kept_in
from unet_repro.train import train


@pytest.fixture(scope="module")
def folds(tmp_path_factory):
    """Two folds of two seeds."""
    runs = tmp_path_factory.mktemp("runs")
    split = ["split=kfold", "split.num_folds=2", "split.gap=0"]
    results = [
        train(tiny(runs, *split, f"split.fold={fold}", f"seed={seed}", f"arm='base, fold {fold}'", data=STACK))
        for fold in (0, 1)
        for seed in (0, 1)
    ]
    return runs, [runs / result["run_id"] for result in results]


def test_every_slice_is_measured_out_of_fold_once_a_seed(folds):
    _, runs = folds
    (group,) = groups_of(runs)
    done = []
    found = assess(group, part="val", checkpoint="last", image_done=lambda: done.append(1))
    assert len(done) == number_of_images([group], "val") == 2 * 6 + 3 * 6
    assert set(found.members) == {"seed 0", "seed 1", MEAN}
    manifests = {run.name: json.loads((run / "manifest.json").read_text())["split"] for run in runs}
    for name in ("seed 0", "seed 1"):
        images = found.members[name]
        assert [image.key for image in images] == [f"train/{number:02d}" for number in range(6)]
        for image in images:
            assert image.key in manifests[image.run_id]["val"]
            assert image.key not in manifests[image.run_id]["train"]
    assert found.settings_from == "the other folds' held-out images"
    rows = {(row.of, row.measure): row for row in rows_of(found)}
    iou = rows["seeds", "iou"]
    assert (iou.num_members, iou.num_images) == (2, 6)
    assert iou.low < iou.mean < iou.high
    assert rows["seeds", "v_rand"].thresholds[0] in np.arange(1, 10) / 10
    assert rows[MEAN, "v_rand"].num_members == 1


def test_bfloat16_measures_are_close_and_lie_beside_the_others(folds, tmp_path, monkeypatch):
    _, runs = folds
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", sys.argv)
    measured = {}
    for precision in ("32", "bf16"):
        main(["evaluate", f"run={runs[0]}", f"precision={precision}", "warping=false", "output=out"])
    for name in ("measures-val-best", "measures-val-best-bf16"):
        with (tmp_path / "out" / f"{name}-images.csv").open() as file:
            measured[name] = [float(row["iou"]) for row in csv.DictReader(file)]
    exact, coarse = measured.values()
    assert exact != coarse
    assert coarse == pytest.approx(exact, abs=0.05)


def test_the_best_threshold_is_that_of_the_whole_stack(folds):
    _, runs = folds
    (group,) = groups_of(runs)
    found = assess(group, part="val", checkpoint="last", warping=False)
    row = next(row for row in rows_of(found) if (row.of, row.measure) == (MEAN, "v_info"))
    means = np.mean([image.sweep["v_info"] for image in found.members[MEAN]], axis=0)
    assert row.mean == pytest.approx(means.max())


def test_two_runs_that_hold_out_the_same_images_are_no_group(folds):
    _, runs = folds
    with pytest.raises(DataError, match="have .* in their val part"):
        assess(Group("same", {0: (runs[0], runs[0])}), part="val", checkpoint="last", warping=False)


def call(monkeypatch, folder, *arguments):
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "argv", sys.argv)
    main(list(arguments))


def test_the_command_refuses_overlapping_folds_before_it_predicts(folds, tmp_path, monkeypatch, capsys):
    _, runs = folds
    for name in ("one", "two"):
        shutil.copytree(runs[0], tmp_path / name)
    monkeypatch.setattr(evaluate, "assess", lambda *_, **__: pytest.fail("it was predicted"))
    with pytest.raises(SystemExit):
        call(monkeypatch, tmp_path, "evaluate", "run=[one,two]", "warping=false", "output=out")
    assert "two runs of seed 0 in base, fold 0 have train/00 in their val part" in capsys.readouterr().err


def test_a_group_is_evaluated_by_the_command_line(folds, tmp_path, monkeypatch, capsys):
    runs, _ = folds
    call(monkeypatch, tmp_path, "evaluate", f"run='{runs}/*'", "views=4", "warping=false", "output=out")
    assert "base" in capsys.readouterr().out
    record = json.loads((tmp_path / "out" / "measures-val-best-4-views.json").read_text())
    assert record[0]["group"] == "base"
    with (tmp_path / "out" / "measures-val-best-4-views-images.csv").open() as file:
        assert len(list(csv.DictReader(file))) == 6 * 3
    text = (tmp_path / "out" / "measures-val-best-4-views.md").read_text()
    assert "2 seeds, mean [95 % interval]" in text
    assert "output=" not in text.splitlines()[-1]
    picture = cv2.imread(str(tmp_path / "out" / "measures-val-best-4-views-cases.jpg"))
    assert picture.std() > 10


def test_the_record_joins_seeds_that_were_evaluated_one_after_the_other(folds, tmp_path, monkeypatch):
    _, runs = folds  # by fold, then seed
    for seed in (0, 1):
        ours = f"run=['{runs[seed]}','{runs[2 + seed]}']"
        call(monkeypatch, tmp_path, "evaluate", ours, "warping=false", "output=out", "record=one_by_one")
    call(monkeypatch, tmp_path, "evaluate", f"run='{runs[0].parent}/*'", "warping=false", "output=out", "record=all")
    (one_by_one,), (together,) = kept_in(tmp_path / "one_by_one"), kept_in(tmp_path / "all")
    assert set(one_by_one.assessments[0].members) == {"seed 0", "seed 1"}
    assert [row for row in rows_of(together.assessments[0]) if row.of == "seeds"] == rows_of(one_by_one.assessments[0])
    assert len(one_by_one.assessments[0].commands) == 2


def make_cell_tracking(root, frames=5, size=64):
    rng = np.random.default_rng(0)
    for sequence in ("01", "02"):
        for folder in (sequence, f"{sequence}_GT/SEG", f"{sequence}_GT/TRA", f"{sequence}_ST/SEG"):
            (root / folder).mkdir(parents=True)
        for index in range(frames):
            cells, _ = ndimage.label(ndimage.gaussian_filter(rng.standard_normal((size, size)), 4) > 0.02)
            image = np.clip(90 + 90 * (cells > 0) + rng.normal(0, 10, cells.shape), 0, 255).astype(np.uint8)
            tifffile.imwrite(root / sequence / f"t{index:03d}.tif", image)
            for folder, name in (("ST/SEG", "man_seg"), ("GT/TRA", "man_track"), ("GT/SEG", "man_seg")):
                if folder != "GT/SEG" or index % 2 == 0:
                    tifffile.imwrite(root / f"{sequence}_{folder}" / f"{name}{index:03d}.tif", cells.astype(np.uint16))


def test_sequences_are_judged_by_seg_on_gold_and_det_on_every_frame(tmp_path):
    make_cell_tracking(tmp_path / "u373")
    data = ["data=u373", f"data.root={tmp_path / 'u373'}", "split=sequence", "tiles.size=60", "tiles.budget=2x60"]
    runs = tmp_path / "runs"
    results = [
        train(tiny(runs, f"split.train='{a}'", f"split.test='{b}'", data=data)) for a, b in (("01", "02"), ("02", "01"))
    ]
    (group,) = groups_of(runs / result["run_id"] for result in results)
    done = []
    found = assess(group, part="test", checkpoint="last", image_done=lambda: done.append(1))
    assert len(done) == number_of_images([group], "test")
    images = found.members["seed 0"]
    assert len(images) == 10
    assert all(image.det is not None for image in images)
    assert sum(bool(image.pixel) for image in images) == 6  # the gold frames
    measures = {row.measure: row for row in rows_of(found)}
    assert {"SEG", "DET", "iou"} <= set(measures)
    pooled = np.concatenate([image.seg for image in images if image.pixel]).mean()
    assert measures["SEG"].mean == pytest.approx(pooled)
    assert measures["SEG"].low < pooled < measures["SEG"].high
    assert found.truth == "the experts' gold masks"
    assert "v_rand" not in measures
    assert measures["DET"].num_images == 2
    assert found.settings_from == "each run's validation images"
    by_labels = assess(group, part="test", checkpoint="last", gold=False)
    assert by_labels.truth == "the source's own labels"
    assert all(image.pixel and image.det is not None for image in by_labels.members["seed 0"])


def test_objects_that_a_program_finds_itself_are_judged_as_they_are(tmp_path):
    make_cell_tracking(tmp_path / "u373", frames=4)
    data = ["data=u373", f"data.root={tmp_path / 'u373'}", "split=sequence", "tiles.size=60", "tiles.budget=2x60"]
    run = tmp_path / "runs" / train(tiny(tmp_path / "runs", data=data))["run_id"]

    class FindsAll(Trained):
        def objects(self, image):
            samples = [*self.data.samples["val"], *self.data.samples["test"]]
            return next(sample.labels for sample in samples if sample.key == image.key)

    trained = FindsAll(**vars(open_trained(run, "last")))
    found = assess_trained("program", {0: [trained], 1: [trained]}, part="test")
    assert set(found.members) == {"seed 0", "seed 1"}  # objects have no mean
    measures = {row.measure: row.mean for row in rows_of(found)}
    assert measures["SEG"] == measures["DET"] == 1
    assert measures["iou"] < 1  # of the probabilities


def test_a_part_without_gold_frames_is_judged_by_its_labels(tmp_path):
    make_cell_tracking(tmp_path / "u373", frames=4)  # frames 0 and 2 have gold, frame 3 validates
    data = ["data=u373", f"data.root={tmp_path / 'u373'}", "split=sequence", "tiles.size=60", "tiles.budget=2x60"]
    run = tmp_path / "runs" / train(tiny(tmp_path / "runs", data=data))["run_id"]
    found = assess(groups_of([run])[0], part="val", checkpoint="last")
    assert [image.key for image in found.members["seed 0"]] == ["01/t003"]
    assert found.truth == "the source's own labels"
    assert {"SEG", "DET"} <= {row.measure for row in rows_of(found)}


def make_isbi(root, size=96):
    rng = np.random.default_rng(0)
    for part, kinds in (("train", ("image", "label")), ("test", ("image",))):
        for kind in kinds:
            (root / part / kind).mkdir(parents=True)
            for index in range(NUM_SLICES):
                smooth = ndimage.gaussian_filter(rng.standard_normal((size, size)), 4)
                pixels = 255 * (np.abs(smooth) > 0.02) if kind == "label" else 128 + 900 * smooth
                cv2.imwrite(str(root / part / kind / f"{index}.png"), np.clip(pixels, 0, 255).astype(np.uint8))


def test_a_submission_is_a_volume_of_probabilities(tmp_path, monkeypatch):
    make_isbi(tmp_path / "isbi2012")
    data = ["data=isbi2012", f"data.root={tmp_path / 'isbi2012'}"]
    ids = [train(tiny(tmp_path / "runs", f"seed={seed}", data=data))["run_id"] for seed in (0, 1)]
    call(monkeypatch, tmp_path, "submit-isbi", "run='runs/*'", "views=4", "checkpoint=last", "output=both.tif")
    both = tifffile.imread(tmp_path / "both.tif")
    assert both.shape == (NUM_SLICES, 96, 96)
    assert both.dtype == np.float32
    assert 0 <= both.min() < both.max() <= 1
    for run_id in ids:
        call(
            monkeypatch,
            tmp_path,
            "submit-isbi",
            f"run=runs/{run_id}",
            "views=4",
            "checkpoint=last",
            f"output={run_id}.tif",
        )
    single = [tifffile.imread(tmp_path / f"{run_id}.tif") for run_id in ids]
    np.testing.assert_allclose(both, np.mean(single, axis=0), atol=1e-6)
    with pytest.raises(SystemExit):
        call(monkeypatch, tmp_path, "submit-isbi", f"run=runs/{ids[0]}", "output=both.tif")


def test_a_submission_of_other_data_is_refused(folds, tmp_path, monkeypatch, capsys):
    _, runs = folds
    with pytest.raises(SystemExit):
        call(monkeypatch, tmp_path, "submit-isbi", f"run={runs[0]}", "checkpoint=last")
    assert "not on isbi2012" in capsys.readouterr().err
