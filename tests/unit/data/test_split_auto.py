import cv2
import numpy as np
import pytest

from unet_repro.data.likeness import neighbours_are_alike, thumbnails
from unet_repro.data.sample import Sample
from unet_repro.data.split_auto import auto, is_within


def samples(num, *, alike=False, sequence="images"):
    found = []
    for number in range(num):
        rng = np.random.default_rng(0 if alike else number)
        image = cv2.resize(rng.integers(0, 255, (8, 8)).astype(np.uint8), (200, 200), interpolation=cv2.INTER_NEAREST)
        image = image // 2 + np.random.default_rng(100 + number).integers(0, 60, (200, 200)).astype(np.uint8)
        labels = np.tile(np.int32([[0, 1], [2, 0]]).repeat(10, 0).repeat(10, 1), (10, 10))
        found.append(Sample(f"{number:02}", sequence, "train", image, labels))
    return found


def test_one_or_two_images_are_divided():
    for num in (1, 2):
        split, blocks = auto(samples(num), depth=2)
        assert (len(split.train), len(split.val)) == (num, num)
        assert {len(block.key.split("/")) for block in blocks} == {2}


@pytest.mark.parametrize(("alike", "train"), [(False, 8), (True, 7)])
def test_only_between_images_that_resemble_each_other_one_is_left_out(alike, train):
    split = auto(samples(10, alike=alike), depth=3)
    assert (len(split.train), len(split.val)) == (train, 2)


@pytest.mark.parametrize("pages", [2, 3, 8])
def test_whole_files_validate_where_there_are_several(pages):
    files = [one for number in range(10) for one in samples(pages, sequence=f"file{number}")]
    files = [Sample(f"{one.sequence}/{one.key}", one.sequence, "train", one.image, one.labels) for one in files]
    split = auto(files, depth=3)
    assert {key.split("/")[0] for key in split.val} == {"file8", "file9"}
    assert {key.split("/")[0] for key in split.train} == {f"file{number}" for number in range(8)}
    assert not is_within(files)


def test_one_long_stack_among_short_ones_is_divided():
    long = samples(9, sequence="a")
    short = [Sample(f"{name}/0", name, "train", long[0].image, long[0].labels) for name in ("b", "c")]
    split = auto([*long, *short], depth=3)
    assert {"00", "08"} <= {*split.train, *split.val}
    assert "00" in split.train
    assert "08" in split.val


def test_thumbnails_correlate_with_themselves_whatever_their_brightness_and_size():
    image = samples(1)[0].image
    larger = cv2.resize(image, (400, 400), interpolation=cv2.INTER_NEAREST).astype(np.float32) * 3 + 10
    first, second, other, flat = thumbnails([image, larger, samples(2)[1].image, np.ones((50, 50))])
    assert first @ second == pytest.approx(1, abs=1e-4)
    assert abs(first @ other) < 0.3
    assert not flat.any()
    assert not neighbours_are_alike([image])
