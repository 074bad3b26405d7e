"""Fits a task, from its latest checkpoint to the end or until a stop request."""

import copy
import sys
from collections.abc import Sequence

import torch
from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.loggers.logger import DummyLogger, Logger

from unet_repro.config import TrainConfig
from unet_repro.errors import ConfigError, TrainingError
from unet_repro.machine import (
    autocast,
    faster_threads,
    given_threads,
    instruction_set,
    quiet_lightning,
    usable_cores,
    use_machine,
)
from unet_repro.models.protocol import dtype_of
from unet_repro.runs.checkpoint import check_architecture, read_checkpoint, resume_point
from unet_repro.runs.folder import RunFolder
from unet_repro.runs.identity import CODE_VERSION
from unet_repro.runs.lease import Lease
from unet_repro.runs.recorder import CheckpointInMemory, OnRow, Recorder
from unet_repro.runs.stopping import StopRequest
from unet_repro.training.build import Training, prepare, read_data
from unet_repro.training.ranks import beside


def recorder_of(training: Training, *, lease: Lease | None, stop: StopRequest, on_row: OnRow | None = None) -> Recorder:
    """The recorder of a training, with the checkpoint that it resumes from.

    Args:
        training: The training; its folder exists.
        lease: This worker's lock on the folder; ``None`` in the further processes of a run on several devices.
        stop: Records stop requests.
        on_row: Called with each row of history; its exceptions end the training.

    Raises:
        RunError: If there are checkpoints, but none is usable.
        TrainingError: If the checkpoint is of another architecture.
    """
    resumed = resume_point(training.folder)
    if resumed is not None:
        check_architecture(training.task.net, resumed["state_dict"], training.folder.path)
    return Recorder(
        training.folder,
        lease=lease,
        memory=CheckpointInMemory(resumed),
        stop=stop,
        val_every=training.config.trainer.val_every,
        save_every_s=training.config.trainer.save_every_s,
        on_row=on_row,
    )


def fit(training: Training, recorder: Recorder, *, mirrors: Sequence[Callback], loggers: Sequence[Logger]) -> None:
    """Trains in this process, and in further processes if the run uses several devices.

    Args:
        training: The training; its task receives the weights of the last checkpoint.
        recorder: Records it, and has the checkpoint to resume from.
        mirrors: Callbacks that are called after the recorder.
        loggers: For callbacks that log on their own.

    Raises:
        ConfigError: If Lightning rejects the callbacks or the trainer's options.
        TrainingError: If a callback ends the training early.
    """
    trainer = training.config.trainer
    threads = _threads(training)
    training.folder.place({"threads": threads, "instruction_set": instruction_set(), "code_version": CODE_VERSION})
    with beside(_fit_beside, (training.config, training.folder, threads), trainer.devices):
        _fit(training, recorder, threads=threads, mirrors=mirrors, loggers=loggers)
    step = recorder.rows[-1]["step"] if recorder.rows else 0
    if step != trainer.max_steps:
        raise TrainingError(
            f"a callback ended the training at step {step} of {trainer.max_steps}",
            hint="remove it, since runs of a comparison train equally long, or set trainer.max_steps",
        )
    # Not always the weights in memory: a callback may replace them when the training ends.
    training.task.load_state_dict(read_checkpoint(training.folder.last)["state_dict"])


def _threads(training: Training) -> int:
    """Threads of a training: as set, as at the run's start (sums depend on it), from the environment, or the faster.

    A copy of the network is timed on noise, so the run itself is not affected.
    """
    trainer, task, batch = training.config.trainer, training.task, training.tiles.batch
    threads = trainer.threads or training.folder.placement().get("threads") or given_threads()
    why = ""
    if threads is None and (trainer.accelerator == "gpu" or trainer.devices > 1):
        threads = max(1, usable_cores() // trainer.devices)
    elif threads is None:
        net, order = copy.deepcopy(task.net).train(), task.order
        images = torch.randn(batch.num_tiles, training.tiles.in_channels, batch.tile_size, batch.tile_size)
        images = images.to(dtype_of(net), memory_format=order)

        def step() -> None:
            with autocast(images.device, trainer.precision):
                net(images).sum().backward()

        threads = faster_threads(step)
        why = f" (the faster of 1 and {cores} here)" if (cores := usable_cores()) > 1 else ""
    if trainer.progress:
        kind = "channels-last" if task.order == torch.channels_last else "default"
        many = "1 thread" if threads == 1 else f"{threads} threads"
        sys.stderr.write(f"{trainer.precision}, {many}{why}, {kind} memory order, {instruction_set()}\n")
    return threads


def _fit(
    training: Training,
    recorder: Recorder,
    *,
    threads: int,
    mirrors: Sequence[Callback] = (),
    loggers: Sequence[Logger],
) -> None:
    config, task = training.config, training.task
    # The recorder follows the run's own callbacks, so that a checkpoint has their state after the step.
    callbacks = [*training.callbacks, recorder, *mirrors]
    quiet_lightning()
    use_machine(threads)
    if config.trainer.precision == "64-true":
        task.net.double()  # Lightning would convert only after loading a checkpoint's weights in float32
    training.tiles.setup("fit")
    if config.trainer.compile:
        task.net.compile()
    try:
        trainer = _trainer(config, recorder, callbacks, loggers)
        with recorder.stop:
            # The content of the checkpoint is already in memory.
            ckpt_path = None if recorder.memory.resumed is None else recorder.folder.last
            trainer.fit(task, datamodule=training.tiles, ckpt_path=ckpt_path, weights_only=True)
    except MisconfigurationException as error:
        raise ConfigError(
            f"Lightning rejected the training: {error}", hint="change callbacks.*, logger.* or trainer.*"
        ) from error


def _trainer(
    config: TrainConfig, recorder: Recorder, callbacks: Sequence[Callback], loggers: Sequence[Logger]
) -> Trainer:
    several, precision = config.trainer.devices > 1, config.trainer.precision
    assert precision != "auto", "config.check resolves it"
    batches_per_step = config.trainer.accumulate_grad_batches or 1
    return Trainer(
        max_steps=config.trainer.max_steps,
        val_check_interval=config.trainer.val_every * batches_per_step,
        accumulate_grad_batches=batches_per_step,
        gradient_clip_val=config.trainer.gradient_clip_val,
        gradient_clip_algorithm=config.trainer.gradient_clip_algorithm,
        check_val_every_n_epoch=None,
        accelerator=config.trainer.accelerator,
        devices=config.trainer.devices,
        strategy="ddp" if several else "auto",
        sync_batchnorm=several,
        use_distributed_sampler=False,  # a tile's number determines its device
        precision=precision,
        deterministic=config.trainer.deterministic,
        benchmark=not config.trainer.deterministic,
        plugins=[LightningEnvironment(), recorder.memory],  # not a scheduler's: the launcher requeues jobs
        logger=list(loggers) or False,
        callbacks=list(callbacks),
        default_root_dir=recorder.folder.path,
        enable_checkpointing=False,
        enable_model_summary=False,
        enable_progress_bar=False,
        num_sanity_val_steps=0,
    )


def _fit_beside(config: TrainConfig, folder: RunFolder, threads: int, rank: int) -> None:
    """The fit on a further device: the same, without a record."""
    training = prepare(config, read_data(config), folder, rank)
    recorder = recorder_of(training, lease=None, stop=StopRequest())
    silent = [DummyLogger() for _ in config.logger.others or {}]
    _fit(training, recorder, threads=threads, loggers=silent)
