"""Opens an image file in any supported format; the only reader, for training and prediction alike.

TIFF (also BigTIFF, OME-TIFF, multi-page), Zarr and OME-Zarr (level 0), HDF5, NumPy and microscope makers' files are
read by regions: memory does not grow with the image. PNG, JPEG and BMP, and each strip of a compressed TIFF, can only
be decoded as a whole.
"""

from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from unet_repro.errors import DataError
from unet_repro.stacks import decoded, hdf5, microscope, ngff, tiff
from unet_repro.stacks.choice import EVERYTHING, Choice, Series
from unet_repro.stacks.damage import reading
from unet_repro.stacks.opened import Opened, one_of
from unet_repro.stacks.stack import Stack, as_stack

NUMPY_SUFFIXES = (".npy", ".npz")
SUFFIXES = (*decoded.SUFFIXES, *tiff.SUFFIXES, ".zarr", *NUMPY_SUFFIXES, *hdf5.SUFFIXES, *microscope.SUFFIXES)


def open_stack(path: Path, *, channels: int | None = None, choice: Choice = EVERYTHING, labels: bool = False) -> Stack:
    """Opens an image.

    Args:
        path: The file, or a Zarr folder.
        channels: Channels that it must have after the choice; ``None`` for any number.
        choice: The image and channels that are taken from the file.
        labels: Whether it is a label image: its values may be of any type, and are the numbers that index a palette.

    Raises:
        DataError: If it is missing, unreadable, truncated, empty, in an unsupported format, or has other channels.
    """
    if not path.exists():
        raise DataError(f"{path} is missing", hint="check the path")
    with ExitStack() as opened:
        with reading(path):
            image = _open(path, choice.series, opened, labels=labels)
            stack = as_stack(path, image, channels, choice, labels=labels)
        stack.opened.push(opened.pop_all())
    return stack


def is_image(path: Path) -> bool:
    """Whether a path has the form of an image in a supported format; its content is not read."""
    suffix = path.suffix.lower()
    return ngff.is_zarr(path) or suffix == ".zarr" or (suffix in SUFFIXES and path.is_file())


def _open(path: Path, series: Series, opened: ExitStack, *, labels: bool) -> Opened:
    suffix = path.suffix.lower()
    if path.is_dir():
        return ngff.open_zarr(path, series)
    if suffix in decoded.SUFFIXES:
        return one_of(path, [decoded.open_decoded(path, labels=labels)], ["0"], series)
    if suffix in tiff.SUFFIXES:
        return tiff.open_tiff(path, series, opened)
    if suffix in NUMPY_SUFFIXES:
        return _open_numpy(path, series, opened)
    if suffix in hdf5.SUFFIXES:
        return hdf5.open_hdf5(path, series, opened)
    if suffix in microscope.SUFFIXES:
        return microscope.open_microscope(path, series, opened)
    raise DataError(f"unsupported format of {path}", hint=f"supported: {', '.join(SUFFIXES)}")


def _open_numpy(path: Path, series: Series, opened: ExitStack) -> Opened:
    file = opened.enter_context(path.open("rb"))
    if file.read(2) != b"PK":  # not a zip file of several arrays
        _check_no_objects(path)
        return one_of(path, [Opened(np.load(path, mmap_mode="r", allow_pickle=False), "")], ["0"], series)
    file.seek(0)
    archive: Any = opened.enter_context(np.load(file, allow_pickle=False))
    if not archive.files:
        raise DataError(f"{path} is empty: it has no array", hint="leave it out")
    return one_of(path, [Opened(archive[name], "") for name in archive.files], archive.files, series)


def _check_no_objects(path: Path) -> None:
    """Refuses files of Python objects, which are not opened: such a file could run any program."""
    with path.open("rb") as file:
        version = np.lib.format.read_magic(file)
        header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        if header(file)[2].hasobject:
            raise DataError(
                f"{path} holds Python objects, not numbers",
                hint="save the array alone; in Cellpose: File > Save masks as PNG/tif",
            )
