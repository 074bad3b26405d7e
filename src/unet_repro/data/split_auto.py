"""The split that the number of labelled images allows."""

from collections import defaultdict
from collections.abc import Sequence

from unet_repro.data.likeness import neighbours_are_alike
from unet_repro.data.sample import Sample
from unet_repro.data.split_within import within
from unet_repro.data.splits import Split, contiguous, sequences_apart

FEWEST = 3  # labelled images of a sequence of which some train, some validate, and one between them may be left out


def auto(
    samples: Sequence[Sample], *, val_share: float = 0.2, depth: int | None = None
) -> tuple[Split, list[Sample]] | Split:
    """Whole files of several pages validate if there are enough of them, else whole images, else blocks of each image.

    Between training and validation one image is left out where consecutive images resemble each other, as in a stack;
    none between independent images.

    Args:
        samples: All samples of a source.
        val_share: Validation share.
        depth: Number of max-pools, for the gap inside an image; see ``split_within.within``.

    Raises:
        ConfigError: If an argument is out of range.
        DataError: If a part would be empty.
    """
    if is_within(samples):
        return within(samples, val_share=val_share, depth=depth)
    labelled = _labelled(samples)
    if _has_sequences_to_spare(labelled):
        return sequences_apart(samples, val_share=val_share)
    alike = any(neighbours_are_alike([one.image for one in sequence]) for sequence in labelled)
    return contiguous(samples, val_share=val_share, gap=1 if alike else 0)


def is_within(samples: Sequence[Sample]) -> bool:
    """Whether every sequence has too few labelled images, so that images themselves are divided."""
    labelled = _labelled(samples)
    return max(map(len, labelled), default=0) < FEWEST and not _has_sequences_to_spare(labelled)


def _has_sequences_to_spare(labelled: Sequence[Sequence[Sample]]) -> bool:
    """Whether there are sequences enough, and none of them has most of the images."""
    sizes = list(map(len, labelled))
    return len(sizes) >= FEWEST and max(sizes) <= sum(sizes) / 2


def _labelled(samples: Sequence[Sample]) -> list[list[Sample]]:
    """The labelled training samples of each sequence, in order."""
    found = defaultdict(list)
    for sample in sorted(samples, key=lambda one: one.key):
        if sample.part == "train" and sample.labels is not None:
            found[sample.sequence].append(sample)
    return list(found.values())
