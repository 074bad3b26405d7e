"""A user's own images: ``images/`` and ``labels/`` paired by file name, PNG or TIFF, single or multi-page."""

import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from unet_repro.data.labels import Labels, instances_from_mask
from unet_repro.data.read import SUFFIXES, Image, read_label_pages, read_pages
from unet_repro.data.sample import Part, Sample
from unet_repro.errors import DataError

LabelKind = Literal["auto", "binary", "instances"]

_OTHER_IMAGES = (".bmp", ".gif", ".jp2", ".jpeg", ".jpg", ".webp")


def natural_key(text: str) -> tuple[tuple[str, int], ...]:
    """Sorts numbers inside names by value.

    >>> sorted(["t10", "t9", "t09b"], key=natural_key)
    ['t9', 't09b', 't10']
    """
    return tuple((word, int(number or 0)) for word, number in re.findall(r"(\D*)(\d*)", text)[:-1])


def image_files(folder: Path) -> dict[str, Path]:
    """Finds the image files of a folder by their stem, in natural order.

    Raises:
        DataError: If the folder is missing or empty, or has unsupported image files, or two files with one stem.
    """
    if not folder.is_dir():
        raise DataError(f"folder {folder} is missing", hint="create it, and put PNG or TIFF files there")
    paths = [path for path in folder.iterdir() if path.is_file() and not path.name.startswith(".")]
    others = sorted(path.name for path in paths if path.suffix.lower() in _OTHER_IMAGES)
    if others:
        raise DataError(
            f"{folder} has {len(others)} files that are neither PNG nor TIFF: {', '.join(others[:5])}",
            hint="save them as PNG or TIFF",
        )
    paths = sorted(
        (path for path in paths if path.suffix.lower() in SUFFIXES),
        key=lambda path: (natural_key(path.stem), path.name),
    )
    twice = [stem for stem, times in Counter(path.stem for path in paths).items() if times > 1]
    if twice:
        raise DataError(f"{folder} has several files named {', '.join(twice[:5])}", hint="keep one of each")
    if not paths:
        raise DataError(f"no PNG or TIFF file in {folder}", hint="put the images there")
    return {path.stem: path for path in paths}


def pair(images: dict[str, Path], labels: dict[str, Path]) -> list[tuple[Path, Path]]:
    """Pairs images and labels by stem, in the order of the images.

    Raises:
        DataError: If an image or a label has no partner.
    """
    for have, other, what in ((images, labels, "label"), (labels, images, "image")):
        alone = [str(path) for stem, path in have.items() if stem not in other]
        if alone:
            raise DataError(
                f"{len(alone)} files have no {what} of the same name: {', '.join(alone[:5])}",
                hint=f"give the {what} the same name (suffixes may differ), or remove the file",
            )
    return [(path, labels[stem]) for stem, path in images.items()]


def to_instances(labels: list[Labels], kind: LabelKind) -> list[Labels]:
    """Turns stored label values into instance labels.

    Args:
        labels: All labels of the set, ``(H, W)`` int32 each.
        kind: ``binary`` numbers the connected components of the one non-zero value; ``instances`` keeps the values;
            ``auto`` treats a set as binary if it has 0 and at most one other value.

    Returns:
        ``(H, W)`` int32 each, 0 = background.

    Raises:
        DataError: If ``kind`` is ``binary`` and the labels have more values.

    >>> to_instances([np.array([[255, 0, 255]], np.int32)], "auto")
    [array([[1, 0, 2]], dtype=int32)]
    """
    values = sorted({int(value) for label in labels for value in np.unique(label)})
    binary = len(values) <= 2 and 0 in values
    if kind == "binary" and not binary:
        raise DataError(
            f"labels have {len(values)} values ({', '.join(map(str, values[:5]))} ...), expected 0 and one other",
            hint="save masks as 0 and 255, or set labels=instances",
        )
    return [instances_from_mask(label) for label in labels] if binary and kind != "instances" else labels


@dataclass(frozen=True)
class _Page:
    key: str
    sequence: str
    part: Part
    path: Path
    image: Image
    labels: Labels | None


