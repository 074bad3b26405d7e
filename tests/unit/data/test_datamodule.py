"""Batches are a function of (seed, step, index): workers, resuming and order of drawing change nothing."""

from collections import Counter
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch
from hydra.utils import instantiate
from omegaconf import OmegaConf
from scipy import ndimage

from unet_repro.config import conf_dir
from unet_repro.data import datamodule, weight_maps
from unet_repro.data.datamodule import TileData, TrainTiles
from unet_repro.data.labels import class_counts, classes_from_instances
from unet_repro.data.splits import Split, contiguous
from unet_repro.data.tiles import Tiles
from unet_repro.errors import ConfigError, DataError, GeometryError

CONF = conf_dir() / "augment"
TILE, OUTPUT, DEPTH = 30, 14, 1


def augment(name, **changes):
    return instantiate(OmegaConf.merge(OmegaConf.load(CONF / f"{name}.yaml"), changes))


def train_tiles(images, classes, weights, *, name="strong", seed=0, per_step=3, steps=4, **changes):
    tiles = TrainTiles(
        images=images,
        classes=classes,
        weights=weights,
        augment=augment(name, **changes),
        tile_size=TILE,
        output_size=OUTPUT,
        tiles_per_step=per_step,
        num_steps=steps,
        seed=seed,
    )
    return [tiles[number] for number in range(len(tiles))]


def tile_data(samples, **changes):
    arguments = {
        "samples": samples,
        "split": contiguous(samples),
        "class_names": ("background", "cell"),
        "tiles": Tiles(size=TILE, budget=f"3x{TILE}"),
        "depth": DEPTH,
        "augment": augment("strong"),
        "weight_map": weight_maps.class_balance,
        "max_steps": 5,
        "seed": 7,
    }
    return TileData(**{**arguments, **changes})


def batches(data, *, step=0):
    """All batches of a training from a step on."""
    return list(loader(data, step=step))


def loader(data, *, step=0, device="cpu"):
    strategy = SimpleNamespace(root_device=torch.device(device))
    data.trainer = SimpleNamespace(global_step=step, global_rank=0, world_size=1, strategy=strategy)
    data.setup("fit")
    return data.train_dataloader()


def same(one, other):
    return len(one) == len(other) and all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


@pytest.fixture
def arrays():
    """Three images that hold their own number everywhere, as image, class and weight."""
    numbers = range(3)
    images = [np.full((1, 33 + n, 40), n, np.float32) for n in numbers]
    return images, [i[0].astype(np.uint8) for i in images], [i[0].copy() for i in images]


@pytest.mark.filterwarnings("ignore:This DataLoader will create 4 worker processes:UserWarning")
def test_no_one_and_four_workers_give_the_same_batches(make_samples):
    expected = batches(tile_data(make_samples()))

    assert len(expected) == 5
    for workers in (1, 4):
        got = batches(tile_data(make_samples(), num_workers=workers))
        assert len(got) == 5
        assert all(same(one, other) for one, other in zip(got, expected, strict=True))


def test_batches_have_the_tiles_and_types_that_training_takes(make_samples):
    image, classes, weights = batches(tile_data(make_samples()))[0]

    assert (image.shape, image.dtype) == ((3, 1, TILE, TILE), torch.float32)
    assert (classes.shape, classes.dtype) == ((3, OUTPUT, OUTPUT), torch.uint8)
    assert (weights.shape, weights.dtype) == ((3, OUTPUT, OUTPUT), torch.float32)
    assert set(classes.unique().tolist()) <= {0, 1}
    assert weights.min() > 0


def test_a_blank_batch_is_like_the_others(make_samples):
    data = tile_data(make_samples())
    like = [(part.shape, part.dtype, part.stride()) for part in batches(data)[0]]

    assert [(part.shape, part.dtype, part.stride()) for part in data.blank_batch()] == like


@pytest.mark.parametrize(("device", "pinned"), [("cpu", False), ("cuda:1", True)])
def test_batches_are_pinned_for_gpus_alone(make_samples, device, pinned):
    assert loader(tile_data(make_samples()), device=device).pin_memory is pinned


