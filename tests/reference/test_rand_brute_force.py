"""The Rand error against the count of all pairs of pixels, and by hand."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from unet_repro.metrics.rand import rand_scores


def by_pairs(truth, predicted):
    """Harmonic mean of precision and recall over all pairs of pixels that lie in cells of the truth."""
    inside = [(t, p) for t, p in zip(truth.ravel(), predicted.ravel(), strict=True) if t]
    both = same_truth = same_predicted = 0
    for (t1, p1), (t2, p2) in combinations(inside, 2):
        joined_truth, joined_predicted = t1 == t2, p1 == p2 != 0
        same_truth += joined_truth
        same_predicted += joined_predicted
        both += joined_truth and joined_predicted
    return both, same_truth, same_predicted


@settings(deadline=None, max_examples=60)
@given(
    hnp.arrays(np.int32, (4, 5), elements=st.integers(0, 3)), hnp.arrays(np.int32, (4, 5), elements=st.integers(0, 3))
)
def test_all_pairs_counted_one_by_one_give_the_same(truth, predicted):
    both, same_truth, same_predicted = by_pairs(truth, predicted)
    if not (both and same_truth and same_predicted):
        return
    precision, recall = both / same_predicted, both / same_truth
    assert 1 - rand_scores(truth, predicted).rand_error == pytest.approx(2 * precision * recall / (precision + recall))


@pytest.mark.parametrize(
    ("truth", "predicted", "score"),
    [
        ([1, 1, 0, 2, 2], [5, 5, 0, 9, 9], 1.0),  # names do not matter
        ([1, 1, 0, 2, 2], [5, 5, 5, 5, 5], 0.5),  # a merge: 2 of 6 joined pairs are right, 2 of 2 are found
        ([1, 1, 1, 1], [1, 1, 2, 2], 0.5),  # a split: 2 of 2 are right, 2 of 6 are found
        ([1, 1, 0, 2, 2], [0, 0, 0, 0, 0], 0.0),  # nothing found
        ([0, 0, 0], [0, 0, 0], 1.0),  # nothing to find
        ([0, 0, 0], [1, 1, 0], 0.0),
        ([1, 1, 0, 2, 2], [1, 1, 1, 2, 2], 1.0),  # what is outside of the truth's cells does not count
    ],
)
def test_cases_by_hand(truth, predicted, score):
    assert 1 - rand_scores(np.array([truth]), np.array([predicted])).rand_error == pytest.approx(score)
