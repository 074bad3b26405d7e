"""A split inside images, for data sets of one or very few annotated images."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from unet_repro.data.labels import IGNORED, classes_of
from unet_repro.data.sample import Sample
from unet_repro.data.splits import Split
from unet_repro.errors import ConfigError, DataError
from unet_repro.geometry import halo


def within(
    samples: Sequence[Sample], *, val_share: float = 0.2, gap_px: int | None = None, depth: int | None = None
) -> tuple[Split, list[Sample]]:
    """Divides every labelled training image across its longer side: a block trains, the other validates.

    The pixels of the gap between the two are in neither, so that no receptive field reaches from one into the other.

    Args:
        samples: All samples of a source.
        val_share: Share of the longer side that validates: at its end, or at its start if a block had one class only.
        gap_px: Width of the gap in pixels; ``None`` for the receptive field of a U-Net of this depth.
        depth: Number of max-pools.

    Returns:
        The split, and the blocks with the unlabelled and test samples.

    Raises:
        ConfigError: If an argument is out of range, or both ``gap_px`` and ``depth`` are ``None``.
        DataError: If an image is too small, or no division has two classes on both sides.
    """
    if not 0 < val_share < 1:
        raise ConfigError(f"split.val_share={val_share} must be between 0 and 1", hint="use e.g. 0.2")
    if gap_px is None:
        if depth is None:
            raise ConfigError("split.gap_px is required for this model", hint="set it to the receptive field in pixels")
        gap_px = 2 * halo(depth)
    if gap_px < 0:
        raise ConfigError(f"split.gap_px={gap_px} must not be negative", hint="use 0 or more")
    trained, judged, others = [], [], []
    for sample in samples:
        if sample.part != "train" or sample.labels is None:
            others.append(sample)
            continue
        train, val = _divided(sample, val_share, gap_px)
        trained.append(train)
        judged.append(val)
    if not trained:
        raise DataError("split=within finds no labelled images", hint="check that labels are beside the images")
    test = tuple(sample.key for sample in others if sample.part == "test")
    split = Split(tuple(one.key for one in trained), tuple(one.key for one in judged), test)
    return split, [*trained, *judged, *others]


def _divided(sample: Sample, val_share: float, gap_px: int) -> tuple[Sample, Sample]:
    height, width = sample.image.shape[-2:]
    length = max(height, width)
    held_out = max(1, round(val_share * length))
    kept = length - held_out - gap_px
    if kept < 1:
        raise DataError(
            f"split=within leaves nothing of {sample.key} ({height} x {width} pixels) to train on: {held_out} pixels "
            f"validate, and a gap of {gap_px} is left out",
            hint="use a smaller model.depth, whose receptive field is smaller, or a smaller split.gap_px",
        )
    for train, val in (
        (slice(0, kept), slice(length - held_out, length)),
        (slice(length - kept, length), slice(0, held_out)),
    ):
        blocks = _block(sample, train), _block(sample, val)
        if all(_has_two_classes(block) for block in blocks):
            return blocks
    raise DataError(
        f"split=within finds no block of {sample.key} with pixels of two classes on either side",
        hint="use another split.val_share, or label more images",
    )


def _block(sample: Sample, part: slice) -> Sample:
    """The rows, or in a wide image the columns, of a part; the key names them, as in ``a/columns_0-799``."""
    height, width = sample.image.shape[-2:]
    rows, columns = (part, slice(None)) if height >= width else (slice(None), part)
    along = "rows" if height >= width else "columns"
    assert sample.labels is not None, "only labelled samples are divided"
    return replace(
        sample,
        key=f"{sample.key}/{along}_{part.start}-{part.stop - 1}",
        image=np.ascontiguousarray(sample.image[..., rows, columns]),
        labels=np.ascontiguousarray(sample.labels[rows, columns]),
        classes=None if sample.classes is None else np.ascontiguousarray(sample.classes[rows, columns]),
    )


def _has_two_classes(sample: Sample) -> bool:
    assert sample.labels is not None, "only labelled samples are divided"
    classes = classes_of(sample.labels, sample.classes)
    return len(np.unique(classes[classes != IGNORED])) > 1