def test_loader_processes_take_one_thread_each(make_samples, monkeypatch):
    threads = torch.get_num_threads(), cv2.getNumThreads()
    data = tile_data(make_samples(), num_workers=1, tiles=Tiles(size=TILE, budget=f"1x{TILE}"))
    monkeypatch.setattr(
        TrainTiles, "__getitem__", lambda *_: torch.tensor([torch.get_num_threads(), cv2.getNumThreads()])
    )
    try:
        torch.set_num_threads(2)
        cv2.setNumThreads(2)
        assert {tuple(batch[0].tolist()) for batch in loader(data)} == {(1, 1)}
    finally:
        torch.set_num_threads(threads[0])
        cv2.setNumThreads(threads[1])


def test_more_batches_than_shared_memory_holds_are_refused_before_training(make_samples, monkeypatch):
    batch_bytes = 3 * (4 * TILE**2 + 5 * OUTPUT**2)
    monkeypatch.setattr(datamodule, "_SHARED", Path())
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=4 * batch_bytes))
    for enough in (0, 2):
        tile_data(make_samples(), num_workers=enough).setup("fit")

    with pytest.raises(ConfigError, match=r"trainer.num_workers=3 needs 0 MB for batches") as caught:
        tile_data(make_samples(), num_workers=3).setup("fit")
    assert "trainer.num_workers=2" in caught.value.hint


@pytest.mark.parametrize(("budget", "size", "number"), [("2x42", 22, 7), ("1x22", 42, 1), (5000, 30, 6)])
def test_the_number_of_tiles_follows_from_the_budget(make_samples, budget, size, number):
    data = tile_data(make_samples(), tiles=Tiles(size=size, budget=budget), max_steps=2)

    assert [tuple(batch[0].shape) for batch in batches(data)] == [(number, 1, size, size)] * 2


@pytest.mark.parametrize("step", [1, 3, 5])
def test_a_training_that_starts_late_gets_the_tail_of_one_from_the_start(make_samples, step):
    expected = batches(tile_data(make_samples()))[step:]
    got = batches(tile_data(make_samples()), step=step)

    assert len(got) == len(expected)
    assert all(same(one, other) for one, other in zip(got, expected, strict=True))


def test_a_longer_training_begins_like_a_shorter_one(make_samples):
    shorter, longer = (batches(tile_data(make_samples(), max_steps=steps)) for steps in (2, 5))

    assert all(same(one, other) for one, other in zip(shorter, longer[:2], strict=True))


def test_tiles_are_the_same_in_whatever_order_they_are_drawn(make_samples):
    data = tile_data(make_samples())
    data.setup("fit")
    forwards = [data.train_tiles[n] for n in range(6)]
    np.random.seed(1)  # noqa: NPY002  (the global state must not matter)
    torch.manual_seed(1)
    backwards = [data.train_tiles[n] for n in reversed(range(6))]

    assert all(same(one, other) for one, other in zip(forwards, backwards[::-1], strict=True))


def test_no_two_tiles_of_a_training_and_no_two_seeds_are_the_same(make_samples):
    tiles = [tile for seed in (0, 1) for batch in batches(tile_data(make_samples(), seed=seed)) for tile in batch[0]]

    assert len({tile.numpy().tobytes() for tile in tiles}) == 2 * 5 * 3


def test_every_image_is_drawn_once_a_round_and_rounds_are_shuffled(arrays):
    drawn = [int(classes[0, 0]) for _, classes, _ in train_tiles(*arrays, name="none", per_step=3, steps=40)]
    rounds = [tuple(drawn[start : start + 3]) for start in range(0, len(drawn), 3)]

    assert all(sorted(one) == [0, 1, 2] for one in rounds)
    assert len(set(rounds)) == 6
    assert Counter(drawn) == {0: 40, 1: 40, 2: 40}


