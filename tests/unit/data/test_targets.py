"""What a network is trained to predict beside classes."""

import numpy as np
import pytest
import torch
from scipy import ndimage

from unet_repro.data.labels import IGNORED
from unet_repro.data.targets import BORDER, Border, Distance, head_of
from unet_repro.errors import ConfigError

TOUCHING = np.zeros((20, 30), np.int32)
TOUCHING[5:15, 3:15] = 1
TOUCHING[5:15, 15:27] = 4  # touches 1; numbers may have gaps


@pytest.mark.parametrize("width", [1, 2, 4])
def test_the_border_is_in_both_objects_and_as_wide_as_set(width):
    classes = Border(width_px=width).classes(TOUCHING)
    np.testing.assert_array_equal(classes > 0, TOUCHING > 0)
    columns = np.flatnonzero(classes[10] == BORDER)
    assert columns.tolist() == list(range(15 - width, 15 + width))


def test_the_border_factor_multiplies_the_weights_of_the_border_only():
    classes = Border(width_px=2).classes(TOUCHING)
    weighted = Border(width_px=2, weight=5.0).weighted(np.full(classes.shape, 2, np.float32), classes)
    assert set(weighted[classes == BORDER]) == {10}
    assert set(weighted[classes != BORDER]) == {2}


def test_ignored_pixels_stay_ignored():
    given = np.zeros(TOUCHING.shape, np.uint8)
    given[0] = IGNORED
    assert (Border().classes(TOUCHING, given)[0] == IGNORED).all()


def test_distances_peak_at_one_in_every_object_and_are_those_of_scipy():
    values = Distance().values(TOUCHING)
    for number in (1, 4):
        alone = ndimage.distance_transform_edt(number == TOUCHING)
        np.testing.assert_allclose(values[number == TOUCHING], (alone / alone.max())[number == TOUCHING], atol=1e-6)
    assert values[TOUCHING == 0].max() == 0


def test_numbers_of_objects_may_be_large():
    instances = np.array([[0, 0, 0, 0, 0], [0, 3, 3, 0, 9], [0, 3, 3, 0, 9]], np.int32)
    large = np.where(instances == 9, 2_000_000_000, instances).astype(np.int32)
    np.testing.assert_array_equal(Distance().values(large), Distance().values(instances))


def test_an_object_that_the_image_cuts_has_no_outline_there():
    labels = np.zeros((9, 9), np.int32)
    labels[:, :4] = 1
    np.testing.assert_allclose(Distance().values(labels)[4, :4], [1, 0.75, 0.5, 0.25])
    assert (Distance().values(np.ones((3, 3), np.int32)) == 1).all()


def test_the_loss_of_distances_is_smooth_l1_times_its_weight():
    losses = Distance(weight=2.0, beta=0.1).losses(torch.tensor([0.05, 0.5]), torch.zeros(2))
    torch.testing.assert_close(losses, 2 * torch.tensor([0.05**2 / 2 / 0.1, 0.5 - 0.05]))


@pytest.mark.parametrize("made", [lambda: Border(width_px=0), lambda: Border(weight=0), lambda: Distance(beta=0)])
def test_values_out_of_range_are_refused(made):
    with pytest.raises(ConfigError, match=r"target\."):
        made()


def test_a_target_needs_two_classes():
    assert head_of(None, 5).num_outputs == 5
    assert head_of(Border(), 2).num_outputs == head_of(Distance(), 2).num_outputs == 3
    with pytest.raises(ConfigError, match="target=distance needs background and one class"):
        head_of(Distance(), 3)
