"""The weighted mean is a mean: free of the weights' scale, and the plain one where weights are equal."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import cross_entropy

from unet_repro.training.losses import weighted_mean


def test_a_case_counted_by_hand():
    losses, weights = torch.tensor([[[1.0, 2.0], [4.0, 0.0]]]), torch.tensor([[[3.0, 1.0], [0.0, 1.0]]])

    assert weighted_mean(losses, weights).item() == pytest.approx((3 * 1 + 1 * 2 + 0 * 4 + 1 * 0) / 5)


@settings(deadline=None, max_examples=30)
@given(scale=st.floats(1e-3, 1e3), seed=st.integers(0, 99))
def test_the_scale_of_the_weights_does_not_matter(scale, seed):
    generator = torch.Generator().manual_seed(seed)
    losses, weights = torch.rand(2, 2, 5, 4, generator=generator, dtype=torch.float64)

    torch.testing.assert_close(weighted_mean(losses, scale * weights), weighted_mean(losses, weights))


def test_equal_weights_give_the_plain_mean():
    losses = torch.rand(2, 5, 4)

    torch.testing.assert_close(weighted_mean(losses, torch.full_like(losses, 7.0)), losses.mean())


def test_class_weights_as_a_map_are_those_of_torchs_cross_entropy():
    torch.manual_seed(0)
    scores, classes, by_class = torch.randn(2, 3, 6, 7), torch.randint(3, (2, 6, 7)), torch.tensor([1.0, 5.0, 0.5])

    torch.testing.assert_close(
        weighted_mean(cross_entropy(scores, classes, reduction="none"), by_class[classes]),
        cross_entropy(scores, classes, weight=by_class),
    )


def test_a_pixel_of_weight_zero_has_no_gradient():
    losses = torch.rand(1, 2, 2, requires_grad=True)
    weighted_mean(losses, torch.tensor([[[0.0, 1.0], [2.0, 1.0]]])).backward()

    assert losses.grad.flatten().tolist() == pytest.approx([0, 0.25, 0.5, 0.25])
