"""Opens a trained run: its settings, its data as used in training, and its network."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
from omegaconf import DictConfig

from unet_repro.config import TrainConfig, check
from unet_repro.data.datamodule import TileData, WholeImage
from unet_repro.data.labels import Labels
from unet_repro.errors import DataError
from unet_repro.inference.rotations import Views, average_views
from unet_repro.machine import autocast, memory_order, use_machine
from unet_repro.models.protocol import first_width
from unet_repro.runs.checkpoint import load_network
from unet_repro.runs.folder import RunFolder, open_run
from unet_repro.runs.network import Checkpoint, describe_network
from unet_repro.training.build import build, read_data
from unet_repro.training.task import SegmentationTask

Part = Literal["train", "val", "test"]
Precision = Literal[32, "bf16"]


@dataclass(frozen=True)
class Trained:
    """A trained run, ready to predict.

    Attributes:
        folder: Its folder.
        config: Its settings.
        data: Its data, split and normalised as in its training.
        task: Its network with the weights of a checkpoint, in evaluation mode.
        device: The device of the network.
        data_name: Name of the data's source.
        precision: Precision of the network's products: ``32``, or ``bf16`` for bfloat16 autocast.
    """

    folder: RunFolder
    config: TrainConfig
    data: TileData
    task: SegmentationTask
    device: torch.device
    data_name: str
    precision: Precision = 32

    def scores(self, image_CHW: npt.NDArray[np.float32]) -> torch.Tensor:
        """Class scores ``(K, H, W)`` of a normalised image of any size, by overlap-tiles; its seed map follows."""
        with autocast(self.device, self.precision):
            return self.task.predict_image(image_CHW)

    def maps(self, image: WholeImage, views: Views) -> torch.Tensor:
        """Class probabilities ``(K, H, W)`` of an image, the mean over rotated views; its seed map follows."""
        return average_views(self.scores, image.image, views, len(self.data.class_names))

    def objects(self, image: WholeImage) -> Labels | None:  # noqa: ARG002
        """Objects ``(H, W)`` that were found without probabilities; ``None``: they are found in the probabilities."""
        return None

    def images(self, part: Part) -> list[WholeImage]:
        """The labelled images of a part.

        Raises:
            DataError: If the part has no labelled images.
        """
        return self.data.whole_images(part).items


def open_trained(
    run: Path, checkpoint: Checkpoint, precision: Precision = 32, data_root: Path | None = None
) -> Trained:
    """Reads a run and its data.

    Args:
        run: Its folder.
        checkpoint: The weights to use.
        precision: Precision of the network's products.
        data_root: Where the data are now; ``None`` for where they were in the training.

    Raises:
        DataError: If the data are not there.
        RunError: If the folder is not a run, has no such checkpoint, or its data have changed.
    """
    folder = open_run(run)
    if data_root is None and not folder.manifest.exists():  # a package: its images cannot be told from others
        raise DataError(f"{run} has no list of its images", hint="add data.root=FOLDER, where they are")
    settings = folder.settings()
    if (root := settings["data"].get("root")) is not None or data_root is not None:
        settings["data"]["root"] = str(data_root or _moved_with(folder.path, Path(root)))
    config = check(DictConfig(settings))
    try:
        source = read_data(config)
    except DataError as error:
        if data_root is None and root is not None and not Path(settings["data"]["root"]).exists():
            raise DataError(
                f"the images that {run} was trained on are not in {root}",
                hint="add data.root=FOLDER, where they are now",
            ) from error
        raise
    folder.check_manifest(source.manifest)
    use_machine(config.trainer.threads)
    data, task = build(config, source)
    if not folder.network.exists():  # the run was trained before such files were written
        describe_network(
            folder,
            data.normalisation,
            data.class_names,
            numbers_objects=source.numbers_objects,
            appearance=data.appearance(),
        )
    load_network(task.net, folder.best if checkpoint == "best" else folder.last)
    device = torch.device("cuda" if config.trainer.accelerator == "gpu" and torch.cuda.is_available() else "cpu")
    task.net.to(memory_format=memory_order(device.type, first_width(task.net), training=False))
    task.to(device).eval()
    return Trained(folder, config, data, task, device, source.name, precision)


def _moved_with(run: Path, root: Path) -> Path:
    """A relative data folder as seen from here or, if there is none, from a folder that the run is in."""
    places = [Path(), *run.resolve().parents]
    return next((place / root for place in places if (place / root.expanduser()).exists()), root)
