"""Objects from probabilities, and which settings may be had."""

import numpy as np
import pytest

from unet_repro.data.targets import Border, Distance
from unet_repro.errors import ConfigError
from unet_repro.inference.instance_settings import InstanceSettings
from unet_repro.inference.instances import CANDIDATES, SEED_CANDIDATES, each_candidate, to_instances


def discs(*centres, radius=8, size=(40, 60)):
    rows, columns = np.indices(size)
    return np.max([np.hypot(rows - y, columns - x) < radius for y, x in centres], axis=0).astype(np.float32)


def test_components_are_numbered_in_raster_order_and_small_ones_left_out():
    probability = discs((30, 10), (10, 40)) + 0.9 * discs((3, 3), radius=2)
    assert to_instances(probability, InstanceSettings()).max() == 3
    objects = to_instances(probability, InstanceSettings(min_size_px=50))
    assert objects.max() == 2
    assert objects[10, 40] == 1
    assert objects[30, 10] == 2


def test_a_watershed_parts_touching_discs():
    touching = discs((20, 20), (20, 33))
    assert to_instances(touching, InstanceSettings()).max() == 1
    parted = to_instances(touching, InstanceSettings(method="watershed", seed_distance_px=5))
    assert parted.max() == 2
    assert ((parted > 0) == (touching > 0)).all()


@pytest.mark.parametrize("method", ["components", "watershed"])
def test_nothing_and_everything(method):
    how = InstanceSettings(method=method)
    assert to_instances(np.zeros((9, 9), np.float32), how).max() == 0
    assert (to_instances(np.ones((9, 9), np.float32), how) > 0).all()


def test_every_candidate_is_what_it_says():
    probability = np.random.default_rng(0).random((30, 30)).astype(np.float32)
    for settings, objects in zip(CANDIDATES, each_candidate(probability), strict=True):
        np.testing.assert_array_equal(objects, to_instances(probability, settings))


@pytest.mark.parametrize(
    "wrong", [{"threshold": 0.0}, {"threshold": 1.5}, {"method": "magic"}, {"min_size_px": -1}, {"seed_distance_px": 0}]
)
def test_settings_out_of_range_are_refused(wrong):
    with pytest.raises(ConfigError, match=r"instances\."):
        InstanceSettings(**wrong)


def touching_cells():
    """Two discs that overlap, divided at the middle: foreground, seed map of each kind of head, truth."""
    rows, columns = np.indices((60, 100))
    left, right = (np.hypot(rows - 30, columns - middle) < 24 for middle in (30, 70))
    truth = np.where(left | right, np.where(columns < 50, 1, 2), 0).astype(np.int32)
    border = Border(width_px=3).classes(truth)
    return (truth > 0).astype(np.float32), {"border": (border == 1) * 0.9, "distance": Distance().values(truth)}, truth


@pytest.mark.parametrize("kind", ["border", "distance"])
def test_touching_cells_are_told_apart_by_their_seeds(kind):
    foreground, seeds, truth = touching_cells()
    objects = to_instances(foreground, InstanceSettings(method="seeds"), seeds[kind].astype(np.float32))
    assert to_instances(foreground, InstanceSettings()).max() == 1
    assert objects.max() == 2
    np.testing.assert_array_equal(objects > 0, truth > 0)
    assert (objects == truth).mean() > 0.99


def test_a_piece_without_seed_is_no_object():
    foreground, seeds, truth = touching_cells()
    empty = np.where(truth == 1, 0, seeds["border"]).astype(np.float32)
    foreground[:, 48:52] = 0
    objects = to_instances(foreground, InstanceSettings(method="seeds"), empty)
    assert objects.max() == 1
    assert not objects[:, :48].any()


def test_seeds_need_a_seed_map():
    with pytest.raises(ConfigError, match="needs a network with a seed map"):
        to_instances(np.ones((4, 4), np.float32), InstanceSettings(method="seeds"))


def test_candidates_with_seeds_match_single_calls():
    foreground, seeds, _ = touching_cells()
    noisy = np.clip(seeds["distance"] + np.random.default_rng(0).normal(0, 0.1, foreground.shape), 0, 1)
    noisy = noisy.astype(np.float32)
    for settings, objects in zip(SEED_CANDIDATES, each_candidate(foreground, noisy), strict=True):
        np.testing.assert_array_equal(objects, to_instances(foreground, settings, noisy))
