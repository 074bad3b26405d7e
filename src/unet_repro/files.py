"""Files that appear whole or not at all, and hashes of what is in them."""

import hashlib
import os
import uuid
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

import numpy as np
import numpy.typing as npt


class Closing(ABC):
    """Something that is closed at the end of its ``with`` block."""

    @abstractmethod
    def close(self) -> None:
        """Lets go of what is open."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


@contextmanager
def replacing(path: Path, *, previous: Path | None = None) -> Iterator[BinaryIO]:
    """Opens a binary file that takes the place of ``path`` at the end: no reader ever sees half of it.

    After an error in the block, or in writing, the old file, if any, is still there and nothing else is left. With
    ``previous`` the bytes are on the disk itself, not only in the machine's memory, before an older file moves.

    Args:
        path: The file to write; its folder is made.
        previous: Where the file that is there now goes.

    Raises:
        OSError: If it cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}.part")  # processes may write the same file at once
    try:
        with temporary.open("xb") as file:
            yield file
            if previous is not None:
                file.flush()
                os.fsync(file.fileno())
        if previous is not None and path.exists():
            path.replace(previous)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def sha256(*parts: str | npt.NDArray[np.generic]) -> str:
    """SHA-256, in hexadecimal, over texts and arrays; arrays with their type and shape, whatever their strides.

    >>> sha256("")[:8], sha256(np.zeros(2)) == sha256(np.zeros((1, 2))), sha256(np.eye(2)) == sha256(np.eye(2).T)
    ('e3b0c442', False, True)
    """
    digest = hashlib.sha256()
    for part in parts:
        if isinstance(part, str):
            digest.update(part.encode())
        else:
            digest.update(f"{part.dtype.str}{part.shape}".encode())
            digest.update(np.ascontiguousarray(part).data)
    return digest.hexdigest()
