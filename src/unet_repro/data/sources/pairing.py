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

# What programs and people add to a name to mark labels, or the image itself: after a separator or in front of one,
# in front of a number, or as a capitalised word at the end. nnU-Net appends 0000, the channel, to its images.
_LABEL_WORDS = (
    r"(?:cp[ _-]|simple[ _-]|man[ _-])?(?:masks?|labels?|labell?ed|labell?ing|lbl|lab|segm?|segmentation|annotations?"
    r"|gt|ground[ _-]?truth|truth|target|binary|bin|manual\d*|instances?|objects?|rois?|roiset)"
)
_IMAGE_WORDS = r"(?:images?|img|im|raw|orig|original|input)"
_CAPITALISED = r"(?<=[a-z0-9])(?:Masks?|Labels?|Seg|Segmentation|Annotations?|Instances?|Objects?)$"
_SUFFIX = r"(?i:\.(?:ome|tiff?|png|jpe?g|bmp|npy|svs|czi|nd2|lif|h5|zarr)$)"
_Words = tuple[re.Pattern[str], ...]  # applied in this order, each as long as it changes the name
_LABEL: _Words = (
    re.compile(rf"(?i:[ ._-]+{_LABEL_WORDS}$)|{_CAPITALISED}|{_SUFFIX}"),
    re.compile(rf"(?i:^{_LABEL_WORDS}(?:[ ._-]+(?:of[ _-]+)?|(?=\d)))"),
)
_IMAGE: _Words = (
    re.compile(rf"(?i:[ ._-]+(?:{_IMAGE_WORDS}|0000)$)|{_SUFFIX}"),
    re.compile(rf"(?i:^(?:{_IMAGE_WORDS}(?:[ ._-]+|(?=\d))|t(?=\d+$)))"),
)
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
            for name in images:
                if name in names:
                    _check_alone(name, path, of_several)
                    of_several[name] = path
            if others := sorted(set(names) - set(images)):
                number = counted(len(others), "image")
                notes.append(f"{path} also annotates {number} not found in the folder: {_some(others)}")
        elif is_image(path) or path.suffix.lower() in DRAWN:
            paths.append(path)
    if of_several and not paths:
        return of_several, notes
    found = _by_stem(folder, paths, "labels there, with the names of the images")
    for name, path in found.items():
        _check_alone(name, path, of_several)
    return of_several | found, notes


def _check_alone(name: str, path: Path, others: dict[str, Path]) -> None:
    if name in others:
        raise DataError(f"{name} has two labels, in {others[name].name} and {path.name}", hint="keep one of them")


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
    """Pairs images and labels by stem, in the order of the images; words such as ``_mask`` are optional.

    Raises:
        DataError: If an image or a label has no partner, or an image has two labels.

    >>> pair({"a": Path("a.tif")}, {"a_mask": Path("a_mask.png")})[0][1].name
    'a_mask.png'
    >>> pair({"img_1": Path("img_1.tif")}, {"mask_1": Path("mask_1.tif")})[0][1].name
    'mask_1.tif'
    """
    image_of = _by_forms(images)
    label_of: dict[str, Path] = {}
    alone = []
    for name, path in labels.items():
        image = next((image_of[form] for form in _forms(name, _LABEL) if form in image_of), None)
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


def _by_forms(images: Iterable[str]) -> dict[str, str]:
    """The images by the forms of their names; by a shorter form only if no other image has it."""
    forms = {name: _forms(name, _IMAGE) for name in images}
    times = Counter(form for of_one in forms.values() for form in of_one)
    unique = {form: name for name, of_one in forms.items() for form in of_one if times[form] == 1}
    return unique | {name: name for name in forms}


def _forms(name: str, words: _Words) -> list[str]:
    """A name as it is, in lower case, with ever fewer of the words, and all these without leading zeros of numbers.

    >>> _forms("Mask_Im0.tif_seg", _LABEL)
    ['Mask_Im0.tif_seg', 'mask_im0.tif_seg', 'mask_im0.tif', 'mask_im0', 'im0']
    >>> _forms("t01", _IMAGE)
    ['t01', '01', 't1', '1']
    """
    forms, shorter = [name, name.strip().lower()], name.strip()
    for pattern in words:
        while (left := pattern.sub("", shorter)) not in ("", shorter):
            shorter = left
            forms.append(shorter.lower())
    return list(dict.fromkeys([*forms, *(re.sub(r"(?<!\d)0+(?=\d)", "", form.lower()) for form in forms)]))


def _some(names: Iterable[object]) -> str:
    listed = [str(name) for name in names]
    return ", ".join(listed[:_NAMED]) + (" ..." if len(listed) > _NAMED else "")
