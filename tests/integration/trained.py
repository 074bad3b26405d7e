"""A run with random weights and nothing else: all that a prediction needs, in no time."""

import dataclasses
from pathlib import Path

import torch
import yaml

from unet_repro.commands.hydra_app import compose
from unet_repro.config import check, make
from unet_repro.data.normalise import Normalisation
from unet_repro.files import write_atomically
from unet_repro.runs.checkpoint import write_checkpoint
from unet_repro.runs.folder import RunFolder
from unet_repro.runs.network import describe_network

GREY = Normalisation((128.0,), (60.0,))


def random_run(
    path: Path,
    *overrides: str,
    normalisation: Normalisation = GREY,
    class_names: tuple[str, ...] = ("background", "cell"),
    num_outputs: int | None = None,
) -> Path:
    """The folder of a run of width 4 and depth 2, unless overridden."""
    folder = RunFolder(path)
    config = check(compose("train", ["data=folder", "data.root=gone", "model.width=4", "model.depth=2", *overrides]))
    write_atomically(folder.config, yaml.safe_dump(dataclasses.asdict(config)))
    describe_network(folder, normalisation, class_names)
    torch.manual_seed(0)
    outputs = num_outputs or len(class_names)
    net = make("model", config.model, in_channels=len(normalisation.mean), num_classes=outputs)
    write_checkpoint(folder.best, {"state_dict": {f"net.{name}": value for name, value in net.state_dict().items()}})
    return path
