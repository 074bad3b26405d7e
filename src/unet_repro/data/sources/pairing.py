"""Finds the images and the label files of a folder, and pairs them by name."""

import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from unet_repro.data.drawn.read import SUFFIXES as DRAWN
from unet_repro.data.drawn.read import images_of
from unet_repro.errors import DataError
from unet_repro.files import counted
from unet_repro.stacks.names import left_out, natural_key, stem
from unet_repro.stacks.reading import is_image

# What programs append to an image's name for its labels, or to mark the image itself.
_LABEL_ENDING = re.compile(
    r"[ ._-](cp[_-])?(masks?|labels?|labell?ed|lbl|seg|segmentation|annotations?|gt|ground[ _-]?truth|binary"
    r"|instances?|objects?|rois?|roiset)$",
    re.IGNORECASE,
)
_LABEL_START = re.compile(r"^(masks?|labels?|seg|segmentation|gt)[ ._-]", re.IGNORECASE)
_IMAGE_ENDING = re.compile(r"[ ._-](image|img|raw)$", re.IGNORECASE)
_NAMED = 5  # files that a message names


def image_files(folder: Path) -> dict[str, Path]:
    """Finds the image files of a folder by their stem, in natural order.

    Raises:
        DataError: If the folder is missing or has no images, or two files with one stem.
    """
    return _by_stem(folder, [path for path in _visible(folder) if is_image(path)], "images there, such as PNG or TIFF")


def label_files(folder: Path, images: dict[str, Path]) -> tuple[dict[str, Path], list[str]]:
    """Finds the label files of a folder by their stem: label images, and files of drawn objects.

    Args:
        folder: The folder.
        images: The images by their stem. A COCO file is found under the stems of those that it annotates.

    Returns:
        The files, and a sentence for each COCO file that annotates other images too.

    Raises:
        DataError: If the folder is missing or has no labels, or two files with one stem.
    """
    paths: list[Path] = []
    of_several: dict[str, Path] = {}
    notes = []
    for path in _visible(folder):
        if path.suffix.lower() in DRAWN and (names := images_of(path)) is not None:
            of_several |= {name: path for name in images if name in names}
            if others := sorted(set(names) - set(images)):
                number = counted(len(others), "image")
                notes.append(f"{path} also annotates {number} not found in the folder: {_some(others)}")
        elif is_image(path) or path.suffix.lower() in DRAWN:
            paths.append(path)
    if of_several and not paths:
        return of_several, notes
    return of_several | _by_stem(folder, paths, "labels there, with the names of the images"), notes


def _visible(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise _missing(folder)
    return [path for path in folder.iterdir() if not path.name.startswith(".")]


def _missing(folder: Path) -> DataError:
    """The error for a folder that is missing, with what is there instead."""
    root = folder.parent
    others = sorted(path.name for path in _visible(root)) if root.is_dir() else []
    inside = [name for name in others if (root / name / folder.name).is_dir()]
    hint = (
        f"set data.root={root / inside[0]}" if inside else f"data.root must contain {folder.name}, with that very name"
    )
    return DataError(f"folder {folder} is missing; {root} contains {_some(others) or 'nothing'}", hint=hint)


def _by_stem(folder: Path, paths: list[Path], wanted: str) -> dict[str, Path]:
    paths.sort(key=lambda path: (natural_key(stem(path)), path.name))
    twice = [name for name, times in Counter(map(stem, paths)).items() if times > 1]
    if twice:
        raise DataError(f"{folder} has several files named {_some(twice)}", hint="keep one of each")
    if not paths:
        others = left_out(folder)
        raise DataError(
            f"no image file in {folder}" + (f", only {_some(others)}" if others else ""), hint=f"put {wanted}"
        )
    return {stem(path): path for path in paths}


def pair(images: dict[str, Path], labels: dict[str, Path]) -> list[tuple[Path, Path]]:
    """Pairs images and labels by stem, in the order of the images; endings such as ``_mask`` are optional.

    Raises:
        DataError: If an image or a label has no partner, or an image has two labels.

    >>> pair({"a": Path("a.tif")}, {"a_mask": Path("a_mask.png")})[0][1].name
    'a_mask.png'
    """
    image_of = {_IMAGE_ENDING.sub("", name): name for name in images} | {name: name for name in images}
    label_of: dict[str, Path] = {}
    alone = []
    for name, path in labels.items():
        image = image_of.get(name, image_of.get(_LABEL_ENDING.sub("", _LABEL_START.sub("", name))))
        if image is None:
            alone.append(path)
        elif image in label_of:
            raise DataError(
                f"{images[image]} has two labels, {label_of[image].name} and {path.name}", hint="keep one of them"
            )
        else:
            label_of[image] = path
    without = [path for name, path in images.items() if name not in label_of]
    found = [
        f"{counted(len(paths), what)} without {other} of the same name: {_some(paths)}"
        for paths, what, other in ((without, "image", "a label"), (alone, "label", "an image"))
        if paths
    ]
    if found:
        raise DataError(
            "; ".join(found),
            hint="give a label the name of its image (suffixes may differ, and _mask, _label or _seg may follow), or "
            "remove the file",
        )
    return [(path, label_of[name]) for name, path in images.items()]


def _some(names: Iterable[object]) -> str:
    listed = [str(name) for name in names]
    return ", ".join(listed[:_NAMED]) + (" ..." if len(listed) > _NAMED else "")
