"""The facts of a data set: its images, objects, duplicates and missing labels."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from unet_repro.data.labels import IGNORED, Labels, classes_of
from unet_repro.data.sample import Sample
from unet_repro.files import sha256


@dataclass(frozen=True)
class Facts:
    """What a data set contains.

    Attributes:
        sizes: Number of images of each height and width, the most frequent first.
        channels: Channels of an image.
        dtype: Type of the stored values.
        values: Lowest and highest stored value.
        labelled: Keys of the training images with labels.
        unlabelled: Keys of the training images without labels.
        tested: Keys of the test images.
        empty: Keys of the labelled training images without any object.
        full: Keys of the labelled training images that are an object everywhere.
        inverted: Keys of those in which one object covers more than half of the image, and all borders.
        contrast: How much brighter the objects of each labelled training image are than the rest, in standard
            deviations of its grey values.
        objects: Objects in each labelled training image.
        diameters_px: Diameter of the circle of equal area of every object, sorted, float64.
        touching: Share of the objects that have a pixel beside one of another object.
        foreground: Share of the pixels of each labelled training image that are in an object.
        ignored: Share of the labelled pixels that are ignored.
        duplicates: Keys of images with equal pixels, at least two each.
        image_hw: Smallest height and smallest width of a labelled training image.
        smallest: Key of the labelled training image with the shortest side.
        pixels: Pixels of all labelled training images.
    """

    sizes: tuple[tuple[tuple[int, int], int], ...]
    channels: int
    dtype: str
    values: tuple[float, float]
    labelled: tuple[str, ...]
    unlabelled: tuple[str, ...]
    tested: tuple[str, ...]
    empty: tuple[str, ...]
    full: tuple[str, ...]
    inverted: tuple[str, ...]
    contrast: tuple[float, ...]
    objects: tuple[int, ...]
    diameters_px: npt.NDArray[np.float64]
    touching: float
    foreground: tuple[float, ...]
    ignored: float
    duplicates: tuple[tuple[str, ...], ...]
    image_hw: tuple[int, int]
    smallest: str
    pixels: int

    @property
    def diameter_px(self) -> float:
        """Median diameter of the objects; 0 without any."""
        return float(np.median(self.diameters_px)) if len(self.diameters_px) else 0.0


def facts_of(samples: Sequence[Sample]) -> Facts:
    """Counts and measures a source's samples, of which at least one is labelled for training."""
    labelled = [(one, one.labels) for one in samples if one.part == "train" and one.labels is not None]
    areas = [_areas(labels) for _, labels in labelled]
    diameters = np.sqrt(4 / np.pi * np.concatenate(areas))
    ignored = [one.classes == IGNORED for one, _ in labelled if one.classes is not None]
    pixels = sum(labels.size for _, labels in labelled)
    return Facts(
        sizes=tuple(Counter(one.image.shape[-2:] for one in samples).most_common()),
        channels=1 if samples[0].image.ndim == 2 else len(samples[0].image),
        dtype=str(samples[0].image.dtype),
        values=(float(min(one.image.min() for one in samples)), float(max(one.image.max() for one in samples))),
        labelled=tuple(one.key for one, _ in labelled),
        unlabelled=tuple(one.key for one in samples if one.part == "train" and one.labels is None),
        tested=tuple(one.key for one in samples if one.part == "test"),
        empty=tuple(one.key for (one, _), found in zip(labelled, areas, strict=True) if not len(found)),
        full=tuple(one.key for one, labels in labelled if (labels > 0).all()),
        inverted=tuple(one.key for one, labels in labelled if _is_around(labels)),
        contrast=tuple(_contrast(one, labels) for one, labels in labelled),
        objects=tuple(map(len, areas)),
        diameters_px=np.sort(diameters),
        touching=sum(_num_touching(labels) for _, labels in labelled) / max(1, len(diameters)),
        foreground=tuple(_foreground(one, labels) for one, labels in labelled),
        ignored=sum(int(mask.sum()) for mask in ignored) / pixels,
        duplicates=_duplicates(samples),
        image_hw=(min(labels.shape[0] for _, labels in labelled), min(labels.shape[1] for _, labels in labelled)),
        smallest=min(labelled, key=lambda one: min(one[1].shape))[0].key,
        pixels=pixels,
    )


def _areas(labels: Labels) -> npt.NDArray[np.int64]:
    """Pixels of each object."""
    return np.unique(labels[labels > 0], return_counts=True)[1]


def _is_around(labels: Labels) -> bool:
    """Whether one object covers more than half of the image and most of each border, but not all of the image."""
    if (labels > 0).all() or not labels.any():
        return False
    numbers, areas = np.unique(labels[labels > 0], return_counts=True)
    largest = labels == numbers[areas.argmax()]
    borders = largest[0], largest[-1], largest[:, 0], largest[:, -1]
    return bool(largest.mean() > 0.5 and all(border.mean() > 0.5 for border in borders))


def _num_touching(labels: Labels) -> int:
    """Objects with a pixel above, below, left or right of one of another object."""
    found: set[int] = set()
    for one, other in ((labels[1:], labels[:-1]), (labels[:, 1:], labels[:, :-1])):
        touch = (one != other) & (one > 0) & (other > 0)
        found.update(one[touch].tolist(), other[touch].tolist())
    return len(found)


def _foreground(sample: Sample, labels: Labels) -> float:
    classes = classes_of(labels, sample.classes)
    known = classes != IGNORED
    return float((classes[known] > 0).mean()) if known.any() else 0.0


def _contrast(sample: Sample, labels: Labels) -> float:
    """Difference of the means in objects and elsewhere, of all channels, in standard deviations; 0 if one is empty."""
    inside = labels > 0
    grey = sample.image.astype(np.float64)
    grey = grey if grey.ndim == 2 else grey.mean(0)
    if inside.all() or not inside.any() or not (spread := grey.std()):
        return 0.0
    return float((grey[inside].mean() - grey[~inside].mean()) / spread)


def _duplicates(samples: Sequence[Sample]) -> tuple[tuple[str, ...], ...]:
    by_content = defaultdict(list)
    for one in samples:
        by_content[sha256(one.image)].append(one.key)
    return tuple(tuple(keys) for keys in by_content.values() if len(keys) > 1)
