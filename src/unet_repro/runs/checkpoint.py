"""Checkpoints: tensors and plain types only, never code; written atomically, and checked when read."""

import pickle
import sys
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from unet_repro.errors import RunError, TrainingError
from unet_repro.files import replacing, sha256
from unet_repro.runs.folder import RunFolder

_NET = "net."  # prefix of the network's weights in the task's state


def write_checkpoint(path: Path, content: dict[str, Any], *, previous: Path | None = None) -> None:
    """Writes a checkpoint atomically, synced to disk.

    Args:
        path: The file.
        content: Tensors and plain types.
        previous: Where to move the existing file.

    Raises:
        RunError: If it cannot be written; the older files are then unchanged.
    """
    try:
        with replacing(path, previous=previous) as file:
            torch.save(content, file)
    except (OSError, RuntimeError) as error:  # torch reports a full disk as a RuntimeError
        raise RunError(
            f"cannot save the checkpoint {path}: {error}",
            hint="free some space, or choose another runs_dir; the same command then resumes",
        ) from error


def resume_point(folder: RunFolder) -> dict[str, Any] | None:
    """Content of the newest intact checkpoint; ``None`` for a run that has none yet.

    Raises:
        RunError: If there are checkpoints, but none is usable.
    """
    paths = [path for path in (folder.last, folder.previous) if path.exists()]
    for path in paths:
        try:
            content = read_checkpoint(path)
        except RunError:
            if path == paths[-1]:
                raise
            continue
        if path != paths[0]:
            sys.stderr.write(f"{paths[0]} is damaged; resuming from the previous one, {path.name}\n")
        return content
    return None


def read_checkpoint(path: Path) -> dict[str, Any]:
    """A checkpoint's content, on the CPU.

    Raises:
        RunError: If the file is missing, truncated, or contains anything but tensors and plain types.
    """
    try:
        _check_bytes(path)
        content = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise RunError(
            f"there is no checkpoint {path}",
            hint="train the run, choose the other checkpoint, or remove the run's folder and train it again",
        ) from error
    except (zipfile.BadZipFile, pickle.UnpicklingError, RuntimeError, EOFError, ValueError) as error:
        raise RunError(
            f"{path} is damaged or not a checkpoint of this program",
            hint="remove it (for a finished run, the whole folder) and train again",
        ) from error
    if not isinstance(content, dict) or "state_dict" not in content:
        raise RunError(f"{path} is not a checkpoint of this program", hint="use a checkpoint of a run")
    return content


def weights_sha256(state: Mapping[str, Tensor]) -> str:
    """SHA-256 over the sorted names and the tensors of weights."""
    return sha256(*(part for name in sorted(state) for part in (name, state[name].detach().cpu().numpy())))


def _check_bytes(path: Path) -> None:
    """Compares each part of the file with its checksum, since torch does not detect a flipped bit."""
    with zipfile.ZipFile(path) as archive:
        if (part := archive.testzip()) is not None:
            raise zipfile.BadZipFile(part)


def load_network(net: nn.Module, path: Path) -> None:
    """Loads a checkpoint's weights into a network.

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
                hint="use the model.* settings of its training (see config.yaml in the same folder)",
            )
