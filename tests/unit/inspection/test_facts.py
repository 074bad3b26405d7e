import numpy as np
import pytest
from made import sample

from unet_repro.data.labels import IGNORED
from unet_repro.data.sample import Sample
from unet_repro.inspection.facts import facts_of


def test_objects_are_counted_and_measured_in_each_image():
    facts = facts_of([sample("a", 64, 64, object_px=16), sample("b", 96, 64, object_px=16, seed=1)])
    assert facts.objects == (4, 6)
    assert facts.diameter_px == pytest.approx(np.sqrt(4 / np.pi) * 16)
    assert facts.foreground == (0.25, 0.25)
    assert facts.sizes == (((64, 64), 1), ((96, 64), 1))
    assert (facts.image_hw, facts.pixels, facts.dtype) == ((64, 64), 64 * 64 + 96 * 64, "uint8")


def test_images_without_objects_labels_or_pixels_of_their_own_are_named():
    empty = Sample("empty", "images", "train", sample(seed=1).image, np.zeros((160, 160), np.int32))
    samples = [
        sample("a"),
        sample("same"),
        empty,
        sample("bare", seed=2, labelled=False),
        sample("t", seed=3, part="test"),
    ]
    facts = facts_of(samples)
    assert (facts.empty, facts.unlabelled, facts.tested) == (("empty",), ("bare",), ("t",))
    assert facts.duplicates == (("a", "same"),)
    assert facts.labelled == ("a", "same", "empty")


def test_ignored_pixels_are_not_in_the_foreground_share():
    labels = np.array([[1, 1, 0, 0]], np.int32)
    classes = np.array([[1, 1, 0, IGNORED]], np.uint8)
    facts = facts_of([Sample("a", "images", "train", np.array([[1, 2, 3, 4]], np.uint8), labels, classes)])
    assert facts.foreground == (pytest.approx(2 / 3),)
    assert facts.ignored == 0.25
