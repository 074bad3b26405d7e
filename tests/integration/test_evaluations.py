"""The evaluation of a trained run: complete, made once, equal to its last validation, refused where it cannot be."""

import json
import shutil
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from tiny import tiny

from unet_repro.errors import ConfigError, DataError, RunError
from unet_repro.evaluation import evaluations
from unet_repro.evaluation.evaluations import evaluate, is_evaluated, read_evaluation
from unet_repro.evaluation.likely_classes import measure_images
from unet_repro.evaluation.scores import choose_thresholds, iou, iou_in_band, scores_at
from unet_repro.evaluation.sections import SECTIONS, Predictions
from unet_repro.evaluation.trained_run import open_trained
from unet_repro.runs.folder import RunFolder
from unet_repro.train import train

KEY = "train/05"
HALO = 20  # at depth 2


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    runs = tmp_path_factory.mktemp("runs")
    result = train(tiny(runs))
    return runs / result["run_id"]


@pytest.fixture(scope="module")
def record(run):
    return evaluate(run, SECTIONS)


@pytest.fixture(scope="module")
def predictions(run):
    with torch.inference_mode():
        made = Predictions(open_trained(run, "last"))
        made.train, made.val  # noqa: B018  # predicted here
    return made


def test_thresholds_are_chosen_on_all_training_images_and_judge_the_held_out_one(record, predictions):
    assert [image.key for image in predictions.train] == [f"train/{n:02d}" for n in range(4)]
    chosen = choose_thresholds(predictions.train)

    assert record["thresholds"]["1"] == chosen
    assert record["at_threshold"]["1"] == scores_at(predictions.val, chosen)
    assert record["at_half"]["1"] == scores_at(predictions.val, {"iou": 0.5, "v_rand": 0.5})
    assert list(record["at_half"]["1"]) == [KEY]


def test_values_at_a_half_and_losses_are_those_of_the_last_validation(run, record):
    final = json.loads((run / "result.json").read_text())["final"]
    assert record["at_half"]["1"][KEY]["iou"] == pytest.approx(final["val/iou"], abs=1e-6)
    assert record["loss"]["val"][KEY] == pytest.approx(final["val/loss"], rel=1e-5)


def test_curves_choose_the_threshold_on_training_images_as_the_evaluation_does(run, record):
    final = json.loads((run / "result.json").read_text())["final"]
    assert final["val/threshold"] == pytest.approx(record["thresholds"]["1"]["iou"])
    assert final["val/iou_own"] == pytest.approx(record["at_threshold"]["1"][KEY]["iou"], abs=1e-6)


def test_losses_of_training_images_are_measured_without_augmentation(run, record):
    measured = measure_images(open_trained(run, "last"), "train")
    assert record["loss"]["train"] == {key: values["loss"] for key, values in measured.items()}
    assert len(record["loss"]["train"]) == 4


def test_calling_every_pixel_the_more_frequent_class_is_the_score_to_exceed(record, predictions):
    (image,) = predictions.val
    share = image.classes.mean()
    assert share > 0.5
    assert record["all_cell"] == {KEY: pytest.approx(share / 2)}


def test_seven_views_have_thresholds_of_their_own_and_one_view_is_the_image(record, predictions):
    with torch.inference_mode():
        rotated = predictions.rotated("train")
        chosen = choose_thresholds(rotated)
        val = predictions.rotated("val")
    assert record["thresholds"]["7"] == chosen
    assert record["at_threshold"]["7"] == scores_at(val, chosen)
    assert record["at_half"]["7"] == scores_at(val, {"iou": 0.5, "v_rand": 0.5})
    assert np.abs(rotated[0].probability - predictions.train[0].probability).max() > 1e-4


def test_the_border_is_the_band_of_the_halo_in_the_image_and_in_its_inner_part(record, predictions):
    (judged,) = predictions.val
    (image,) = predictions.trained.images("val")
    at, inside = record["thresholds"]["1"]["iou"], (slice(HALO, -HALO), slice(HALO, -HALO))
    with torch.inference_mode():
        zeros = predictions.probability(image.image, padding="zero")
        inner = predictions.probability(np.ascontiguousarray(image.image[:, HALO:-HALO, HALO:-HALO]))
    expected = {
        "mirror": iou_in_band(judged.probability, judged.classes, at, HALO),
        "zeros": iou_in_band(zeros, judged.classes, at, HALO),
        "inner, real": iou_in_band(judged.probability[inside], judged.classes[inside], at, HALO),
        "inner, mirror": iou_in_band(inner, judged.classes[inside], at, HALO),
    }
    assert record["border"] == {name: {KEY: value} for name, value in expected.items()}
    assert not np.array_equal(inner, judged.probability[inside])
    # Farther from the inner part's border than the halo both see the same pixels.
    core = (slice(HALO, -HALO),) * 2
    np.testing.assert_allclose(inner[core], judged.probability[inside][core], atol=1e-5)


