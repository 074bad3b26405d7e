"""Labels of more than two values: classes that images share in scattered pieces, or numbers of objects."""

from collections.abc import Iterable, Sequence

from unet_repro.data.labels import IGNORED
from unet_repro.data.meaning.evidence import Evidence
from unet_repro.data.meaning.meaning import BACKGROUND_AND_CELL, Meaning, listed
from unet_repro.errors import DataError

MOST_CLASSES = 30  # more values than this are instance numbers


def classes_or_instances(
    evidence: Sequence[Evidence],
    others: Sequence[int],
    names: tuple[str, ...] | None,
    *,
    has_zero: bool,
    ignore: int | None,
) -> Meaning:
    """Decides by the number of values, of their pieces, and of images that share them.

    Args:
        evidence: Of the pages that are looked at.
        others: All values other than 0 and the ignored one, in ascending order.
        names: Names of the classes, if given.
        has_zero: Whether 0 occurs as a value that is not ignored.
        ignore: The ignored value.

    Raises:
        DataError: If the values are ambiguous, or were interpolated.
    """
    if any(one.is_smoothed for one in evidence):
        raise DataError(
            "label values are scattered along the edges of others: numbers of objects or classes that were resized "
            "with interpolation, or saved as JPEG, are lost",
            hint="export the labels again as PNG or TIFF, and resize them with nearest neighbour only",
        )
    if len(others) > MOST_CLASSES:
        return _instances(evidence, f"there are {len(others)} values besides 0", names)
    if ignore == 0:
        return as_classes(others, names, "0 is ignored, so another value is background")
    if not has_zero:
        first, ignored = others[0], ignore is not None
        raise DataError(
            f"no label has the value 0 (background): the values are {listed(others)}"
            + (f", and {ignore} for pixels to leave out. Is {first} or {ignore}" if ignored else f". Is {first}")
            + " the background?",
            hint=(f"if it is {ignore}, replace it by 0; " if ignored else "")
            + f"if it is {first}, set data.labels=classes, which takes {first} as background, or, if the other values "
            f"are numbers of objects, subtract {first} and save the labels; if every pixel belongs to an object, set "
            "data.labels=instances",
        )
    pieces = [number for one in evidence for number in one.pieces.values()]
    scattered = sum(number > 1 for number in pieces) / len(pieces)
    shared = len(pieces) / (len(others) * len(evidence))
    facts = f"the values {listed(others)} form {sum(pieces) / len(pieces):.1f} separate pieces each in an image"
    two_valued = all(len(one.values) <= 1 for one in evidence)
    if not two_valued:
        if scattered >= 0.5 and (shared > 0.5 or scattered >= 0.8):
            return as_classes((0, *others), names, facts)
        if shared == 1 and _is_grey_scale(others):
            return as_classes((0, *others), names, "the values are evenly spaced grey levels")
        if scattered <= 0.3 and not _are_alike(others, shared, len(evidence)):
            return _instances(evidence, facts, names)
    raise DataError(
        f"are the label values {listed(others)} classes or numbers of objects? {facts[0].upper()}{facts[1:]}, and an "
        f"image has {shared:.0%} of them",
        hint="set data.labels=classes data.classes=[background,...], or data.labels=instances"
        + (", or, if they are masks, save them all as 0 and 255" if two_valued else ""),
    )


def as_classes(values: Iterable[int], names: tuple[str, ...] | None, why: str) -> Meaning:
    """Values in ascending order as classes; values below the number of names stand for themselves.

    Raises:
        DataError: If the names do not fit the values, or there are fewer than two or too many values.

    >>> as_classes([1, 2], None, "").values
    ((1, 0), (2, 1))
    """
    ordered = sorted(set(values))
    if len(ordered) < len(BACKGROUND_AND_CELL) or len(ordered) >= IGNORED:
        raise DataError(
            f"labels have {len(ordered)} values ({listed(ordered)}), expected 2 to {IGNORED - 1} classes",
            hint="check that these are the label files, or set data.labels=instances",
        )
    if names is None:
        others = tuple(f"class_{number}" for number in range(1, len(ordered)))
        names = BACKGROUND_AND_CELL if len(ordered) == len(BACKGROUND_AND_CELL) else ("background", *others)
    named_by_value = ordered[-1] < len(names)
    if len(ordered) != len(names) and not named_by_value:
        raise DataError(
            f"labels have {len(ordered)} values ({listed(ordered)}), but data.classes has {len(names)} names "
            f"({', '.join(names)})",
            hint="name every value in ascending order, background first, and set data.ignore= to the value of pixels "
            "to leave out",
        )
    mapped = tuple((value, value if named_by_value else number) for number, value in enumerate(ordered))
    facts = ", ".join(f"{value} {names[number]}" for value, number in mapped)
    return Meaning(
        "classes", names, values=mapped, reasons=(f"classes ({facts}): {why} (else set data.labels=instances)",)
    )


def refuse_outlines(evidence: Sequence[Evidence], kept_by: str) -> None:
    """Asks whether thin lines around larger areas, in most images, are outlines.

    Raises:
        DataError: If so.
    """
    outlined = sum(one.is_outlined for one in evidence)
    if outlined > len(evidence) / 2:
        raise DataError(
            f"{outlined} of {len(evidence)} labels are thin lines around larger areas: are they outlines of cells?",
            hint="fill the cells (Fiji: Process > Binary > Fill Holes); if the lines themselves are to be found, "
            f"set data.labels={kept_by}",
        )


def _instances(evidence: Sequence[Evidence], why: str, names: tuple[str, ...] | None) -> Meaning:
    refuse_outlines(evidence, "instances")
    return Meaning(
        "instances",
        names or BACKGROUND_AND_CELL,
        reasons=(f"instance numbers: {why} (else set data.labels=classes)",),
    )


def _are_alike(others: Sequence[int], shared: float, num_pages: int) -> bool:
    """Whether pages share so few values in single pieces that these may be classes, such as layers, or objects."""
    is_counted = list(others) == list(range(1, len(others) + 1))
    if num_pages == 1:
        return len(others) <= 5 and is_counted
    return shared >= 0.75 and len(others) <= (10 if shared == 1 and is_counted else 4)


def _is_grey_scale(others: Sequence[int]) -> bool:
    """Whether the values are evenly spaced up to 255, as 0/128/255 or 0/85/170/255, to the nearest integers."""
    if others[-1] != IGNORED or not 2 <= len(others) <= 5:
        return False
    exact = [IGNORED * number / len(others) for number in range(1, len(others) + 1)]
    return all(abs(value - level) <= 1 for value, level in zip(others, exact, strict=True))
