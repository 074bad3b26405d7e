"""What is measured and chosen: pixels that are ignored count nowhere, and objects are those that `predict` writes."""

import dataclasses
import weakref
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from unet_repro.data.datamodule import WholeImage
from unet_repro.data.labels import IGNORED
from unet_repro.evaluation import assessment
from unet_repro.inference.instances import CANDIDATES, to_instances


def trained(maps, classes, labels):
    """A network that predicts these maps for its only image."""
    image = WholeImage("a", np.zeros((1, *classes.shape), np.float32), classes)
    return SimpleNamespace(
        config=SimpleNamespace(data={}),
        data=SimpleNamespace(
            class_names=("background", "cell", "other")[: len(maps)],
            samples={"val": [SimpleNamespace(key="a", labels=labels)]},
        ),
        data_name="made",
        folder=SimpleNamespace(run_id="abc"),
        images=lambda part: [image],
        maps=lambda image, views: torch.from_numpy(maps.copy()),
        objects=lambda image: None,
    )


@pytest.fixture(autouse=True)
def _no_source(monkeypatch):
    monkeypatch.setattr(assessment, "make", lambda group, config: object())


def seen(*given):
    network = trained(*given)
    images = network.images("val")
    return assessment._predict(network, "val", images, views=1, gold=True, image_done=lambda: None)["a"]


def test_objects_in_ignored_pixels_do_not_decide_the_settings():
    truth = np.zeros((40, 60), np.int32)
    truth[5:25, 5:25] = 1
    classes = (truth > 0).astype(np.uint8)
    classes[:, 35:] = IGNORED
    cell = np.where(truth > 0, 0.95, 0.1).astype(np.float32)
    cell[10:30, 40:55] = 0.65  # an object that nobody has labelled
    scores = assessment._candidate_scores(seen(np.stack([1 - cell, cell]), classes, truth))
    assert scores[0] == 1, "threshold 0.5 finds the labelled object alone"


def test_with_several_classes_the_measured_objects_are_those_that_predict_writes():
    labels = np.zeros((30, 60), np.int32)
    labels[5:25, 5:25], labels[5:25, 25:50] = 1, 2
    classes = np.zeros((30, 60), np.uint8)
    classes[5:25, 5:25], classes[5:25, 25:50] = 1, 2
    maps = np.full((3, 30, 60), 0.05, np.float32)
    for number in range(3):
        maps[number][classes == number] = 0.9
    found = seen(maps, classes, labels)
    measured = assessment._measure(found, CANDIDATES[0], ("background", "a", "b"), warping=False, membranes=False)
    written = to_instances(1 - maps[0], CANDIDATES[0])
    assert written.max() == 1  # touching objects of two classes are one
    assert measured.objects == (2, 1)
    assert measured.pixel["iou"] == 1


def test_seeds_are_averaged_without_keeping_the_predictions_of_each(monkeypatch):
    rng = np.random.default_rng(0)
    labels = np.zeros((20, 30), np.int32)
    labels[5:15, 5:25] = 1
    cells = rng.random((3, 20, 30), np.float32)
    predict, kept = assessment._predict, []

    def spied(*given, **settings):
        assert not any(each() for each in kept[:-1]), "predictions of the last but one seed are still in memory"
        found = predict(*given, **settings)
        kept.append(weakref.ref(found["a"]))
        return found

    monkeypatch.setattr(assessment, "_predict", spied)
    monkeypatch.setattr(assessment, "setting_id", lambda config: "one")
    members = {
        seed: [trained(np.stack([1 - cell, cell]), (labels > 0).astype(np.uint8), labels)]
        for seed, cell in enumerate(cells)
    }
    done = []
    found = assessment.assess_trained("cells", members, part="val", image_done=lambda: done.append(1))
    assert list(found.members) == ["seed 0", "seed 1", "seed 2", assessment.MEAN]
    np.testing.assert_array_equal(found.cases["a"][2], cells.mean(axis=0))
    assert len(done) == 3 + 4  # each image is predicted by every seed, and measured for every member


def test_every_map_that_the_networks_have_is_summed_and_no_other():
    labels = np.zeros((4, 5), np.int32)
    one = seen(np.full((3, 4, 5), 1 / 3, np.float32), labels.astype(np.uint8), labels)
    for given in (one, dataclasses.replace(one, by_class=None, seeds=np.ones((4, 5), np.float32))):
        found = assessment._added({"a": given, "only here": given}, {"a": given})
        assert list(found) == ["a"]
        for name in ("probability", "by_class", "seeds"):
            before, after = getattr(given, name), getattr(found["a"], name)
            assert (before is None) == (after is None), name
            assert before is None or np.array_equal(after, 2 * before), name
