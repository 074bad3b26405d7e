"""Decides what the stored values of a set of label images mean, with reasons; asks where that is ambiguous."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import numpy as np

from unet_repro.data.labels import IGNORED, Labels
from unet_repro.data.meaning.evidence import Evidence, distinct, some
from unet_repro.data.meaning.many_values import as_classes, classes_or_instances, refuse_outlines
from unet_repro.data.meaning.meaning import BACKGROUND_AND_CELL, Meaning, listed
from unet_repro.errors import DataError

LabelKind = Literal["auto", "binary", "instances", "classes"]

_FULL_SCALE = {1, 255, 65535}  # foreground of masks, as different programs write it
_MOST_OF_MIXED = 3  # a page of more values than this beside masks of one value has numbers of objects
# The conventional values of pixels to leave out, each if no other value is larger than the second number.
_CONVENTIONAL = {IGNORED: 100, 65535: 30_000}


def decide(
    pages: Sequence[Labels],
    *,
    labels: LabelKind = "auto",
    classes: Sequence[str] | None = None,
    ignore: int | None = None,
) -> Meaning:
    """Decides the meaning of a set of label pages.

    Args:
        pages: ``(H, W)`` int32 each, values as stored.
        labels: ``auto`` decides by the values; others are what the user says: ``binary`` (0 and one other value),
            ``instances`` (object numbers), ``classes`` (values in ascending order are class 0, 1, ...).
        classes: Names of the classes, background first; more than two names imply ``classes``.
        ignore: Stored value of pixels to ignore; ``None``: with ``auto`` and ``classes``, 255 or 65535 beside small
            numbers.

    Raises:
        DataError: If the values contradict the settings, or their meaning is ambiguous.

    >>> decide([np.array([[0, 1, 1], [0, 255, 255]])]).ignore
    255
    """
    names = None if classes is None else _checked_names(classes, labels)
    if names is not None and len(names) > len(BACKGROUND_AND_CELL):
        labels = "classes"
    stored = [distinct(page) for page in pages]
    occurring = {value for values in stored for value in values}
    reasons, warnings = [], []
    if ignore is None:
        is_open = labels == "auto" or (labels == "classes" and (names is None or len(names) != len(occurring)))
        if is_open and (ignore := _conventional_ignore(stored)) is not None:
            reasons.append(f"{ignore} beside small numbers: such pixels are ignored (else set data.labels=instances)")
    elif ignore not in occurring:
        warnings.append(f"no label has the ignored value {ignore}")
    per_page = [tuple(value for value in values if value != ignore) for values in stored]
    if labels == "classes":
        meaning = as_classes(occurring - {ignore}, names, "by data.labels or data.classes")
    elif labels == "instances":
        meaning = Meaning("instances", names or BACKGROUND_AND_CELL, reasons=("instance numbers, by data.labels",))
        if ignore is None:
            warnings += _of_one_number(pages)
    else:
        meaning = _from_values(pages, per_page, names, ignore, is_binary=labels == "binary")
    return replace(
        meaning,
        ignore=ignore,
        reasons=(*meaning.reasons, *reasons),
        warnings=(*meaning.warnings, *warnings),
    )


def _from_values(
    pages: Sequence[Labels],
    per_page: Sequence[tuple[int, ...]],
    names: tuple[str, ...] | None,
    ignore: int | None,
    *,
    is_binary: bool,
) -> Meaning:
    """The meaning of labels said to be binary, or of which nothing is said."""
    others = sorted({value for values in per_page for value in values} - {0})
    has_zero = any(0 in values for values in per_page)
    two_valued = all(len(values) <= 1 or (len(values) == 2 and values[0] == 0) for values in per_page)
    looked_at = some([page for page, values in zip(pages, per_page, strict=True) if any(values)])
    evidence = [Evidence(page if ignore is None else np.where(page == ignore, 0, page)) for page in looked_at]
    if two_valued and (len(others) <= 1 or (has_zero and set(others) <= _FULL_SCALE)):
        if not is_binary:
            refuse_outlines(evidence, "binary")
        files = Counter(value for values in per_page for value in values if value != 0)
        what = " and ".join(f"{value} in {number} images" for value, number in sorted(files.items()))
        return Meaning(
            "binary", names or BACKGROUND_AND_CELL, reasons=(f"masks: 0 and one other value ({what or 'none'})",)
        )
    if any(one.cut is not None for one in evidence):
        if not is_binary:
            _refuse_one_grey_value(evidence)
        return _with_grey_edges(evidence, names)
    if is_binary:
        values = [*([0] if has_zero else []), *others]
        raise DataError(
            f"labels have {len(values)} values ({listed(values)}), expected 0 and one other",
            hint="save masks as 0 and 255, name the value of pixels to leave out with data.ignore=, "
            "or set data.labels=instances or data.labels=classes",
        )
    _refuse_mixture(evidence)
    return classes_or_instances(evidence, others, names, has_zero=has_zero, ignore=ignore)


def _refuse_one_grey_value(evidence: Sequence[Evidence]) -> None:
    """Asks what a single grey value along edges means: smoothing and resizing make several.

    Raises:
        DataError: If all labels together have one value between those of background and foreground.
    """
    values = sorted({value for one in evidence for value in distinct(one.page)})
    if len(values) == 3:
        low, middle, high = values
        raise DataError(
            f"labels have the values {low}, {middle} and {high}, and {middle} lies along edges only: is it a class, "
            "pixels to leave out, or a grey edge?",
            hint=f"set data.labels=classes; data.ignore={middle} to leave such pixels out; or data.labels=binary: "
            f"values above {(low + high) / 2:g} are cell",
        )


def _refuse_mixture(evidence: Sequence[Evidence]) -> None:
    """Asks for labels of one kind.

    Raises:
        DataError: If some pages are masks, of 0 and one usual value in several pieces, and others have many values.
    """
    masks = [one for one in evidence if one.is_mask and set(one.values) <= _FULL_SCALE]
    numbered = [one for one in evidence if len(one.values) > _MOST_OF_MIXED]
    if masks and numbered:
        raise DataError(
            f"labels are of two kinds: {len(masks)} with 0 and {masks[0].values[0]} only, {len(numbered)} with more "
            f"than {_MOST_OF_MIXED} values",
            hint="save all labels alike: as masks of 0 and 255, or with a number for each object",
        )


def _of_one_number(pages: Sequence[Labels]) -> list[str]:
    """A warning if every label has one number only, in several pieces, as masks do."""
    evidence = [Evidence(page) for page in some(pages) if page.any()]
    if not evidence or not all(one.is_mask for one in evidence):
        return []
    return ["each label has one number in several pieces, which count as one object: data.labels=binary separates them"]


def _with_grey_edges(evidence: Sequence[Evidence], names: tuple[str, ...] | None) -> Meaning:
    """A binary set of which some pages have grey edges. Raises ``DataError`` if another page is no mask."""
    cuts = [one.cut for one in evidence if one.cut is not None]
    cut = max(cuts)
    for one in evidence:
        if one.cut is None and any(0.2 * cut < value < 1.8 * cut for value in one.values if len(one.values) > 1):
            raise DataError(
                f"some labels are masks with grey edges, others have the values {listed(one.values)}",
                hint="save all labels alike, as PNG or TIFF without smoothing",
            )
    return Meaning(
        "binary",
        names or BACKGROUND_AND_CELL,
        cut=cut,
        reasons=(f"masks: in {len(cuts)} of {len(evidence)} images two grey values fill areas, others are thin edges",),
        warnings=(
            f"masks have grey edges (saved as JPEG, smoothed or resized): values above {cut:g} are taken as cell; "
            "export them as PNG or TIFF without smoothing, for exact edges",
        ),
    )


def _conventional_ignore(stored: Sequence[tuple[int, ...]]) -> int | None:
    """The value that stands beside much smaller numbers. Raises ``DataError`` if it may also be the foreground."""
    *small, value = sorted({value for values in stored for value in values}) or [0]
    if len(small) < 2 or small[-1] > _CONVENTIONAL.get(value, -1):
        return None
    having = [values for values in stored if value in values]
    beside = [values for values in having if set(values) - {0, value}]
    if not beside:
        return None
    if len(having) == 1 and small != list(range(small[0], small[0] + len(small))):  # may be a number by accident
        return None
    if small == [0, 1] and len(beside) < len(having):
        raise DataError(
            f"labels have {value} beside 1 in {len(beside)} images, and {value} without 1 in "
            f"{len(having) - len(beside)}: is {value} a cell, or a pixel to leave out?",
            hint=f"set data.ignore={value} to leave such pixels out; if they are cells, save masks as 0 and {value}",
        )
    return value


def _checked_names(classes: Sequence[str], labels: LabelKind) -> tuple[str, ...]:
    names = tuple(name.strip() for name in classes)
    if len(names) < len(BACKGROUND_AND_CELL) or len(set(names)) < len(names) or not all(names):
        raise DataError(
            f"data.classes={list(classes)} must be two or more different names",
            hint="name the background first, as in data.classes=[background,nucleus]",
        )
    if len(names) > len(BACKGROUND_AND_CELL) and labels in ("binary", "instances"):
        raise DataError(
            f"data.labels={labels} has two classes, but data.classes has {len(names)} names ({', '.join(names)})",
            hint="name two classes, or set data.labels=classes",
        )
    return names
