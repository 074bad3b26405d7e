"""A run's folder ``runs/<run_id>/``: its files, its state, its lock.

================ =====================================================================================
config.yaml      the resolved configuration
manifest.json    the samples of each part, with the SHA-256 of their arrays
history.csv      one row per validation; a pure function of configuration and data
progress.json    step, number of steps, seconds so far; rewritten while the run is trained
last.ckpt        where a restarted run resumes; for a finished run, the end
previous.ckpt    the checkpoint before, in case the last is damaged; exists only during training
best.ckpt        weights at the best mean IoU on validation, written at the end
placement.json   code version, threads and instruction set of the latest attempt; a resumed run uses as many threads
provenance.json  seconds, attempts, versions and machine: what may differ between two trainings of one run
objects.json     settings for objects that evaluation chose, see ``object_settings``
evaluations/     trial.json: the evaluation for the trial, see ``evaluation.evaluations``; trial.npz: predicted classes
network.json     channels' statistics and class names: with a checkpoint, all that a prediction needs
result.json      written last, atomically; a function of configuration and data
error.txt        why the latest attempt failed: the reason in the first line, then the traceback
worker.json      the process that is training it
log.txt          output of its process, with ``hydra/launcher=local``
================ =====================================================================================
"""

import contextlib
import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import yaml

from unet_repro.errors import RunError
from unet_repro.files import changed_ns, write_atomically
from unet_repro.runs.lease import Holder, Lease, hold, is_running, read_holder

if TYPE_CHECKING:  # slow to import, and lists of runs are fast
    from unet_repro.data.splits import Manifest

State = Literal["new", "partial", "done", "failed"]

SCORES_OF_SEEN = "the images that validate were also trained on: these scores say nothing about new images"


