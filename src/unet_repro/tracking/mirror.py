"""Mirrors of a training: callbacks during it, and the offline W&B run after it. The run's folder is the truth."""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from unet_repro.tracking.checkpoints import log_checkpoints
from unet_repro.tracking.finished import about, described, summary_of, wandb_dir, write_finished
from unet_repro.tracking.loggers import LoggerMirror, remove_earlier
from unet_repro.tracking.wandb_run import log_rows, open_run

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import wandb
    from lightning.pytorch import Callback
    from lightning.pytorch.loggers.logger import Logger

    from unet_repro.config import TrainConfig
    from unet_repro.runs.folder import RunFolder
    from unet_repro.runs.recorder import Recorder
    from unet_repro.training.build import Training

SWEEP_VARIABLE = "WANDB_SWEEP_ID"  # set by W&B's agent


@contextmanager
def mirrors(training: Training, recorder: Recorder, loggers: Sequence[Logger]) -> Iterator[list[Callback]]:
    """Opens what mirrors a training while it runs: its loggers, and W&B if it is online, whose run ends with the block.

    Args:
        training: The training, with its tiles set up for fitting.
        recorder: The recorder, which precedes the mirrors in the trainer's callbacks.
        loggers: The run's loggers except W&B.

    Yields:
        The callbacks.

    Raises:
        UserError: If there is no API key, or the server does not respond.
    """
    config, folder, data = training.config, training.folder, training.tiles
    remove_earlier(loggers, folder.path)
    settings = described(config.plain(), run_id=folder.run_id, source=training.source.name)
    opened: list[Callback] = [LoggerMirror(loggers, recorder, settings)] if loggers else []
    if config.logger.mode != "online":
        yield opened
        return
    from unet_repro.tracking.callback import WandbMirror  # noqa: PLC0415  (imports wandb, which is slow)

    run = _open_online(config, folder, source=training.source.name, class_names=data.class_names)
    mirror = WandbMirror(
        run,
        recorder,
        images=data.val_images,
        class_names=data.class_names,
        num_images=config.logger.panel_images,
    )
    try:
        yield [*opened, mirror]
        assert recorder.best is not None, "a finished training has been validated"
        run.summary.update(summary_of({"final": recorder.rows[-1], "best": recorder.best, "seconds": recorder.seconds}))
        if config.logger.checkpoints:
            log_checkpoints(run, folder, best=recorder.best, last=recorder.rows[-1])
    except BaseException:
        run.finish(exit_code=1)
        raise
    run.finish(exit_code=0)


def answer_agent(config: TrainConfig, folder: RunFolder, *, source: str) -> None:
    """Sends a finished run to W&B if the agent of a W&B sweep has asked for it; else does nothing.

    W&B gives each run of a sweep an id of its own, and waits for its history, although it was trained before.

    Raises:
        UserError: If there is no API key, or the server does not respond.
    """
    if config.logger.mode != "online" or SWEEP_VARIABLE not in os.environ:
        return
    outcome = folder.outcome()
    assert outcome is not None, "the run must be finished"
    run = _open_online(config, folder, source=source, class_names=())
    log_rows(run, folder.history_rows())
    run.summary.update(summary_of(outcome))
    run.finish(exit_code=0)


def _open_online(config: TrainConfig, folder: RunFolder, *, source: str, class_names: Sequence[str]) -> wandb.Run:
    plain = config.plain()
    return open_run(
        mode="online",
        **about(plain, run_id=folder.run_id, source=source),
        config=described(plain, run_id=folder.run_id, source=source),
        directory=wandb_dir(folder.path, plain),
        class_names=class_names,
    )


def mirror_finished(training: Training, recorder: Recorder, outcome: Mapping[str, Any]) -> None:
    """Writes the offline W&B run of a finished training; does nothing unless ``logger.mode`` is ``offline``.

    Must be called before the result is written: if an attempt is killed in here, the next one resumes and rewrites the
    W&B run. So a finished training has exactly one complete W&B run.

    Args:
        training: The training, with its trained network.
        recorder: Its recorder, with its whole history.
        outcome: Its result together with its provenance.

    Raises:
        UserError: If the folder cannot be written, or W&B does not complete its file.
    """
    config, data = training.config, training.tiles
    if config.logger.mode != "offline":
        return
    from unet_repro.tracking.callback import validation_panel  # noqa: PLC0415  (imports wandb, which is slow)

    panel = validation_panel(
        training.task, data.val_images, class_names=data.class_names, num_images=config.logger.panel_images
    )
    write_finished(training.folder.path, config=config.plain(), rows=recorder.rows, outcome=outcome, panel=panel)
