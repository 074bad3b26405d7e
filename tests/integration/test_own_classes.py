"""Own images with three classes and ignored pixels, from files through training, evaluation, prediction and export."""

import json

import cv2
import numpy as np
import pytest
import tifffile
from PIL import Image
from tiny import tiny

from unet_repro.config import check
from unet_repro.data.labels import instances_from_mask
from unet_repro.evaluation.assessment import assess
from unet_repro.evaluation.groups import groups_of
from unet_repro.evaluation.likely_classes import measure_images
from unet_repro.evaluation.trained_run import open_trained
from unet_repro.export.onnx import export_onnx
from unet_repro.predict import predict
from unet_repro.prediction.jobs import PredictSettings
from unet_repro.report.assessed import to_markdown, write_assessments
from unet_repro.runs.network import open_network
from unet_repro.train import train
from unet_repro.training.build import read_data, run_folder

NAMES = ("background", "nucleus", "cytoplasm")
VALUES = np.array([0, 1, 2, 255], np.uint8)


def own_images(root, num=5, size=96):
    """Discs of two kinds, one brighter; a band at the top, of another width in each image, is ignored."""
    rng = np.random.default_rng(0)
    rows, columns = np.mgrid[:size, :size]
    for folder in ("images", "labels"):
        (root / folder).mkdir(parents=True)
    for number in range(num):
        classes = np.zeros((size, size), np.uint8)
        for index, (row, column) in enumerate(np.ndindex(size // 24, size // 24)):
            inside = (rows - 24 * row - 12) ** 2 + (columns - 24 * column - 12) ** 2 < rng.integers(6, 11) ** 2
            classes[inside] = 1 + index % 2
        image = np.array([60, 120, 180])[classes] + rng.normal(0, 10, classes.shape)
        cv2.imwrite(str(root / f"images/{number}.png"), np.clip(image, 0, 255).astype(np.uint8))
        classes[: 10 + number] = 3
        cv2.imwrite(str(root / f"labels/{number}_mask.png"), VALUES[classes])


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A trained run, and its folder of images."""
    folder = tmp_path_factory.mktemp("classes")
    own_images(folder / "own")
    data = ["data=folder", f"data.root={folder / 'own'}", f"data.classes=[{','.join(NAMES)}]"]
    learning = ["optimizer=adamw", "optimizer.lr=1e-2", "trainer.max_steps=80", "trainer.val_every=80", "augment=none"]
    network = ["model.width=6", "model.dropout=0", "weight_map=class_balance"]
    config = tiny(folder / "runs", *learning, *network, data=data)
    result = train(config)
    return run_folder(check(config)).path, folder / "own", result


def hand_counted(run, own, key):
    """Class scores of a validation image from the network alone, and IoU of each class over its known pixels."""
    image = cv2.imread(str(own / f"images/{key}.png"), 0)
    stored = cv2.imread(str(own / f"labels/{key}_mask.png"), 0)
    probability = open_network(run, "last").predict_proba(image)
    known, likely = stored != 255, probability.argmax(0)
    hits = [(known & (stored == k) & (likely == k)).sum() for k in range(3)]
    unions = [(known & ((stored == k) | (likely == k))).sum() for k in range(3)]
    wrong = (known & (stored != likely)).sum() / known.sum()
    truth = np.where(known, stored, 0)[None]
    entropy = -np.log(np.take_along_axis(probability, truth, 0)[0][known].astype(np.float64)).mean()
    return probability, np.array(hits) / np.array(unions), wrong, entropy


def test_classes_are_those_of_the_files_and_learned(run):
    path, _, result = run
    assert json.loads((path / "network.json").read_text())["class_names"] == list(NAMES)
    assert json.loads((path / "manifest.json").read_text())["num_classes"] == 3
    assert all(result["final"][f"val/iou_{name}"] > 0.3 for name in NAMES)


def test_measures_are_those_counted_by_hand_over_the_known_pixels(run):
    path, own, _ = run
    trained = open_trained(path, "last")
    found = measure_images(trained, "val")
    (group,) = groups_of([path])
    assessed = {each.key: each for each in assess(group, part="val", checkpoint="last").members["seed 0"]}
    for key in trained.data.samples["val"]:
        _, iou, wrong, entropy = hand_counted(path, own, key.key)
        for measured in (found[key.key], assessed[key.key].pixel):
            assert [measured[f"iou_{name}"] for name in NAMES] == pytest.approx(iou, abs=1e-3)
            assert measured["iou"] == pytest.approx(iou.mean(), abs=1e-3)
            assert measured["pixel_error"] == pytest.approx(wrong, abs=1e-3)
        assert found[key.key]["loss"] == pytest.approx(entropy, rel=1e-3)
        assert not assessed[key.key].sweep  # measures of membranes are for two classes


def test_the_table_names_every_class(run, tmp_path):
    (group,) = groups_of([run[0]])
    assessment = assess(group, part="val", checkpoint="last")
    assert all(name in to_markdown([assessment]) for name in NAMES)
    assert all(path.exists() for path in write_assessments([assessment], tmp_path, "measures", "command"))


def test_the_evaluation_of_own_data_leads_with_objects_and_has_no_interval_of_few_images(run):
    (group,) = groups_of([run[0]])
    assessment = assess(group, part="val", checkpoint="last")
    text = to_markdown([assessment])
    cells = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line.startswith("|")
    ]
    assert [name for name, *_ in cells[2:5]] == ["SEG", "Dice", "mean IoU"]
    assert not any("[" in value for _, value, *_ in cells[2:])
    (image,) = assessment.members["seed 0"]
    labelled, found = image.objects
    assert labelled == instances_from_mask(image_truth(run[1], image.key)).max()
    assert (
        f"Objects: {labelled} labelled, {found} found; an image's number is off by {abs(labelled - found):.1f}" in text
    )
    assert "No intervals from fewer than 5 images" in text
    assert "V_rand" not in text


def image_truth(own, key):
    """Pixels of cells; the two kinds of discs do not touch."""
    stored = cv2.imread(str(own / f"labels/{key}_mask.png"), 0)
    return (stored > 0) & (stored != 255)


def test_predictions_are_class_numbers_that_a_viewer_shows_probabilities_and_objects(run, tmp_path):
    path, own, _ = run
    probability, *_ = hand_counted(path, own, "4")
    sure = np.abs(np.diff(np.sort(probability, 0)[1:], axis=0)[0]) > 1e-3
    for kind, name in (("classes", "c.png"), ("probabilities", "p.tif"), ("instances", "i.tif")):
        outcome = predict(
            PredictSettings(
                run=path,
                input=str(own / "images/4.png"),
                output=tmp_path / name,
                kind=kind,
                checkpoint="last",
                device="cpu",
            )
        )
        assert not outcome.failures
        assert any("0 background, 1 nucleus, 2 cytoplasm" in note for note in outcome.notes) == (kind == "classes")
    with Image.open(tmp_path / "c.png") as classes:
        assert classes.mode == "P"
        np.testing.assert_array_equal(np.asarray(classes)[sure], probability.argmax(0)[sure])
        colours = np.unique(np.asarray(classes.convert("RGB")).reshape(-1, 3), axis=0)
    assert len(colours) == 3
    np.testing.assert_allclose(tifffile.imread(tmp_path / "p.tif"), probability, atol=1e-4)
    objects, inside = tifffile.imread(tmp_path / "i.tif"), 1 - probability[0] >= 0.5
    if np.abs(probability[0] - 0.5).min() > 1e-4:
        np.testing.assert_array_equal(objects, instances_from_mask(inside))
    assert objects.max() > 1


def test_the_exported_graph_has_every_class(run, tmp_path):
    onnx = pytest.importorskip("onnx")
    assert export_onnx(open_network(run[0]), tmp_path / "net.onnx") < 1e-5
    (output,) = onnx.load(tmp_path / "net.onnx").graph.output
    assert output.type.tensor_type.shape.dim[1].dim_value == 3


def test_one_partly_labelled_image_trains(tmp_path):
    own_images(tmp_path / "own", num=1, size=240)
    label = tmp_path / "own/labels/0_mask.png"
    stored = cv2.imread(str(label), 0)
    scribbles = np.zeros_like(stored)  # 0: not labelled, 1: background, 2: cell
    scribbles[::5] = np.where(stored[::5] == 255, 0, 1 + (stored[::5] > 0))
    cv2.imwrite(str(label), scribbles)
    data = ["data=folder", f"data.root={tmp_path / 'own'}", "data.ignore=0", "split=within"]
    config = tiny(tmp_path / "runs", "weight_map=class_balance", data=data)
    result = train(config)
    source = read_data(check(config))
    assert source.class_names == ("background", "cell")
    assert (source.split.train, source.split.val) == (("0/rows_0-151",), ("0/rows_192-239",))
    assert result["final"]["step"] == 8
    assert np.isfinite([result["final"][name] for name in ("train/loss", "train/ce", "val/loss", "val/iou")]).all()
