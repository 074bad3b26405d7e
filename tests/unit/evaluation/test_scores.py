"""Scores of hand-made probabilities: counted by hand, by brute force, and in the border band alone."""

import os

import numpy as np
import pytest
from scipy import ndimage

from unet_repro.data.labels import classes_from_instances, instances_from_mask
from unet_repro.data.sources.isbi2012 import Isbi2012
from unet_repro.evaluation.scores import (
    Judged,
    choose_thresholds,
    iou,
    iou_in_band,
    iou_of_constant,
    scores_at,
    v_rand,
)
from unet_repro.metrics.isbi import slice_measures
from unet_repro.metrics.thresholds import THRESHOLDS

real = pytest.mark.skipif("UNET_REPRO_DATA" not in os.environ, reason="needs the public data in UNET_REPRO_DATA")
ROOMS = np.array([[1, 1, 1, 0, 1, 1, 1]] * 5, np.uint8)  # two cells, a membrane between them


def judged(probability, mask=ROOMS, key="a"):
    truth = instances_from_mask(mask)
    return Judged(key, np.asarray(probability, np.float32), classes_from_instances(truth), truth)


def noisy(seed, size=40):
    """Cells of smooth noise and a probability that is right more often than not."""
    rng = np.random.default_rng(seed)
    smooth = ndimage.gaussian_filter(rng.standard_normal((size, size)), 3)
    mask = (smooth > -0.02).astype(np.uint8)
    return judged(0.3 * mask + rng.uniform(0, 0.6, mask.shape), mask, key=f"{seed}")


def test_iou_is_the_mean_of_both_classes_counted_by_hand():
    probability = np.where(ROOMS, 0.8, 0.2).astype(np.float32)
    probability[0, 0], probability[2, 3] = 0.1, 0.9  # a cell pixel lost, a membrane pixel gained
    image = judged(probability)

    assert iou(image.probability, image.classes, 0.5) == pytest.approx((29 / 31 + 4 / 6) / 2)
    assert iou(image.probability, image.classes, 0.15) == pytest.approx((29 / 35 + 0) / 2)
    assert iou(image.probability, image.classes, 0.95) == pytest.approx((0 + 5 / 35) / 2)


def test_a_gap_in_the_membrane_merges_its_cells_unless_the_threshold_closes_it():
    probability = np.where(ROOMS, 0.9, 0.1).astype(np.float32)
    probability[2, 3] = 0.6
    image = judged(probability)

    assert v_rand(image.probability, image.truth, 0.7) == 1
    assert v_rand(image.probability, image.truth, 0.5) == pytest.approx(2 * 0.5 / (0.5 + 1))


@pytest.mark.parametrize("seed", [0, 1])
def test_v_rand_is_the_thinned_measure_of_the_challenge(seed):
    image = noisy(seed)
    expected = slice_measures(image.truth, image.probability, THRESHOLDS, warping=False)["v_rand"]

    assert [v_rand(image.probability, image.truth, threshold) for threshold in THRESHOLDS] == expected.tolist()


def test_thresholds_are_those_of_the_highest_mean_over_images_for_each_measure():
    images = [noisy(seed) for seed in range(3)]
    chosen = choose_thresholds(images)
    for name, measure in (
        ("iou", lambda image, at: iou(image.probability, image.classes, at)),
        ("v_rand", lambda image, at: v_rand(image.probability, image.truth, at)),
    ):
        means = [np.mean([measure(image, threshold) for image in images]) for threshold in THRESHOLDS]
        best = [threshold for threshold, mean in zip(THRESHOLDS, means, strict=True) if mean == max(means)]
        assert chosen[name] == min(best, key=lambda threshold: abs(threshold - 0.5))
    assert chosen["iou"] != 0.5 or chosen["v_rand"] != 0.5


def test_every_image_is_measured_at_the_threshold_of_each_measure():
    images = [noisy(seed) for seed in range(2)]
    scored = scores_at(images, {"iou": 0.3, "v_rand": 0.7})

    assert list(scored) == ["0", "1"]
    for image in images:
        assert scored[image.key]["iou"] == iou(image.probability, image.classes, 0.3)
        assert scored[image.key]["v_rand"] == v_rand(image.probability, image.truth, 0.7)


def test_the_band_is_what_lies_within_its_width_of_the_border():
    classes = np.ones((10, 12), np.uint8)
    classes[::2] = 0
    right = classes.astype(np.float32)
    wrong_inside = right.copy()
    wrong_inside[3:-3, 3:-3] = 1 - wrong_inside[3:-3, 3:-3]

    assert iou_in_band(wrong_inside, classes, 0.5, 3) == 1
    assert iou_in_band(wrong_inside, classes, 0.5, 4) < 1
    at_the_edge = right.copy()
    at_the_edge[:, -1] = 1 - at_the_edge[:, -1]
    assert iou_in_band(at_the_edge, classes, 0.5, 1) < iou_in_band(at_the_edge, classes, 0.5, 4) < 1


def test_calling_everything_cell_scores_half_of_the_cells_share():
    classes = np.zeros((4, 5), np.uint8)
    classes[:3] = 1

    assert iou_of_constant(classes, 1) == pytest.approx(0.75 / 2)
    assert iou_of_constant(classes, 0) == pytest.approx(0.25 / 2)
    assert iou_of_constant(np.ones((2, 2), np.uint8), 1) == 1


@real
def test_on_real_slices_all_thresholds_give_what_the_challenges_measures_give():
    sample = next(sample for sample in Isbi2012(root=None).samples() if sample.labels is not None)
    smooth = ndimage.gaussian_filter(sample.image.astype(np.float32), 2)
    image = Judged(
        sample.key,
        np.asarray((smooth - smooth.min()) / np.ptp(smooth), np.float32),
        classes_from_instances(sample.labels),
        sample.labels,
    )
    chosen, values = (
        choose_thresholds([image]),
        slice_measures(sample.labels, image.probability, THRESHOLDS, warping=False),
    )

    best = values["v_rand"].max()
    assert v_rand(image.probability, image.truth, chosen["v_rand"]) == best > 0.5
    ious = []
    for threshold in THRESHOLDS:
        called = image.probability > threshold
        pairs = ((called, image.classes == 1), (~called, image.classes == 0))
        ious.append(np.mean([(one & other).sum() / (one | other).sum() for one, other in pairs]))
    assert iou(image.probability, image.classes, chosen["iou"]) == pytest.approx(max(ious))
    assert THRESHOLDS[int(np.argmax(ious))] == chosen["iou"]
    assert iou_of_constant(image.classes, 1) == pytest.approx(0.39, abs=0.02)
