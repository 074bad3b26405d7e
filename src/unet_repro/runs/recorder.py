"""The callback that records a training (history, progress, checkpoints) and stops it on request."""

import copy
import json
import signal
import time
from collections.abc import Callable
from typing import Any

import torch
import torch.distributed as dist
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.plugins import CheckpointIO

from unet_repro.errors import RunError, Stopped
from unet_repro.files import csv_text, write_atomically
from unet_repro.runs.checkpoint import write_checkpoint
from unet_repro.runs.folder import RunFolder
from unet_repro.runs.lease import Lease
from unet_repro.runs.stopping import StopRequest

Row = dict[str, float]
OnRow = Callable[[Row], None]
PROGRESS_EVERY_S = 2.0
_SELECTS = "val/iou"  # its maximum selects the best weights
SAVING_SHARE = 0.02  # largest share of the training time for intermediate checkpoints


class CheckpointInMemory(CheckpointIO):
    """Stores what Lightning would write in memory, so that the recorder can write it or keep it.

    Args:
        resumed: The content to resume from; Lightning requests it by path.

    Attributes:
        latest: The content from ``trainer.save_checkpoint``; its tensors are the training's own, not copies.
    """

    def __init__(self, resumed: dict[str, Any] | None) -> None:
        self.resumed = resumed
        self.latest: dict[str, Any] = {}

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:  # noqa: ARG002
        """Stores the checkpoint."""
        self.latest = checkpoint

    def load_checkpoint(self, path: Any, map_location: Any = None, weights_only: Any = None) -> dict[str, Any]:  # noqa: ARG002
        """The content that was read and checked before the training began."""
        assert self.resumed is not None, "called only when resuming"
        return self.resumed

    def remove_checkpoint(self, path: Any) -> None:
        """Does nothing: there is no file."""


