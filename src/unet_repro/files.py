"""Atomic file writes, locks, text tables, and content hashes."""

import csv
import hashlib
import io
import os
import re
import uuid
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

import numpy as np
import numpy.typing as npt
from filelock import FileLock, Timeout

from unet_repro.errors import DataError, RunError


def counted(number: int, what: str) -> str:
    """A number of things.

    >>> counted(1, "image"), counted(3, "image")
    ('1 image', '3 images')
    """
    return f"{number} {what}{'' if number == 1 else 's'}"


class Closing(ABC):
    """A context manager that calls ``close`` at the end of its ``with`` block."""

    @abstractmethod
    def close(self) -> None:
        """Releases all resources."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


@contextmanager
def replacing(path: Path, *, previous: Path | None = None, durable: bool = True) -> Iterator[BinaryIO]:
    """Opens a binary file that replaces ``path`` at the end of the block: no reader ever sees a partial file.

    After an error in the block or in writing, the old file, if any, is unchanged, and no other file is left.

    Args:
        path: The file to write; its folder is created.
        previous: Where to move the existing file.
        durable: Whether the new file is complete after a power failure too: its bytes are synced to disk before it gets
            its name, and its name after that.

    Raises:
        OSError: If the file cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}.part")  # several processes may write it at once
    try:
        with temporary.open("xb") as file:
            yield file
            if durable:
                file.flush()
                os.fsync(file.fileno())
        if previous is not None and path.exists():
            path.replace(previous)
        temporary.replace(path)
        if durable:
            _sync_names(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def changed_ns(path: Path) -> int | None:
    """When a file was last written, in ns; ``None`` if there is none, such as one that was removed just now."""
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return None


def _sync_names(folder: Path) -> None:
    """Syncs the names of a folder's files to disk, where the system can."""
    with suppress(OSError):  # Windows does not open folders, and some network file systems do not sync them
        opened = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(opened)
        finally:
            os.close(opened)


@contextmanager
def writing(what: object, *, hint: str = "free some space, or choose a writable folder") -> Iterator[None]:
    """Reports an error of the file system in the block.

    Args:
        what: What is written, for the message.
        hint: Hint for the error.

    Raises:
        RunError: If it cannot be written.
    """
    try:
        yield
    except OSError as error:
        raise RunError(f"cannot write {what}: {error.strerror or error}", hint=hint) from error


def write_atomically(path: Path, content: str | bytes, *, durable: bool = True) -> None:
    """Writes a file atomically.

    Args:
        path: The file.
        content: Its content.
        durable: See ``replacing``.

    Raises:
        RunError: If the folder is not writable or the disk is full; the old file, if any, is then unchanged.
    """
    with writing(path), replacing(path, durable=durable) as file:
        file.write(content.encode() if isinstance(content, str) else content)


def write_texts(folder: Path, texts: Mapping[str, str]) -> list[Path]:
    """Writes text files, each atomically, and returns their paths.

    Raises:
        RunError: If one cannot be written.
    """
    for name, text in texts.items():
        write_atomically(folder / name, text)
    return [folder / name for name in texts]


def write_between(path: Path, text: str, *, begin: str, end: str) -> None:
    """Replaces the text between two markers of a file.

    Raises:
        DataError: If the file lacks the markers.
        RunError: If it cannot be written.
    """
    write_atomically(path, filled(path, text, begin=begin, end=end))


def filled(path: Path, text: str, *, begin: str, end: str) -> str:
    """The content of a file with other text between two markers.

    Raises:
        DataError: If the file lacks the markers.
    """
    old = path.read_text() if path.exists() else ""
    if begin not in old or end not in old:
        raise DataError(f"{path} has no markers for the results", hint=f"add the lines {begin} and {end}")
    inner = re.compile(f"{re.escape(begin)}.*?{re.escape(end)}", re.DOTALL)
    return inner.sub(lambda _: f"{begin}\n{text}\n{end}", old)


@contextmanager
def locked(path: Path, *, hint: str, busy: RunError | None = None) -> Iterator[None]:
    """Holds a lock file during the block; has no effect on a file system without locks.

    Args:
        path: The lock file; its folder is created.
        hint: What to do if the folder is not writable.
        busy: Raised at once if another process holds the lock; by default the block waits for it.

    Raises:
        RunError: ``busy``, or if the lock file cannot be written.
    """
    lock = FileLock(path, timeout=-1 if busy is None else 0)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with suppress(NotImplementedError):
            lock.acquire()
    except OSError as error:
        if busy is not None and isinstance(error, Timeout):
            raise busy from error
        raise RunError(f"cannot write to {path.parent}: {error.strerror}", hint=hint) from error
    try:
        yield
    finally:
        lock.release()


def csv_text(
    rows: Iterable[Mapping[str, object]], columns: Sequence[str] | None = None, *, digits: int | None = None
) -> str:
    r"""Formats rows as CSV with a header; missing values and ``None`` are empty cells.

    Args:
        rows: Values by column.
        columns: The columns to write; by default all, in order of first appearance.
        digits: Significant digits of floats; by default all.

    >>> csv_text([{"a": 1, "b": 1 / 3}, {"c": None}], digits=2)
    'a,b,c\n1,0.33,\n,,\n'
    """
    rows = list(rows)
    text = io.StringIO()
    names = list(dict.fromkeys(name for row in rows for name in row)) if columns is None else columns
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(names)
    for row in rows:
        cells = (row.get(name) for name in names)
        writer.writerow(f"{cell:.{digits}g}" if digits and isinstance(cell, float) else cell for cell in cells)
    return text.getvalue()


def markdown_table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    r"""Formats a Markdown table, without a trailing newline.

    >>> markdown_table(["a", "b"], [(1, 2)])
    '| a | b |\n| --- | --- |\n| 1 | 2 |'
    """
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in (head, ["---"] * len(head), *rows))


def sha256(*parts: str | npt.NDArray[np.generic]) -> str:
    """SHA-256, in hexadecimal, over texts and arrays; includes the type and shape of arrays, but not their strides.

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
