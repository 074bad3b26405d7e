"""Measures a finished run on one part of its split."""

import contextlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch
import yaml
from omegaconf import DictConfig
from tqdm import tqdm

from unet_repro.config import TrainConfig, check
from unet_repro.data.datamodule import TileData, WholeImage
from unet_repro.errors import DataError
from unet_repro.machine import autocast, memory_order, use_machine
from unet_repro.metrics.pixel import confusion, pixel_measures
from unet_repro.runs.checkpoint import load_network
from unet_repro.runs.folder import RunFolder, open_run
from unet_repro.runs.network import Checkpoint, Network, describe_network, open_network
from unet_repro.training.build import build, read_data
from unet_repro.training.losses import summed_cross_entropy
from unet_repro.training.task import SegmentationTask

Part = Literal["train", "val", "test"]
Precision = Literal[32, "bf16"]


@dataclass(frozen=True)
class Trained:
    """A trained run, ready to predict.

    Attributes:
        folder: Its folder.
        config: Its settings.
        data: Its data, divided and normalised as they were for it.
        task: Its network with the weights of a checkpoint, in evaluation mode.
        device: Where the network lives.
        precision: Of the network's products: ``32``, or ``bf16`` for bfloat16 autocast.
    """

    folder: RunFolder
    config: TrainConfig
    data: TileData
    task: SegmentationTask
    device: torch.device
    precision: Precision = 32

    @property
    def data_name(self) -> str:
        """Name of its source."""
        return read_data(self.config).name

    def scores(self, image_CHW: npt.NDArray[np.float32]) -> torch.Tensor:
        """Class scores ``(K, H, W)`` of a normalised image of any size, by overlap-tiles."""
        with autocast(self.device, self.precision):
            return self.task.predict_image(image_CHW)

    def images(self, part: Part) -> list[WholeImage]:
        """The labelled images of a part.

        Raises:
            DataError: If it has none.
        """
        return self.data.whole_images(part).items


def open_trained(run: Path, checkpoint: Checkpoint, precision: Precision = 32) -> Trained:
    """Reads a run and its data.

    Raises:
        RunError: If it is no run, has no such checkpoint, or its data have changed.
    """
    folder = open_run(run)
    config = check(DictConfig(yaml.safe_load(folder.config.read_text())))
    folder.check_manifest(read_data(config).manifest)
    use_machine(config.trainer.threads)
    data, task = build(config)
    if not folder.network.exists():  # of a run trained before such files were written
        describe_network(folder, data.normalisation, data.class_names)
    load_network(task.net, folder.best if checkpoint == "best" else folder.last)
    device = torch.device("cuda" if config.trainer.accelerator == "gpu" and torch.cuda.is_available() else "cpu")
    task.net.to(memory_format=memory_order(device.type, config.model["width"], training=False))
    task.to(device).eval()
    return Trained(folder, config, data, task, device, precision)


def trained_network(run: Path, checkpoint: Checkpoint) -> Network:
    """A run's network alone; for a run trained before ``network.json`` was written, its data must be there once.

    Raises:
        RunError: If it is no run, has no such checkpoint, or is of the older kind and its data are not there.
    """
    folder = open_run(run)
    if not folder.network.exists():
        with contextlib.suppress(DataError):  # open_network says what is missing
            open_trained(run, checkpoint)
    return open_network(run, checkpoint)


@torch.inference_mode()
def evaluate(run: Path, *, part: Part = "val", checkpoint: Checkpoint = "best") -> dict[str, Any]:
    """Measures of whole images by overlap-tiles, together and per image, in float32 whatever the training's precision.

    Of a run trained in float32 the validation's own measures come out again.

    Args:
        run: A run's folder.
        part: Which part of its split.
        checkpoint: Which of its checkpoints.

    Returns:
        ``loss`` (unweighted cross-entropy), the measures of ``metrics.pixel``, and under ``images`` the same per image.

    Raises:
        RunError: If it is no run, has no such checkpoint, or its data have changed.
        DataError: If the part has no public labels.
    """
    trained = open_trained(run, checkpoint)
    names = trained.data.class_names
    images = trained.images(part)
    matrices, losses, sizes = [], [], []
    for image in tqdm(images, desc="evaluate", unit="image", leave=False):
        scores_KHW = trained.scores(image.image)
        classes_HW = torch.from_numpy(image.classes).to(trained.device).long()
        losses.append(summed_cross_entropy(scores_KHW, classes_HW))
        matrices.append(confusion(scores_KHW.argmax(0), classes_HW, len(names)))
        sizes.append(classes_HW.numel())
    return {
        "run_id": trained.folder.run_id,
        "data": trained.data_name,
        "part": part,
        "checkpoint": checkpoint,
        "loss": float(torch.stack(losses).sum()) / sum(sizes),
        **_floats(pixel_measures(torch.stack(matrices), names)),
        "images": {
            image.key: {"loss": float(loss) / size, **_floats(pixel_measures(matrix[None], names))}
            for image, loss, size, matrix in zip(images, losses, sizes, matrices, strict=True)
        },
    }


def _floats(measures: dict[str, torch.Tensor]) -> dict[str, float]:
    return {name: float(value) for name, value in measures.items()}
