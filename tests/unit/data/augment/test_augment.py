"""One warp for image, labels and weights: aligned, mirrored, reproducible; grey values vary without clipping."""

import hashlib
import os
import pickle
import random
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from hydra.utils import instantiate
from hypothesis import given, settings
from hypothesis import strategies as st
from omegaconf import OmegaConf
from tile_samples import mirrored_crop, sample

from unet_repro.config import conf_dir
from unet_repro.data.augment.augment import Augment
from unet_repro.errors import ConfigError, DataError

CONF = conf_dir() / "augment"
NEUTRAL = {
    "flip": False,
    "rotate_deg": 0.0,
    "scale": (1.0, 1.0),
    "shift_px": 0.0,
    "elastic_grid": 3,
    "elastic_std_px": 0.0,
    "elastic_span_px": None,
    "brightness": 0.0,
    "contrast": 0.0,
    "gamma": 0.0,
    "noise_std": 0.0,
}
STRONG = {
    "flip": True,
    "rotate_deg": 180.0,
    "scale": (0.9, 1.1),
    "shift_px": 5.0,
    "elastic_std_px": 10.0,
    "elastic_span_px": 572,
    "brightness": 0.2,
    "contrast": 0.2,
    "gamma": 0.2,
    "noise_std": 0.1,
}
WARP_ONLY = {**STRONG, "brightness": 0.0, "contrast": 0.0, "gamma": 0.0, "noise_std": 0.0}


def augment(**changes):
    return Augment(**{**NEUTRAL, **changes})


@settings(deadline=None, max_examples=60)
@given(
    height=st.integers(2, 40),
    width=st.integers(2, 40),
    output_size=st.integers(1, 50),
    halo=st.integers(0, 30),
    where=st.tuples(st.floats(0, 1), st.floats(0, 1)),
)
def test_without_any_change_a_tile_is_the_mirrored_crop_bit_for_bit(height, width, output_size, halo, where):
    image, classes, weights = sample(height, width)
    center = (round(where[0] * (height - 1)), round(where[1] * (width - 1)))
    tile_size = max(output_size + 2 * halo, 2)
    output_size = tile_size - 2 * halo
    got = augment()(image, classes, weights, center_yx=center, tile_size=tile_size, output_size=output_size, seed=3)
    np.testing.assert_array_equal(got[0].view(np.uint32), mirrored_crop(image, center, tile_size).view(np.uint32))
    np.testing.assert_array_equal(got[1], mirrored_crop(classes, center, output_size))
    np.testing.assert_array_equal(got[2].view(np.uint32), mirrored_crop(weights, center, output_size).view(np.uint32))
    assert [a.dtype for a in got] == [np.float32, np.uint8, np.float32]


@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 2**64 - 1), center=st.tuples(st.integers(0, 299), st.integers(0, 299)))
def test_image_labels_and_weights_stay_aligned(seed, center):
    _, classes, _ = sample(300, 300)
    as_float = classes.astype(np.float32)
    tile, got, weights = augment(**WARP_ONLY)(
        as_float, classes, as_float, center_yx=center, tile_size=188, output_size=100, seed=seed
    )
    central = tile[44:-44, 44:-44]
    # Their maps differ by the origins of two patches, so float32 rounds them differently in the last place; OpenCV 4
    # then rounds each axis to 1/32 px, perhaps to the other side.
    tolerance = 1e-3 if int(cv2.__version__.split(".")[0]) >= 5 else 2 / 32
    np.testing.assert_allclose(weights, central, atol=tolerance)
    clear = np.abs(central - 0.5) > 0.25 + tolerance  # of the four pixels around a point the nearest weighs 1/4 or more
    assert clear.mean() > 0.8
    np.testing.assert_array_equal((central > 0.5)[clear], got[clear])
    assert ((central > 0.5) != got).mean() < 0.02


def test_labels_stay_class_indices():
    image, classes, weights = sample()
    classes = classes * 7
    got = augment(**STRONG)(image, classes, weights, center_yx=(40, 50), tile_size=60, output_size=40, seed=1)[1]
    assert set(np.unique(got)) <= {0, 7}


def test_flips_give_all_four_mirror_images_and_nothing_else():
    image, classes, weights = sample()
    plain = mirrored_crop(image, (10, 20), 30)
    expected = {a.tobytes() for a in (plain, plain[::-1], plain[:, ::-1], plain[::-1, ::-1])}
    flips = augment(flip=True)
    seen = [
        flips(image, classes, weights, center_yx=(10, 20), tile_size=30, output_size=10, seed=seed)[0]
        for seed in range(200)
    ]
    assert {a.tobytes() for a in seen} == expected
    shares = np.unique([a.tobytes() for a in seen], return_counts=True)[1] / len(seen)
    assert shares.min() > 0.15  # 1/4 each; 3.3 standard errors


def test_scale_magnifies():
    ramp = np.tile(np.arange(100, dtype=np.float32), (100, 1))
    tile = augment(scale=(2, 2))(
        ramp, np.zeros((100, 100), np.uint8), ramp, center_yx=(50, 50), tile_size=20, output_size=10, seed=0
    )[0]
    np.testing.assert_allclose(np.diff(tile, axis=1), 0.5, atol=1e-5)


def digest(arrays):
    return hashlib.sha256(b"".join(np.ascontiguousarray(a).tobytes() for a in arrays)).hexdigest()


def strong_digest(seed, pipeline=None):
    image, classes, weights = sample(200, 200)
    pipeline = pipeline or augment(**STRONG)
    return digest(pipeline(image, classes, weights, center_yx=(30, 170), tile_size=188, output_size=4, seed=seed))


