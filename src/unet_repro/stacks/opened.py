"""What the module of a file format returns: an array that is read by slices, with the meaning of its axes."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from unet_repro.errors import DataError
from unet_repro.stacks.choice import Series, chosen_series, series_required

COLOURS = ("red", "green", "blue")


@dataclass(frozen=True)
class Opened:
    """An image in an opened file.

    Attributes:
        array: An array-like object that supports slicing.
        axes: A letter for each of its axes: ``Y``, ``X``, ``C`` or ``S`` for channels, any other letter for planes;
            empty if the format does not name them.
        channel_names: Names of the channels; empty if unknown.
        pixel_size_um: Height and width of a pixel in micrometres, if known.
        white: The stored value that is shown black, for WhiteIsZero images; otherwise ``None``.
        alpha: Whether the last channel is transparency.
    """

    array: Any
    axes: str
    channel_names: tuple[str, ...] = ()
    pixel_size_um: tuple[float, float] | None = None
    white: int | None = None
    alpha: bool = False


class Joined:
    """Arrays of one shape and type as the planes of one array; read one at a time.

    Args:
        arrays: The arrays, at least one.
    """

    def __init__(self, arrays: Sequence[Any]) -> None:
        self.arrays = list(arrays)
        self.shape = (len(self.arrays), *self.arrays[0].shape)
        self.dtype = self.arrays[0].dtype

    def __getitem__(self, index: tuple[Any, ...]) -> Any:
        """Indexed by a number along the first axis, and anything along the others."""
        return self.arrays[index[0]][index[1:]]


def one_of(path: Path, images: Sequence[Opened], names: Sequence[str], series: Series) -> Opened:
    """The chosen image of a file; all as planes if none is chosen and they are alike.

    Args:
        path: The file, for messages.
        images: Its images, at least one.
        names: Their names.
        series: See ``choice.Choice``.

    Raises:
        DataError: If there is no such image, or none is chosen and they differ.
    """
    number = chosen_series(path, series, names)
    if number is not None:
        return images[number]
    kinds = {(tuple(image.array.shape), np.dtype(image.array.dtype).str, image.axes, image.white) for image in images}
    if len(kinds) > 1:
        raise series_required(
            path,
            [
                f"{name} {tuple(image.array.shape)} {image.array.dtype}".strip()
                for name, image in zip(names, images, strict=True)
            ],
        )
    first = images[0]
    return replace(first, array=Joined([image.array for image in images]), axes=first.axes and f"Q{first.axes}")


def axes_by_shape(path: Path, shape: Sequence[int], channels: int | None, *, chosen: bool) -> str:
    """Axes of an array without names.

    Args:
        path: The file, for messages.
        shape: Its shape.
        channels: The number of channels that it should have; ``None`` if any.
        chosen: Whether channels are chosen: then the shorter of the third axis from the end and the last has them.

    Raises:
        DataError: If it has fewer than two axes.

    >>> path = Path("a.npy")
    >>> axes_by_shape(path, (5, 64, 64), 1, chosen=False), axes_by_shape(path, (5, 3, 64, 64), 3, chosen=False)
    ('QYX', 'QCYX')
    >>> axes_by_shape(path, (64, 64, 3), None, chosen=False), axes_by_shape(path, (2, 64, 64), 1, chosen=True)
    ('YXC', 'CYX')
    >>> axes_by_shape(path, (5, 64, 64, 1), None, chosen=False)
    'QYXC'
    """
    if len(shape) < 2:
        raise DataError(f"{path} has {len(shape)} axes, expected rows and columns", hint="save images as (H, W)")
    first, last = "Q" * (len(shape) - 3) + "CYX", "Q" * (len(shape) - 3) + "YXC"
    if len(shape) > 2:
        if chosen:
            return first if shape[-3] <= shape[-1] else last
        if shape[-1] == 1 < min(shape[-3:-1]):
            return last
        if channels in (None, 1) and shape[-1] in (3, 4):  # colour, which a network of one channel then refuses
            return last
        if channels is not None and channels > 1 and shape[-3] == channels:
            return first
        if channels is not None and channels > 1 and shape[-1] == channels:
            return last
    return "Q" * (len(shape) - 2) + "YX"
