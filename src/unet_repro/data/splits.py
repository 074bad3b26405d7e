"""Who trains, who validates, who tests; neighbouring slices and frames are kept apart.

Every split is a pure function of the samples' keys. ``manifest`` says which file content played which part.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Protocol

import numpy as np

from unet_repro.data.sample import Sample
from unet_repro.errors import DataError
from unet_repro.files import sha256


@dataclass(frozen=True)
class Split:
    """Keys of the samples of each part, in acquisition order."""

    train: tuple[str, ...]
    val: tuple[str, ...]
    test: tuple[str, ...]


class Splitter(Protocol):
    """Anything that divides samples into parts."""

    def __call__(self, samples: Sequence[Sample]) -> Split:
        """Divides; raises ``DataError`` where a part would be empty."""
        ...


def contiguous(
    samples: Sequence[Sample], *, val_share: float = 0.2, gap: int = 1, num_train: int | None = None
) -> Split:
    """The last block of every training sequence validates; the ``gap`` samples before it are left out.

    Args:
        samples: Of all parts; samples of the publisher's test set test.
        val_share: Share of each sequence that validates, rounded, at least one sample.
        gap: Samples between the two blocks that take no part, for they resemble both.
        num_train: Train on so many only, evenly spaced among those left for it; ``None`` for all.

    Raises:
        DataError: If no training sample would be left, or fewer than ``num_train``.
    """
    _check_share(val_share)
    _check_gap(gap)
    train: list[str] = []
    val: list[str] = []
    for keys in _sequences(samples):
        held_out = max(1, round(val_share * len(keys)))
        train += keys[: max(0, len(keys) - held_out - gap)]
        val += keys[len(keys) - held_out :]
    if num_train is not None:
        train = _evenly(train, num_train)
    return _checked(Split(tuple(train), tuple(val), _test_keys(samples)), "contiguous")


def held_out(samples: Sequence[Sample], *, val_share: float = 0.2, test_share: float = 0.2, gap: int = 1) -> Split:
    """Three contiguous blocks of every labelled sequence: train, validate, test; ``gap`` samples between them rest.

    For comparisons that choose settings on validation and report on test, where a test part with open labels is wanted.

    Args:
        samples: All samples of a source; only the labelled training ones are divided.
        val_share: Share of each sequence that validates, rounded, at least one sample.
        test_share: Share of each sequence that tests, rounded, at least one sample.
        gap: Samples between two blocks that take no part.

    Raises:
        DataError: If no training sample would be left.
    """
    _check_share(val_share)
    _check_share(test_share)
    _check_gap(gap)
    train: list[str] = []
    val: list[str] = []
    test: list[str] = []
    for keys in _sequences(samples):
        num_val, num_test = (max(1, round(share * len(keys))) for share in (val_share, test_share))
        first_test = len(keys) - num_test
        first_val = max(0, first_test - gap - num_val)
        test += keys[first_test:]
        val += keys[first_val : max(0, first_test - gap)]
        train += keys[: max(0, first_val - gap)]
    return _checked(Split(tuple(train), tuple(val), tuple(test)), "held_out")


def kfold(samples: Sequence[Sample], *, num_folds: int = 5, fold: int = 0, gap: int = 1) -> Split:
    """Block ``fold`` of ``num_folds`` contiguous blocks of every sequence validates, ``gap`` samples around it rest.

    Raises:
        DataError: If there is no such fold or a part would be empty.
    """
    _check_gap(gap)
    if not 0 <= fold < num_folds:
        raise DataError(f"split.fold={fold} does not exist", hint=f"use 0 to {num_folds - 1}, or raise split.num_folds")
    train: list[str] = []
    val: list[str] = []
    for keys in _sequences(samples):
        edges = np.linspace(0, len(keys), num_folds + 1).round().astype(int)
        first, last = int(edges[fold]), int(edges[fold + 1])
        train += keys[: max(0, first - gap)] + keys[last + gap :]
        val += keys[first:last]
    return _checked(Split(tuple(train), tuple(val), _test_keys(samples)), "kfold")


def sequence(
    samples: Sequence[Sample], *, train: str = "01", test: str = "02", val_share: float = 0.2, gap: int = 1
) -> Split:
    """One sequence trains (its last block validates), another one tests, as for the Cell Tracking Challenge.

    Raises:
        DataError: If a named sequence does not exist or has no truth.
    """
    names = sorted({sample.sequence for sample in samples if sample.labels is not None})
    if train == test:
        raise DataError(f"split.train and split.test are both {train!r}", hint="name two different sequences")
    for wanted in (train, test):
        if wanted not in names:
            raise DataError(
                f"there is no labelled sequence {wanted!r} to split by; there are: {', '.join(names) or 'none'}",
                hint="choose split.train and split.test among them, or use split=contiguous",
            )
    inside = contiguous([sample for sample in samples if sample.sequence == train], val_share=val_share, gap=gap)
    tested = tuple(sample.key for sample in samples if sample.sequence == test and sample.labels is not None)
    return _checked(Split(inside.train, inside.val, tested), "sequence")


def random(samples: Sequence[Sample], *, val_share: float = 0.2, seed: int = 0) -> Split:
    """Any samples validate, as in the earlier reproduction; flatters, since neighbours fall on both sides (claim C9).

    Raises:
        DataError: If a part would be empty.
    """
    _check_share(val_share)
    keys = [key for sequence_keys in _sequences(samples) for key in sequence_keys]
    held_out = max(1, round(val_share * len(keys)))
    chosen = set(np.random.default_rng(seed).permutation(len(keys))[:held_out].tolist())
    val = tuple(key for index, key in enumerate(keys) if index in chosen)
    return _checked(Split(tuple(k for k in keys if k not in set(val)), val, _test_keys(samples)), "random")


def random_kfold(samples: Sequence[Sample], *, num_folds: int = 5, fold: int = 0, gap: int = 1, seed: int = 0) -> Split:
    """The folds of ``kfold`` with any samples in the place of blocks: over all folds each validates once (claim C9).

    As many train, validate and rest as in the same fold of ``kfold``, so that the two differ in neighbourhood alone.

    Args:
        samples: As for ``kfold``, like ``num_folds``, ``fold`` and ``gap``.
        num_folds: Number of folds.
        fold: Which one validates.
        gap: Decides how many samples rest.
        seed: Of the order in which samples are dealt to folds.

    Raises:
        DataError: If there is no such fold or a part would be empty.
    """
    blocks = kfold(samples, num_folds=num_folds, fold=fold, gap=gap)
    keys = [key for sequence_keys in _sequences(samples) for key in sequence_keys]
    sizes = [len(kfold(samples, num_folds=num_folds, fold=index, gap=0).val) for index in range(num_folds)]
    order = np.random.default_rng(seed).permutation(len(keys)).tolist()
    first = sum(sizes[:fold])
    chosen = set(order[first : first + sizes[fold]])
    others = order[first + sizes[fold] :] + order[:first]
    trained = set(others[: len(blocks.train)])
    train = tuple(key for index, key in enumerate(keys) if index in trained)
    val = tuple(key for index, key in enumerate(keys) if index in chosen)
    return _checked(Split(train, val, _test_keys(samples)), "random_kfold")


Manifest = dict[str, object]


def manifest(source_name: str, samples: Sequence[Sample], split: Split) -> Manifest:
    """What a run was trained and judged on: parts by key, and the SHA-256 of every image and label array.

    Returns:
        Plain containers; ``digest`` is the SHA-256 over all the rest.
    """
    used = {*split.train, *split.val, *split.test}
    content = {
        sample.key: {
            "image": sha256(sample.image),
            "labels": None if sample.labels is None else sha256(sample.labels),
        }
        for sample in samples
        if sample.key in used
    }
    body: Manifest = {"source": source_name, "split": asdict(split), "samples": content}
    canonical = json.dumps(body, sort_keys=True)
    # Through JSON once, so that a manifest in memory equals the one read back from a file.
    return {**json.loads(canonical), "digest": sha256(canonical)}


def _sequences(samples: Sequence[Sample]) -> list[list[str]]:
    """Keys of the labelled training samples, by sequence, in the given order."""
    by_name: dict[str, list[str]] = {}
    for sample in samples:
        if sample.part == "train" and sample.labels is not None:
            by_name.setdefault(sample.sequence, []).append(sample.key)
    return list(by_name.values())


def _test_keys(samples: Sequence[Sample]) -> tuple[str, ...]:
    return tuple(sample.key for sample in samples if sample.part == "test")


def _evenly(keys: list[str], number: int) -> list[str]:
    """So many of the keys, from the first to the last, evenly spaced."""
    if not 0 < number <= len(keys):
        raise DataError(
            f"split.num_train={number} is not among the {len(keys)} samples left for training",
            hint=f"use 1 to {len(keys)}",
        )
    return [keys[index] for index in np.linspace(0, len(keys) - 1, number).round().astype(int)]


def _check_share(val_share: float) -> None:
    if not 0 < val_share < 1:
        raise DataError(f"split.val_share={val_share} is no share", hint="use a number between 0 and 1")


def _check_gap(gap: int) -> None:
    if gap < 0:
        raise DataError(f"split.gap={gap} would let training overlap validation", hint="use 0 or more")


def _checked(split: Split, name: str) -> Split:
    for part in ("train", "val"):
        if not getattr(split, part):
            raise DataError(
                f"split={name} leaves no {part} samples",
                hint="use more labelled images, a smaller split.gap, or another split",
            )
    return split
