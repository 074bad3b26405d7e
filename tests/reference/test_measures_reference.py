"""Measures against scikit-image, py-ctcmetrics, scipy, and plain loops."""

import numpy as np
import pytest
import tifffile
from ctc_metrics.metrics.technical.det import det as ctc_det
from ctc_metrics.metrics.technical.seg import seg as ctc_seg
from ctc_metrics.utils.representations import match
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import ndimage
from skimage.metrics import adapted_rand_error, variation_of_information
from skimage.segmentation import watershed

from unet_repro.data.labels import instances_from_mask
from unet_repro.metrics.cell_tracking import det, det_counts, seg_scores
from unet_repro.metrics.rand import rand_scores
from unet_repro.metrics.thinning import thin_borders
from unet_repro.metrics.warping import _SIMPLE, warp, warping_error

labellings = hnp.arrays(np.int32, (6, 7), elements=st.integers(0, 4))
masks = hnp.arrays(np.bool_, (14, 15))


def alone(predicted):
    """Pixels in no object as objects of their own."""
    nothing = predicted == 0
    return np.where(nothing, np.cumsum(nothing).reshape(predicted.shape) + 100_000, predicted)


@settings(deadline=None, max_examples=80)
@given(labellings, labellings)
def test_rand_and_information_scores_are_the_published_sums(truth, predicted):
    scores = rand_scores(truth, predicted)
    inside = truth > 0
    if not inside.any() or not (predicted > 0).any():
        return
    t, p = truth[inside], alone(predicted)[inside]
    joint = np.array([[np.sum((t == a) & (p == b)) for a in np.unique(t)] for b in np.unique(p)]) / t.size
    s, c = joint.sum(1), joint.sum(0)
    assert scores.v_rand == pytest.approx((joint**2).sum() / (0.5 * (s**2).sum() + 0.5 * (c**2).sum()))
    assert scores.v_rand_split == pytest.approx((joint**2).sum() / (c**2).sum())
    assert scores.v_rand_merge == pytest.approx((joint**2).sum() / (s**2).sum())
    missing, extra = variation_of_information(t[None], p[None])
    entropy_t, entropy_p = (-(x * np.log2(x)).sum() for x in (c, s))
    information = (entropy_t + entropy_p - missing - extra) / 2
    if entropy_t + entropy_p > 1e-9:
        assert scores.v_info == pytest.approx(2 * information / (entropy_t + entropy_p), abs=1e-9)


@settings(deadline=None, max_examples=40)
@given(labellings, labellings, st.permutations(range(1, 5)))
def test_renumbering_changes_nothing(truth, predicted, order):
    renumbered = np.array([0, *order])[predicted]
    assert rand_scores(truth, renumbered).v_rand == pytest.approx(rand_scores(truth, predicted).v_rand)
    assert sorted(seg_scores(truth, renumbered)) == pytest.approx(sorted(seg_scores(truth, predicted)))
    assert det_counts(truth, renumbered) == det_counts(truth, predicted)


def smooth_cells(seed, sigma=2.0, size=120):
    noise = ndimage.gaussian_filter(np.random.default_rng(seed).standard_normal((size, size)), sigma)
    return np.abs(noise) > 0.3 * np.abs(noise).max() * 0.3


@pytest.mark.parametrize("seed", range(3))
def test_thinning_scores_like_the_watershed_of_the_challenge(seed):
    truth = instances_from_mask(smooth_cells(seed))
    proposal = ndimage.binary_erosion(smooth_cells(seed), iterations=1)
    flooded = watershed(ndimage.distance_transform_edt(~proposal), instances_from_mask(proposal), watershed_line=True)
    ours, theirs = rand_scores(truth, thin_borders(proposal)), rand_scores(truth, flooded)
    assert ours.v_rand == pytest.approx(theirs.v_rand, abs=0.01)
    assert ours.v_info == pytest.approx(theirs.v_info, abs=0.01)


@pytest.mark.parametrize("seed", range(3))
def test_the_rand_error_of_pairs_is_that_of_scikit_image(seed):
    truth, predicted = instances_from_mask(smooth_cells(seed)), instances_from_mask(smooth_cells(seed + 1))
    error, _, _ = adapted_rand_error(truth, alone(predicted), ignore_labels=(0,))
    assert rand_scores(truth, predicted).rand_error == pytest.approx(error, abs=1e-12)


def topology(cells):
    padded = np.pad(cells, 1)
    return ndimage.label(padded)[1], ndimage.label(~padded, structure=np.ones((3, 3)))[1]


@settings(deadline=None, max_examples=80)
@given(masks, masks)
def test_a_warped_truth_has_the_truths_topology(truth, proposal):
    warped = warp(truth, proposal)
    assert topology(warped) == topology(truth)
    assert (warped != proposal).sum() <= (truth != proposal).sum()
    assert ((warped == truth) | (warped == proposal)).all()


@settings(deadline=None, max_examples=40)
@given(masks, masks)
def test_no_pixel_that_could_still_be_flipped_is_left(truth, proposal):
    warped = np.pad(warp(truth, proposal), 1)
    for row, column in np.argwhere(warped[1:-1, 1:-1] != proposal):
        around = warped[row : row + 3, column : column + 3]
        flipped = warped.copy()
        flipped[row + 1, column + 1] ^= True
        if topology(flipped[1:-1, 1:-1]) == topology(warped[1:-1, 1:-1]):
            code = sum(int(value) << bit for bit, value in enumerate(np.delete(around.ravel(), 4)))
            assert not _SIMPLE[code]  # the numbers are the same by chance: one join here, one parting there


@settings(deadline=None, max_examples=20)
@given(masks)
def test_what_is_the_truth_has_no_warping_error(cells):
    assert warping_error(cells, cells) == 0.0


@pytest.mark.parametrize("seed", range(6))
def test_seg_and_det_are_those_of_py_ctcmetrics(seed, tmp_path):
    rng = np.random.default_rng(seed)
    truth = instances_from_mask(ndimage.gaussian_filter(rng.standard_normal((60, 60)), 3) > 0.02)
    predicted = instances_from_mask(
        ndimage.gaussian_filter((truth > 0).astype(float), 1) + rng.normal(0, 0.1, truth.shape) > 0.6
    )
    tifffile.imwrite(tmp_path / "truth.tif", truth.astype(np.uint16))
    tifffile.imwrite(tmp_path / "predicted.tif", predicted.astype(np.uint16))
    references, found, matched, by, ious = match(str(tmp_path / "truth.tif"), str(tmp_path / "predicted.tif"))
    assert seg_scores(truth, predicted).mean() == pytest.approx(ctc_seg([references], [ious]))
    objects = set(by)
    expected = ctc_det(
        NS=len(matched) - len(objects),
        FN=len(references) - len(matched),
        FP=len(found) - len(objects),
        num_vertices=len(references),
    )
    assert det([det_counts(truth, predicted)]) == pytest.approx(expected)