class RunFolder:
    """One run on disk.

    Args:
        path: ``<runs_dir>/<run_id>``; created by ``begin``.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.config, self.manifest = path / "config.yaml", path / "manifest.json"
        self.history, self.progress = path / "history.csv", path / "progress.json"
        self.last, self.previous, self.best = path / "last.ckpt", path / "previous.ckpt", path / "best.ckpt"
        self.result_file, self.provenance = path / "result.json", path / "provenance.json"
        self.network, self.placement_file = path / "network.json", path / "placement.json"
        self.objects, self.evaluation_file = path / "objects.json", path / "evaluations" / "trial.json"
        self.error, self.log = path / "error.txt", path / "log.txt"

    @property
    def run_id(self) -> str:
        """The folder's name."""
        return self.path.name

    @property
    def is_done(self) -> bool:
        """Whether it is finished: the result is written last."""
        return self.result_file.exists()

    @property
    def state(self) -> State:
        """The state of the run, from its files."""
        if self.is_done:
            return "done"
        if self.error.exists():
            return "failed"
        return "partial" if self.last.exists() or self.previous.exists() else "new"

    @property
    def running(self) -> bool:
        """Whether a live worker is training it."""
        return is_running(self.path)

    @property
    def checkpointed_at(self) -> int | None:
        """When the last checkpoint was written, in ns; ``None`` if there is none."""
        return changed_ns(self.last)

    def holder(self) -> Holder | None:
        """The worker that is training it, or that was killed while training it."""
        return read_holder(self.path)

    def settings(self) -> dict[str, Any]:
        """The configuration that the run was trained with, as plain containers.

        Raises:
            RunError: If it is missing or damaged.
        """
        with self._intact(self.config, OSError, ValueError, TypeError, yaml.YAMLError):
            settings = yaml.safe_load(self.config.read_text())
            if not isinstance(settings, dict):
                raise TypeError("it is not a mapping")
        return settings

    def trains_on_validation(self) -> bool:
        """Whether its validation images are also training images, so that its scores are not of unseen images."""
        split = (self.read_manifest() or {}).get("split", {"train": (), "val": ()})
        return not set(split["val"]).isdisjoint(split["train"])

    def read_manifest(self) -> dict[str, Any] | None:
        """The data that it was started with; ``None`` before."""
        return self.read(self.manifest)

    def evaluation(self) -> dict[str, Any] | None:
        """Its evaluation for the trial, made by any version of the code; ``None`` if there is none.

        Raises:
            RunError: If it is damaged.
        """
        return self.read(self.evaluation_file, hint="remove it; it will be recomputed")

    def history_rows(self) -> list[dict[str, float]]:
        """Rows of ``history.csv``; missing measures are left out.

        Raises:
            RunError: If it is missing or damaged.
        """
        with self._intact(self.history, OSError, ValueError, TypeError), self.history.open(newline="") as file:
            rows = [{key: float(text) for key, text in row.items() if text} for row in csv.DictReader(file)]
            if not rows or any("step" not in row for row in rows):
                raise ValueError("a row has no step")
        return rows

    def curves(self) -> dict[str, list[float]]:
        """Columns of ``history.csv``; empty before the first validation.

        Raises:
            RunError: If it is damaged.
        """
        rows = self.history_rows() if self.history.exists() else [{}]
        return {name: [row[name] for row in rows] for name in rows[0]}

    def result(self) -> dict[str, Any] | None:
        """The finished run's result; ``None`` if it is not finished."""
        return self.read(self.result_file)

    def outcome(self) -> dict[str, Any] | None:
        """The result together with its provenance."""
        result = self.result()
        return None if result is None else {**(self.read(self.provenance) or {}), **result}

    def progress_now(self) -> dict[str, float] | None:
        """``step``, ``of`` and training ``seconds`` so far; ``None`` before the first step."""
        with contextlib.suppress(RunError):  # only for display, so it is not synced: a power failure may damage it
            return self.read(self.progress)
        return None

    def placement(self) -> dict[str, Any]:
        """The content written by ``place``; empty before the first attempt."""
        return self.read(self.placement_file) or {}

    def place(self, placement: dict[str, Any]) -> None:
        """Records how the run uses its machine."""
        write_atomically(self.placement_file, json.dumps(placement, indent=1))

    def steps_in_words(self) -> str:
        """Such as ``step 40 of 80``; empty before the first step."""
        progress = self.progress_now()
        return f"step {progress['step']:.0f} of {progress['of']:.0f}" if progress else ""

    def share_done(self) -> float:
        """Share of the training steps that are done, from 0 to 1."""
        progress = self.progress_now()
        return progress["step"] / progress["of"] if progress else 0.0

    def begin(self, config: dict[str, Any], manifest: "Manifest") -> None:
        """Creates the folder and records the configuration and the data.

        Raises:
            RunError: If it cannot be written, or was started with other data.
        """
        self.check_manifest(manifest)
        for left_over in self.path.glob(".*.part"):  # from a process killed while writing
            left_over.unlink(missing_ok=True)
        write_atomically(self.config, yaml.safe_dump(config, sort_keys=False))
        write_atomically(self.manifest, json.dumps(manifest, indent=1))
        self.error.unlink(missing_ok=True)

    def check_manifest(self, manifest: "Manifest") -> None:
        """Checks that the data are those that the run was started with.

        Raises:
            RunError: If they differ.
        """
        known = self.read_manifest()
        if known is not None and known != manifest:
            raise RunError(
                f"the data have changed since {self.path} was trained "
                f"(digest {str(known.get('digest'))[:12]}, now {str(manifest['digest'])[:12]})",
                hint="restore the data, or remove the folder to train from scratch",
            )

    def finish(self, result: dict[str, Any], provenance: dict[str, Any]) -> None:
        """Writes provenance and result; the run is then done."""
        write_atomically(self.provenance, json.dumps(provenance, indent=1))
        write_atomically(self.result_file, json.dumps(result, indent=1))
        self.previous.unlink(missing_ok=True)

    def fail(self, reason: str, trace: str = "") -> None:
        """Records the reason of a failure; does nothing if it cannot be written.

        Args:
            reason: The message; lists of failures show its first line.
            trace: The traceback.
        """
        with contextlib.suppress(RunError):
            write_atomically(self.error, f"{reason}\n\n{trace}".rstrip() + "\n")

    def hold(self) -> contextlib.AbstractContextManager[Lease]:
        """Locks the run for this worker; takes over the lock of a dead worker.

        Raises:
            RunHeld: If another worker is training the run.
            RunError: If the folder cannot be created.
        """
        return hold(self.path)

    def read(self, path: Path, *, hint: str | None = None) -> dict[str, Any] | None:
        """The content of one of its JSON files; ``None`` if there is none.

        Raises:
            RunError: If it is damaged; by default the hint is to train again.
        """
        if not path.exists():
            return None
        with self._intact(path, OSError, ValueError, TypeError, hint=hint):
            found = json.loads(path.read_text())
            if not isinstance(found, dict):
                raise TypeError("it is not a mapping")
        return found

    @contextlib.contextmanager
    def _intact(self, path: Path, *errors: type[Exception], hint: str | None = None) -> Iterator[None]:
        """Reports read errors as a damaged run."""
        try:
            yield
        except errors as error:
            raise RunError(f"{path} is damaged", hint=hint or f"remove {self.path} and train again") from error


def open_run(path: Path) -> RunFolder:
    """Opens the folder of an existing run.

    Raises:
        RunError: If the folder is not a run.
    """
    folder = RunFolder(path)
    if not folder.config.exists():
        raise RunError(f"{path} is not a run's folder: it has no config.yaml", hint="use a folder runs/<run_id>")
    return folder
