"""``objects.json``: the settings for objects that evaluation chose, by checkpoint, and that prediction uses."""

import json
from dataclasses import asdict
from typing import Any

from unet_repro.errors import ConfigError, RunError
from unet_repro.files import write_atomically
from unet_repro.inference.instance_settings import InstanceSettings
from unet_repro.runs.folder import RunFolder
from unet_repro.runs.network import Checkpoint


def write_choice(folder: RunFolder, checkpoint: Checkpoint, settings: InstanceSettings, num_images: int) -> None:
    """Records a choice; that of the other checkpoint is kept.

    Args:
        folder: The run.
        checkpoint: The weights that the choice is for.
        settings: The settings.
        num_images: Number of validation images that they were chosen on.

    Raises:
        RunError: If the file is damaged or cannot be written.
    """
    known = _read(folder) | {checkpoint: {"settings": asdict(settings), "images": num_images}}
    write_atomically(folder.objects, json.dumps(known, indent=1, sort_keys=True))


def copy_choice(folder: RunFolder, checkpoint: Checkpoint, target: RunFolder) -> None:
    """Copies the choice for these weights, if there is one, to a run whose best weights are these.

    Raises:
        RunError: If the file is damaged or cannot be written.
    """
    if (chosen := _read(folder).get(checkpoint)) is not None:
        write_atomically(target.objects, json.dumps({"best": chosen}, indent=1, sort_keys=True))


def read_choice(folder: RunFolder, checkpoint: Checkpoint) -> InstanceSettings | None:
    """The settings chosen for these weights; ``None`` if they were not evaluated.

    Raises:
        RunError: If the file is damaged.
    """
    chosen = _read(folder).get(checkpoint)
    if chosen is None:
        return None
    try:
        return InstanceSettings(**chosen["settings"])
    except (KeyError, TypeError, ConfigError) as error:
        raise RunError(f"{folder.objects} is damaged", hint=_hint(folder)) from error


def _read(folder: RunFolder) -> dict[str, Any]:
    return folder.read(folder.objects, hint=_hint(folder)) or {}


def _hint(folder: RunFolder) -> str:
    return f"remove it and run `unet-repro evaluate run={folder.path}` again"
