"""Trains one run, or returns it where it is done. Reads as the pipeline; the stages are in their own rooms."""

import functools
import json
import signal
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, Trainer, seed_everything
from omegaconf import DictConfig

from unet_repro.config import TrainConfig, check, make
from unet_repro.data.datamodule import TileData
from unet_repro.data.sample import Sample
from unet_repro.data.splits import Manifest, Split, manifest
from unet_repro.errors import ConfigError
from unet_repro.placement import check_device, place
from unet_repro.runs.checkpoint import check_architecture, read_checkpoint
from unet_repro.runs.folder import RunFolder
from unet_repro.runs.identity import run_id
from unet_repro.runs.provenance import provenance
from unet_repro.runs.recorder import Recorder
from unet_repro.task import SegmentationTask
from unet_repro.tracking import wandb_run
from unet_repro.tracking.step_bar import StepBar

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


def train(composed: DictConfig) -> Result:
    """Trains the run that a composed configuration describes; a finished one is returned at once.

    Returns:
        The content of ``result.json``.

    Raises:
        UserError: For whatever the user can mend, before training where it can be known.
    """
    config = check(composed)
    check_device(config.trainer)
    folder = run_folder(config)
    if (result := folder.result()) is not None:
        return result
    data, task = build(config)
    with folder.lock():
        if (result := folder.result()) is not None:  # another process was quicker
            return result
        folder.begin(asdict(config), read_data(config).manifest)
        try:
            result = _fit(config, folder, data, task)
        except Exception as error:
            folder.fail(f"{type(error).__name__}: {error}")
            raise
        folder.finish(result)
        return result


def build(config: TrainConfig) -> tuple[TileData, SegmentationTask]:
    """Data and task of a configuration, untrained; the same every time."""
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
    task = SegmentationTask(
        net=make("model", config.model, in_channels=tiles.in_channels, num_classes=len(data.class_names)),
        optimizer=make("optimizer", config.optimizer),
        schedule=make("schedule", config.schedule),
        class_names=data.class_names,
        seed=config.seed,
    )
    try:
        task.configure_optimizers()
    except (ValueError, TypeError) as error:
        raise ConfigError(
            f"torch refuses the optimizer or schedule: {error}", mend="change optimizer.*, schedule.*"
        ) from error
    return tiles, task


def _fit(config: TrainConfig, folder: RunFolder, data: TileData, task: SegmentationTask) -> Result:
    place(config.trainer)
    if folder.last.exists():
        check_architecture(task.net, read_checkpoint(folder.last)["state_dict"], folder.last)
    data.setup("fit")
    if config.trainer.compile:
        task.net.compile()
    logger = wandb_run.open_run(
        mode=config.logger.mode,
        project=config.logger.project,
        run_id=folder.run_id,
        name=f"{config.arm or folder.run_id}, seed {config.seed}",
        group=config.experiment.name if config.experiment else "single",
        tags=[config.scale, read_data(config).name],
        job_type="train",
        config=asdict(config),
        directory=folder.path,
        class_names=data.class_names,
    )
    recorder = Recorder(folder)
    callbacks: list[Callback] = [recorder]
    if logger is not None:
        from unet_repro.tracking.callback import WandbMirror  # noqa: PLC0415  (imports wandb, which is slow)

        shown = config.logger.panel_images
        callbacks.append(
            WandbMirror(logger, recorder, images=data.val_images, class_names=data.class_names, num_images=shown)
        )
    if config.trainer.progress:
        callbacks.append(StepBar())
    trainer = Trainer(
        max_steps=config.trainer.max_steps,
        val_check_interval=config.trainer.val_every,
        check_val_every_n_epoch=None,
        accelerator=config.trainer.accelerator,
        devices=1,
        precision=config.trainer.precision,
        logger=False,  # W&B mirrors the recorder: Lightning would log a validation one step early
        callbacks=callbacks,
        default_root_dir=folder.path,
        enable_checkpointing=False,
        enable_model_summary=False,
        enable_progress_bar=False,
        num_sanity_val_steps=0,
    )
    try:
        trainer.fit(task, datamodule=data, ckpt_path=folder.last if folder.last.exists() else None, weights_only=True)
    except SystemExit as error:  # Lightning's answer to Ctrl-C, which also makes the process deaf to the next one
        signal.signal(signal.SIGINT, signal.default_int_handler)
        wandb_run.finish(logger, exit_code=1)
        raise KeyboardInterrupt from error
    except BaseException:
        wandb_run.finish(logger, exit_code=1)
        raise
    wandb_run.finish(logger)
    return _result(config, folder, data, task, recorder)


def _result(
    config: TrainConfig, folder: RunFolder, data: TileData, task: SegmentationTask, recorder: Recorder
) -> Result:
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
        "seconds": round(recorder.seconds, 1),
        "made_by": provenance(),
    }
