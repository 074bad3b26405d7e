"""A run's folder ``runs/<run_id>/``: what lies in it, its state, its lock.

================ =====================================================================================
config.yaml      the resolved configuration
manifest.json    which samples played which part, with the SHA-256 of their arrays
history.csv      one row a validation; a pure function of configuration and data
progress.json    step, of how many, seconds so far; rewritten while it runs
last.ckpt        where a restarted run goes on
best.ckpt        at the best mean IoU on validation
result.json      written last, atomically: there is a result, or there is none
error.txt        why the latest attempt failed
================ =====================================================================================
"""

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import yaml
from filelock import FileLock, Timeout

from unet_repro.data.splits import Manifest
from unet_repro.errors import RunError
from unet_repro.files import replacing

State = Literal["new", "partial", "done", "failed"]


def write_atomically(path: Path, text: str) -> None:
    """Writes a text file whole or not at all.

    Raises:
        RunError: If the folder cannot be written to or the disk is full; the old file, if any, is then still there.
    """
    try:
        with replacing(path) as file:
            file.write(text.encode())
    except OSError as error:
        raise RunError(
            f"cannot write {path}: {error.strerror}", mend="free some space, or choose a folder you may write to"
        ) from error


class RunFolder:
    """One run on disk.

    Args:
        path: ``<runs_dir>/<run_id>``; made by ``begin``.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.config, self.manifest = path / "config.yaml", path / "manifest.json"
        self.history, self.progress = path / "history.csv", path / "progress.json"
        self.last, self.best = path / "last.ckpt", path / "best.ckpt"
        self.result_file, self.error = path / "result.json", path / "error.txt"

    @property
    def run_id(self) -> str:
        """The folder's name."""
        return self.path.name

    @property
    def state(self) -> State:
        """How far the run is, by the files that are there."""
        if self.result_file.exists():
            return "done"
        if self.error.exists():
            return "failed"
        return "partial" if self.last.exists() else "new"

    def result(self) -> dict[str, Any] | None:
        """The finished run's result; ``None`` if it is not finished."""
        return self._read(self.result_file)

    def share_done(self) -> float:
        """Share of the training steps that are done, from 0 to 1."""
        progress = self._read(self.progress)
        return progress["step"] / progress["of"] if progress else 0.0

    def begin(self, config: dict[str, Any], manifest: Manifest) -> None:
        """Makes the folder and records what the run is.

        Raises:
            RunError: If it cannot be written, or was begun with other data.
        """
        self.check_manifest(manifest)
        write_atomically(self.config, yaml.safe_dump(config, sort_keys=False))
        write_atomically(self.manifest, json.dumps(manifest, indent=1))
        self.error.unlink(missing_ok=True)

    def check_manifest(self, manifest: Manifest) -> None:
        """Refuses data that are not those that the run was begun with.

        Raises:
            RunError: If they differ.
        """
        known = self._read(self.manifest)
        if known is not None and known != manifest:
            raise RunError(
                f"{self.path} was trained on other data than are there now "
                f"(digest {known['digest'][:12]}, now {str(manifest['digest'])[:12]})",
                mend="restore the data, or remove the folder to start afresh",
            )

    def finish(self, result: dict[str, Any]) -> None:
        """Writes the result; from then on the run is done."""
        write_atomically(self.result_file, json.dumps(result, indent=1))

    def fail(self, reason: str) -> None:
        """Leaves the reason of a failure for who looks later."""
        write_atomically(self.error, reason + "\n")

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Keeps a second process out while one works here; the system frees the lock of a process that died.

        Raises:
            RunError: If another process holds it, or the folder cannot be made.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            lock = FileLock(self.path / ".lock", timeout=0)
            lock.acquire()
        except Timeout as error:
            raise RunError(f"another process is training {self.path}", mend="wait for it, or stop it") from error
        except OSError as error:
            raise RunError(f"cannot write to {self.path}: {error.strerror}", mend="choose another runs_dir") from error
        try:
            yield
        finally:
            lock.release()

    def _read(self, path: Path) -> dict[str, Any] | None:
        if not path.exists():
            return None
        try:
            return json.loads(path.read_text())  # type: ignore[no-any-return]
        except ValueError as error:
            raise RunError(f"{path} is damaged", mend=f"remove {self.path} and train again") from error


def open_run(path: Path) -> RunFolder:
    """The folder of an existing run.

    Raises:
        RunError: If there is no run.
    """
    folder = RunFolder(path)
    if not folder.config.exists():
        raise RunError(f"{path} is not a run's folder: it has no config.yaml", mend="name a folder runs/<run_id>")
    return folder
