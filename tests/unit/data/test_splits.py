"""Parts are disjoint, neighbours stay apart, and the manifest notices every change that matters."""

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unet_repro.data.sample import Sample
from unet_repro.data.splits import (
    Split,
    contiguous,
    everything,
    held_out,
    kfold,
    manifest,
    random,
    random_kfold,
    sequence,
)
from unet_repro.errors import DataError

PIXEL = np.zeros((1, 1), np.uint8)
LABEL = np.zeros((1, 1), np.int32)


def stack(num, name="stack", *, part="train", labelled=True):
    return [Sample(f"{name}/{n:03d}", name, part, PIXEL, LABEL if labelled else None) for n in range(num)]


def places(keys):
    return [int(key.split("/")[1]) for key in keys]


def test_thirty_slices_train_on_0_to_22_and_validate_on_24_to_29():
    split = contiguous(stack(30))

    assert places(split.train) == list(range(23))
    assert places(split.val) == list(range(24, 30))
    assert split.test == ()


@pytest.mark.parametrize(("val_share", "gap", "train", "val"), [(0.5, 0, 5, 5), (0.1, 3, 6, 1), (0.04, 1, 8, 1)])
def test_share_and_gap_set_the_blocks(val_share, gap, train, val):
    split = contiguous(stack(10), val_share=val_share, gap=gap)

    assert places(split.train) == list(range(train))
    assert places(split.val) == list(range(10 - val, 10))


def test_every_sequence_gives_its_own_last_block():
    split = contiguous(stack(10, "01") + stack(5, "02"))

    assert split.train == tuple(f"01/{n:03d}" for n in range(7)) + tuple(f"02/{n:03d}" for n in range(3))
    assert split.val == ("01/008", "01/009", "02/004")


@pytest.mark.parametrize("splitter", [contiguous, kfold, random])
def test_the_publishers_test_set_tests_and_unlabelled_training_images_take_no_part(splitter):
    split = splitter(stack(10) + stack(4, "blind", labelled=False) + stack(3, "challenge", part="test", labelled=False))

    assert split.test == ("challenge/000", "challenge/001", "challenge/002")
    assert {key.split("/")[0] for key in split.train + split.val} == {"stack"}


def test_all_trains_on_every_labelled_image_and_validates_on_some_of_them():
    split = everything(stack(7, "01") + stack(2, "02") + stack(3, "blind", labelled=False), num_val=3)

    assert split.train == (*(f"01/{n:03d}" for n in range(7)), "02/000", "02/001")
    assert split.val == ("01/000", "01/003", "01/006", "02/000", "02/001")
    with pytest.raises(DataError, match=r"split.num_val=0 must be at least 1"):
        everything(stack(3), num_val=0)


@settings(deadline=None)
@given(sizes=st.lists(st.integers(5, 30), min_size=1, max_size=3), num_folds=st.integers(2, 5), gap=st.integers(0, 2))
def test_folds_validate_every_sample_once_and_never_train_on_a_neighbour(sizes, num_folds, gap):
    samples = [sample for n, size in enumerate(sizes) for sample in stack(size, f"s{n}")]
    validated = []
    for fold in range(num_folds):
        try:
            split = kfold(samples, num_folds=num_folds, fold=fold, gap=gap)
        except DataError:
            assert min(sizes) < 2 * (gap + 1) * num_folds
            return
        validated += split.val
        assert not set(split.train) & set(split.val)
        for key in split.val:
            name, place = key.split("/")
            near = {f"{name}/{int(place) + step:03d}" for step in range(-gap, gap + 1)}
            assert not near & set(split.train)
        rest = len(samples) - len(split.train) - len(split.val)
        assert rest <= 2 * gap * len(sizes)

    assert sorted(validated) == sorted(sample.key for sample in samples)


@settings(deadline=None)
@given(size=st.integers(4, 60), val_share=st.floats(0.01, 0.6), gap=st.integers(0, 3))
def test_a_held_out_block_is_never_next_to_training(size, val_share, gap):
    try:
        split = contiguous(stack(size), val_share=val_share, gap=gap)
    except DataError:
        assert size - max(1, round(val_share * size)) <= gap
        return

    assert min(places(split.val)) - max(places(split.train)) == gap + 1


@pytest.mark.parametrize("fold", [-1, 5])
def test_a_fold_that_does_not_exist_is_refused(fold):
    with pytest.raises(DataError, match=rf"fold={fold} does not exist(?s:.*)0 to 4"):
        kfold(stack(30), fold=fold)


def test_more_folds_than_samples_leave_one_empty():
    with pytest.raises(DataError, match="split=kfold leaves no val"):
        kfold(stack(2), num_folds=5, fold=0)


