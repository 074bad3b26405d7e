"""Trains one run, or returns it where it is done. Reads as the pipeline; the stages are in their own rooms."""

import copy
import functools
import json
import sys
import traceback
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from lightning.pytorch import Callback, Trainer, seed_everything
from omegaconf import DictConfig

from unet_repro.config import TrainConfig, check, make
from unet_repro.data.datamodule import TileData
from unet_repro.data.sample import Sample
from unet_repro.data.splits import Manifest, Split, manifest
from unet_repro.errors import Abandoned, ConfigError, RunHeld, Stopped
from unet_repro.files import sha256
from unet_repro.machine import (
    autocast,
    check_device,
    faster_threads,
    given_threads,
    instruction_set,
    memory_order,
    quiet_lightning,
    usable_cores,
    use_machine,
)
from unet_repro.runs.checkpoint import CheckpointInMemory, check_architecture, resume_point
from unet_repro.runs.folder import RunFolder
from unet_repro.runs.identity import run_id
from unet_repro.runs.lease import Lease
from unet_repro.runs.network import describe_network
from unet_repro.runs.provenance import provenance
from unet_repro.runs.recorder import OnRow, Recorder
from unet_repro.runs.stopping import StopRequest
from unet_repro.tracking.mirror import mirror_finished, online_mirror
from unet_repro.tracking.step_bar import StepBar
from unet_repro.training.ranks import SharedDropout, beside
from unet_repro.training.task import SegmentationTask

Result = dict[str, Any]


@dataclass(frozen=True)
class Data:
    """A source, read and divided."""

    name: str
    class_names: tuple[str, ...]
    samples: list[Sample]
    split: Split
    manifest: Manifest


def read_data(config: TrainConfig) -> Data:
    """Reads the source, divides it, hashes what is used; once a process for the same settings."""
    return _read_data(json.dumps([config.data, config.split], sort_keys=True))


@functools.lru_cache(maxsize=2)
def _read_data(settings: str) -> Data:
    data, split = json.loads(settings)
    source = make("data", data)
    samples = source.samples()
    parts = make("split", split)(samples)
    return Data(source.name, source.class_names, samples, parts, manifest(source.name, samples, parts))


def run_folder(config: TrainConfig) -> RunFolder:
    """Where the run with this configuration and these data lies, trained or not."""
    return RunFolder(Path(config.runs_dir) / run_id(config, read_data(config).manifest))


def train(composed: DictConfig, *, on_row: OnRow | None = None) -> Result:
    """Trains the run that a composed configuration describes; a finished one is returned at once.

    Args:
        composed: The configuration.
        on_row: Told each row of history, those of earlier attempts first; what it raises ends the training.

    Returns:
        The content of ``result.json``.

    Raises:
        UserError: For whatever the user can mend, before training where it can be known.
        RunHeld: If another process is training it.
        Stopped: After SIGTERM, Ctrl-C or a scheduler's warning, with a checkpoint written.
        Abandoned: If ``on_row`` raises it.
    """
    config = check(composed)
    check_device(config.trainer.accelerator, config.trainer.devices, compiles=config.trainer.compile)
    folder = run_folder(config)
    if (result := folder.result()) is not None:
        return result
    data, task = build(config)
    stop = StopRequest()
    try:
        with folder.hold() as lease:
            if (result := folder.result()) is not None:  # another process was quicker
                return result
            return _attempt(config, folder, data, task, lease=lease, stop=stop, on_row=on_row)
    except Stopped as stopped:
        # A scheduler's handler requeues the job and leaves the program; the checkpoint is there, the run is let go.
        if (handler := stop.previous_handler(stopped.signum)) is not None:
            handler(stopped.signum, None)
        raise


