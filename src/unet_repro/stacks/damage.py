"""Turns the exceptions of image libraries into this project's errors."""

import contextlib
import struct
import tokenize
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

import cv2

from unet_repro.errors import DataError, UserError

# What decoders raise on damaged files, including undocumented exceptions.
BROKEN = (
    OSError,
    EOFError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    ArithmeticError,
    RuntimeError,
    struct.error,
    SyntaxError,
    tokenize.TokenError,
    zlib.error,
    zipfile.BadZipFile,
    cv2.error,
)


@contextlib.contextmanager
def reading(path: Path) -> Iterator[None]:
    """Reports what goes wrong while a file is read.

    Raises:
        DataError: If the file is missing, not readable by this user, damaged, or larger than the memory.
    """
    try:
        yield
    except UserError:
        raise
    except FileNotFoundError as error:
        missing = not path.exists()
        what = f"{path} is missing" if missing else f"{path} is incomplete: {one_line(error)}"
        raise DataError(what, hint="check the path, or copy the file there") from error
    except PermissionError as error:
        raise DataError(f"no permission to read {path}: {error}", hint="change its permissions") from error
    except MemoryError as error:
        raise DataError(
            f"{path} needs more memory than is free: {error}", hint="save it as tiled TIFF or Zarr, read by regions"
        ) from error
    except BROKEN as error:
        raise DataError(f"{path} cannot be read: {one_line(error)}", hint="copy, save or download it again") from error


def one_line(error: BaseException) -> str:
    """The text of an exception in one line."""
    return " ".join(str(error).split()) or type(error).__name__