class Folder:
    """Source of a user's own images.

    ``root/images`` and ``root/labels`` are for training; ``root/test/images`` and ``root/test/labels`` are optional.
    Every page of a multi-page TIFF is a sample, ``stem/003``, and the file is a sequence; all single-page images form
    one sequence.

    Args:
        root: The folder that contains ``images`` and ``labels``.
        labels: Meaning of label values, see ``to_instances``.
        class_names: Names of background and foreground.
    """

    name = "folder"

    def __init__(
        self,
        *,
        root: str | Path,
        labels: LabelKind = "auto",
        class_names: tuple[str, ...] = ("background", "cell"),
    ) -> None:
        if labels not in ("auto", "binary", "instances"):
            raise DataError(f"unknown labels {labels!r}", hint="use auto, binary or instances")
        self.root = Path(root)
        self.labels: LabelKind = labels
        self.class_names = tuple(class_names)

    def samples(self) -> list[Sample]:
        """Reads and checks everything, training images first.

        Raises:
            DataError: If files are missing, unpaired, unreadable or inconsistent, or if the training labels are only
                background or only foreground.
        """
        if not self.root.is_dir():
            raise DataError(f"folder {self.root} is missing", hint="check the path; it must contain images and labels")
        pages = _read_part(self.root, "train")
        if (self.root / "test").is_dir():
            pages += _read_part(self.root / "test", "test")
        _check_alike(pages)
        instances = iter(to_instances([page.labels for page in pages if page.labels is not None], self.labels))
        samples = [
            Sample(
                key=page.key,
                sequence=page.sequence,
                part=page.part,
                image=page.image,
                labels=None if page.labels is None else next(instances),
            )
            for page in pages
        ]
        _check_classes(samples, self.root)
        return samples


def _read_part(root: Path, part: Part) -> list[_Page]:
    images = image_files(root / "images")
    # Training needs labels; a test set may have none, but then the folder must be absent.
    if part == "train" or (root / "labels").is_dir():
        paired: list[tuple[Path, Path | None]] = [*pair(images, image_files(root / "labels"))]
    else:
        paired = [(path, None) for path in images.values()]
    prefix = "" if part == "train" else "test/"
    return [page for path, truth in paired for page in _read_file(path, truth, part, prefix)]


def _read_file(path: Path, truth: Path | None, part: Part, prefix: str) -> list[_Page]:
    images = read_pages(path)
    labels = [None] * len(images) if truth is None else read_label_pages(truth)
    if len(labels) != len(images):
        raise DataError(
            f"{path} has {len(images)} pages, its label {truth} has {len(labels)}",
            hint="save as many label pages as image pages",
        )
    if truth is not None and labels[0] is not None and images[0].shape[-2:] != labels[0].shape:
        raise DataError(
            f"{path} is {images[0].shape[-2:]} pixels, its label {truth} is {labels[0].shape}; expected one size",
            hint="export both at the same size",
        )
    stem = f"{prefix}{path.stem}"
    if len(images) == 1:
        return [_Page(stem, f"{prefix}{path.parent.name}", part, path, images[0], labels[0])]
    digits = max(3, len(str(len(images) - 1)))  # so that keys sort in page order
    return [
        _Page(f"{stem}/{i:0{digits}d}", stem, part, path, image, label)
        for i, (image, label) in enumerate(zip(images, labels, strict=True))
    ]


def _check_alike(pages: list[_Page]) -> None:
    """Checks that all images have the same number of channels and the same type, and that keys are unique."""
    first = pages[0]
    for page in pages:
        if (page.image.ndim, page.image.dtype) != (first.image.ndim, first.image.dtype):
            kinds = [
                f"{one.path} is {'RGB' if one.image.ndim == 3 else 'grey'} {one.image.dtype}" for one in (first, page)
            ]
            raise DataError(f"images differ in kind: {', '.join(kinds)}", hint="convert all images to one kind")
    twice = [key for key, times in Counter(page.key for page in pages).items() if times > 1]
    if twice:
        raise DataError(f"two images have the same name: {', '.join(twice[:5])}", hint="rename one file")


def _check_classes(samples: list[Sample], root: Path) -> None:
    foreground = [sample.labels > 0 for sample in samples if sample.part == "train" and sample.labels is not None]
    what = None
    if not any(mask.any() for mask in foreground):
        what = "background"
    elif all(mask.all() for mask in foreground):
        what = "foreground"
    if what is not None:
        raise DataError(
            f"the {len(foreground)} labels in {root / 'labels'} are only {what}: there is nothing to learn",
            hint="check that these are the label files, and that 0 means background",
        )