def _attempt(
    config: TrainConfig,
    folder: RunFolder,
    data: TileData,
    task: SegmentationTask,
    *,
    lease: Lease,
    stop: StopRequest,
    on_row: OnRow | None,
) -> Result:
    """Trains to the end, or leaves what a next attempt needs."""
    folder.begin(asdict(config), read_data(config).manifest)
    describe_network(folder, data.normalisation, data.class_names)
    try:
        quiet_lightning()
        threads = _threads(config, folder, data, task)
        use_machine(threads)
        folder.place({"threads": threads, "instruction_set": instruction_set()})
        with beside(_fit_beside, (config, folder.path, threads), config.trainer.devices):
            recorder = _fit(config, folder, data, task, lease=lease, stop=stop, on_row=on_row)
        recorder.write_best()
        result = _result(config, folder, data, task, recorder)
        proven = {**recorder.provenance(), **folder.placement(), "made_by": provenance(config.trainer.accelerator)}
        mirror_finished(
            config,
            directory=folder.path,
            rows=recorder.rows,
            outcome={**proven, **result},
            task=task,
            images=data.val_images,
            class_names=data.class_names,
        )
        folder.finish(result, proven)
    except (Abandoned, RunHeld):
        raise
    except Exception as error:
        folder.fail(f"{type(error).__name__}: {error}", traceback.format_exc())
        raise
    return result


def build(config: TrainConfig, rank: int = 0) -> tuple[TileData, SegmentationTask]:
    """Data and task of a configuration, untrained; the same every time.

    Args:
        config: The configuration.
        rank: Which of the run's devices it is for.
    """
    data = read_data(config)
    seed_everything(config.seed, verbose=False)
    tiles = TileData(
        samples=data.samples,
        split=data.split,
        class_names=data.class_names,
        tiles=make("tiles", config.tiles),
        depth=config.model["depth"],
        augment=make("augment", config.augment),
        weight_map=make("weight_map", config.weight_map),
        max_steps=config.trainer.max_steps,
        seed=config.seed,
        num_workers=config.trainer.num_workers,
        max_val_images=config.trainer.max_val_images,
    )
    net = make("model", config.model, in_channels=tiles.in_channels, num_classes=len(data.class_names))
    if config.trainer.devices > 1:
        _check_share(config, tiles)
        net.dropout = SharedDropout(net.dropout.p, rank, config.trainer.devices)
    task = SegmentationTask(
        net=net,
        optimizer=make("optimizer", config.optimizer),
        schedule=make("schedule", config.schedule),
        class_names=data.class_names,
        seed=config.seed,
        order=_order(config),
    )
    try:
        task.configure_optimizers()
    except (ValueError, TypeError) as error:
        raise ConfigError(
            f"torch refuses the optimizer or schedule: {error}", mend="change optimizer.*, schedule.*"
        ) from error
    return tiles, task


def _order(config: TrainConfig) -> torch.memory_format:
    device = "cuda" if config.trainer.accelerator == "gpu" else "cpu"
    return memory_order(device, config.model["width"], training=True, precision=config.trainer.precision)


