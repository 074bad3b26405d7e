"""Splits into training, validation and test samples; neighbouring slices and frames are kept apart.

Every split is a pure function of the samples' keys. ``manifest`` records which file content was in which part.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np

from unet_repro.data.labels import NUM_CLASSES
from unet_repro.data.sample import Sample, evenly
from unet_repro.errors import DataError
from unet_repro.files import sha256


@dataclass(frozen=True)
class Split:
    """Keys of the samples of each part, in acquisition order."""

    train: tuple[str, ...]
    val: tuple[str, ...]
    test: tuple[str, ...]


def contiguous(
    samples: Sequence[Sample], *, val_share: float = 0.2, gap: int = 1, num_train: int | None = None
) -> Split:
    """Validates on the last block of every training sequence; the ``gap`` samples before it are left out.

    Args:
        samples: Samples of all parts; those of the publisher's test set are the test part.
        val_share: Validation share of each sequence, rounded, at least one sample.
        gap: Unused samples between the two blocks, because they resemble both.
        num_train: Number of training samples, evenly spaced among the remaining ones; ``None`` for all.

    Raises:
        DataError: If no training sample would be left, or fewer than ``num_train``.
    """
    _check_share(val_share)
    _check_gap(gap)
    train: list[str] = []
    val: list[str] = []
    for keys in labelled_sequences(samples):
        held_out = max(1, round(val_share * len(keys)))
        train += keys[: max(0, len(keys) - held_out - gap)]
        val += keys[len(keys) - held_out :]
    if num_train is not None:
        train = _spread(train, num_train)
    return checked(Split(tuple(train), tuple(val), _test_keys(samples)), "contiguous")


def held_out(samples: Sequence[Sample], *, val_share: float = 0.2, test_share: float = 0.2, gap: int = 1) -> Split:
    """Three contiguous blocks of every labelled sequence: train, validate, test; ``gap`` samples between are unused.

    For comparisons that choose settings on validation and report on a test part with public labels.

    Args:
        samples: All samples of a source; only the labelled training samples are divided.
        val_share: Validation share of each sequence, rounded, at least one sample.
        test_share: Test share of each sequence, rounded, at least one sample.
        gap: Unused samples between two blocks.

    Raises:
        DataError: If no training sample would be left.
    """
    _check_share(val_share)
    _check_share(test_share)
    _check_gap(gap)
    train: list[str] = []
    val: list[str] = []
    test: list[str] = []
    for keys in labelled_sequences(samples):
        num_val, num_test = (max(1, round(share * len(keys))) for share in (val_share, test_share))
        first_test = len(keys) - num_test
        first_val = max(0, first_test - gap - num_val)
        test += keys[first_test:]
        val += keys[first_val : max(0, first_test - gap)]
        train += keys[: max(0, first_val - gap)]
    return checked(Split(tuple(train), tuple(val), tuple(test)), "held_out")


def kfold(samples: Sequence[Sample], *, num_folds: int = 5, fold: int = 0, gap: int = 1) -> Split:
    """Validates on block ``fold`` of ``num_folds`` blocks of every sequence; ``gap`` samples around it are unused.

    Raises:
        DataError: If there is no such fold or a part would be empty.
    """
    _check_gap(gap)
    if not 0 <= fold < num_folds:
        raise DataError(f"split.fold={fold} does not exist", hint=f"use 0 to {num_folds - 1}, or raise split.num_folds")
    train: list[str] = []
    val: list[str] = []
    for keys in labelled_sequences(samples):
        edges = np.linspace(0, len(keys), num_folds + 1).round().astype(int)
        first, last = int(edges[fold]), int(edges[fold + 1])
        train += keys[: max(0, first - gap)] + keys[last + gap :]
        val += keys[first:last]
    return checked(Split(tuple(train), tuple(val), _test_keys(samples)), "kfold")


def sequence(
    samples: Sequence[Sample], *, train: str = "01", test: str = "02", val_share: float = 0.2, gap: int = 1
) -> Split:
    """Trains on one sequence (and validates on its last block), tests on another, as in the Cell Tracking Challenge.

    Raises:
        DataError: If a named sequence does not exist or has no truth.
    """
    names = sorted({sample.sequence for sample in samples if sample.labels is not None})
    if train == test:
        raise DataError(f"split.train and split.test are both {train!r}", hint="name two different sequences")
    for wanted in (train, test):
        if wanted not in names:
            raise DataError(
                f"there is no labelled sequence {wanted!r}; available: {', '.join(names) or 'none'}",
                hint="set split.train and split.test to two of these, or use split=contiguous",
            )
    inside = contiguous([sample for sample in samples if sample.sequence == train], val_share=val_share, gap=gap)
    tested = tuple(sample.key for sample in samples if sample.sequence == test and sample.labels is not None)
    return checked(Split(inside.train, inside.val, tested), "sequence")


def sequences_apart(samples: Sequence[Sample], *, val_share: float = 0.2) -> Split:
    """The last sequences validate as a whole, so that no page validates a network that was trained on its neighbours.

    Args:
        samples: All samples of a source.
        val_share: Share of the labelled training sequences that validate, rounded, at least one.

    Raises:
        DataError: If a part would be empty.
    """
    _check_share(val_share)
    sequences = labelled_sequences(samples)
    first = len(sequences) - max(1, round(val_share * len(sequences)))
    train, val = (tuple(key for keys in part for key in keys) for part in (sequences[:first], sequences[first:]))
    return checked(Split(train, val, _test_keys(samples)), "auto")


def everything(samples: Sequence[Sample], *, num_val: int = 4) -> Split:
    """Trains on every labelled training sample; some of them also validate, so that scores are not of unseen images.

    Args:
        samples: All samples of a source.
        num_val: Number of samples of each sequence that validate, evenly spaced; at most all.

    Raises:
        DataError: If there are no labelled samples, or fewer than one would validate.
    """
    if num_val < 1:
        raise DataError(f"split.num_val={num_val} must be at least 1", hint="use e.g. 4")
    sequences = labelled_sequences(samples)
    train = tuple(key for keys in sequences for key in keys)
    val = tuple(key for keys in sequences for key in evenly(keys, num_val))
    return checked(Split(train, val, _test_keys(samples)), "all")


def random(samples: Sequence[Sample], *, val_share: float = 0.2, seed: int = 0) -> Split:
    """Validates on random samples, as in the earlier reproduction; optimistic, since neighbours are split (claim C9).

    Raises:
        DataError: If a part would be empty.
    """
    _check_share(val_share)
    keys = [key for sequence_keys in labelled_sequences(samples) for key in sequence_keys]
    held_out = max(1, round(val_share * len(keys)))
    chosen = set(np.random.default_rng(seed).permutation(len(keys))[:held_out].tolist())
    val = tuple(key for index, key in enumerate(keys) if index in chosen)
    return checked(Split(tuple(k for k in keys if k not in set(val)), val, _test_keys(samples)), "random")


def random_kfold(samples: Sequence[Sample], *, num_folds: int = 5, fold: int = 0, gap: int = 1, seed: int = 0) -> Split:
    """Like ``kfold`` with random samples instead of blocks: over all folds each sample validates once (claim C9).

    Each part has as many samples as in the same fold of ``kfold``, so that the two differ only in neighbourhood.

    Args:
        samples: As for ``kfold``, like ``num_folds``, ``fold`` and ``gap``.
        num_folds: Number of folds.
        fold: The fold to validate on.
        gap: Determines how many samples are unused.
        seed: Seed of the random assignment of samples to folds.

    Raises:
        DataError: If there is no such fold or a part would be empty.
    """
    blocks = kfold(samples, num_folds=num_folds, fold=fold, gap=gap)
    keys = [key for sequence_keys in labelled_sequences(samples) for key in sequence_keys]
    sizes = [len(kfold(samples, num_folds=num_folds, fold=index, gap=0).val) for index in range(num_folds)]
    order = np.random.default_rng(seed).permutation(len(keys)).tolist()
    first = sum(sizes[:fold])
    chosen = set(order[first : first + sizes[fold]])
    others = order[first + sizes[fold] :] + order[:first]
    trained = set(others[: len(blocks.train)])
    train = tuple(key for index, key in enumerate(keys) if index in trained)
    val = tuple(key for index, key in enumerate(keys) if index in chosen)
    return checked(Split(train, val, _test_keys(samples)), "random_kfold")


Manifest = dict[str, object]


def manifest(source_name: str, samples: Sequence[Sample], split: Split, *, num_classes: int = NUM_CLASSES) -> Manifest:
    """Records what a run is trained and evaluated on: parts by key, and the SHA-256 of every image and label array.

    Args:
        source_name: Name of the source.
        samples: All samples.
        split: The keys of each part.
        num_classes: Recorded if it is not two, like the classes of samples that have their own.

    Returns:
        Plain containers; ``digest`` is the SHA-256 over everything else.
    """
    used = {*split.train, *split.val, *split.test}
    content = {
        sample.key: {
            "image": sha256(sample.image),
            "labels": None if sample.labels is None else sha256(sample.labels),
            **({} if sample.classes is None else {"classes": sha256(sample.classes)}),
        }
        for sample in samples
        if sample.key in used
    }
    body: Manifest = {"source": source_name, "split": asdict(split), "samples": content}
    if num_classes != NUM_CLASSES:
        body["num_classes"] = num_classes
    canonical = json.dumps(body, sort_keys=True)
    # Through JSON once, so that a manifest in memory equals the one read back from a file.
    return {**json.loads(canonical), "digest": sha256(canonical)}


def labelled_sequences(samples: Sequence[Sample]) -> list[list[str]]:
    """Keys of the labelled training samples, by sequence, in the given order."""
    by_name: dict[str, list[str]] = {}
    for sample in samples:
        if sample.part == "train" and sample.labels is not None:
            by_name.setdefault(sample.sequence, []).append(sample.key)
    return list(by_name.values())


def _test_keys(samples: Sequence[Sample]) -> tuple[str, ...]:
    return tuple(sample.key for sample in samples if sample.part == "test")


def _spread(keys: list[str], number: int) -> list[str]:
    """The given number of keys, from the first to the last, evenly spaced."""
    if not keys:
        raise DataError("no samples are left for training", hint="use more labelled images, or split=within")
    if not 0 < number <= len(keys):
        raise DataError(
            f"split.num_train={number} must be between 1 and the {len(keys)} samples left for training",
            hint=f"use 1 to {len(keys)}",
        )
    return evenly(keys, number)


def _check_share(val_share: float) -> None:
    if not 0 < val_share < 1:
        raise DataError(f"split.val_share={val_share} must be between 0 and 1", hint="use e.g. 0.2")


def _check_gap(gap: int) -> None:
    if gap < 0:
        raise DataError(f"split.gap={gap} must not be negative", hint="use 0 or more")


def checked(split: Split, name: str) -> Split:
    """The split, if it has training and validation samples.

    Raises:
        DataError: If one of the two parts is empty.
    """
    for part in ("train", "val"):
        if not getattr(split, part):
            of_part = "training" if part == "train" else "validation"
            raise DataError(
                f"split={name} leaves no {of_part} images",
                hint="use more labelled images, a smaller split.gap, or split=within, which divides each image",
            )
    return split
