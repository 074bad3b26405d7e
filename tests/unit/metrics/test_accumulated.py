"""The torchmetrics classes give what the functions give, whatever the order, the split into processes or batches."""

import copy
import pickle

import numpy as np
import pytest
import torch
from scipy import ndimage

from unet_repro.metrics.accumulated import DET, SEG, ISBIMeasures
from unet_repro.metrics.cell_tracking import det, det_counts, seg_scores
from unet_repro.metrics.isbi import SCORES, THRESHOLDS, slice_measures

NUM = 5


@pytest.fixture(scope="module")
def slices():
    """Probabilities and instance numbers of some slices."""
    rng = np.random.default_rng(0)
    smooth = ndimage.gaussian_filter(rng.standard_normal((NUM, 40, 50)), (0, 2, 2))
    truth = np.stack([ndimage.label(image > 0)[0] for image in smooth]).astype(np.int32)
    noisy = 1 / (1 + np.exp(-20 * smooth - rng.normal(0, 0.5, smooth.shape)))
    return noisy.astype(np.float32), truth


@pytest.fixture(scope="module")
def frames(slices):
    """Predicted and reference instances of some frames."""
    probability, truth = slices
    return np.stack([ndimage.label(image > 0.6)[0] for image in probability]).astype(np.int32), truth


def isbi_by_function(probability, truth):
    found = [slice_measures(t, p) for p, t in zip(probability, truth, strict=True)]
    means = {name: np.mean([each[name] for each in found], 0) for name in found[0]}
    return {name: values.max() if name in SCORES else values.min() for name, values in means.items()}


def seg_by_function(predicted, reference):
    return np.concatenate([seg_scores(r, p) for p, r in zip(predicted, reference, strict=True)]).mean()


def det_by_function(predicted, markers):
    return det(det_counts(m, p) for p, m in zip(predicted, markers, strict=True))


def values_of(metric):
    found = metric.compute()
    return {name: value.item() for name, value in found.items()} if isinstance(found, dict) else found.item()


CASES = [
    (ISBIMeasures, "slices", isbi_by_function),
    (SEG, "frames", seg_by_function),
    (DET, "frames", det_by_function),
]


@pytest.mark.parametrize(("kind", "data", "function"), CASES)
def test_the_class_gives_what_the_functions_give(kind, data, function, request):
    predicted, truth = request.getfixturevalue(data)
    one_by_one, batched = kind(), kind()
    for p, t in zip(predicted, truth, strict=True):
        one_by_one.update(torch.from_numpy(p), torch.from_numpy(t))
    batched.update(torch.from_numpy(predicted), torch.from_numpy(truth))
    assert values_of(one_by_one) == pytest.approx(function(predicted, truth), abs=1e-12)
    assert values_of(batched) == pytest.approx(function(predicted, truth), abs=1e-12)


@pytest.mark.parametrize(("kind", "data", "function"), CASES)
def test_states_of_two_processes_are_combined_as_torchmetrics_does(kind, data, function, request):
    predicted, truth = request.getfixturevalue(data)
    ranks = [kind(), kind()]
    for number, (p, t) in enumerate(zip(predicted, truth, strict=True)):
        ranks[number % 2 == 0].update(torch.from_numpy(p), torch.from_numpy(t))
    whole = kind()
    whole.update(torch.from_numpy(predicted[:1]), torch.from_numpy(truth[:1]))  # replaced below
    whole.reset()
    for name in whole._defaults:
        assert whole._reductions[name] is not None
        gathered = torch.stack([getattr(rank, name) for rank in ranks])
        setattr(whole, name, whole._reductions[name](gathered))
    whole._update_count = 1
    assert values_of(whole) == pytest.approx(function(predicted, truth), abs=1e-12)


@pytest.mark.parametrize(("kind", "data", "function"), CASES)
def test_reset_copies_and_pickles(kind, data, function, request):
    predicted, truth = request.getfixturevalue(data)
    metric = kind()
    metric.update(torch.from_numpy(predicted[:2]), torch.from_numpy(truth[:2]))
    other = pickle.loads(pickle.dumps(copy.deepcopy(metric)))
    assert values_of(other) == values_of(metric)
    metric.reset()
    metric.update(torch.from_numpy(predicted[2:]), torch.from_numpy(truth[2:]))
    assert values_of(metric) == pytest.approx(function(predicted[2:], truth[2:]), abs=1e-12)


def test_the_warping_error_can_be_left_out_and_thresholds_chosen(slices):
    predicted, truth = map(torch.from_numpy, slices)
    metric = ISBIMeasures(THRESHOLDS[4:5], warping=False)
    metric.update(predicted, truth)
    found = values_of(metric)
    assert "warping_error" not in found
    full = ISBIMeasures()
    full.update(predicted, truth)
    assert found["v_rand"] <= values_of(full)["v_rand"]


def test_perfect_frames_score_one_and_shapes_must_agree(frames):
    reference = torch.from_numpy(frames[1])
    for metric in (SEG(), DET()):
        metric.update(reference, reference)
        assert metric.compute() == 1.0
        with pytest.raises(ValueError, match="must have one shape"):
            metric.update(reference, reference[:1])
