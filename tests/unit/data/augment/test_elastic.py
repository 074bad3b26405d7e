"""A whole image is deformed with its labels, as a tile of its size would be."""

import numpy as np
import pytest
from tile_samples import sample

from unet_repro.data.augment.augment import Augment
from unet_repro.data.augment.elastic import elastic_deformation
from unet_repro.errors import ConfigError, DataError


@pytest.mark.parametrize("shape", [(90, 110), (110, 90), (91, 64), (1, 5), (100, 100)])
def test_without_displacements_nothing_changes(shape):
    image, classes, _ = sample(*shape)
    deformed, labels = elastic_deformation(image, classes, std_px=0)
    np.testing.assert_array_equal(deformed, image)
    np.testing.assert_array_equal(labels, classes)


def test_a_square_image_is_deformed_as_the_training_deforms_a_tile():
    image, classes, weights = sample(100, 100)
    only = {"flip": False, "rotate_deg": 0, "scale": (1, 1), "shift_px": 0, "elastic_grid": 3, "elastic_std_px": 6.0}
    grey = {"brightness": 0, "contrast": 0, "gamma": 0, "noise_std": 0}
    augment = Augment(**only, elastic_span_px=None, **grey)
    tile, tile_classes, _ = augment(image, classes, weights, center_yx=(50, 50), tile_size=100, output_size=100, seed=7)
    deformed, labels = elastic_deformation(image, classes, seed=7, std_px=6.0)
    np.testing.assert_array_equal(deformed, tile)
    np.testing.assert_array_equal(labels, tile_classes)


@pytest.mark.parametrize("shape", [(120, 80), (80, 120)])
def test_image_and_labels_move_together_in_every_channel(shape):
    _, classes, _ = sample(*shape)
    image = np.stack([classes, 2 * classes]).astype(np.float32)
    deformed, labels = elastic_deformation(image, classes, seed=3)
    assert deformed.shape == image.shape
    np.testing.assert_array_equal(deformed[1], 2 * deformed[0])
    clear = np.abs(deformed[0] - 0.5) > 0.35
    np.testing.assert_array_equal(deformed[0][clear] > 0.5, labels[clear] == 1)
    assert (labels != classes).mean() > 0.02


@pytest.mark.parametrize("kind", [np.uint8, np.int32, np.int64, np.bool_])
def test_labels_of_every_type_stay_labels(kind):
    image, classes, _ = sample()
    ids = (classes * 200).astype(kind)
    labels = elastic_deformation(image, ids, seed=3)[1]
    assert labels.dtype == kind
    assert set(np.unique(labels)) == set(np.unique(ids))


def test_a_seed_gives_one_deformation_and_another_seed_another():
    image = sample()[0]
    np.testing.assert_array_equal(elastic_deformation(image, seed=1), elastic_deformation(image, seed=1))
    assert not np.array_equal(elastic_deformation(image, seed=1), elastic_deformation(image, seed=2))


def test_bad_input_is_refused():
    image, classes, _ = sample()
    with pytest.raises(DataError, match="shape"):
        elastic_deformation(np.zeros(5))
    with pytest.raises(DataError, match="labels of"):
        elastic_deformation(image, classes[1:])
    with pytest.raises(ConfigError, match="elastic_std_px"):
        elastic_deformation(image, std_px=-1)
