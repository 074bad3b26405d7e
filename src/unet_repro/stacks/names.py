"""Finds input files, and names the outputs."""

import glob
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from unet_repro.data.sources.folder import natural_key
from unet_repro.errors import ConfigError, DataError

SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".zarr", ".npy")  # readable formats
WRITTEN = (".ome.tif", ".ome.tiff", ".ome.zarr", ".tif", ".tiff", ".zarr", ".npy", ".png")
_ZARR_MARKS = ("zarr.json", ".zarray", ".zgroup")


def find_inputs(pattern: str | Path) -> list[Path]:
    """Finds the input images.

    Args:
        pattern: A file, a folder of files, an OME-Zarr or Zarr folder, or a glob.

    Returns:
        Paths in natural order.

    Raises:
        DataError: If nothing is found, or nothing in a supported format.
    """
    path = Path(pattern)
    if path.is_dir() and not _is_zarr(path):
        found = [each for each in path.iterdir() if _is_image(each)]
        where = f"folder {path}"
    elif path.exists():
        found, where = [path] if _is_image(path) else [], str(path)
    else:
        matches = [Path(each) for each in glob.glob(str(pattern), recursive=True)]  # noqa: PTH207  # absolute ones too
        found, where = [each for each in matches if _is_image(each)], f"input={pattern}"
        if not matches:
            raise DataError(f"{where} does not exist", hint="check the path; a glob needs quotes")
    if not found:
        raise DataError(f"{where} has no image in a supported format", hint=f"supported: {', '.join(SUFFIXES)}")
    return sorted(found, key=lambda each: natural_key(each.name))


def _is_zarr(path: Path) -> bool:
    return path.is_dir() and any((path / mark).exists() for mark in _ZARR_MARKS)


def _is_image(path: Path) -> bool:
    if path.name.startswith("."):
        return False
    return _is_zarr(path) or (path.suffix.lower() in SUFFIXES and (path.is_file() or path.suffix.lower() == ".zarr"))


def name_targets(inputs: Sequence[Path], output: Path, suffix_of: Callable[[Path], str]) -> list[Path]:
    """The output path of each input: the output itself if it has a file suffix, otherwise a file in that folder.

    Args:
        inputs: The images.
        output: A file for a single image, or a folder.
        suffix_of: Maps an input's path to the suffix of its result in a folder.

    Raises:
        ConfigError: If several images would be written to one file, or the output format is not supported.
    """
    suffix = written_suffix(output)
    if suffix is not None and (suffix.endswith(".zarr") or not output.is_dir()):
        if len(inputs) > 1:
            raise ConfigError(
                f"output={output} is one file, but the input has {len(inputs)} images", hint="use a folder as output"
            )
        return [output]
    if output.exists() and not output.is_dir():
        raise ConfigError(f"unsupported format of output={output}", hint=f"use {', '.join(WRITTEN)}, or a folder")
    targets = [output / f"{_stem(path)}{suffix_of(path)}" for path in inputs]
    twice = [target for target, times in Counter(targets).items() if times > 1]
    if twice:
        raise ConfigError(
            f"several images would be written to {twice[0]}",
            hint="give them different names, or predict them one by one",
        )
    return targets


def written_suffix(path: Path) -> str | None:
    """The suffix that determines the output format; ``None`` if the name has none.

    >>> written_suffix(Path("a.OME.tif")), written_suffix(Path("folder"))
    ('.ome.tif', None)
    """
    return next((suffix for suffix in WRITTEN if path.name.lower().endswith(suffix)), None)


def _stem(path: Path) -> str:
    suffix = written_suffix(path)
    return path.name[: -len(suffix)] if suffix else path.stem
