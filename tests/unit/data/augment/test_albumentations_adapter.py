"""The augmentation as albumentations transforms gives the arrays of trainings, which do without albumentations."""

import os
import random
import subprocess
import sys

import albumentations
import numpy as np
import pytest
from tile_samples import sample

from unet_repro.data.augment.albumentations_adapter import GreyValues, TileWarp
from unet_repro.data.augment.augment import Augment
from unet_repro.errors import ConfigError

WARP = {
    "flip": True,
    "rotate_deg": 180.0,
    "scale": (0.8, 1.2),
    "shift_px": 3.0,
    "elastic_grid": 3,
    "elastic_std_px": 8.0,
    "elastic_span_px": 100,
}
GREY = {"brightness": 0.2, "contrast": 0.3, "gamma": 0.2, "noise_std": 0.1}
PLACE = {"center_yx": (40, 50), "tile_size": 40, "output_size": 20}


@pytest.mark.parametrize("channels", [None, 3])
@pytest.mark.parametrize("grey", [GREY, dict.fromkeys(GREY, 0.0)], ids=["grey", "warp alone"])
@pytest.mark.parametrize("seed", [0, 1, 12345])
def test_a_pipeline_of_albumentations_and_the_training_give_the_same_arrays(channels, grey, seed):
    image, classes, weights = sample()
    image = image if channels is None else np.stack([image * (n + 1) for n in range(channels)])
    transforms = [TileWarp(tile_size=40, output_size=20, **WARP), *([GreyValues(**grey)] if any(grey.values()) else [])]
    pipeline = albumentations.Compose(transforms, is_check_shapes=False, strict=True)
    pipeline.set_random_state(np.random.default_rng(seed), random.Random(seed))
    name = "image" if channels is None else "images"
    found = pipeline(**{name: image}, mask=classes, weights=weights, center_yx=PLACE["center_yx"])
    tile, tile_classes, tile_weights = Augment(**WARP, **grey)(image, classes, weights, seed=seed, **PLACE)
    np.testing.assert_array_equal(found[name].view(np.uint32), tile.view(np.uint32))
    np.testing.assert_array_equal(found["mask"], tile_classes)
    np.testing.assert_array_equal(found["weights"].view(np.uint32), tile_weights.view(np.uint32))


def test_a_training_imports_no_albumentations():
    code = "import sys, unet_repro.train, unet_repro.training.build; print('albumentations' in sys.modules)"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    run = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "False"


def test_channels_are_warped_alike_in_every_layout():
    image = sample()[0]
    channels = np.stack([image, -image, 2 * image])
    warp = TileWarp(tile_size=40, output_size=20)
    warp.set_random_seed(4)
    first = warp(images=channels, center_yx=(40, 50))["images"]
    warp.set_random_seed(4)
    last = warp(image=np.moveaxis(channels, 0, -1), center_yx=(40, 50))["image"]
    np.testing.assert_array_equal(np.moveaxis(last, -1, 0), first)


def test_the_warp_serves_in_a_users_own_pipeline_and_survives_serialisation():
    image, classes, _ = sample()
    pipeline = albumentations.Compose(
        [TileWarp(tile_size=40, output_size=20, scale=(0.8, 1.2)), GreyValues(gamma=0.1)], strict=True, seed=1
    )
    stored = albumentations.to_dict(pipeline)
    again = albumentations.from_dict(stored)
    assert albumentations.to_dict(again) == stored
    again.set_random_seed(1)
    first = pipeline(image=image, mask=classes, center_yx=(40, 50))
    second = again(image=image, mask=classes, center_yx=(40, 50))
    assert first["image"].shape == (40, 40)
    assert first["mask"].shape == (20, 20)
    np.testing.assert_array_equal(first["image"], second["image"])


def test_a_warp_that_might_not_happen_is_refused():
    with pytest.raises(ConfigError, match="always cut"):
        TileWarp(tile_size=10, output_size=4, p=0.5)
