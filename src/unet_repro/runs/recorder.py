"""The callback that records a training: history, progress, checkpoints."""

import csv
import io
import json
import time
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer

from unet_repro.errors import RunError
from unet_repro.runs.folder import RunFolder, write_atomically

Row = dict[str, float]
PROGRESS_EVERY_S = 2.0


class Recorder(Callback):
    """After every validation: a row of history, then the checkpoint; the history is part of the checkpoint.

    Args:
        folder: Where to.
        monitor: Measure whose maximum makes the best checkpoint.
    """

    def __init__(self, folder: RunFolder, *, monitor: str = "val/iou") -> None:
        self.folder, self.monitor = folder, monitor
        self.rows: list[Row] = []
        self.best: Row | None = None
        self.seconds_before = 0.0
        self._started = self._told = time.monotonic()

    @property
    def seconds(self) -> float:
        """Training time so far, over all attempts up to their last checkpoint."""
        return self.seconds_before + time.monotonic() - self._started

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Starts the clock."""
        self._started = time.monotonic()
        if pl_module.global_step:
            self._write_history()
        self._tell(trainer)

    def on_train_batch_end(self, trainer: Trainer, *_: Any) -> None:
        """Says now and then how far the training is."""
        if time.monotonic() - self._told > PROGRESS_EVERY_S:
            self._tell(trainer)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Records what was measured and saves, in this order, so that a checkpoint holds its own row."""
        measured = {key: float(value) for key, value in trainer.callback_metrics.items()}
        row = {"step": trainer.global_step, **dict(sorted(measured.items()))}
        self.rows.append(row)
        improved = self.best is None or row[self.monitor] > self.best[self.monitor]
        if improved:
            self.best = row
        self._write_history()
        for path, wanted in ((self.folder.best, improved), (self.folder.last, True)):
            if wanted:
                temporary = path.with_suffix(".tmp")
                try:
                    trainer.save_checkpoint(temporary)
                    temporary.replace(path)
                except (OSError, RuntimeError) as error:  # torch reports a full disk as a RuntimeError
                    temporary.unlink(missing_ok=True)
                    raise RunError(
                        f"cannot save the checkpoint {path}: {error}",
                        mend="free some space, or choose another runs_dir; the same command then goes on",
                    ) from error
        pl_module.last_good_step = trainer.global_step  # type: ignore[assignment]

    def state_dict(self) -> dict[str, Any]:
        """Plain containers only: a checkpoint is loaded with ``weights_only=True``."""
        return {"rows": self.rows, "best": self.best, "seconds": self.seconds}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Takes the history of the checkpoint; rows after it were of an attempt that is now done again."""
        self.rows, self.best = list(state_dict["rows"]), state_dict["best"]
        self.seconds_before = state_dict["seconds"]

    def _tell(self, trainer: Trainer) -> None:
        self._told = time.monotonic()
        progress = {"step": trainer.global_step, "of": trainer.max_steps, "seconds": round(self.seconds, 1)}
        write_atomically(self.folder.progress, json.dumps(progress))

    def _write_history(self) -> None:
        text = io.StringIO()
        writer = csv.DictWriter(text, fieldnames=list(self.rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(self.rows)
        write_atomically(self.folder.history, text.getvalue())
