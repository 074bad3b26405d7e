"""How the outputs of a network are read."""

import pytest
import torch

from unet_repro.heads import Head, probabilities_of, scores_of


@pytest.mark.parametrize("kind", ["border", "distance"])
def test_probabilities_of_the_read_scores_sum_to_one_and_the_seed_map_is_within_bounds(kind):
    raw = 4 * torch.randn(2, 3, 5, 6, generator=torch.Generator().manual_seed(0))
    maps = probabilities_of(Head(2, kind).read(raw), 2)
    assert maps.shape == raw.shape
    torch.testing.assert_close(maps[:, :2].sum(1), torch.ones(2, 5, 6))
    assert maps[:, 2].min() >= 0
    assert maps[:, 2].max() <= 1


def test_class_one_of_a_border_network_is_inner_part_and_border_together():
    raw = torch.randn(1, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    maps = probabilities_of(Head(2, "border").read(raw), 2)
    of_all = raw.softmax(1)
    torch.testing.assert_close(maps[:, 1], of_all[:, 1] + of_all[:, 2])
    torch.testing.assert_close(maps[:, 2], of_all[:, 1])


def test_outputs_of_a_network_without_target_are_scores_as_they_are():
    raw = torch.randn(1, 2, 4, 4)
    assert Head(2).read(raw) is raw
    torch.testing.assert_close(probabilities_of(raw, 2), raw.softmax(1), rtol=0, atol=0)


@pytest.mark.parametrize("channels", [2, 3])
def test_scores_of_probabilities_give_them_again(channels):
    maps = probabilities_of(torch.randn(1, channels, 4, 4), 2)
    torch.testing.assert_close(probabilities_of(scores_of(maps, 2), 2), maps)