def test_same_seed_same_bits_after_any_history_and_after_pickling():
    pipeline = augment(**STRONG)
    expected = strong_digest(11)
    strong_digest(3, pipeline)
    assert strong_digest(11, pipeline) == expected
    pipeline(*sample(), center_yx=(1, 1), tile_size=20, output_size=10, seed=11)
    assert strong_digest(11, pickle.loads(pickle.dumps(pipeline))) == expected


@pytest.mark.parametrize("num_threads", ["1", "2"])
def test_same_seed_same_bits_in_a_fresh_process_with_any_number_of_threads(num_threads):
    folder = str(Path(__file__).parent)
    code = f"import sys; sys.path.insert(0, {folder!r}); import test_augment; print(test_augment.strong_digest(11))"
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": num_threads, "OMP_NUM_THREADS": num_threads}
    environment["PYTHONPATH"] = os.pathsep.join(sys.path)
    run = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert run.stdout.strip() == strong_digest(11)


def test_distinct_seeds_give_distinct_tiles():
    assert len({strong_digest(seed) for seed in range(50)}) == 50


def test_global_random_state_is_neither_read_nor_moved():
    np.random.seed(1)  # noqa: NPY002
    random.seed(1)
    before = np.random.get_state()[1].copy(), random.getstate()  # noqa: NPY002
    first = strong_digest(5)
    np.testing.assert_array_equal(np.random.get_state()[1], before[0])  # noqa: NPY002
    assert random.getstate() == before[1]
    np.random.seed(2)  # noqa: NPY002
    random.seed(2)
    assert strong_digest(5) == first


def test_arms_that_differ_in_one_range_share_all_other_draws():
    image, classes, weights = sample()
    place = {"center_yx": (40, 50), "tile_size": 40, "output_size": 20, "seed": 9}
    plain = augment(**WARP_ONLY)(image, classes, weights, **place)
    noisy = augment(**STRONG)(image, classes, weights, **place)
    np.testing.assert_array_equal(plain[1], noisy[1])
    np.testing.assert_array_equal(plain[2], noisy[2])
    assert not np.array_equal(plain[0], noisy[0])


def test_channels_are_warped_alike():
    image, classes, weights = sample()
    channels = np.stack([image, -image, 2 * image])
    pipeline = augment(**WARP_ONLY)
    place = {"center_yx": (40, 50), "tile_size": 40, "output_size": 20, "seed": 9}
    single = pipeline(image, classes, weights, **place)[0]
    tile = pipeline(channels, classes, weights, **place)[0]
    np.testing.assert_array_equal(tile, np.stack([single, -single, 2 * single]))


def test_an_image_wider_than_opencv_can_address_gives_the_same_tile():
    wide = np.zeros((64, 40_000), np.float32)
    patch = sample(64, 64)[0]
    wide[:, 35_000:35_064] = patch
    blank = np.zeros(wide.shape, np.uint8)
    tile = augment()(wide, blank, wide, center_yx=(32, 35_032), tile_size=64, output_size=4, seed=0)[0]
    np.testing.assert_array_equal(tile, patch)


def test_the_input_is_left_as_it_was():
    arrays = sample()
    copies = [a.copy() for a in arrays]
    augment(**STRONG)(*arrays, center_yx=(0, 0), tile_size=40, output_size=40, seed=0)
    for array, copy in zip(arrays, copies, strict=True):
        np.testing.assert_array_equal(array, copy)


@pytest.mark.parametrize(
    "changes",
    [
        {"scale": (1.1, 0.9)},
        {"scale": (0, 1)},
        {"scale": (1,)},
        {"rotate_deg": -1},
        {"shift_px": -1},
        {"elastic_grid": 1},
        {"elastic_std_px": -1},
        {"elastic_span_px": 1},
        {"contrast": 1.0},
        {"brightness": -0.1},
        {"gamma": -0.1},
        {"noise_std": -0.1},
    ],
)
def test_a_senseless_range_is_refused_before_any_tile_is_cut(changes):
    with pytest.raises(ConfigError, match=next(iter(changes))):
        augment(**changes)


@pytest.mark.parametrize("sizes", [(10, 12), (11, 4), (1, 1), (10, 0)])
def test_an_output_that_is_not_the_middle_of_the_tile_is_refused(sizes):
    with pytest.raises(ConfigError, match="cannot be centred"):
        augment()(*sample(), center_yx=(5, 5), tile_size=sizes[0], output_size=sizes[1], seed=0)


@pytest.mark.parametrize("file", sorted(CONF.glob("*.yaml")), ids=lambda file: file.stem)
def test_every_config_names_all_arguments_and_cuts_a_tile(file):
    settings_of_file = OmegaConf.load(file)
    assert set(settings_of_file) == {"_target_", *NEUTRAL}
    assert settings_of_file.elastic_span_px == (572 if settings_of_file.elastic_std_px else None)
    tile, classes, weights = instantiate(settings_of_file)(
        *sample(), center_yx=(5, 5), tile_size=188, output_size=4, seed=0
    )
    assert (tile.shape, classes.shape, weights.shape) == ((188, 188), (4, 4), (4, 4))


def test_arrays_that_do_not_fit_are_refused():
    image, classes, weights = sample()
    place = {"center_yx": (5, 5), "tile_size": 10, "output_size": 4, "seed": 0}
    with pytest.raises(DataError, match="mask has"):
        augment()(image, classes[1:], weights, **place)
    with pytest.raises(DataError, match="weights has"):
        augment()(image, classes, weights[1:], **place)
    with pytest.raises(DataError, match="float64"):
        augment()(image.astype(np.float64), classes, weights, **place)
