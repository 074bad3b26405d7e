"""Finds input files, and names the outputs."""

import glob
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from unet_repro.errors import ConfigError, DataError
from unet_repro.stacks.ngff import is_zarr
from unet_repro.stacks.reading import SUFFIXES, is_image

WRITTEN = (".ome.tif", ".ome.tiff", ".ome.zarr", ".tif", ".tiff", ".zarr", ".npy", ".png")


def natural_key(text: str) -> tuple[tuple[str, int], ...]:
    """Sorts numbers inside names by value.

    >>> sorted(["t10", "t9", "t09b"], key=natural_key)
    ['t9', 't09b', 't10']
    """
    return tuple((word, int(number or 0)) for word, number in re.findall(r"(\D*)(\d*)", text)[:-1])


def find_inputs(pattern: str | Path) -> list[Path]:
    """Finds the input images, in natural order.

    Args:
        pattern: A file, a folder of files, an OME-Zarr or Zarr folder, or a glob.

    Raises:
        DataError: If nothing is found, or nothing in a supported format.
    """
    path = Path(pattern)
    if path.is_dir() and not is_zarr(path):
        found, where = [each for each in path.iterdir() if _is_input(each)], f"folder {path}"
    elif path.exists():
        found, where = [path] if _is_input(path) else [], str(path)
    else:
        matches = [Path(each) for each in glob.glob(str(pattern), recursive=True)]  # noqa: PTH207  # absolute ones too
        found, where = [each for each in matches if _is_input(each)], f"input={pattern}"
        if not matches:
            raise DataError(f"{where} does not exist", hint="check the path, or a glob such as 'images/*.tif'")
    if not found:
        raise DataError(f"{where} has no image in a supported format", hint=f"supported: {', '.join(SUFFIXES)}")
    return sorted(found, key=lambda each: natural_key(each.name))


def left_out(folder: Path, also: Sequence[str] = ()) -> list[str]:
    """The visible files and folders of a folder that are neither images nor of a suffix in ``also``, with the reasons.

    >>> left_out(Path("no-such-folder"))
    []
    """
    if not folder.is_dir() or is_zarr(folder):
        return []
    others = [
        each
        for each in folder.iterdir()
        if not each.name.startswith(".") and not is_image(each) and each.suffix.lower() not in also
    ]
    return [f"{each.name} ({_reason(each)})" for each in sorted(others, key=lambda each: natural_key(each.name))]


def _reason(path: Path) -> str:
    if path.is_dir():
        return "a folder"
    return f"{path.suffix.lower()} is not a supported image format" if path.suffix else "no suffix"


def _is_input(path: Path) -> bool:
    return not path.name.startswith(".") and is_image(path)


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
    targets = [output / f"{stem(path)}{suffix_of(path)}" for path in inputs]
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


def stem(path: Path) -> str:
    """A file's name without its image suffixes, in the composed Unicode form.

    >>> stem(Path("t1.ome.tif")), stem(Path("t1.2.png"))
    ('t1', 't1.2')
    """
    suffix = written_suffix(path) or path.suffix
    return unicodedata.normalize("NFC", path.name[: len(path.name) - len(suffix)])
