"""Targets for touching objects and the working resolution, from training to evaluation, prediction and export."""

import dataclasses
import json
import shutil
import sys

import cv2
import numpy as np
import pytest
import tifffile
from tiny import tiny

from unet_repro import load
from unet_repro.cli import main
from unet_repro.config import check
from unet_repro.errors import ConfigError, DataError
from unet_repro.evaluation.evaluations import evaluate
from unet_repro.evaluation.trained_run import open_trained
from unet_repro.inference import file as file_module
from unet_repro.inference import working_plane
from unet_repro.inference.instance_settings import InstanceOverrides, InstanceSettings
from unet_repro.inference.instances import to_instances
from unet_repro.inference.rotations import average_views
from unet_repro.inspection.page import weight_section
from unet_repro.predict import predict
from unet_repro.prediction.jobs import PredictSettings
from unet_repro.runs.folder import RunFolder
from unet_repro.runs.object_settings import read_choice
from unet_repro.tracking.callback import validation_panel
from unet_repro.train import train

VARIANTS = {
    "border": ["target=border", "target.width_px=2", "target.weight=3", "weight_map=class_balance"],
    "distance": ["target=distance", "weight_map=none"],
    "reduced": ["data.scale=0.5", "weight_map=none"],
    "both": ["target=distance", "data.scale=0.5", "weight_map=none"],
}


def cells(seed):
    """An image of 12 cells in a grid that touch, and their numbers."""
    rng = np.random.default_rng(seed)
    labels = np.zeros((96, 128), np.int32)
    for number, (row, column) in enumerate(np.ndindex(3, 4), 1):
        top, left = 4 + 29 * row, 6 + 29 * column
        labels[top : top + 29, left : left + 29] = number
    image = np.where(labels > 0, 160, 60) + rng.normal(0, 8, labels.shape)
    edges = cv2.morphologyEx(labels.astype(np.float32), cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8)) > 0
    return np.clip(image - 50 * edges, 0, 255).astype(np.uint8), labels


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("mine")
    for seed in range(4):
        image, labels = cells(seed)
        for name, pixels in (("images", image), ("labels", labels.astype(np.uint16))):
            (root / name).mkdir(exist_ok=True)
            cv2.imwrite(str(root / name / f"{seed}.png"), pixels)
    return root


@pytest.fixture(scope="module")
def trained(folder, tmp_path_factory):
    """A run of each variant, named."""
    runs = tmp_path_factory.mktemp("runs")
    data = ["data=folder", f"data.root={folder}", "data.labels=instances", "split=contiguous", "split.gap=0"]
    return {
        name: runs / train(tiny(runs, *overrides, "augment=flip_rotate", data=data))["run_id"]
        for name, overrides in VARIANTS.items()
    }


@pytest.mark.parametrize("name", ["border", "distance"])
def test_a_panel_of_images_predicted_again_has_the_classes_of_the_data(trained, name):
    found = open_trained(trained[name], "last")
    assert not found.task.shown
    names = found.data.class_names
    panel = validation_panel(found.task, found.data.whole_images("val"), class_names=names, num_images=1)
    assert panel.predictions[0].max() <= 1


@pytest.mark.parametrize("name", ["border", "distance"])
def test_the_inspection_shows_the_weights_of_the_training(trained, name):
    found = open_trained(trained[name], "last")
    config = dataclasses.replace(found.config, weight_map={"_target_": "unet_repro.data.weight_maps.class_balance"})
    found.data.setup("fit")
    section = weight_section(found.data, config)
    weights = found.data.train_tiles.weights[0]
    assert f"up to {(weights if weights.ndim == 2 else weights[0]).max():.3g}" in section


def test_a_folder_without_a_list_of_its_images_needs_them_named(trained, folder, tmp_path):
    copied = tmp_path / trained["reduced"].name
    shutil.copytree(trained["reduced"], copied)
    RunFolder(copied).manifest.unlink()
    with pytest.raises(DataError, match="has no list of its images"):
        open_trained(copied, "last")
    assert open_trained(copied, "last", data_root=folder).images("val")


def maps_of(network, image, views=1):
    num_classes = network.head.num_classes
    return average_views(network.scores, network.normalisation.apply(image), views, num_classes).cpu().numpy()


@pytest.mark.parametrize("name", VARIANTS)
def test_a_prediction_of_a_file_in_small_tiles_is_that_of_the_image_in_memory(name, trained, tmp_path, monkeypatch):
    monkeypatch.setattr(working_plane, "BAND_PIXELS", 1500)
    network, (image, _) = load(trained[name]), cells(9)
    image = image[:, :111]  # odd sizes
    cv2.imwrite(str(tmp_path / "a.png"), image)
    maps = maps_of(network, image)
    settings = InstanceSettings(
        threshold=float(np.median(maps[1])),
        method="seeds" if network.head.has_seeds else "watershed",
        seed_threshold=float(np.clip(np.quantile(maps[-1], 0.7), 0.01, 0.99)),
    )
    given = InstanceOverrides(settings.threshold, settings.method, 0, 5, settings.seed_threshold)

    def predicted(output, **options):
        how = {"run": trained[name], "input": str(tmp_path / "a.png"), "output": tmp_path / output, "device": "cpu"}
        outcome = predict(PredictSettings(**how, **options))
        assert not outcome.failures
        return outcome

    small = {"memory_gb": 0.0006}
    predicted("p.npy", kind="probabilities", **small)
    probability = np.load(tmp_path / "p.npy")
    np.testing.assert_allclose(probability, maps[1], atol=1e-5)
    assert network.predict_proba(image).shape == (2, *image.shape)
    predicted("i.npy", kind="instances", instances=given, objects=False, **small)
    objects = np.load(tmp_path / "i.npy")
    seeds = maps[2] if network.head.has_seeds else None
    expected = to_instances(maps[1], settings, seeds)
    assert (objects == expected).mean() > 0.97  # pixels at a threshold differ by rounding
    assert objects.max() > 1
    predicted("c.npy", kind="classes")
    sure = np.abs(maps[1] - 0.5) > 1e-4
    np.testing.assert_array_equal(np.load(tmp_path / "c.npy")[sure], maps[1][sure] > 0.5)
    predicted("8.npy", kind="probabilities", views=8)
    predicted("8 small.npy", kind="probabilities", views=8, **small)
    np.testing.assert_allclose(np.load(tmp_path / "8 small.npy"), np.load(tmp_path / "8.npy"), atol=1e-5)
    assert np.abs(np.load(tmp_path / "8.npy") - probability).max() > 1e-4
    assert not [path.name for path in tmp_path.iterdir() if path.name.startswith(".")]


