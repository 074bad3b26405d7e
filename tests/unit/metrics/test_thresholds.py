"""Confusion matrices at all thresholds equal those of one threshold after another; ties go to the nearest of 0.5."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from unet_repro.data.labels import IGNORED
from unet_repro.metrics.pixel import confusion, iou_per_class
from unet_repro.metrics.thresholds import THRESHOLDS, best_threshold, confusion_at, iou_at

# Also values that equal a threshold exactly.
PROBABILITIES = st.one_of(st.sampled_from([np.float32(value) for value in THRESHOLDS]), st.floats(0, 1, width=32))


def test_the_grid_is_that_of_the_protocol():
    assert pytest.approx(np.arange(1, 20) / 20, abs=1e-12) == THRESHOLDS


@settings(deadline=None, max_examples=50)
@given(st.data(), st.integers(1, 40))
def test_all_thresholds_at_once_are_one_after_another(data, size):
    probability = torch.from_numpy(data.draw(arrays(np.float32, size, elements=PROBABILITIES)))
    classes = torch.from_numpy(data.draw(arrays(np.int64, size, elements=st.integers(0, 1))))
    found, iou = confusion_at(probability, classes), iou_at(probability, classes)

    assert found.shape == (19, 2, 2)
    for number, threshold in enumerate(THRESHOLDS):
        called = (probability > torch.tensor(threshold, dtype=torch.float32)).long()
        expected = confusion(called, classes, 2)
        assert torch.equal(found[number], expected)
        assert iou[number] == iou_per_class(expected).mean()


def test_ignored_pixels_are_not_counted():
    probability, classes = torch.rand(50), torch.randint(2, (50,))
    ignored = torch.cat([classes, torch.full((30,), IGNORED)])

    assert torch.equal(
        confusion_at(torch.cat([probability, torch.rand(30)]), ignored), confusion_at(probability, classes)
    )


@pytest.mark.parametrize(
    ("best", "expected"),
    [([0.3], 0.3), ([0.1, 0.7], 0.7), ([0.4, 0.6], 0.4), ([0.05, 0.95], 0.05), (THRESHOLDS, 0.5)],
)
def test_ties_go_to_the_threshold_nearest_to_a_half(best, expected):
    values = [1.0 if threshold in best else 0.9 for threshold in THRESHOLDS]

    assert THRESHOLDS[best_threshold(values)] == expected
