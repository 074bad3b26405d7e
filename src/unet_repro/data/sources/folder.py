"""A user's own images: ``images/`` and ``labels/`` paired by file name, of any format that ``stacks`` reads."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from unet_repro.console import say
from unet_repro.data.drawn.read import SUFFIXES as DRAWN
from unet_repro.data.drawn.read import read_drawn_labels
from unet_repro.data.labels import IGNORED, Labels, classes_of
from unet_repro.data.meaning.decide import LabelKind, decide
from unet_repro.data.meaning.meaning import BACKGROUND_AND_CELL, Meaning
from unet_repro.data.read import Image, is_constant, read_label_pages, read_pages
from unet_repro.data.sample import Part, Sample
from unet_repro.data.sources.pairing import image_files, label_files, pair
from unet_repro.errors import DataError
from unet_repro.files import counted
from unet_repro.stacks.choice import Channels, Choice, Series
from unet_repro.stacks.names import left_out, stem
from unet_repro.stacks.reading import open_stack

JPEG = (".jpg", ".jpeg")


@dataclass(frozen=True)
class _Page:
    key: str
    sequence: str
    part: Part
    path: Path
    truth: Path | None
    image: Image
    stored: Labels | None


class Folder:
    """Source of a user's own images.

    ``root/images`` and ``root/labels`` are for training; ``root/test/images`` and ``root/test/labels`` are optional.
    Every page of a multi-page file is a sample, ``stem/003``, and the file is a sequence; all single-page images form
    one sequence. A page of a multi-page file is left out if its label page is blank, as not annotated, or if all its
    pixels are equal.

    Args:
        root: The folder that contains ``images`` and ``labels``.
        labels: Meaning of label values, see ``meaning.decide``.
        classes: Names of the classes, background first; ``None`` for default names.
        ignore: Stored label value of pixels that are neither trained on nor measured.
        channels: Numbers or names of the images' channels; ``None`` for all.
        series: Number or name of the image in files that hold several.
        raw: Whether values of WhiteIsZero images and labels are taken as stored instead of as viewers show them.

    Attributes:
        class_names: Names of the classes; complete after ``samples``.
        numbers_objects: Whether the values of labels are numbers of objects; known after ``samples``.
        notes: What was decided and left out, one sentence each; complete after ``samples``.
    """

    name = "folder"

    def __init__(
        self,
        *,
        root: str | Path,
        labels: LabelKind = "auto",
        classes: tuple[str, ...] | None = None,
        ignore: int | None = None,
        channels: Channels = None,
        series: Series = None,
        raw: bool = False,
    ) -> None:
        if labels not in ("auto", "binary", "instances", "classes"):
            raise DataError(f"unknown labels {labels!r}", hint="use auto, binary, instances or classes")
        self.root = Path(root).expanduser()
        self.labels: LabelKind = labels
        self.classes, self.ignore = classes, ignore
        self.choice = Choice(channels=channels, series=series, raw=raw)
        self.class_names = BACKGROUND_AND_CELL if classes is None else tuple(classes)
        self.notes: tuple[str, ...] = ()
        self.numbers_objects = False

    def samples(self) -> list[Sample]:
        """Reads and checks everything, training images first, and prints ``notes``.

        Raises:
            DataError: If files are missing, unpaired, unreadable or inconsistent, if the meaning of the labels is
                ambiguous, or if the training labels are of one class.
        """
        if not self.root.is_dir():
            raise DataError(f"folder {self.root} is missing", hint="check the path; it must contain images and labels")
        notes = [
            f"skipped files in {folder}: {', '.join(others[:5])}{' ...' if len(others) > 5 else ''}"
            for folder, also in ((self.root / "images", ()), (self.root / "labels", DRAWN))
            if (others := left_out(folder, also))
        ]
        pages = _annotated(_with_contrast(self._read_part(self.root, "train", notes), notes), self.ignore, notes)
        if (self.root / "test").is_dir():
            tested = self._read_part(self.root / "test", "test", notes)
            pages += _annotated(_with_contrast(tested, notes), self.ignore, notes)
        _check_alike(pages)
        truths = {page.truth.suffix.lower() for page in pages if page.truth is not None}
        is_drawn = self.labels == "auto" and bool(truths) and truths <= set(DRAWN)
        meaning = decide(
            [page.stored for page in pages if page.stored is not None],
            labels="instances" if is_drawn else self.labels,
            classes=self.classes,
            ignore=self.ignore,
        )
        if truths & set(JPEG) and meaning.kind != "binary":
            raise DataError(
                f"labels in {self.root / 'labels'} are JPEG, which changes values: only black and white masks survive",
                hint="export the labels again as PNG or TIFF",
            )
        samples = _known([_sample(page, meaning) for page in pages], notes)
        _check_classes(samples, self.root)
        self.class_names = meaning.class_names
        self.numbers_objects = meaning.kind == "instances"
        reasons = ("instance numbers: the objects are drawn",) if is_drawn else meaning.reasons
        self.notes = (f"labels are {'; '.join(reasons)}", *meaning.warnings, *dict.fromkeys(notes))
        for each in self.notes:
            say(f"note: {each}")
        return samples

    def _read_part(self, root: Path, part: Part, notes: list[str]) -> list[_Page]:
        images = image_files(root / "images")
        # Training needs labels; a test set may have none, but then the folder must be absent.
        if part == "train" or (root / "labels").is_dir():
            labels, more = label_files(root / "labels", images)
            found = pair(images, labels)
            paired: list[tuple[Path, Path | None]] = [*found]
            notes += [*more, *_of_names(found)]
        else:
            paired = [(path, None) for path in images.values()]
        prefix = "" if part == "train" else "test/"
        pages = []
        for path, truth in paired:
            own = read_pages(path, self.choice, black=True)
            stored: Sequence[Labels | None] = [None] * len(own)
            if truth is not None:
                stored = self._read_truth(truth, path, own, notes)
            pages += _pages_of(path, truth, own, stored, part=part, prefix=prefix)
        return pages

    def _read_truth(self, truth: Path, path: Path, images: list[Image], notes: list[str]) -> list[Labels]:
        with open_stack(path, choice=self.choice) as stack:
            leading = tuple(zip(stack.axes, stack.leading, strict=True))
        if truth.suffix.lower() not in DRAWN:
            choice = Choice(raw=self.choice.raw)
            with open_stack(truth, choice=choice, labels=True) as stack:
                _check_order(path, truth, leading, tuple(zip(stack.axes, stack.leading, strict=True)))
            return read_label_pages(truth, choice, ignore=self.ignore)
        if self.labels == "classes" and self.classes is None:
            raise DataError(
                f"{truth} has drawn objects, and labels=classes, but no numbers of their classes",
                hint="add classes=[background,...] with the names that are used there",
            )
        classes = self.classes if self.labels == "classes" else None
        height, width = images[0].shape[-2:]
        stored, more = read_drawn_labels(truth, path.name, (height, width), len(images), classes, leading=leading)
        notes += more
        return stored


def _check_order(
    path: Path, truth: Path, image: tuple[tuple[str, int], ...], label: tuple[tuple[str, int], ...]
) -> None:
    """Checks that named axes of a stack and of its label, such as time and depth, are in one order."""
    both = [[each for each in axes if each[1] > 1] for axes in (image, label)]
    if both[0] != both[1] and sorted(both[0]) == sorted(both[1]):
        orders = [" then ".join(f"{number} {name}" for name, number in axes) for axes in both]
        raise DataError(
            f"the pages of {path} are in the order {orders[0]}, those of its label {truth} in the order {orders[1]}",
            hint="save both with the axes in the same order",
        )


def _pages_of(
    path: Path,
    truth: Path | None,
    images: list[Image],
    stored: Sequence[Labels | None],
    *,
    part: Part,
    prefix: str,
) -> list[_Page]:
    """The pages of a file, each with its label, whose number and size are checked."""
    if len(stored) != len(images):
        raise DataError(
            f"{path} has {counted(len(images), 'page')}, its label {truth} has {len(stored)}",
            hint="save as many label pages as image pages; if its pages are channels, save it as an ImageJ hyperstack "
            "or OME-TIFF, which name them",
        )
    if stored[0] is not None and images[0].shape[-2:] != stored[0].shape:
        raise DataError(
            f"{path} has {_size(images[0])} pixels, its label {truth} has {_size(stored[0])}; expected one size",
            hint="export both at the same size",
        )
    key = f"{prefix}{stem(path)}"
    if len(images) == 1:
        return [_Page(key, f"{prefix}{path.parent.name}", part, path, truth, images[0], stored[0])]
    digits = max(3, len(str(len(images) - 1)))  # so that keys sort in page order
    return [
        _Page(f"{key}/{i:0{digits}d}", key, part, path, truth, image, label)
        for i, (image, label) in enumerate(zip(images, stored, strict=True))
    ]


def _of_names(paired: Sequence[tuple[Path, Path]]) -> list[str]:
    """A sentence if names had to be shortened on both sides to pair them."""
    unlike = [
        (path, truth) for path, truth in paired
        if truth.suffix.lower() != ".json" and stem(path).lower() not in stem(truth).lower()
    ]  # fmt: skip
    if not unlike:
        return []
    path, truth = unlike[0]
    return [f"{counted(len(unlike), 'image')} paired by the rest of the name, such as {path.name} with {truth.name}"]


def _annotated(pages: list[_Page], ignore: int | None, notes: list[str]) -> list[_Page]:
    """The pages without those of multi-page files whose label page is blank while others of the file are not."""
    blank = {page.key for page in pages if page.stored is not None and not _is_drawn(page.stored, ignore)}
    drawn = {page.path for page in pages if page.key not in blank}
    left = {page.key: page.path for page in pages if page.key in blank and page.path in drawn}
    for path in dict.fromkeys(left.values()):
        keys = [key for key, own in left.items() if own == path]
        notes.append(
            f"{path}: {counted(len(keys), 'page')} without any label left out as not annotated: {', '.join(keys[:5])}"
            + (" ..." if len(keys) > 5 else "")
        )
    return [page for page in pages if page.key not in left]


def _with_contrast(pages: list[_Page], notes: list[str]) -> list[_Page]:
    """The pages without those of which every pixel has one value; such files are refused, if they have no others."""
    left = [page.key for page in pages if is_constant(page.image)]
    if left:
        notes.append(f"left out {counted(len(left), 'page')} of which every pixel is equal: {', '.join(left[:5])}")
    return [page for page in pages if page.key not in left]


def _is_drawn(stored: Labels, ignore: int | None) -> bool:
    return bool(((stored != 0) & (stored != ignore)).any()) if ignore is not None else bool(stored.any())


def _sample(page: _Page, meaning: Meaning) -> Sample:
    labels, classes = (None, None) if page.stored is None else meaning.apply(page.stored)
    return Sample(
        key=page.key, sequence=page.sequence, part=page.part, image=page.image, labels=labels, classes=classes
    )


def _known(samples: list[Sample], notes: list[str]) -> list[Sample]:
    """The samples without those of which every pixel is ignored."""
    left = [one.key for one in samples if one.classes is not None and (one.classes == IGNORED).all()]
    if left:
        notes.append(f"left out {counted(len(left), 'image')} in which every pixel is ignored: {', '.join(left[:5])}")
    return [one for one in samples if one.key not in left]


def _check_alike(pages: list[_Page]) -> None:
    """Checks that all images have the same number of channels and the same type, and that keys are unique."""
    first = pages[0]
    for page in pages:
        if _kind(page.image) != _kind(first.image):
            kinds = [f"{one.path} is {_kind(one.image)}" for one in (first, page)]
            raise DataError(f"images differ in kind: {', '.join(kinds)}", hint="convert all images to one kind")
    twice = [key for key, times in Counter(page.key for page in pages).items() if times > 1]
    if twice:
        raise DataError(f"two images have the same name: {', '.join(twice[:5])}", hint="rename one file")


def _size(image: Image) -> str:
    return " x ".join(map(str, image.shape[-2:]))


def _kind(image: Image) -> str:
    """Channels and type, such as ``grey uint8`` or ``RGB uint8``."""
    channels = 1 if image.ndim == 2 else image.shape[0]
    name = {1: "grey", 3: "RGB"}.get(channels, f"{channels} channels")
    return f"{name} {image.dtype}"


def _check_classes(samples: list[Sample], root: Path) -> None:
    """Checks that the training labels have pixels of two classes."""
    classes = [classes_of(one.labels, one.classes) for one in samples if one.part == "train" and one.labels is not None]
    objects = [one.labels > 0 for one in samples if one.part == "train" and one.labels is not None]
    what = None
    if not any(mask.any() for mask in objects):
        what = "background"
    elif not any((one == 0).any() for one in classes):
        what = "foreground"
    if what is not None:
        raise DataError(
            f"the {len(classes)} labels in {root / 'labels'} are only {what}: there is nothing to learn",
            hint="check that these are the label files, and that 0 means background",
        )
