"""The labelled images that the runs of a group hold out, read from their manifests before anything is predicted."""

from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

from unet_repro.errors import DataError
from unet_repro.evaluation.groups import Group
from unet_repro.evaluation.trained_run import Part
from unet_repro.runs.folder import open_run

CHOICE_IMAGES = 8
Image = TypeVar("Image")


def for_choice(images: Sequence[Image]) -> Sequence[Image]:
    """Of a run's validation images, those on which its settings for objects are chosen: at most eight, evenly spaced.

    >>> for_choice(range(17)), for_choice(range(8))
    (range(0, 17, 3), range(0, 8))
    """
    return images[:: max(1, -(-len(images) // CHOICE_IMAGES))]


def check_apart(group: Group, part: Part) -> None:
    """Refuses a group in which two runs of a seed hold out the same image.

    Args:
        group: The group of runs.
        part: The part to measure.

    Raises:
        DataError: If two runs of a seed have the same image in the part.
        RunError: If a folder is not a run, or its manifest is damaged.
    """
    for seed, runs in group.members.items():
        seen: set[str] = set()
        for run in runs:
            keys = set(_labelled(run, part) or ())
            if both := seen & keys:
                raise overlap(group.name, seed, min(both), part)
            seen |= keys


def overlap(group: str, seed: int, key: str, part: Part) -> DataError:
    """Two runs of a seed have the image ``key`` in the measured part."""
    return DataError(
        f"two runs of seed {seed} in {group} have {key} in their {part} part",
        hint="select runs of one setting whose folds do not overlap"
        if part == "val"
        else f"evaluate them one by one: run=RUN part={part}",
    )


def number_of_images(groups: Sequence[Group], part: Part) -> int | None:
    """How often the evaluation of groups predicts or measures an image, for a progress bar.

    Each run predicts the part, and the validation images for the choice if the part is another one. Each seed's images
    are measured, and those that all seeds have once more, for the mean of the seeds.

    Args:
        groups: The groups of runs.
        part: The part to measure.

    Returns:
        The number; ``None`` if a run has no manifest.

    Raises:
        RunError: If a folder is not a run, or its manifest is damaged.
    """
    number = 0
    for group in groups:
        measured: list[set[str]] = []
        for runs in group.members.values():
            parts = [_labelled(run, part) for run in runs]
            others = [for_choice(_labelled(run, "val") or []) for run in runs] if part != "val" else []
            if None in parts:
                return None
            number += sum(len(keys or ()) for keys in [*parts, *others])
            measured.append({key for keys in parts for key in keys or ()})
        number += sum(map(len, measured)) + (len(set.intersection(*measured)) if len(measured) > 1 else 0)
    return number


def _labelled(run: Path, part: Part) -> list[str] | None:
    """Keys of the labelled images of a part; ``None`` for a folder without a manifest, such as a package."""
    manifest = open_run(run).read_manifest()
    if manifest is None:
        return None
    return [key for key in manifest["split"][part] if manifest["samples"][key]["labels"] is not None]