def test_a_prediction_at_a_working_resolution_resumes_after_its_tiles(trained, tmp_path, monkeypatch):
    stack = np.stack([cells(seed)[0] for seed in (5, 6)])
    tifffile.imwrite(tmp_path / "a.tif", stack)
    settings = {"run": trained["both"], "input": str(tmp_path / "a.tif"), "device": "cpu", "objects": False}
    predict(PredictSettings(output=tmp_path / "whole.npy", **settings))
    number = file_module._number_objects

    def killed(mask, output, plane, how):
        if plane == 1:
            raise KeyboardInterrupt
        number(mask, output, plane, how)

    with monkeypatch.context() as patch:
        patch.setattr(file_module, "_number_objects", killed)
        with pytest.raises(KeyboardInterrupt):
            predict(PredictSettings(output=tmp_path / "resumed.npy", **settings))
    with monkeypatch.context() as patch:
        patch.setattr(file_module._Work, "predict_planes", lambda *_, **__: None)  # nothing is predicted again
        predict(PredictSettings(output=tmp_path / "resumed.npy", **settings))
    assert (tmp_path / "whole.npy").read_bytes() == (tmp_path / "resumed.npy").read_bytes()


@pytest.mark.parametrize("name", ["border", "both"])
def test_evaluation_chooses_seeds_at_full_resolution_and_prediction_uses_them(name, trained, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", sys.argv)
    main(["evaluate", f"run={trained[name]}", "warping=false", "output=out", "views=4"])
    (assessed,) = json.loads((tmp_path / "out" / "measures-val-best-4-views.json").read_text())
    assert {"SEG", "iou_cell"} <= {row["measure"] for row in assessed["measures"]}
    chosen = read_choice(RunFolder(trained[name]), "best")
    assert chosen.method == "seeds"
    cv2.imwrite("a.png", cells(7)[0])
    outcome = predict(PredictSettings(trained[name], "a.png", tmp_path / "a.npy", objects=False, device="cpu"))
    assert any("kind=instances" in note for note in outcome.notes)
    assert any(f"seed_threshold={chosen.seed_threshold}" in note for note in outcome.notes)
    assert np.load("a.npy").shape == (96, 128)


def test_target_and_working_resolution_are_part_of_the_identity_and_their_absence_is_not(trained, tmp_path):
    assert len({path.name for path in trained.values()}) == len(VARIANTS)
    plain = check(tiny(tmp_path))
    assert check(tiny(tmp_path, "target=none")) == plain
    assert check(tiny(tmp_path, "data.scale=1")) == check(tiny(tmp_path, "data.scale=1.0")) == plain
    assert "target" not in plain.plain()
    assert "data_scale" not in plain.plain()
    assert "scale" not in plain.plain()["data"]


def test_a_setting_of_a_target_needs_its_target(tmp_path):
    with pytest.raises(ConfigError, match="target has no _target_"):
        check(tiny(tmp_path, "+target.width_px=2"))


@pytest.mark.parametrize("scale", ["0", "2", "half"])
def test_an_impossible_working_resolution_is_refused(scale, tmp_path):
    with pytest.raises(ConfigError, match=f"data.scale={scale} must be above 0"):
        check(tiny(tmp_path, f"data.scale={scale}"))


def test_a_network_without_seed_map_refuses_seeds(trained, tmp_path):
    cv2.imwrite(str(tmp_path / "a.png"), cells(7)[0])
    with pytest.raises(ConfigError, match="needs a network with a seed map"):
        predict(
            PredictSettings(
                trained["reduced"],
                str(tmp_path / "a.png"),
                tmp_path / "a.npy",
                kind="instances",
                instances=InstanceOverrides(method="seeds"),
            )
        )


def test_the_trial_refuses_them(trained):
    with pytest.raises(DataError, match="without target and data.scale"):
        evaluate(trained["both"], ["scores"])


@pytest.mark.slow
def test_an_exported_network_states_its_outputs_and_gives_them(trained, tmp_path):
    onnx = pytest.importorskip("onnx")
    main(["export", f"run={trained['both']}", f"output={tmp_path / 'model.onnx'}"])
    props = {each.key: json.loads(each.value) for each in onnx.load(tmp_path / "model.onnx").metadata_props}
    assert props["channels"] == ["background", "cell", "distance"]
    assert props["scale"] == 0.5
