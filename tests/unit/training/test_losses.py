"""The weighted mean is a mean: free of the weights' scale, and the plain one where weights are equal."""

import pytest
import torch
import torch.distributed as dist
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import cross_entropy

from unet_repro.training.losses import mean_of_known, summed_cross_entropy, weighted_mean, weighted_mean_across


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


def test_without_any_weight_the_mean_and_its_gradient_are_zero():
    losses = torch.rand(1, 2, 2, requires_grad=True)
    mean = weighted_mean(losses, torch.zeros(1, 2, 2))
    mean.backward()

    assert mean.item() == 0
    assert not losses.grad.any()


def test_ignored_pixels_are_in_no_sum():
    scores, classes = torch.randn(3, 4, 5), torch.randint(3, (4, 5))
    known = summed_cross_entropy(scores[:, 1:], classes[1:])
    classes[0] = 255

    torch.testing.assert_close(summed_cross_entropy(scores, classes), known)


@pytest.fixture
def one_process():
    """A process group of this process alone."""
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    yield
    dist.destroy_process_group()


@pytest.mark.usefixtures("one_process")
@pytest.mark.parametrize("num_ignored", [0, 3, 20])
def test_over_devices_means_are_those_of_the_known_pixels(num_ignored):
    losses, weights, known = torch.rand(20) + 0.1, torch.rand(20) + 0.1, torch.arange(20) >= num_ignored
    losses, weights = losses * known, weights * known
    loss, weighted, plain = weighted_mean_across(losses, weights, known)

    torch.testing.assert_close(loss, weighted)
    torch.testing.assert_close(weighted, weighted_mean(losses, weights))
    torch.testing.assert_close(plain, losses[known].mean() if known.any() else torch.tensor(0.0))
    torch.testing.assert_close(plain, mean_of_known(losses, known))
