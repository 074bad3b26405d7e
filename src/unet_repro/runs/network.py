"""``network.json``: what a run needs, with a checkpoint, to predict without its training images."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from omegaconf import DictConfig

from unet_repro.config import TrainConfig, check, make
from unet_repro.data.normalise import Normalisation
from unet_repro.errors import RunError
from unet_repro.models.unet import UNet
from unet_repro.runs.checkpoint import load_network
from unet_repro.runs.folder import RunFolder, open_run, write_atomically

Checkpoint = Literal["best", "last"]


@dataclass(frozen=True)
class Network:
    """A trained network with the properties of its images.

    Attributes:
        folder: The run's folder.
        config: The run's settings.
        net: The network, on the CPU, in float32 and evaluation mode.
        normalisation: Statistics of its training images.
        class_names: Names of class 0, 1, ...
    """

    folder: RunFolder
    config: TrainConfig
    net: UNet
    normalisation: Normalisation
    class_names: tuple[str, ...]

    @property
    def run_id(self) -> str:
        """The run's id."""
        return self.folder.run_id

    @property
    def in_channels(self) -> int:
        """Channels of its images."""
        return len(self.normalisation.mean)


def describe_network(folder: RunFolder, normalisation: Normalisation, class_names: tuple[str, ...]) -> None:
    """Writes ``network.json``.

    Raises:
        RunError: If it cannot be written.
    """
    described = {"mean": normalisation.mean, "std": normalisation.std, "class_names": class_names}
    write_atomically(folder.network, json.dumps(described, indent=1))


def open_network(run: Path, checkpoint: Checkpoint = "best") -> Network:
    """Opens a run's network with the weights of a checkpoint; its training data are not needed.

    Raises:
        RunError: If the folder is not a run, or ``network.json`` or the checkpoint is missing or damaged.
        TrainingError: If the checkpoint is of another architecture than in ``config.yaml``.
    """
    folder = open_run(run)
    try:
        config = check(DictConfig(folder.settings()))
    except (ValueError, TypeError) as error:
        raise RunError(f"{folder.config} is damaged", hint="restore it, or train the run again") from error
    if not folder.network.exists():
        raise RunError(
            f"{folder.network} is missing: the run was trained before such files were written",
            hint=f"run `unet-repro evaluate run={run}` once on a machine with its training images to write the file",
        )
    try:
        described = json.loads(folder.network.read_text())
        normalisation = Normalisation(tuple(map(float, described["mean"])), tuple(map(float, described["std"])))
        class_names = tuple(map(str, described["class_names"]))
    except (ValueError, KeyError, TypeError) as error:
        raise RunError(
            f"{folder.network} is damaged",
            hint=f"remove it and run `unet-repro evaluate run={run}` on a machine with its training images",
        ) from error
    net = make("model", config.model, in_channels=len(normalisation.mean), num_classes=len(class_names))
    load_network(net, folder.best if checkpoint == "best" else folder.last)
    return Network(folder, config, net.eval(), normalisation, class_names)
