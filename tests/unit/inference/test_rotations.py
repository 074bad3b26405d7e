"""Views come back to where they were taken from; a network that commutes with turning gives the same from all."""

import numpy as np
import pytest
import torch

from unet_repro.errors import ConfigError
from unet_repro.inference.rotations import average_views


def scores_of_pixels(image_CHW):
    """A network that looks at single pixels: turning before or after it is the same."""
    pixel = torch.from_numpy(np.ascontiguousarray(image_CHW[0]))
    return torch.stack([-pixel, pixel])


def smooth(height, width):
    rows, columns = np.mgrid[:height, :width]
    return np.sin(rows / 9 + 1)[None].astype(np.float32) * np.cos(columns / 13).astype(np.float32)


@pytest.mark.parametrize("views", [1, 4, 8])
@pytest.mark.parametrize("hw", [(40, 40), (32, 57)])
def test_quarter_turns_and_mirrors_are_exact(views, hw):
    image = np.random.default_rng(0).standard_normal((1, *hw)).astype(np.float32)
    mean = average_views(scores_of_pixels, image, views)
    assert mean.shape == (2, *hw)
    torch.testing.assert_close(mean, scores_of_pixels(image).softmax(0), rtol=0, atol=1e-6)


@pytest.mark.parametrize("hw", [(64, 64), (48, 80)])
def test_seven_free_turns_come_back_to_their_place(hw):
    image = smooth(*hw)
    mean = average_views(scores_of_pixels, image, 7)
    assert mean.shape == (2, *hw)
    difference = (mean - scores_of_pixels(image).softmax(0)).abs()
    assert difference[:, 4:-4, 4:-4].max() < 0.004
    assert difference.max() < 0.02  # at the border the mirrored image has a kink
    torch.testing.assert_close(mean.sum(0), torch.ones(hw))


@pytest.mark.parametrize(("views", "number"), [(1, 1), (4, 4), (7, 7), (8, 8)])
def test_every_view_is_seen_once_and_is_another_one(views, number):
    seen = []

    def network(image_CHW):
        seen.append(image_CHW.copy())
        return scores_of_pixels(image_CHW)

    average_views(network, np.random.default_rng(1).standard_normal((1, 24, 24)).astype(np.float32), views)
    assert len(seen) == number
    assert len({view.tobytes() for view in seen}) == number


def test_a_network_that_favours_a_direction_is_averaged():
    """Scores that grow to the right: over four turns and their mirrors nothing of that is left."""

    def network(image_CHW):
        ramp = torch.linspace(-1, 1, image_CHW.shape[-1]).expand(image_CHW.shape[-2:])
        return torch.stack([-ramp, ramp])

    mean = average_views(network, np.zeros((1, 33, 33), np.float32), 8)
    assert (mean[0, 16] - mean[0, :, 16]).abs().max() < 1e-6
    torch.testing.assert_close(mean[0], mean[0].flip(-1))


def test_other_numbers_of_views_are_refused():
    with pytest.raises(ConfigError, match="views=5 is not supported"):
        average_views(scores_of_pixels, np.zeros((1, 8, 8), np.float32), 5)