@pytest.mark.parametrize("splitter", [contiguous, kfold, random])
def test_a_part_that_would_be_empty_is_refused(splitter):
    with pytest.raises(DataError, match=f"split={splitter.__name__} leaves no (training|validation) images"):
        splitter(stack(1))
    with pytest.raises(DataError, match=f"split={splitter.__name__} leaves no training images"):
        splitter(stack(4, part="test"))


@pytest.mark.parametrize("splitter", [contiguous, kfold])
def test_a_negative_gap_that_would_train_on_validation_images_is_refused(splitter):
    with pytest.raises(DataError, match="gap"):
        splitter(stack(30), gap=-2)


def test_one_sequence_trains_and_the_other_tests():
    split = sequence(stack(20, "01") + stack(8, "02"))

    assert places(split.train) == list(range(15))
    assert places(split.val) == [16, 17, 18, 19]
    assert split.test == tuple(f"02/{n:03d}" for n in range(8))
    assert sequence(stack(20, "01") + stack(8, "02"), train="02", test="01").test[0] == "01/000"


def test_a_sequence_tests_with_its_labelled_images_only():
    assert sequence(stack(20, "01") + stack(3, "02") + stack(5, "02", labelled=False)).test == (
        "02/000",
        "02/001",
        "02/002",
    )


@pytest.mark.parametrize("samples", [stack(9, "01"), stack(9, "01") + stack(9, "02", labelled=False)])
def test_a_sequence_without_truth_is_refused_with_those_that_have_it(samples):
    with pytest.raises(DataError, match=r"no labelled sequence '02'; available: 01\n"):
        sequence(samples)


def test_a_sequence_does_not_test_what_it_trained_on():
    with pytest.raises(DataError):
        sequence(stack(20, "01") + stack(8, "02"), train="01", test="01")


def test_a_random_split_uses_every_sample_once_in_order_and_is_a_function_of_its_seed():
    samples = stack(30)
    split = random(samples, seed=3)

    assert sorted(split.train + split.val) == [sample.key for sample in samples]
    assert len(split.val) == 6
    assert list(split.train) == sorted(split.train)
    assert list(split.val) == sorted(split.val)
    assert random(samples, seed=3) == split
    assert len({random(samples, seed=seed).val for seed in range(10)}) == 10


def test_a_random_split_lets_neighbours_fall_on_both_sides():
    split = random(stack(30))

    assert any({place - 1, place + 1} & set(places(split.train)) for place in places(split.val))


@pytest.fixture
def parted(make_samples):
    samples = make_samples(6, (20, 20))
    keys = [sample.key for sample in samples]
    return samples, Split(train=tuple(keys[:3]), val=(keys[4],), test=())


def test_a_manifest_equals_the_one_read_back_from_a_file(parted):
    body = manifest("name", *parted)

    assert json.loads(json.dumps(body)) == body
    assert body["source"] == "name"
    assert body["split"]["train"] == ["stack/00", "stack/01", "stack/02"]
    assert sorted(body["samples"]) == ["stack/00", "stack/01", "stack/02", "stack/04"]


def test_the_digest_is_that_of_the_same_content(parted):
    samples, split = parted
    copies = [replace(s, image=s.image.copy(order="F"), labels=s.labels.copy(order="F")) for s in samples]

    assert manifest("name", copies, split) == manifest("name", samples, split)


@pytest.mark.parametrize("index", [0, 4])
def test_the_digest_changes_with_one_pixel_or_one_label(parted, index):
    samples, split = parted
    digests = {manifest("name", samples, split)["digest"]}
    for field in ("image", "labels"):
        changed = getattr(samples[index], field).copy()
        changed[3, 5] += 1
        others = [*samples[:index], replace(samples[index], **{field: changed}), *samples[index + 1 :]]
        digests.add(manifest("name", others, split)["digest"])

    assert len(digests) == 3


def test_the_digest_changes_with_type_and_shape_of_the_same_bytes(parted):
    samples, split = parted
    image = samples[0].image
    variants = [image, image.view(np.int8), image.reshape(40, 10), image.reshape(1, 20, 20)]
    digests = {manifest("n", [replace(samples[0], image=v), *samples[1:]], split)["digest"] for v in variants}

    assert len(digests) == 4


def test_the_digest_changes_with_the_split_and_the_source(parted):
    samples, split = parted
    splits = [split, Split(split.train[:2], split.val, ()), Split(split.train, split.val, split.train[:1])]
    swapped = Split(split.train[::-1], split.val, ())

    assert len({manifest("name", samples, s)["digest"] for s in [*splits, swapped]}) == 4
    assert manifest("other", samples, split)["digest"] != manifest("name", samples, split)["digest"]