class Recorder(Callback):
    """Writes a row of history after every validation, and checkpoints from which a restarted training resumes.

    A checkpoint is written at the end, on a stop request, and periodically, but never more often than ``SAVING_SHARE``
    allows. It contains everything, including the history and the best weights, so that it needs no other file. No
    checkpoint is taken between a step and its validation: a training stopped there resumes one step earlier.

    Args:
        folder: The run's folder.
        lease: This worker's lock on the folder; ``None`` in the further processes of a run on several devices, which
            write nothing.
        memory: Receives the content of ``trainer.save_checkpoint``.
        stop: Records stop requests.
        val_every: Steps between validations.
        save_every_s: Seconds between checkpoints.
        on_row: Called with each row; an exception that it raises ends the training.
    """

    def __init__(
        self,
        folder: RunFolder,
        *,
        lease: Lease | None,
        memory: CheckpointInMemory,
        stop: StopRequest,
        val_every: int,
        save_every_s: float,
        on_row: OnRow | None = None,
    ) -> None:
        self.folder, self.lease, self.memory, self.stop = folder, lease, memory, stop
        self.val_every, self.save_every_s, self.on_row = val_every, save_every_s, on_row
        self.rows: list[Row] = []
        self.seconds_at: list[float] = []  # training time at each row
        self.best: Row | None = None
        self.best_weights: dict[str, Any] = {}
        self.seconds_before = self.saving_before = self.saving = 0.0
        self.attempts = 1
        self._before_validation: dict[str, Any] | None = None
        self._step = 0  # the latest complete step
        self._hosts: dist.ProcessGroup | None = None  # for a run on several devices: decides without waiting for a GPU
        self._started = self._reported_at = self._saved = time.monotonic()
        self._save_took = 0.0

    @property
    def seconds(self) -> float:
        """Training time so far, over all attempts up to their last checkpoint."""
        return self.seconds_before + time.monotonic() - self._started

    def provenance(self) -> dict[str, Any]:
        """What may differ between two trainings of one run."""
        saving = self.saving_before + self.saving
        return {
            "seconds": round(self.seconds, 1),
            "seconds_at": [round(seconds, 2) for seconds in self.seconds_at],
            "checkpoint_seconds": round(saving, 2),
            "attempts": self.attempts,
        }

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:  # noqa: ARG002
        """Starts the clock, and resets the history to the checkpoint."""
        self.stop.listen()
        self._hosts = dist.new_group(backend="gloo") if trainer.world_size > 1 else None
        self._started = self._saved = time.monotonic()
        self._step = trainer.global_step
        if self.rows:
            self._write_history()
        elif self.lease is not None:
            self.folder.history.unlink(missing_ok=True)
        if self.on_row is not None:
            for row in self.rows:
                self.on_row(row)
        self._write_progress(trainer)

    def on_train_batch_end(self, trainer: Trainer, *_: Any) -> None:
        """Between steps: stops on request, saves if it is time, and records the progress."""
        if trainer.global_step == self._step:  # gradients are accumulated, which a checkpoint does not contain
            return
        self._step = trainer.global_step
        if self.lease is not None:
            self.lease.check()
        validates = trainer.global_step % self.val_every == 0
        if self._is_asked_to_stop():
            self._stop(trainer, back=validates)
        if validates:
            return
        if self._is_time_to_save():
            self._save(trainer)
        if (trainer.global_step + 1) % self.val_every == 0:
            self._before_validation = self._copy(trainer)
        if time.monotonic() - self._reported_at > PROGRESS_EVERY_S:
            self._write_progress(trainer)

    def on_validation_batch_end(self, trainer: Trainer, *_: Any) -> None:
        """Between validation images: stops on request, from the step before; only on a single device."""
        if trainer.world_size == 1 and self.stop.asked is not None:
            self._stop(trainer, back=True)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:  # noqa: ARG002
        """Records the measures; a checkpoint taken after it contains its row."""
        measured = {key: float(value) for key, value in trainer.callback_metrics.items()}
        row = {"step": trainer.global_step, **dict(sorted(measured.items()))}
        self.rows.append(row)
        self.seconds_at.append(self.seconds)
        if self.best is None or row[_SELECTS] > self.best[_SELECTS]:
            self.best = row
            # As a checkpoint has them: a callback that validates averaged weights also saves these. Empty on further
            # devices, where there is no checkpoint.
            weights = self._content(trainer).get("state_dict", {})
            self.best_weights = {name: tensor.detach().to("cpu", copy=True) for name, tensor in weights.items()}
        self._write_history()
        self._before_validation = self._copy(trainer) if self.val_every == 1 else None
        ends = trainer.global_step == trainer.max_steps
        if self._is_time_to_save() or ends:
            self._save(trainer)
        if self.on_row is not None:
            self.on_row(row)
        self._write_progress(trainer)
        if self._is_asked_to_stop() and not ends:
            self._stop(trainer, back=False)

    def write_best(self) -> None:
        """Writes the best weights."""
        assert self.best is not None, "a finished training has been validated"
        write_checkpoint(self.folder.best, {"state_dict": self.best_weights, "global_step": self.best["step"]})

    def state_dict(self) -> dict[str, Any]:
        """Plain containers and tensors: a checkpoint is loaded with ``weights_only=True``."""
        return {
            "rows": list(self.rows),
            "seconds_at": list(self.seconds_at),
            "best": self.best,
            "best_weights": self.best_weights,
            "seconds": self.seconds,
            "saving": self.saving_before + self.saving,
            "attempts": self.attempts,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restores the history from the checkpoint; later rows will be recomputed.

        Raises:
            RunError: If the checkpoint is from an earlier version of this program.
        """
        if "seconds_at" not in state_dict:
            raise RunError(
                f"the checkpoint in {self.folder.path} was written by an earlier version of this program",
                hint="remove the folder, and train the run again",
            )
        self.rows, self.best = list(state_dict["rows"]), state_dict["best"]
        self.seconds_at = list(state_dict["seconds_at"])
        self.best_weights = state_dict["best_weights"]
        self.seconds_before, self.saving_before = state_dict["seconds"], state_dict["saving"]
        self.attempts = state_dict["attempts"] + 1
        self._started = time.monotonic()

    def _content(self, trainer: Trainer) -> dict[str, Any]:
        trainer.save_checkpoint("memory")
        return self.memory.latest

    def _copy(self, trainer: Trainer) -> dict[str, Any]:
        content = self._content(trainer)
        return copy.deepcopy(content, {id(self.best_weights): self.best_weights})  # these are replaced, never modified

    def _is_time_to_save(self) -> bool:
        wait = max(self.save_every_s, self._save_took / SAVING_SHARE)
        return self._any(self.lease is not None and time.monotonic() - self._saved >= wait)

    def _is_asked_to_stop(self) -> bool:
        return self._any(self.stop.asked is not None)

    def _any(self, here: bool) -> bool:
        """Whether the condition holds on any device of the run."""
        if self._hosts is None:
            return here
        decision = torch.tensor(int(here))
        dist.all_reduce(decision, dist.ReduceOp.MAX, group=self._hosts)
        return bool(decision)

    def _save(self, trainer: Trainer) -> None:
        self._write(self._content(trainer))
        trainer.lightning_module.last_good_step = trainer.global_step  # type: ignore[assignment]

    def _write(self, content: dict[str, Any]) -> None:
        if self.lease is None:
            return
        self.lease.confirm()
        started = time.monotonic()
        write_checkpoint(self.folder.last, content, previous=self.folder.previous)
        self._saved = time.monotonic()
        self._save_took = self._saved - started
        self.saving += self._save_took

    def _stop(self, trainer: Trainer, *, back: bool) -> None:
        """Stops with a checkpoint: of the current step, or of the step before an unfinished validation."""
        if not back:
            self._save(trainer)
            self._write_progress(trainer)
        elif self._before_validation is not None:
            self._write(self._before_validation)
        raise Stopped(self.stop.asked or signal.SIGTERM)

    def _write_progress(self, trainer: Trainer) -> None:
        if self.lease is None:
            return
        self._reported_at = time.monotonic()
        progress = {"step": trainer.global_step, "of": trainer.max_steps, "seconds": round(self.seconds, 1)}
        write_atomically(self.folder.progress, json.dumps(progress), durable=False)

    def _write_history(self) -> None:
        if self.lease is None:
            return
        write_atomically(self.folder.history, csv_text(self.rows))
