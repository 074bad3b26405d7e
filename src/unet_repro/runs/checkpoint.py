"""Reading checkpoints: tensors and plain types only, never code."""

import pickle
from pathlib import Path
from typing import Any

import torch
from torch import nn

from unet_repro.errors import RunError, TrainingError

_NET = "net."  # where the task keeps its network


def read_checkpoint(path: Path) -> dict[str, Any]:
    """A checkpoint's content, on the CPU.

    Raises:
        RunError: If the file is missing, truncated, or holds anything but tensors and plain types.
    """
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise RunError(
            f"there is no checkpoint {path}",
            mend="train the run, name the other checkpoint, or remove the run's folder and train it again",
        ) from error
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError) as error:
        raise RunError(
            f"{path} is damaged or not a checkpoint of this program",
            mend="remove it, of a finished run the whole folder, and train again",
        ) from error
    if not isinstance(content, dict) or "state_dict" not in content:
        raise RunError(f"{path} is not a checkpoint of this program", mend="name a checkpoint of a run")
    return content


def load_network(net: nn.Module, path: Path) -> None:
    """Puts a checkpoint's weights into a network.

    Raises:
        RunError: As ``read_checkpoint``.
        TrainingError: If the checkpoint is of another architecture; names the first difference.
    """
    state = read_checkpoint(path)["state_dict"]
    check_architecture(net, state, path)
    net.load_state_dict({name.removeprefix(_NET): tensor for name, tensor in state.items() if name.startswith(_NET)})


def check_architecture(net: nn.Module, state: dict[str, Any], path: Path) -> None:
    """Compares names and shapes of weights.

    Raises:
        TrainingError: If they differ; names the first difference.
    """
    wanted = {_NET + name: tuple(tensor.shape) for name, tensor in net.state_dict().items()}
    given = {name: tuple(tensor.shape) for name, tensor in state.items() if name.startswith(_NET)}
    for name in sorted(wanted.keys() | given.keys()):
        if wanted.get(name) != given.get(name):
            raise TrainingError(
                f"{path} is of another architecture: {name} is {given.get(name)} there, {wanted.get(name)} here",
                mend="use the model.* settings that it was trained with (config.yaml beside it)",
            )