def test_stitched_tiles_equal_the_untiled_image(record):
    assert record["seam"][KEY] < 1e-6


def test_instance_norm_shows_at_the_seams(tmp_path):
    result = train(tiny(tmp_path, "model.norm=instance"))
    assert evaluate(tmp_path / result["run_id"], ["seam"])["seam"][KEY] > 1e-4


def test_the_predicted_classes_are_kept_for_pictures(run, record, predictions):
    (judged,) = predictions.val
    with np.load(RunFolder(run).evaluation_file.with_suffix(".npz")) as stored:
        assert list(stored) == ["0"]
        assert iou(stored["0"].astype(np.float32), judged.classes, 0.5) == record["at_threshold"]["1"][KEY]["iou"]


def test_it_is_computed_once_and_read_back_as_it_was(run, record, monkeypatch):
    monkeypatch.setattr(evaluations, "open_trained", lambda *_: pytest.fail("computed again"))
    assert evaluate(run, ["scores", "seam"]) == record == read_evaluation(run)
    assert is_evaluated(run, SECTIONS)


def test_sections_added_later_give_what_all_at_once_give(run, record, tmp_path):
    for path in run.iterdir():
        if path.is_file():
            (tmp_path / path.name).write_bytes(path.read_bytes())
    assert is_evaluated(tmp_path, [])
    assert evaluate(tmp_path, ["seam"])["sections"] == ["scores", "seam"]
    assert not is_evaluated(tmp_path, ["seam", "views"])
    assert evaluate(tmp_path, ["views"])["sections"] == ["scores", "views", "seam"]
    assert evaluate(tmp_path, ["border"]) == record
    assert RunFolder(tmp_path).evaluation_file.read_bytes() == RunFolder(run).evaluation_file.read_bytes()


def test_sections_computed_at_the_same_time_are_all_kept(run, record, tmp_path):
    """A sweep evaluates one run for several comparisons, in several processes."""
    copy = tmp_path / run.name
    shutil.copytree(run, copy, ignore=shutil.ignore_patterns("evaluations"))
    with ThreadPoolExecutor(3) as pool:
        for asked in [pool.submit(evaluate, copy, [section]) for section in ("views", "border", "seam")]:
            asked.result()
    assert read_evaluation(copy) == record


def test_an_image_without_an_inner_part_has_the_outer_band_alone(tmp_path):
    deeper = ["model.depth=3", "tiles.size=100", "tiles.budget=1x100"]  # a halo of 44 pixels
    config = tiny(tmp_path, *deeper, data=["data=synthetic", "data.num_slices=6", "data.size_px=64"])
    border = evaluate(tmp_path / train(config)["run_id"], ["border"])["border"]
    assert set(border["mirror"]) == set(border["zeros"]) == {KEY}
    assert border["inner, real"] == border["inner, mirror"] == {}


def test_another_version_of_the_code_measures_again(run, record, monkeypatch):
    monkeypatch.setattr(evaluations, "VERSION", 99)
    assert not is_evaluated(run, ["scores"])


def test_how_it_was_measured_is_on_record(record):
    assert record["name"] == "trial"
    assert record["transform"]["checkpoint"] == "last"
    assert record["transform"]["padding"] == "mirror"


def test_unknown_sections_and_damaged_files_are_refused(run, tmp_path):
    with pytest.raises(ConfigError, match="unknown section 'nonsense'"):
        evaluate(run, ["nonsense"])
    with pytest.raises(RunError, match="not a run's folder"):
        evaluate(tmp_path, ["scores"])
    path = RunFolder(tmp_path / "run").evaluation_file
    path.parent.mkdir(parents=True)
    path.write_text("{")
    with pytest.raises(RunError, match="damaged"):
        evaluate(tmp_path / "run", ["scores"])


def test_data_of_more_than_two_classes_are_refused(run, tmp_path, monkeypatch):
    (tmp_path / "config.yaml").touch()
    trained = open_trained(run, "last")
    monkeypatch.setattr(trained.data, "class_names", ("a", "b", "c"))
    monkeypatch.setattr(evaluations, "open_trained", lambda *_: trained)
    with pytest.raises(DataError, match="two classes; synthetic has 3"):
        evaluate(tmp_path, ["scores"])


def test_a_run_without_weights_is_refused(run, tmp_path):
    for name in ("config.yaml", "manifest.json", "result.json"):
        (tmp_path / name).write_bytes((run / name).read_bytes())
    with pytest.raises(RunError):
        evaluate(tmp_path, ["scores"])
