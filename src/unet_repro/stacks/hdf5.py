"""HDF5 files: one data set of a file, read by regions."""

import contextlib
import json
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from unet_repro.errors import DataError, install_extra
from unet_repro.stacks.choice import Series
from unet_repro.stacks.opened import Opened, one_of

SUFFIXES = (".h5", ".hdf5", ".hdf", ".he5")


def open_hdf5(path: Path, series: Series, opened: ExitStack) -> Opened:
    """Opens a data set.

    Args:
        path: The file.
        series: See ``choice.Choice``; names are paths within the file, such as ``volumes/raw``.
        opened: Closes it.

    Raises:
        DataError: If h5py is not installed, or the file has no image, no such data set, or several of different kinds
            of which none is chosen.
    """
    try:
        import h5py  # noqa: PLC0415  # optional
    except ImportError as error:
        raise DataError(
            f"{path} is HDF5, for which the package h5py is missing", hint=install_extra("formats")
        ) from error
    file = opened.enter_context(h5py.File(path, "r"))
    found: dict[str, Any] = {}

    def note(name: str, each: Any) -> None:
        if isinstance(each, h5py.Dataset) and len(each.shape or ()) >= 2 and each.dtype.kind in "biuf":
            found[name] = each

    file.visititems(note)
    if not found:
        raise DataError(f"{path} has no data set of two or more axes of numbers", hint="save the image as (H, W)")
    return one_of(path, [Opened(each, _axes(each)) for each in found.values()], list(found), series)


def _axes(dataset: Any) -> str:
    """Axes as ilastik stores them, or as HDF5's own labels; empty if unknown."""
    axes = ""
    with contextlib.suppress(ValueError, LookupError, TypeError):
        if "axistags" in dataset.attrs:
            axes = "".join(each["key"] for each in json.loads(dataset.attrs["axistags"])["axes"])
        else:
            axes = "".join(dimension.label for dimension in dataset.dims)
    axes = axes.upper()
    return axes if len(axes) == len(dataset.shape) and {"Y", "X"} <= set(axes) else ""
