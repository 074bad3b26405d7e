"""Builds the data, the task and the run folder of a configuration."""

import functools
import json
from dataclasses import dataclass
from pathlib import Path

import torch
from lightning.pytorch import seed_everything

from unet_repro.config import TrainConfig, make
from unet_repro.data.datamodule import TileData
from unet_repro.data.sample import Sample
from unet_repro.data.splits import Manifest, Split, manifest
from unet_repro.errors import ConfigError
from unet_repro.machine import memory_order
from unet_repro.runs.folder import RunFolder
from unet_repro.runs.identity import run_id
from unet_repro.training.ranks import SharedDropout
from unet_repro.training.task import SegmentationTask


@dataclass(frozen=True)
class Data:
    """A source that has been read and split."""

    name: str
    class_names: tuple[str, ...]
    samples: list[Sample]
    split: Split
    manifest: Manifest


def read_data(config: TrainConfig) -> Data:
    """Reads and splits the source, and hashes the samples; cached for the same settings."""
    return _read_data(json.dumps([config.data, config.split], sort_keys=True))


@functools.lru_cache(maxsize=2)
def _read_data(settings: str) -> Data:
    data, split = json.loads(settings)
    source = make("data", data)
    samples = source.samples()
    parts = make("split", split)(samples)
    return Data(source.name, source.class_names, samples, parts, manifest(source.name, samples, parts))


def run_folder(config: TrainConfig) -> RunFolder:
    """The folder of the run with this configuration and these data, whether trained or not."""
    return RunFolder(Path(config.runs_dir) / run_id(config, read_data(config).manifest))


def build(config: TrainConfig, rank: int = 0) -> tuple[TileData, SegmentationTask]:
    """Builds data and untrained task of a configuration; deterministic.

    Args:
        config: The configuration.
        rank: Rank of the device that it is for.
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
        order=training_order(config),
    )
    try:
        task.configure_optimizers()
    except (ValueError, TypeError) as error:
        raise ConfigError(
            f"torch rejected the optimizer or schedule: {error}", hint="change optimizer.*, schedule.*"
        ) from error
    return tiles, task


def training_order(config: TrainConfig) -> torch.memory_format:
    """Memory format of a training's images and weights."""
    device = "cuda" if config.trainer.accelerator == "gpu" else "cpu"
    return memory_order(device, config.model["width"], training=True, precision=config.trainer.precision)


def _check_share(config: TrainConfig, tiles: TileData) -> None:
    """Checks that the run can be divided among its devices."""
    devices, num_tiles = config.trainer.devices, tiles.batch.num_tiles
    if num_tiles % devices:
        raise ConfigError(
            f"trainer.devices={devices} cannot divide {num_tiles} tiles per step equally",
            hint=f"use a tiles.budget of a multiple of {devices} tiles, or fewer devices",
        )
    if len(tiles.samples["val"]) < devices:
        raise ConfigError(
            f"trainer.devices={devices} cannot divide {len(tiles.samples['val'])} validation images",
            hint="use fewer devices, or more validation images",
        )
    if config.model["norm"] == "batch" and config.trainer.accelerator == "cpu":
        raise ConfigError(
            "batch norm over several CPU processes is not supported: torch synchronises it only on GPUs",
            hint="use model.norm=instance or group, or trainer.devices=1",
        )
