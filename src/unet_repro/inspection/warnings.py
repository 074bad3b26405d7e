"""What may be wrong with a data set and its split, one sentence each."""

import statistics
from collections.abc import Sequence

import numpy as np

from unet_repro.data.likeness import NEARLY_IDENTICAL, thumbnails
from unet_repro.data.splits import Split
from unet_repro.files import counted
from unet_repro.inspection.facts import Facts
from unet_repro.training.build import Data

FEW_IMAGES = 10  # assumed: below, scores depend more on which images validate than on the network
FEWEST_FOR_FOLDS = 5  # folds of conf/split/kfold.yaml
_SMALL_SHARE = 3  # an image of which a side is so many times shorter than usual is named
_CLEAR_CONTRAST = 0.5  # of objects and the rest of an image, in standard deviations
_MANY_ALIKE = 3  # images of one contrast for each image of the opposite one
_NAMED = 3  # keys that a sentence names


def warnings_of(facts: Facts, data: Data | None) -> list[str]:
    """The warnings.

    Args:
        facts: Facts of the data.
        data: The data with their split; ``None`` if they could not be split.
    """
    found = []
    number = len(facts.labelled)
    if number < FEW_IMAGES:
        what = "labelled image is" if number == 1 else "labelled images are"
        found.append(
            f"{number} {what} few (below {FEW_IMAGES}): scores will depend on which images validate{_folds(number)}"
        )
    if facts.empty:
        found.append(f"{counted(len(facts.empty), 'labelled image')} without any object: {named(facts.empty)}")
    if facts.full:
        found.append(f"{counted(len(facts.full), 'labelled image')} without any background: {named(facts.full)}")
    usual, limiting = facts.sizes[0][0], min(facts.image_hw)
    if limiting < min(usual) / _SMALL_SHARE:
        found.append(
            f"{facts.smallest} has a side of {limiting} pixels, most images have {usual[0]} x {usual[1]}: it limits "
            "depth and tile size for all; leave it out if it is an exception"
        )
    if len(facts.inverted) > number / 2 or _others_are_sparse(facts):
        found.append(
            f"in {len(facts.inverted)} of {counted(number, 'labelled image')} one object surrounds all others; if it "
            f"is the background, invert the masks, so that it is 0: {named(facts.inverted)}"
        )
    found += _of_opposite_contrast(facts)
    if facts.unlabelled:
        found.append(
            f"{counted(len(facts.unlabelled), 'image')} without labels, not trained on: {named(facts.unlabelled)}"
        )
    found += [f"{len(keys)} images are identical: {named(keys)}" for keys in facts.duplicates[:_NAMED]]
    if len(facts.duplicates) > _NAMED:
        found.append(f"{len(facts.duplicates) - _NAMED} more groups of images are identical")
    if data is not None:
        found += [*_without_objects(data), *_across(data)]
    return found


def _others_are_sparse(facts: Facts) -> bool:
    """Whether some labels look inverted, and the others are mostly background."""
    others = [share for key, share in zip(facts.labelled, facts.foreground, strict=True) if key not in facts.inverted]
    return bool(facts.inverted) and statistics.median(others) < 0.5


def _of_opposite_contrast(facts: Facts) -> list[str]:
    """A warning of few images in which the objects are dark while they are bright in the others, or the reverse."""
    contrast = dict(zip(facts.labelled, facts.contrast, strict=True))
    bright = [key for key, value in contrast.items() if value > _CLEAR_CONTRAST]
    dark = [key for key, value in contrast.items() if value < -_CLEAR_CONTRAST]
    few, many, brightness = (dark, bright, "darker") if len(dark) < len(bright) else (bright, dark, "brighter")
    if not few or len(many) < _MANY_ALIKE * len(few):
        return []
    return [
        f"in {len(few)} of {counted(len(contrast), 'labelled image')} the objects are {brightness} than the rest of "
        f"the image, unlike in {len(many)} others; check that neither mask nor image is inverted: {named(few)}"
    ]


def near_pairs(data: Data, split: Split) -> list[tuple[str, str, float]]:
    """Nearly identical images of which one trains and the other validates or tests.

    Returns:
        Key of the training image, key of the other, and the correlation of their thumbnails, the highest first.
    """
    images = {one.key: one.image for one in data.samples}
    others = (*split.val, *split.test)
    if not split.train or not others:
        return []
    alike = thumbnails([images[key] for key in split.train]) @ thumbnails([images[key] for key in others]).T
    rows, columns = np.nonzero(alike >= NEARLY_IDENTICAL)
    pairs = [
        (split.train[row], others[column], float(alike[row, column])) for row, column in zip(rows, columns, strict=True)
    ]
    return sorted(pairs, key=lambda pair: -pair[2])


def named(keys: Sequence[str]) -> str:
    """The first keys as text.

    >>> named(["a", "b", "c", "d"])
    'a, b, c ...'
    """
    return ", ".join(keys[:_NAMED]) + (" ..." if len(keys) > _NAMED else "")


def _folds(number: int) -> str:
    """How to validate on every image once, with enough images for it."""
    if number < FEWEST_FOR_FOLDS:
        return ""
    folds = ",".join(map(str, range(FEWEST_FOR_FOLDS)))
    return f"; to validate on each once: train -m split=kfold split.fold={folds} ..."


def _without_objects(data: Data) -> list[str]:
    labels = {one.key: one.labels for one in data.samples}
    return [
        f"no image that {verb} has an object, so {so}; put images with objects there, or choose another split"
        for keys, verb, so in (
            (data.split.train, "trains", "the network cannot learn what an object is"),
            (data.split.val, "validates", "scores say nothing"),
        )
        if keys and not any((found := labels[key]) is not None and (found > 0).any() for key in keys)
    ]


def _across(data: Data) -> list[str]:
    pairs = near_pairs(data, data.split)
    if not pairs:
        return []
    shown = named([f"{train} and {other} (correlation {alike:.2f})" for train, other, alike in pairs])
    return [
        f"{len({other for _, other, _ in pairs})} of {len(data.split.val) + len(data.split.test)} images that validate "
        f"or test are nearly identical to a training image, so that scores are too high: {shown}"
    ]