def test_the_digest_does_not_change_with_the_order_of_samples_or_with_those_that_take_no_part(parted, make_samples):
    samples, split = parted
    expected = manifest("name", samples, split)
    unused = [sample for sample in samples if sample.key in ("stack/03", "stack/05")]
    used = [sample for sample in samples if sample not in unused]

    assert manifest("name", samples[::-1], split) == expected
    assert manifest("name", used, split) == expected
    assert manifest("name", used + make_samples(4, (9, 9), sequence="more"), split) == expected


def test_samples_without_truth_are_listed_without_it(make_samples):
    samples = [*make_samples(2), *make_samples(1, sequence="blind", part="test", labelled=False)]
    body = manifest("name", samples, Split(("stack/00",), ("stack/01",), ("blind/00",)))

    assert body["samples"]["blind/00"]["labels"] is None


@pytest.mark.parametrize("split", [contiguous, random])
@pytest.mark.parametrize("val_share", [-3, 0, 1, 1.5])
def test_a_share_that_is_none_is_refused(split, val_share):
    with pytest.raises(DataError, match="val_share"):
        split(stack(10), val_share=val_share)


def test_a_held_out_block_tests_behind_the_one_that_validates():
    split = held_out(stack(30))

    assert places(split.train) == list(range(16))
    assert places(split.val) == list(range(17, 23))
    assert places(split.test) == list(range(24, 30))


@given(sizes=st.lists(st.integers(5, 30), min_size=1, max_size=3), gap=st.integers(0, 2))
def test_held_out_blocks_of_every_sequence_are_disjoint_and_apart(sizes, gap):
    samples = [sample for n, size in enumerate(sizes) for sample in stack(size, f"{n:02d}")]
    try:
        split = held_out(samples, gap=gap)
    except DataError:
        assert min(sizes) < 3 + 2 * gap + 2
        return
    for name in {sample.sequence for sample in samples}:
        parts = [places([key for key in part if key.startswith(name)]) for part in (split.train, split.val, split.test)]
        for earlier, later in ((parts[0], parts[1]), (parts[1], parts[2])):
            assert not earlier or not later or max(earlier) + gap < min(later)


def test_a_held_out_split_that_leaves_nothing_to_train_on_is_refused():
    with pytest.raises(DataError, match="leaves no train"):
        held_out(stack(4), gap=2)


@pytest.mark.parametrize("number", [1, 3, 6, 12, 23])
def test_few_training_slices_are_spread_over_all_of_them_and_the_others_validate_as_before(number):
    split = contiguous(stack(30), num_train=number)

    assert split.val == contiguous(stack(30)).val
    assert len(split.train) == number
    steps = np.diff(places(split.train))
    assert number == 1 or (places(split.train)[-1] == 22 and steps.max() - steps.min() <= 1)


@pytest.mark.parametrize("number", [0, 24])
def test_more_training_slices_than_there_are_are_refused(number):
    with pytest.raises(DataError, match=f"num_train={number} must be between 1 and the 23 samples"):
        contiguous(stack(30), num_train=number)


@settings(deadline=None)
@given(sizes=st.lists(st.integers(6, 30), min_size=1, max_size=3), num_folds=st.integers(2, 5), gap=st.integers(0, 1))
def test_random_folds_have_the_sizes_of_the_block_folds_and_validate_every_sample_once(sizes, num_folds, gap):
    samples = [sample for n, size in enumerate(sizes) for sample in stack(size, f"{n}")]
    random_folds = [random_kfold(samples, num_folds=num_folds, fold=fold, gap=gap, seed=7) for fold in range(num_folds)]
    block_folds = [kfold(samples, num_folds=num_folds, fold=fold, gap=gap) for fold in range(num_folds)]

    assert sorted(key for split in random_folds for key in split.val) == sorted(sample.key for sample in samples)
    for mixed, blocks in zip(random_folds, block_folds, strict=True):
        assert not set(mixed.train) & set(mixed.val)
        assert (len(mixed.train), len(mixed.val)) == (len(blocks.train), len(blocks.val))


def test_random_folds_mix_neighbours():
    split = random_kfold(stack(30), num_folds=3, fold=1)

    assert any(abs(a - b) == 1 for a in places(split.val) for b in places(split.train))


def test_own_classes_and_their_number_are_in_the_manifest_and_only_then():
    samples = [replace(sample, labels=np.zeros((2, 2), np.int32)) for sample in stack(3)]
    split = Split((samples[0].key,), (samples[1].key,), ())
    plain = manifest("n", samples, split)
    classes = [np.array([[0, 1], [2, value]], np.uint8) for value in (0, 255)]
    others = [manifest("n", [replace(samples[0], classes=each), *samples[1:]], split) for each in classes]

    assert "num_classes" not in plain
    assert plain == manifest("n", samples, split, num_classes=2)
    digests = {each["digest"] for each in (plain, *others, manifest("n", samples, split, num_classes=3))}
    assert len(digests) == 4
