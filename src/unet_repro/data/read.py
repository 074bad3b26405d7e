"""Reads the pages of images and label files as arrays, and checks their values; the files are opened by ``stacks``."""

from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from unet_repro.data.labels import Labels
from unet_repro.errors import DataError
from unet_repro.stacks.choice import EVERYTHING, Choice
from unet_repro.stacks.reading import open_stack

Image = npt.NDArray[np.generic]

_Page = TypeVar("_Page")


def read_pages(path: Path, choice: Choice = EVERYTHING, *, black: bool = False) -> list[Image]:
    """Reads all pages of an image file.

    Args:
        path: A file in any format that ``stacks.reading`` opens.
        choice: The image and channels that are taken from it.
        black: Whether some pages of a file, but not all, may be constant, as with a closed shutter.

    Returns:
        One ``(H, W)`` or ``(C, H, W)`` array per page, all of one shape; uint8 or uint16 as stored. Other types that
        float32 holds exactly become float32; float64 is rounded to float32.

    Raises:
        DataError: If the file is missing, unreadable, truncated, of an unsupported kind, or has pages that are
            constant, not finite, or of different shapes.
    """
    pages = [(_image(page, where), where) for page, where in _pages(path, choice, labels=False)]
    constant = [(page, where) for page, where in pages if is_constant(page)]
    if constant and (len(constant) == len(pages) or not black):
        page, where = constant[0]
        raise DataError(f"{where} is constant: every pixel is {page.min()}", hint="remove the image and its label")
    return [page for page, _ in pages]


def is_constant(image: Image) -> bool:
    """Whether all pixels of all channels are equal."""
    return bool(image.min() == image.max())


def read_image(path: Path, choice: Choice = EVERYTHING) -> Image:
    """Reads an image file of exactly one page; see ``read_pages``."""
    return _only(read_pages(path, choice), path)


def read_label_pages(path: Path, choice: Choice = EVERYTHING, *, ignore: int | None = None) -> list[Labels]:
    """Reads all pages of a label image.

    Args:
        path: A file in any format that ``stacks.reading`` opens, of one channel or of three equal ones.
        choice: The image and channel that are taken from it.
        ignore: Value of the pixels to ignore, which may be negative.

    Returns:
        One ``(H, W)`` int32 array per page with the values as stored, all of one shape; for a file with a palette the
        numbers that index it; for WhiteIsZero what viewers show.

    Raises:
        DataError: As ``read_pages``, or if a page has colours or values that are negative, fractional or too large.
    """
    return [_labels(page, where, ignore) for page, where in _pages(path, choice, labels=True)]


def read_labels(path: Path, choice: Choice = EVERYTHING) -> Labels:
    """Reads a label image of exactly one page; see ``read_label_pages``."""
    return _only(read_label_pages(path, choice), path)


def _only(pages: list[_Page], path: Path) -> _Page:
    if len(pages) != 1:
        raise DataError(f"{path} has {len(pages)} pages, expected one", hint="save each page as a separate file")
    return pages[0]


def _pages(path: Path, choice: Choice, *, labels: bool) -> Iterator[tuple[Image, str]]:
    """All pages ``(C, H, W)``, each with its location for error messages."""
    with open_stack(path, choice=choice, labels=labels) as stack:
        for plane in range(stack.num_planes):
            where = f"{path}" if stack.num_planes == 1 else f"page {plane} of {path}"
            yield stack.read(plane, 0, 0, stack.height, stack.width), where


def _image(page: Image, where: str) -> Image:
    if page.dtype == np.bool_:
        page = page.astype(np.uint8)
    elif page.dtype.newbyteorder("=") not in (np.uint8, np.uint16):
        page = page.astype(np.float32)
        if not np.isfinite(page).all():
            raise DataError(f"{where} contains NaN or infinite values", hint="replace them before saving the image")
    return np.array(page[0] if len(page) == 1 else page, page.dtype.newbyteorder("="), order="C")


def _labels(page: Image, where: str, ignore: int | None) -> Labels:
    if len(page) > 1 and not (page[:1] == page[1:]).all():
        raise DataError(
            f"label {where} has {len(page)} channels, expected one with instance numbers or a mask",
            hint="save it as a grey image or with a palette, not with colours",
        )
    values = page[0]
    if np.isnan(values).any():
        raise DataError(
            f"label {where} has NaN", hint="if it marks pixels to leave out, save it as 255, and set data.ignore=255"
        )
    judged = values if ignore is None or ignore >= 0 else values[values != ignore]
    low, high = (judged.min(), judged.max()) if judged.size else (0, 0)
    if low < 0 or high > np.iinfo(np.int32).max:
        raise DataError(
            f"label {where} has values from {low} to {high}, expected 0 (background) to {np.iinfo(np.int32).max}",
            hint=f"if {low} marks pixels to leave out, set data.ignore={low}"
            if low < 0
            else "number the instances from 1 upwards",
        )
    whole: Labels = values.astype(np.int32)
    if not np.array_equal(whole, values):
        raise DataError(
            f"label {where} has fractional values, expected integers", hint="save labels as integers, without smoothing"
        )
    return whole
