"""Fits a task, from its latest checkpoint to the end or until a stop request."""

import copy
import sys
from collections.abc import Sequence
from pathlib import Path

import torch
from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from lightning.pytorch import Callback, Trainer

from unet_repro.config import TrainConfig
from unet_repro.data.datamodule import TileData
from unet_repro.machine import (
    autocast,
    faster_threads,
    given_threads,
    instruction_set,
    quiet_lightning,
    usable_cores,
    use_machine,
)
from unet_repro.runs.checkpoint import CheckpointInMemory, check_architecture, resume_point
from unet_repro.runs.folder import RunFolder
from unet_repro.runs.lease import Lease
from unet_repro.runs.recorder import OnRow, Recorder
from unet_repro.runs.stopping import StopRequest
from unet_repro.training.build import build, training_order
from unet_repro.training.ranks import beside
from unet_repro.training.task import SegmentationTask


def recorder_of(
    config: TrainConfig,
    folder: RunFolder,
    task: SegmentationTask,
    *,
    lease: Lease | None,
    stop: StopRequest,
    on_row: OnRow | None = None,
) -> Recorder:
    """The recorder of a training, with the checkpoint that it resumes from.

    Args:
        config: The run's settings.
        folder: Its folder, after ``begin``.
        task: Its task, untrained.
        lease: This worker's lock on the folder; ``None`` in the further processes of a run on several devices.
        stop: Records stop requests.
        on_row: Called with each row of history; its exceptions end the training.

    Raises:
        RunError: If there are checkpoints, but none is usable.
        TrainingError: If the checkpoint is of another architecture.
    """
    resumed = resume_point(folder)
    if resumed is not None:
        check_architecture(task.net, resumed["state_dict"], folder.path)
    return Recorder(
        folder,
        lease=lease,
        memory=CheckpointInMemory(resumed),
        stop=stop,
        val_every=config.trainer.val_every,
        save_every_s=config.trainer.save_every_s,
        on_row=on_row,
    )


def fit(
    config: TrainConfig, recorder: Recorder, data: TileData, task: SegmentationTask, callbacks: Sequence[Callback]
) -> None:
    """Trains in this process, and in further processes if the run uses several devices.

    Args:
        config: The run's settings.
        recorder: Records the training, and has the checkpoint to resume from.
        data: The run's data.
        task: Its task.
        callbacks: Called after the recorder.
    """
    threads = _threads(config, recorder.folder, data, task)
    recorder.folder.place({"threads": threads, "instruction_set": instruction_set()})
    with beside(_fit_beside, (config, recorder.folder.path, threads), config.trainer.devices):
        _fit(config, recorder, data, task, threads=threads, callbacks=callbacks)


def _threads(config: TrainConfig, folder: RunFolder, data: TileData, task: SegmentationTask) -> int:
    """Threads of a training: as set, as at the run's start (sums depend on it), from the environment, or the faster.

    A copy of the network is timed on noise, so the run itself is not affected.
    """
    trainer = config.trainer
    threads = trainer.threads or folder.placement().get("threads") or given_threads()
    why = ""
    if threads is None and (trainer.accelerator == "gpu" or trainer.devices > 1):
        threads = max(1, usable_cores() // trainer.devices)
    elif threads is None:
        net, order = copy.deepcopy(task.net).train(), training_order(config)
        images = torch.randn(data.batch.num_tiles, data.in_channels, data.batch.tile_size, data.batch.tile_size)
        images = images.to(net.head.weight.dtype, memory_format=order)

        def step() -> None:
            with autocast(images.device, trainer.precision):
                net(images).sum().backward()

        threads = faster_threads(step)
        why = f" (the faster of 1 and {cores} here)" if (cores := usable_cores()) > 1 else ""
    if trainer.progress:
        kind = "channels-last" if training_order(config) == torch.channels_last else "default"
        many = "1 thread" if threads == 1 else f"{threads} threads"
        sys.stderr.write(f"{trainer.precision}, {many}{why}, {kind} memory order, {instruction_set()}\n")
    return threads


def _fit(
    config: TrainConfig,
    recorder: Recorder,
    data: TileData,
    task: SegmentationTask,
    *,
    threads: int,
    callbacks: Sequence[Callback] = (),
) -> None:
    quiet_lightning()
    use_machine(threads)
    if config.trainer.precision == "64-true":
        task.net.double()  # Lightning would convert only after loading a checkpoint's weights in float32
    data.setup("fit")
    if config.trainer.compile:
        task.net.compile()
    trainer = _trainer(config, recorder, callbacks)
    with recorder.stop:
        # The content of the checkpoint is already in memory.
        ckpt_path = None if recorder.memory.resumed is None else recorder.folder.last
        trainer.fit(task, datamodule=data, ckpt_path=ckpt_path, weights_only=True)


def _trainer(config: TrainConfig, recorder: Recorder, callbacks: Sequence[Callback]) -> Trainer:
    several, precision = config.trainer.devices > 1, config.trainer.precision
    assert precision != "auto", "config.check resolves it"
    return Trainer(
        max_steps=config.trainer.max_steps,
        val_check_interval=config.trainer.val_every,
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
        logger=False,  # W&B mirrors the recorder: Lightning would log a validation one step early
        callbacks=[recorder, *callbacks],
        default_root_dir=recorder.folder.path,
        enable_checkpointing=False,
        enable_model_summary=False,
        enable_progress_bar=False,
        num_sanity_val_steps=0,
    )


def _fit_beside(config: TrainConfig, path: Path, threads: int, rank: int) -> None:
    """The fit on a further device: the same, without a record."""
    data, task = build(config, rank)
    recorder = recorder_of(config, RunFolder(path), task, lease=None, stop=StopRequest())
    _fit(config, recorder, data, task, threads=threads)
