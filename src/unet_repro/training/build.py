"""Builds the data, the task and the run folder of a configuration."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from lightning.pytorch import Callback, seed_everything
from torch import nn

from unet_repro.config import TrainConfig, make
from unet_repro.config_nodes import Plain
from unet_repro.data.datamodule import TileData
from unet_repro.data.normalise import channels_first
from unet_repro.data.sample import Sample
from unet_repro.data.splits import Manifest, Split, manifest
from unet_repro.data.targets import Target, head_of
from unet_repro.errors import ConfigError
from unet_repro.machine import memory_order
from unet_repro.models.protocol import first_width, tile_geometry
from unet_repro.runs.folder import RunFolder
from unet_repro.runs.identity import run_id
from unet_repro.runs.initial import start_from
from unet_repro.tile_geometry import TileGeometry
from unet_repro.training.ranks import share_dropout
from unet_repro.training.task import SegmentationTask


@dataclass(frozen=True)
class Whole:
    """A source that has been read, not split; ``notes`` say what was decided about its files."""

    name: str
    class_names: tuple[str, ...]
    samples: list[Sample]
    notes: tuple[str, ...] = ()
    numbers_objects: bool = False  # whether its labels number objects


@dataclass(frozen=True, kw_only=True)
class Data(Whole):
    """A source that has been read and split; ``samples`` are those that the split uses."""

    split: Split
    manifest: Manifest


def read_data(config: TrainConfig) -> Data:
    """Reads and splits the source, and hashes the samples."""
    return DataReader()(config)


def _split(whole: Whole, split: Plain) -> Data:
    found = make("split", split)(whole.samples)
    parts, used = found if isinstance(found, tuple) else (found, whole.samples)
    hashed = manifest(whole.name, used, parts, num_classes=len(whole.class_names))
    return Data(**{**vars(whole), "samples": used}, split=parts, manifest=hashed)


class DataReader:
    """Reads data for many configurations, each source and split once, for as long as this object lives."""

    def __init__(self) -> None:
        self._read: list[tuple[Plain, Whole]] = []
        self._known: list[tuple[Plain, Plain, Data]] = []

    def __call__(self, config: TrainConfig) -> Data:
        """The data of a configuration."""
        for source, split, data in self._known:
            if (source, split) == (config.data, config.split):
                return data
        data = _split(self.whole(config), config.split)
        self._known.append((config.data, config.split, data))
        return data

    def whole(self, config: TrainConfig) -> Whole:
        """The data of a configuration before they are split."""
        for node, known in self._read:
            if node == config.data:
                return known
        source = make("data", config.data)
        samples = source.samples()  # first, since the names of classes may follow from the labels
        numbers_objects = getattr(source, "numbers_objects", False)
        whole = Whole(source.name, source.class_names, samples, getattr(source, "notes", ()), numbers_objects)
        self._read.append((config.data, whole))
        return whole


def run_folder(config: TrainConfig, data: Data | None = None) -> RunFolder:
    """The folder of the run with this configuration and these data, whether trained or not.

    Args:
        config: The configuration.
        data: Its data; ``None`` reads them.
    """
    return RunFolder(Path(config.runs_dir) / run_id(config, (data or read_data(config)).manifest))


def make_callbacks(nodes: Mapping[str, Plain] | None) -> list[Callback]:
    """The callbacks of a configuration, in its order.

    Raises:
        ConfigError: If a target is not a Lightning callback, or rejects its arguments.
    """
    callbacks = []
    for name, node in (nodes or {}).items():
        callback = make(f"callbacks.{name}", node)
        if not isinstance(callback, Callback):
            raise ConfigError(
                f"callbacks.{name}._target_={node['_target_']} is not a Lightning callback",
                hint="name a subclass of lightning.pytorch.Callback",
            )
        callbacks.append(callback)
    return callbacks


@dataclass(frozen=True)
class Training:
    """What a training consists of, built from one configuration.

    Attributes:
        config: The configuration.
        source: Its data.
        folder: The run's folder.
        tiles: Its training tiles and validation images.
        task: Its task, untrained.
        callbacks: Its callbacks.
    """

    config: TrainConfig
    source: Data
    folder: RunFolder
    tiles: TileData
    task: SegmentationTask
    callbacks: list[Callback]


def prepare(config: TrainConfig, source: Data, folder: RunFolder, rank: int = 0) -> Training:
    """Builds a training; deterministic.

    Args:
        config: The configuration.
        source: Its data.
        folder: The run's folder.
        rank: Rank of the device that it is for.

    Raises:
        ConfigError: If the network does not fit the weights that it starts from.
    """
    tiles, task = build(config, source, rank)
    if config.init is not None:
        start_from(task.net, config.init)
    return Training(config, source, folder, tiles, task, make_callbacks(config.callbacks))


def geometry_of_model(config: TrainConfig) -> TileGeometry:
    """The tile geometry of a configured network, without its weights and without changing the random state.

    Raises:
        GeometryError: If the network neither declares it nor allows deriving it.
    """
    with torch.random.fork_rng(devices=[]), torch.device("meta"):
        return tile_geometry(make("model", config.model, in_channels=1, num_classes=2))


def build(config: TrainConfig, data: Data, rank: int = 0) -> tuple[TileData, SegmentationTask]:
    """Builds tiles and untrained task of a configuration; deterministic.

    Args:
        config: The configuration.
        data: Its data.
        rank: Rank of the device that it is for.
    """
    seed_everything(config.seed, verbose=False)
    channels = len(channels_first(data.samples[0].image))
    target: Target | None = None if config.target is None else make("target", config.target)
    num_outputs = head_of(target, len(data.class_names)).num_outputs
    net = make("model", config.model, in_channels=channels, num_classes=num_outputs)
    tiles = TileData(
        samples=data.samples,
        split=data.split,
        class_names=data.class_names,
        tiles=make("tiles", config.tiles),
        depth=tile_geometry(net),
        augment=make("augment", config.augment),
        weight_map=make("weight_map", config.weight_map),
        max_steps=config.trainer.max_steps,
        batches_per_step=config.trainer.accumulate_grad_batches or 1,
        seed=config.seed,
        num_workers=config.trainer.num_workers,
        max_val_images=config.trainer.max_val_images,
        threshold_images=config.trainer.threshold_images,
        target=target,
        scale=config.data_scale,
    )
    if config.trainer.devices > 1:
        _check_share(config, tiles, net)
        share_dropout(net, rank, config.trainer.devices)
    task = SegmentationTask(
        net=net,
        optimizer=make("optimizer", config.optimizer),
        schedule=make("schedule", config.schedule),
        class_names=data.class_names,
        seed=config.seed,
        order=training_order(config, net),
        ignores=tiles.ignores,
        target=target,
        scale=config.data_scale,
    )
    try:
        task.configure_optimizers()
    except (ValueError, TypeError) as error:
        raise ConfigError(
            f"torch rejected the optimizer or schedule: {error}", hint="change optimizer.*, schedule.*"
        ) from error
    return tiles, task


def training_order(config: TrainConfig, net: nn.Module) -> torch.memory_format:
    """Memory format of a training's images and weights."""
    device = "cuda" if config.trainer.accelerator == "gpu" else "cpu"
    return memory_order(device, first_width(net), training=True, precision=config.trainer.precision)


def _check_share(config: TrainConfig, tiles: TileData, net: nn.Module) -> None:
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
    if 0 < len(tiles.threshold_samples) < devices:
        raise ConfigError(
            f"trainer.devices={devices} cannot divide {len(tiles.threshold_samples)} training images for the choice of "
            "the threshold",
            hint="use fewer devices, or trainer.threshold_images=0",
        )
    has_batch_norm = any(isinstance(module, nn.modules.batchnorm._BatchNorm) for module in net.modules())
    if has_batch_norm and config.trainer.accelerator == "cpu":
        raise ConfigError(
            "batch norm over several CPU processes is not supported: torch synchronises it only on GPUs",
            hint="use model.norm=instance or group, or trainer.devices=1",
        )
