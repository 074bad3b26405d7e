"""Splits of the trial: a replicate's fold, few of its training slices, tuning inside it, and neighbours in training.

All are folds of ``splits.kfold``: block ``fold`` of every sequence is held out, and ``gap`` samples around it are
unused. Distances are counted in samples of one sequence, in acquisition order.
"""

from collections.abc import Sequence

import numpy as np

from unet_repro.data.sample import Sample
from unet_repro.data.splits import Split, checked, kfold, labelled_sequences
from unet_repro.errors import DataError

JUDGES = 2  # slices in the middle of a held-out block that judge the comparison with and without neighbours


def replicate(
    samples: Sequence[Sample],
    *,
    num_folds: int = 5,
    fold: int = 0,
    gap: int = 1,
    num_train: int | None = None,
    draw_seed: int = 0,
) -> Split:
    """A fold, optionally with few training samples, drawn at random.

    The few are drawn among the fold's training samples that do not border on the gap: each is at least ``gap + 2``
    samples away from the held-out block, so that none resembles it.

    Args:
        samples: All samples of a source.
        num_folds: Number of folds.
        fold: The fold to validate on.
        gap: Unused samples on either side of the held-out block.
        num_train: Number of training samples to draw; ``None`` for all.
        draw_seed: Seed of the draw.

    Raises:
        DataError: If there is no such fold, a part would be empty, or fewer than ``num_train`` samples can be drawn.
    """
    split = kfold(samples, num_folds=num_folds, fold=fold, gap=gap)
    if num_train is None:
        return split
    far = [key for key, distance in _distances(samples, split).items() if distance > gap + 1]
    if not 0 < num_train <= len(far):
        raise DataError(
            f"split.num_train={num_train} must be between 1 and the {len(far)} training samples of fold {fold} "
            f"that are more than {gap + 1} samples away from the held-out block",
            hint="use fewer, more labelled images, or a smaller split.gap",
        )
    drawn = np.random.default_rng((draw_seed, 4)).choice(len(far), num_train, replace=False)
    return Split(tuple(far[index] for index in sorted(drawn.tolist())), split.val, split.test)


def tune(
    samples: Sequence[Sample], *, num_folds: int = 5, fold: int = 0, gap: int = 1, judge_share: float = 0.25
) -> Split:
    """For choosing settings: the last training samples of a fold judge, and its held-out block stays unused.

    Args:
        samples: All samples of a source.
        num_folds: Number of folds.
        fold: The fold whose held-out block is unused.
        gap: Unused samples around the held-out block and around the judging samples.
        judge_share: Share of each sequence's training samples that judge, rounded, at least one.

    Raises:
        DataError: If there is no such fold, the share is not between 0 and 1, or no training sample would be left.
    """
    if not 0 < judge_share < 1:
        raise DataError(f"split.judge_share={judge_share} must be between 0 and 1", hint="use e.g. 0.25")
    fold_train = set(kfold(samples, num_folds=num_folds, fold=fold, gap=gap).train)
    train: list[str] = []
    val: list[str] = []
    for keys in labelled_sequences(samples):
        places = [place for place, key in enumerate(keys) if key in fold_train]
        judges = places[len(places) - max(1, round(judge_share * len(places))) :] if places else []
        train += [keys[place] for place in places if all(abs(place - judge) > gap for judge in judges)]
        val += [keys[place] for place in judges]
    return checked(Split(tuple(train), tuple(val), ()), "tune")


def neighbours(samples: Sequence[Sample], *, num_folds: int = 5, fold: int = 0, gap: int = 1) -> Split:
    """A fold judged by the middle of its block, with the rest of the block in training (claim C9).

    The middle two samples of each held-out block validate. The block's other samples train in place of as many training
    samples of the same sequence, those farthest from the block (of two at the same distance the earlier one leaves).
    The number of training samples is that of ``kfold``; the samples in the gap stay unused.

    Raises:
        DataError: If there is no such fold, a part would be empty, a block has no neighbours on both sides of its
            middle, or a sequence has too few training samples to replace.
    """
    split = kfold(samples, num_folds=num_folds, fold=fold, gap=gap)
    distances = _distances(samples, split)
    train: list[str] = []
    val: list[str] = []
    for keys in labelled_sequences(samples):
        block = [key for key in keys if key in split.val]
        first = (len(block) - JUDGES) // 2
        judges = block[first : first + JUDGES]
        added = [key for key in block if key not in judges]
        far_first = sorted((key for key in keys if key in distances), key=lambda key: -distances[key])
        if first < 1 or len(far_first) < len(added):
            raise DataError(
                f"split=neighbours needs a held-out block of at least {JUDGES + 2} samples and as many training "
                f"samples to replace; fold {fold} holds out {len(block)} of {len(keys)} samples",
                hint="use more labelled images, or fewer split.num_folds",
            )
        kept = {*far_first[len(added) :], *added}
        train += [key for key in keys if key in kept]
        val += judges
    return checked(Split(tuple(train), tuple(val), split.test), "neighbours")


def _distances(samples: Sequence[Sample], split: Split) -> dict[str, int]:
    """Distance of each training sample, in samples, to the nearest held-out one of its sequence."""
    distances = {}
    for keys in labelled_sequences(samples):
        held_out = [place for place, key in enumerate(keys) if key in split.val]
        for place, key in enumerate(keys):
            if key in split.train:
                distances[key] = min(abs(place - other) for other in held_out)
    return distances
