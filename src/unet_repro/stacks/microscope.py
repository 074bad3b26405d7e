"""Microscope makers' formats (CZI, ND2, LIF and others), read by the packages of BioIO."""

from contextlib import ExitStack
from pathlib import Path
from typing import Any

from unet_repro.errors import DataError, install_extra
from unet_repro.stacks.choice import Series, chosen_series
from unet_repro.stacks.damage import BROKEN, one_line
from unet_repro.stacks.opened import Opened, one_of

SUFFIXES = (".czi", ".nd2", ".lif", ".lof", ".dv", ".r3d", ".sld", ".sldy", ".vsi", ".oib", ".oif", ".oir", ".ims")


def open_microscope(path: Path, series: Series, opened: ExitStack) -> Opened:
    """Opens a scene of a file.

    Args:
        path: The file.
        series: See ``choice.Choice``; names are those of scenes.
        opened: Closes it.

    Raises:
        DataError: If BioIO or its reader of this format is not installed, if the file is damaged, or if it has no such
            scene, or several of different kinds of which none is chosen.
    """
    try:
        from bioio import BioImage  # noqa: PLC0415  # optional
    except ImportError as error:
        raise DataError(
            f"{path.suffix} files need the package bioio and its reader of them: {path}",
            hint=f"{install_extra('formats')}, or save the image as OME-TIFF",
        ) from error
    try:
        image = BioImage(path)
    except (OSError, *BROKEN):
        raise
    except Exception as error:  # readers raise exceptions of their own
        raise DataError(
            f"{path} cannot be read by the installed BioIO readers: {type(error).__name__}: {one_line(error)}",
            hint=f"pip install the reader of {path.suffix}, such as bioio-bioformats, or save the image as OME-TIFF",
        ) from error
    if callable(close := getattr(image, "close", None)):
        opened.callback(close)
    names = [str(name) for name in image.scenes]
    number = chosen_series(path, series, names)
    scenes = [_open_scene(image, each) for each in (range(len(names)) if number is None else [number])]
    return scenes[0] if number is not None else one_of(path, scenes, names, None)


def _open_scene(image: Any, number: int) -> Opened:
    image.set_scene(number)
    size = image.physical_pixel_sizes
    known = size is not None and size.Y and size.X
    return Opened(
        image.dask_data,
        str(image.dims.order),
        tuple(map(str, image.channel_names or ())),
        (abs(float(size.Y)), abs(float(size.X))) if known else None,
    )
