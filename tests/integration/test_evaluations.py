"""What is measured on a trained run: complete, computed once, equal to the validation's, refused where it cannot be."""

import json

import numpy as np
import pytest
import torch
from tiny import tiny

from unet_repro.errors import ConfigError, RunError
from unet_repro.evaluation import evaluations
from unet_repro.evaluation.evaluations import EVALUATIONS, evaluation, is_evaluated, path_of
from unet_repro.evaluation.trained_run import open_trained
from unet_repro.train import train

KEY = "train/05"


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    runs = tmp_path_factory.mktemp("runs")
    result = train(tiny(runs))
    return runs / result["run_id"]


@pytest.fixture(scope="module")
def measured(run):
    return {name: evaluation(run, name) for name in EVALUATIONS}


def test_the_images_pool_to_the_last_validations_measures(run, measured):
    final = json.loads((run / "result.json").read_text())["final"]
    images = measured["val"]["variants"]["whole"]
    assert list(images) == [KEY]  # a fifth of six slices
    for name in ("iou", "iou_membrane", "iou_cell", "dice", "pixel_error", "loss"):
        assert images[KEY][name] == pytest.approx(final[f"val/{name}"], abs=1e-6)
    assert 0 <= images[KEY]["pair_f_score"] <= 1


def test_predictions_are_kept_for_pictures(run, measured):
    with np.load(path_of(run, "val").with_suffix(".npz")) as stored:
        assert stored.files == ["0"]
        assert stored["0"].shape == (96, 96)
        assert set(np.unique(stored["0"])) <= {0, 1}


def test_overlap_tiles_mirror_zero_and_small_tiles(measured):
    variants = measured["overlap_tile"]["variants"]
    whole = measured["val"]["variants"]["whole"][KEY]
    assert variants["mirror"][KEY]["iou"] == whole["iou"]
    assert variants["zero"][KEY]["loss"] != whole["loss"]
    assert variants["small tiles"][KEY]["max_difference"] < 1e-4
    assert 0 <= variants["zero"][KEY]["iou_band"] <= 1


def test_one_view_is_the_prediction_itself(measured):
    variants = measured["rotations"]["variants"]
    assert list(variants) == ["1", "4", "7", "8"]
    whole = measured["val"]["variants"]["whole"][KEY]
    assert variants["1"][KEY]["iou"] == whole["iou"]
    assert variants["1"][KEY]["loss"] == pytest.approx(whole["loss"], rel=1e-5)


def test_the_band_is_what_lies_nearer_to_the_border_than_the_halo(run, monkeypatch):
    trained = open_trained(run, "last")
    image = trained.images("val")[0]
    band = evaluations._band(image, 20)
    assert band.sum() == 96 * 96 - 56 * 56
    assert not band[20:-20, 20:-20].any()
    right = torch.nn.functional.one_hot(torch.from_numpy(image.classes).long(), 2).permute(2, 0, 1).float()
    assert evaluations._iou(trained, right, image, band) == 1
    wrong_inside = right.clone()
    wrong_inside[:, 20:-20, 20:-20] = wrong_inside[:, 20:-20, 20:-20].flip(0)
    assert evaluations._iou(trained, wrong_inside, image, band) == 1
    assert evaluations._iou(trained, wrong_inside, image, np.ones_like(band)) < 0.9


def test_it_is_computed_once(run, measured, monkeypatch):
    monkeypatch.setattr(evaluations, "open_trained", lambda *_: pytest.fail("computed again"))
    assert evaluation(run, "val") == measured["val"]
    assert is_evaluated(run, ["val", "rotations"])


def test_another_version_of_the_code_measures_again(run, measured, monkeypatch):
    monkeypatch.setattr(evaluations, "VERSION", 99)
    assert not is_evaluated(run, ["val"])


def test_how_it_was_measured_is_on_record(measured):
    assert measured["val"]["transform"]["checkpoint"] == "last"
    assert measured["val"]["transform"]["padding"] == "mirror"
    assert "zero" in measured["overlap_tile"]["transform"]["padding"]


def test_unknown_evaluations_and_damaged_files_are_refused(run, tmp_path):
    with pytest.raises(ConfigError, match="no evaluation 'nonsense'"):
        evaluation(run, "nonsense")
    with pytest.raises(RunError, match="not a run's folder"):
        evaluation(tmp_path, "val")
    path = path_of(tmp_path / "run", "val")
    path.parent.mkdir(parents=True)
    path.write_text("{")
    with pytest.raises(RunError, match="damaged"):
        evaluation(tmp_path / "run", "val")


def test_a_run_without_weights_is_refused(run, tmp_path):
    for name in ("config.yaml", "manifest.json", "result.json"):
        (tmp_path / name).write_bytes((run / name).read_bytes())
    with pytest.raises(RunError):
        evaluation(tmp_path, "val")