def test_image_classes_and_weights_come_from_the_same_picture(arrays):
    for image, classes, weights in train_tiles(*arrays, name="flip_rotate"):
        number = classes[0, 0]
        assert (classes == number).all()
        torch.testing.assert_close(image, torch.full_like(image, number), rtol=0, atol=1e-5)
        torch.testing.assert_close(weights, torch.full_like(weights, number), rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", ["none", "flip_rotate", "elastic"])
def test_image_classes_and_weights_are_warped_together(name):
    rng = np.random.default_rng(0)
    smooth = [ndimage.gaussian_filter(rng.standard_normal((60, 70)), 4, mode="mirror") for _ in range(2)]
    classes = [(one > 0).astype(np.uint8) for one in smooth]
    as_float = [one.astype(np.float32) for one in classes]
    tiles = train_tiles([one[None] for one in as_float], classes, as_float, name=name, steps=8)
    certain = []
    for image, labels, weights in tiles:
        edge = (TILE - OUTPUT) // 2
        centre = image[0, edge:-edge, edge:-edge]
        torch.testing.assert_close(centre, weights, rtol=0, atol=1e-4)
        # Away from borders linear and nearest interpolation agree.
        inside = (centre < 1e-4) | (centre > 1 - 1e-4)
        assert torch.equal(centre[inside].round().long(), labels[inside])
        certain.append(inside.float().mean().item())

    assert np.mean(certain) > 0.7


def test_without_augmentation_a_tile_is_a_cut_of_the_mirrored_image():
    image = np.random.default_rng(0).standard_normal((1, 35, 41)).astype(np.float32)
    tiles = train_tiles([image], [np.zeros((35, 41), np.uint8)], [image[0]], name="none", steps=3)
    padded = np.pad(image[0], TILE, mode="reflect")
    windows = {w.tobytes() for row in np.lib.stride_tricks.sliding_window_view(padded, (TILE, TILE)) for w in row}

    assert all(tile[0].numpy().tobytes() in windows for tile, _, _ in tiles)


def test_normalisation_is_of_all_pixels_of_the_training_images_only(make_samples):
    samples = make_samples(10, (3, 36, 44))
    data = tile_data(samples)
    trained = [sample for sample in samples if sample.key in contiguous(samples).train]
    pixels = np.stack([sample.image for sample in trained]).astype(np.float64)

    assert len(trained) == 7
    assert data.in_channels == 3
    assert data.normalisation.mean == pytest.approx(pixels.mean((0, 2, 3)).tolist())
    assert data.normalisation.std == pytest.approx(pixels.std((0, 2, 3)).tolist())
    data.setup("fit")
    stacked = np.stack(data.train_tiles.images)
    assert stacked.mean((0, 2, 3)) == pytest.approx([0, 0, 0], abs=1e-5)
    assert stacked.std((0, 2, 3)) == pytest.approx([1, 1, 1], abs=1e-5)
    # Validation images are moved by the same numbers, not by their own.
    expected = (samples[9].image - pixels.mean((0, 2, 3))[:, None, None]) / pixels.std((0, 2, 3))[:, None, None]
    np.testing.assert_allclose(data.val_images[-1].image, expected, atol=1e-5)


@pytest.mark.parametrize("channels", [(1, 3), (3, 2)])
def test_training_images_of_different_channels_are_refused(make_samples, channels):
    samples = [s for n in channels for s in make_samples(3, (n, 40, 44), sequence=f"of{n}")]
    keys = [sample.key for sample in samples]

    with pytest.raises(DataError, match="channels"):
        tile_data(samples, split=Split((keys[0], keys[3]), (keys[1],), ())).setup("fit")


def test_a_tile_larger_than_the_smallest_training_image_mirrored_once_is_refused(make_samples):
    samples = make_samples(4, (60, 60)) + make_samples(4, (10, 60), sequence="flat")

    with pytest.raises(GeometryError, match=r"flat/00 has 10 x 60 pixels"):
        tile_data(samples)


def test_weights_are_those_of_the_map_with_mean_counts_of_the_training_images(make_samples):
    samples = make_samples(10)
    weight_map = partial(weight_maps.paper, w0=4.0, sigma_px=3.0)
    data = tile_data(samples, weight_map=weight_map)
    data.setup("fit")
    labels = [sample.labels for sample in samples if sample.key in contiguous(samples).train]
    counts = np.mean([class_counts(classes_from_instances(one)) for one in labels], axis=0)

    for weights, one in zip(data.train_tiles.weights, labels, strict=True):
        np.testing.assert_array_equal(weights, weight_map(one, counts))


def test_validation_hands_over_whole_images_in_order(make_samples):
    samples = make_samples(10)
    data = tile_data(samples)
    data.setup("fit")
    (loader,) = data.val_dataloader()
    images = list(loader)

    assert [image.key for image in images] == ["stack/08", "stack/09"]
    for image, sample in zip(images, samples[8:], strict=True):
        np.testing.assert_array_equal(image.image, data.normalisation.apply(sample.image))
        np.testing.assert_array_equal(image.classes, classes_from_instances(sample.labels))


@pytest.mark.parametrize(("number", "places"), [(1, [0]), (3, [0, 3, 6]), (6, [0, 1, 2, 4, 5, 6]), (99, range(7))])
def test_evenly_spaced_training_images_choose_the_threshold_whole_and_unaugmented(make_samples, number, places):
    samples = make_samples(10)
    data = tile_data(samples, threshold_images=number)
    data.setup("fit")
    _, loader = data.val_dataloader()
    images = list(loader)

    assert [image.key for image in images] == [f"stack/{place:02d}" for place in places]
    np.testing.assert_array_equal(images[-1].image, data.normalisation.apply(samples[places[-1]].image))


def test_devices_divide_the_images_of_both_kinds(make_samples):
    data = tile_data(make_samples(20), threshold_images=6)
    data.setup("fit")
    seen = [[], []]
    for rank in range(2):
        data.trainer = SimpleNamespace(global_rank=rank, world_size=2)
        for keys, loader in zip(seen, data.val_dataloader(), strict=True):
            keys += [image.key for image in loader]

    assert [sorted(keys) for keys in seen] == [
        [image.key for image in images] for images in (data.val_images, data.threshold_images)
    ]


def test_a_first_look_validates_on_the_first_images_only(make_samples):
    data = tile_data(make_samples(10), max_val_images=1)
    data.setup("fit")

    assert [image.key for image in data.val_images] == ["stack/08"]


def test_a_part_without_public_truth_is_refused(make_samples):
    samples = make_samples(5) + make_samples(2, sequence="blind", part="test", labelled=False)

    with pytest.raises(DataError, match="the test part has no labelled images"):
        tile_data(samples).whole_images("test")


def test_setting_up_again_changes_nothing(make_samples):
    data = tile_data(make_samples())
    data.setup("fit")
    before = data.train_tiles
    data.setup("fit")

    assert data.train_tiles is before


def test_loader_processes_start_beside_used_threads_of_opencv(make_samples):
    """OpenCV's threads do not survive a fork, and a child that has them in its books waits for them for ever."""
    threads = cv2.getNumThreads()
    try:
        cv2.setNumThreads(2)
        image = np.zeros((2000, 2000), np.float32)
        cv2.remap(image, image, image, cv2.INTER_CUBIC)  # large enough for all threads
        made = loader(tile_data(make_samples(), num_workers=1))
        made.timeout = 60
        assert len(list(made)) == 5
    finally:
        cv2.setNumThreads(threads)


def test_three_classes_and_ignored_pixels_reach_tiles_weights_and_validation(make_samples):
    stack = make_samples()
    samples = [replace(one, classes=np.where(one.labels % 3 == 1, 2, one.labels > 0).astype(np.uint8)) for one in stack]
    for one in samples:
        one.classes[:, :40] = 255
    data = tile_data(samples, class_names=("background", "nucleus", "cytoplasm"), augment=augment("none"))
    counts = np.mean([class_counts(one.classes, 3) for one in data.samples["train"]], axis=0)

    assert data.ignores
    assert not tile_data(stack).ignores
    seen = set()
    for _, classes, weights in batches(data):
        seen |= set(classes.unique().tolist())
        expected = torch.zeros(256)
        expected[:3] = torch.from_numpy(counts.sum() / (3 * counts))
        torch.testing.assert_close(weights, expected[classes.long()])
    assert seen == {0, 1, 2, 255}
    np.testing.assert_array_equal(data.val_images[0].classes, data.samples["val"][0].classes)


def test_tiles_are_centred_on_known_pixels_uniformly():
    classes = np.full((20, 30), 255, np.uint8)
    classes[3:5, 7:10] = 0
    image, weights = np.zeros((1, 20, 30), np.float32), np.ones((20, 30), np.float32)
    centres = Counter()

    def record(*arrays, center_yx, **_):
        centres[center_yx] += 1
        return image, classes, weights

    tiles = TrainTiles(
        images=[image],
        classes=[classes],
        weights=[weights],
        augment=record,
        tile_size=TILE,
        output_size=OUTPUT,
        tiles_per_step=1,
        num_steps=600,
        seed=0,
    )
    for number in range(600):
        tiles[number]
    assert set(centres) == {(float(row), float(column)) for row in (3, 4) for column in (7, 8, 9)}
    assert min(centres.values()) > 60