def _threads(config: TrainConfig, folder: RunFolder, data: TileData, task: SegmentationTask) -> int:
    """Threads of a training: as set, as the run began with (sums depend on it), as the environment says, or the faster.

    The steps that are timed are those of a copy of the network on noise: the run itself is left as it is.
    """
    trainer = config.trainer
    threads = trainer.threads or folder.placement().get("threads") or given_threads()
    why = ""
    if threads is None and (trainer.accelerator == "gpu" or trainer.devices > 1):
        threads = max(1, usable_cores() // trainer.devices)
    elif threads is None:
        net, order = copy.deepcopy(task.net).train(), _order(config)
        images = torch.randn(data.batch.num_tiles, data.in_channels, data.batch.tile_size, data.batch.tile_size)
        images = images.to(net.head.weight.dtype, memory_format=order)

        def step() -> None:
            with autocast(images.device, trainer.precision):
                net(images).sum().backward()

        threads = faster_threads(step)
        why = f" (the faster of 1 and {cores} here)" if (cores := usable_cores()) > 1 else ""
    if trainer.progress:
        kind = "channels-last" if _order(config) == torch.channels_last else "default"
        many = "1 thread" if threads == 1 else f"{threads} threads"
        sys.stderr.write(f"{trainer.precision}, {many}{why}, {kind} memory order, {instruction_set()}\n")
    return threads


def _check_share(config: TrainConfig, tiles: TileData) -> None:
    """Refuses what several devices cannot divide among them.

    Raises:
        ConfigError: If tiles or validation images cannot be shared, or batch norm is asked for on CPU processes.
    """
    devices, num_tiles = config.trainer.devices, tiles.batch.num_tiles
    if num_tiles % devices:
        raise ConfigError(
            f"trainer.devices={devices} cannot share {num_tiles} tiles a step equally",
            mend=f"use a tiles.budget of a multiple of {devices} tiles, or fewer devices",
        )
    if len(tiles.samples["val"]) < devices:
        raise ConfigError(
            f"trainer.devices={devices} cannot share {len(tiles.samples['val'])} validation images",
            mend="use fewer devices, or more validation images",
        )
    if config.model["norm"] == "batch" and config.trainer.accelerator == "cpu":
        raise ConfigError(
            "batch norm over several CPU processes is not possible: torch synchronises it on GPUs alone",
            mend="use model.norm=instance or group, or trainer.devices=1",
        )


def _fit(
    config: TrainConfig,
    folder: RunFolder,
    data: TileData,
    task: SegmentationTask,
    *,
    lease: Lease | None,
    stop: StopRequest,
    on_row: OnRow | None,
) -> Recorder:
    resumed = resume_point(folder)
    if resumed is not None:
        check_architecture(task.net, resumed["state_dict"], folder.path)
    if config.trainer.precision == "64-true":
        task.net.double()  # Lightning would do it only after a checkpoint's weights have gone through float32
    data.setup("fit")
    if config.trainer.compile:
        task.net.compile()
    memory = CheckpointInMemory(resumed)
    recorder = Recorder(
        folder,
        lease=lease,
        memory=memory,
        stop=stop,
        val_every=config.trainer.val_every,
        save_every_s=config.trainer.save_every_s,
        on_row=on_row,
    )
    mirror = None
    if lease is not None:
        mirror = online_mirror(
            config,
            directory=folder.path,
            source=read_data(config).name,
            recorder=recorder,
            images=data.val_images,
            class_names=data.class_names,
        )
    callbacks: list[Callback] = [recorder, *([] if mirror is None else [mirror])]
    if lease is not None and config.trainer.progress:
        callbacks.append(StepBar())
    trainer = _trainer(config, folder, callbacks, memory)
    try:
        with stop:
            ckpt_path = None if resumed is None else folder.last  # its content is in memory already
            trainer.fit(task, datamodule=data, ckpt_path=ckpt_path, weights_only=True)
    except BaseException:
        if mirror is not None:
            mirror.close(exit_code=1)
        raise
    if mirror is not None:
        mirror.close()
    return recorder


def _trainer(config: TrainConfig, folder: RunFolder, callbacks: list[Callback], memory: CheckpointInMemory) -> Trainer:
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
        use_distributed_sampler=False,  # a tile's number says whose it is
        precision=precision,
        deterministic=config.trainer.deterministic,
        benchmark=not config.trainer.deterministic,
        plugins=[LightningEnvironment(), memory],  # no scheduler's: ours are requeued by the launcher
        logger=False,  # W&B mirrors the recorder: Lightning would log a validation one step early
        callbacks=callbacks,
        default_root_dir=folder.path,
        enable_checkpointing=False,
        enable_model_summary=False,
        enable_progress_bar=False,
        num_sanity_val_steps=0,
    )


def _fit_beside(config: TrainConfig, path: Path, threads: int, rank: int) -> None:
    """What a further device does: the same fit, without a record."""
    data, task = build(config, rank)
    quiet_lightning()
    use_machine(threads)
    _fit(config, RunFolder(path), data, task, lease=None, stop=StopRequest(), on_row=None)


def _result(
    config: TrainConfig, folder: RunFolder, data: TileData, task: SegmentationTask, recorder: Recorder
) -> Result:
    """What the run came to: a function of configuration and data, the same however often it was interrupted."""
    return {
        "run_id": folder.run_id,
        "data": read_data(config).name,
        "scale": config.scale,
        "seed": config.seed,
        "steps": config.trainer.max_steps,
        "batch": asdict(data.batch),
        "parameters": sum(parameter.numel() for parameter in task.net.parameters()),
        "final": recorder.rows[-1],
        "best": recorder.best,
        "weights": {"last": _hash(task.state_dict()), "best": _hash(recorder.best_weights)},
    }


def _hash(weights: dict[str, Any]) -> str:
    """SHA-256 over names and tensors."""
    return sha256(*(part for name in sorted(weights) for part in (name, weights[name].detach().cpu().numpy())))
