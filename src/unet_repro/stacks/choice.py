"""Which image, and which of its channels, are taken from a file."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from unet_repro.errors import DataError
from unet_repro.files import counted

Channels = int | str | Sequence[int | str] | None
Series = int | str | None


@dataclass(frozen=True)
class Choice:
    """What is taken from a file; the same for training and prediction.

    Attributes:
        channels: Numbers (from 0) or names of the channels, in the order in which the network receives them; ``None``
            for all.
        series: Number (from 0) or name of the image in a file that holds several: an OME-TIFF or Zarr series, a scene,
            an HDF5 data set. ``None`` for the only one, or for all as planes if they are alike.
        raw: Whether values of WhiteIsZero images are taken as stored instead of as every viewer shows them.
    """

    channels: Channels = None
    series: Series = None
    raw: bool = False


EVERYTHING = Choice()


def chosen_channels(path: Path, channels: Channels, number: int, names: Sequence[str]) -> tuple[int, ...]:
    """The numbers of the chosen channels.

    Args:
        path: The file, for messages.
        channels: See ``Choice``.
        number: How many channels the file has.
        names: Their names; empty if unknown.

    Raises:
        DataError: If a channel does not exist or is chosen twice.

    >>> chosen_channels(Path("a.tif"), ["membrane", 0], 2, ["Nuclei", "Membrane"])
    (1, 0)
    """
    if channels is None:
        return tuple(range(number))
    wanted = [channels] if isinstance(channels, int | str) else list(channels)
    known = counted(number, "channel") + (f" ({', '.join(names)})" if names else "")
    found = [_channel(each, number, names) for each in wanted]
    missing = [str(each) for each, index in zip(wanted, found, strict=True) if index is None]
    if missing or not found:
        raise DataError(
            f"{path} has {known}, but not channel {', '.join(missing) or '(none chosen)'}",
            hint=f"choose from 0 to {number - 1}{', or by name' if names else ''}"
            if number > 1
            else "leave out channels=, or save the image with its channels, as an ImageJ hyperstack or OME-TIFF",
        )
    numbers = tuple(index for index in found if index is not None)
    if len(set(numbers)) < len(numbers):
        raise DataError(f"channels={wanted} names a channel of {path} twice", hint=f"name each once; it has {known}")
    return numbers


def _channel(wanted: int | str, number: int, names: Sequence[str]) -> int | None:
    if isinstance(wanted, str):
        lower = [name.casefold() for name in names]
        if lower.count(wanted.casefold()) == 1:
            return lower.index(wanted.casefold())
        return None
    return wanted if 0 <= wanted < number else None


def chosen_series(path: Path, series: Series, names: Sequence[str]) -> int | None:
    """The number of the chosen image of a file; ``None`` if it has several and none is chosen.

    Args:
        path: The file, for messages.
        series: See ``Choice``.
        names: The names of its images.

    Raises:
        DataError: If there is no such image.
    """
    if series is None:
        return 0 if len(names) == 1 else None
    if isinstance(series, str) and list(names).count(series) == 1:
        return list(names).index(series)
    if isinstance(series, int) and 0 <= series < len(names):
        return series
    listed = ", ".join(f"{number}: {name}" for number, name in enumerate(names[:8]))
    raise DataError(
        f"{path} has no series {series!r}; it has {listed}{' ...' if len(names) > 8 else ''}",
        hint=f"use series=0 to {len(names) - 1}, or a name",
    )


def series_required(path: Path, described: Sequence[str]) -> DataError:
    """The error for a file with several images that are not alike, of which none is chosen."""
    listed = ", ".join(f"{number}: {each}" for number, each in enumerate(described[:5]))
    return DataError(
        f"{path} contains {len(described)} images that differ in shape or type: {listed}",
        hint="choose one by number or name, such as series=0, or save them as separate files",
    )
