"""The trial's splits: few slices are drawn away from the held-out block, tuning never sees it, neighbours replace."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_splits import places, stack

from unet_repro.data.replicates import neighbours, replicate, tune
from unet_repro.data.splits import kfold
from unet_repro.errors import DataError

FOLDS = range(5)


@pytest.mark.parametrize("fold", FOLDS)
def test_a_replicate_is_a_fold(fold):
    assert replicate(stack(30), fold=fold, draw_seed=7) == kfold(stack(30), fold=fold)


@settings(deadline=None)
@given(fold=st.integers(0, 4), seed=st.integers(0, 2**32 - 1), gap=st.integers(0, 2), number=st.integers(1, 6))
def test_few_slices_are_drawn_from_the_folds_own_and_none_borders_on_the_gap(fold, seed, gap, number):
    whole = kfold(stack(30), fold=fold, gap=gap)
    few = replicate(stack(30), fold=fold, gap=gap, num_train=number, draw_seed=seed)

    assert (few.val, few.test) == (whole.val, whole.test)
    assert len(few.train) == len(set(few.train)) == number
    assert list(few.train) == sorted(few.train)
    assert set(few.train) <= set(whole.train)
    assert min(abs(a - b) for a in places(few.train) for b in places(few.val)) >= gap + 2
    assert replicate(stack(30), fold=fold, gap=gap, num_train=number, draw_seed=seed) == few


def test_every_slice_away_from_the_block_is_drawn_equally_often():
    drawn = [key for seed in range(2000) for key in replicate(stack(30), fold=2, num_train=3, draw_seed=seed).train]

    counts = [drawn.count(key) for key in sorted(set(drawn))]
    assert places(sorted(set(drawn))) == [*range(10), *range(20, 30)]
    assert min(counts) > 240  # of 300 each
    assert max(counts) < 360


@pytest.mark.parametrize("number", [0, 21])
def test_more_slices_than_lie_away_from_the_block_are_refused(number):
    with pytest.raises(DataError, match=rf"num_train={number} must be between 1 and the 20 training samples of fold 2"):
        replicate(stack(30), fold=2, num_train=number)


TUNED = {
    0: ([*range(7, 23)], [*range(24, 30)]),
    1: ([*range(5), *range(13, 23)], [*range(24, 30)]),
    2: ([*range(11), *range(19, 23)], [*range(24, 30)]),
    3: ([*range(15)], [16, *range(25, 30)]),
    4: ([*range(16)], [*range(17, 23)]),
}


@pytest.mark.parametrize("fold", FOLDS)
def test_the_last_quarter_of_a_folds_training_slices_judges_the_tuning(fold):
    split = tune(stack(30), fold=fold)

    assert (places(split.train), places(split.val)) == TUNED[fold]


@settings(deadline=None)
@given(
    sizes=st.lists(st.integers(8, 40), min_size=1, max_size=3),
    fold=st.integers(0, 4),
    gap=st.integers(0, 2),
    share=st.floats(0.05, 0.9),
)
def test_tuning_never_sees_the_held_out_block_and_keeps_its_gaps(sizes, fold, gap, share):
    samples = [sample for n, size in enumerate(sizes) for sample in stack(size, f"s{n}")]
    try:
        whole = kfold(samples, fold=fold, gap=gap)
        split = tune(samples, fold=fold, gap=gap, judge_share=share)
    except DataError:
        return
    assert set(split.train) | set(split.val) <= set(whole.train)
    assert not set(split.train) & set(split.val)
    for name in {sample.sequence for sample in samples}:
        train, val = (places([key for key in part if key.startswith(name)]) for part in (split.train, split.val))
        assert len(val) == max(1, round(share * sum(key.startswith(name) for key in whole.train)))
        assert all(abs(a - b) > gap for a in train for b in val)
        assert not train or not val or max(train) < max(val)


def test_tuning_needs_a_share_and_something_to_train_on():
    with pytest.raises(DataError, match=r"judge_share=1.0 must be between 0 and 1"):
        tune(stack(30), judge_share=1.0)
    with pytest.raises(DataError, match="split=tune leaves no training images"):
        tune(stack(4), fold=0)


NEIGHBOURS = {
    0: ([0, 1, 4, 5, *range(7, 26)], [2, 3]),
    2: ([*range(2, 11), 12, 13, 16, 17, *range(19, 28)], [14, 15]),
    4: ([*range(4, 23), 24, 25, 28, 29], [26, 27]),
}


@pytest.mark.parametrize("fold", NEIGHBOURS)
def test_the_rest_of_the_block_trains_in_place_of_the_farthest_slices(fold):
    split = neighbours(stack(30), fold=fold)

    assert (places(split.train), places(split.val)) == NEIGHBOURS[fold]


@settings(deadline=None)
@given(sizes=st.lists(st.integers(20, 45), min_size=1, max_size=2), fold=st.integers(0, 4), gap=st.integers(0, 2))
def test_with_neighbours_as_many_slices_train_and_the_middle_of_the_block_judges(sizes, fold, gap):
    samples = [sample for n, size in enumerate(sizes) for sample in stack(size, f"s{n}")]
    without, split = kfold(samples, fold=fold, gap=gap), neighbours(samples, fold=fold, gap=gap)

    assert len(split.train) == len(without.train)
    assert len(split.val) == 2 * len(sizes)
    assert set(split.val) <= set(without.val)
    assert not set(split.train) & set(split.val)
    assert set(without.val) - set(split.val) <= set(split.train)
    for name in {sample.sequence for sample in samples}:
        block, judges = (places([key for key in part if key.startswith(name)]) for part in (without.val, split.val))
        before, after = judges[0] - block[0], block[-1] - judges[-1]
        assert judges[1] == judges[0] + 1
        assert min(before, after) >= 1
        assert after - before in (0, 1)
        kept = set(split.train) & set(without.train)
        gone = places([key for key in set(without.train) - kept if key.startswith(name)])
        near = [min(abs(a - b) for b in block) for a in places([key for key in kept if key.startswith(name)])]
        assert min(min(abs(a - b) for b in block) for a in gone) >= max(near, default=0)


@pytest.mark.parametrize(("size", "folds"), [(15, 5), (8, 2)])
def test_a_block_without_neighbours_to_give_or_slices_to_replace_is_refused(size, folds):
    with pytest.raises(DataError, match="split=neighbours needs a held-out block of at least 4 samples"):
        neighbours(stack(size), num_folds=folds, fold=0, gap=3)
