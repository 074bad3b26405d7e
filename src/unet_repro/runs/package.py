"""A run inside a BioImage.IO package: what a prediction or a further training needs, and nothing of the machine.

A package that ``export`` writes contains ``config.yaml``, ``network.json``, ``best.ckpt`` and, where evaluation chose
settings for objects, ``objects.json``, as in a run's folder (``runs.folder``). ``run_of`` unpacks them once into the
user's cache, so that a package, or the name of one that comes with this program, is used like a run.
"""

import hashlib
import io
import re
import tempfile
import zipfile
from dataclasses import dataclass
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path

import pooch
import yaml

from unet_repro.errors import ConfigError, RunError
from unet_repro.files import write_atomically
from unet_repro.runs.checkpoint import write_checkpoint
from unet_repro.runs.folder import RunFolder
from unet_repro.runs.network import Checkpoint, Network, describe_network, open_network
from unet_repro.runs.object_settings import copy_choice

NEEDED = ("config.yaml", "network.json", "best.ckpt")
OPTIONAL = ("objects.json",)
NAME = "run_id.txt"  # its first line is the run's id


@dataclass(frozen=True)
class Shipped:
    """A package that comes with this program."""

    file: Traversable
    sha256: str


def pack(network: Network, checkpoint: Checkpoint, folder: Path) -> list[Path]:
    """Writes the files of a run that a package contains, and returns their paths.

    Args:
        network: A run's network.
        checkpoint: The weights that it was opened with; in the package they are the best ones.
        folder: Where to write them.

    Raises:
        RunError: If they cannot be written.
    """
    inside = RunFolder(folder)
    settings = {name: value for name, value in network.config.plain().items() if name not in ("init", "plan")}
    data = {**settings["data"], **({"root": "."} if settings["data"].get("root") is not None else {})}
    settings |= {"data": data, "runs_dir": "runs", "logger": {"mode": "disabled"}, "arm": None, "experiment": None}
    write_atomically(inside.config, yaml.safe_dump(settings, sort_keys=False))
    describe_network(
        inside,
        network.normalisation,
        network.class_names,
        numbers_objects=network.numbers_objects,
        appearance=network.appearance,
        data=network.data_name,
    )
    weights = {f"net.{name}": tensor.cpu() for name, tensor in network.net.state_dict().items()}
    write_checkpoint(inside.best, {"state_dict": weights})
    write_atomically(folder / NAME, f"{network.run_id}\n")
    copy_choice(network.folder, checkpoint, inside)
    return [path for name in (*NEEDED, *OPTIONAL, NAME) if (path := folder / name).exists()]


def load(run: str | Path, checkpoint: Checkpoint = "best") -> Network:
    """Opens a trained network; its training data are not needed.

    Args:
        run: A run's folder ``runs/<run_id>``, a package that ``unet-repro export`` wrote, or the name of a network that
            comes with this program, such as ``em-membranes``.
        checkpoint: The weights at the best mean IoU on validation, or the last ones; a package has one set, ``best``.

    Raises:
        ConfigError: If it is none of these.
        RunError: If the run or the package is damaged.
        TrainingError: If the weights are of another architecture than the settings.
    """
    return open_network(run_of(run), checkpoint)


def named(run: Path | None, model: str | None) -> Path:
    """The folder of the run that a command names by ``run=`` or ``model=``.

    Raises:
        ConfigError: If neither or both are named.
    """
    if run is not None and model is None:
        return run
    if model is None or run is not None:
        raise ConfigError("exactly one of run and model is required", hint="add run=runs/<run_id> or model=NAME")
    return run_of(model)


def run_of(model: str | Path) -> Path:
    """The folder of a run: the folder itself, or that of a package or of a network that comes with this program.

    Args:
        model: A run's folder, a ``.zip`` that ``unet-repro export`` wrote, or a name such as ``em-membranes``.

    Raises:
        ConfigError: If it is none of these.
        RunError: If a package is damaged, or was not written by this program.
    """
    path, known = Path(model), shipped()
    if path.is_dir():
        return path
    if path.suffix.lower() == ".zip":
        if not path.is_file():
            raise RunError(f"there is no package {path}", hint="write one: unet-repro export run=... output=model.zip")
        return _unpacked(path.read_bytes(), str(path))
    if str(model) not in known:
        raise ConfigError(
            f"{model} is neither a run's folder, nor a package, nor the name of a network of this program",
            hint=f"use runs/<run_id>, model.zip, or one of: {', '.join(known) or 'none in this installation'}",
        )
    one = known[str(model)]
    content = one.file.read_bytes()
    if hashlib.sha256(content).hexdigest() != one.sha256:
        raise RunError(f"the network {model} of this installation is damaged", hint="install the program again")
    return _unpacked(content, str(model))


def shipped(folder: Traversable | None = None) -> dict[str, Shipped]:
    """The networks that come with this program, by name.

    Args:
        folder: Their folder; by default that of this installation.
    """
    place = folder or resources.files("unet_repro.reference")
    lines = (place / "SHA256SUMS").read_text("ascii").splitlines()
    pairs = [line.split() for line in lines]
    return {name.removesuffix(".zip"): Shipped(place / name, sha256) for sha256, name in pairs}


def _unpacked(content: bytes, name: str) -> Path:
    """Unpacks the run's files of a package into the cache, once."""
    target = Path(pooch.os_cache("unet-repro")) / "models" / hashlib.sha256(content).hexdigest()[:16]
    try:
        if not target.is_dir():
            target.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=target.parent) as scratch:
                _extract(content, name, Path(scratch) / "model").rename(target)
    except OSError as error:
        if not target.is_dir():  # else another process was quicker
            raise RunError(
                f"{name} cannot be unpacked to {target}: {error}",
                hint="free some space, or set XDG_CACHE_HOME to a writable folder",
            ) from error
    return next(target.iterdir())


def _extract(content: bytes, name: str, folder: Path) -> Path:
    """Writes the run's files of a package to ``<folder>/<run id>``, and returns the folder."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            there = set(archive.namelist())
            if missing := {*NEEDED, NAME} - there:
                raise RunError(
                    f"{name} has no {sorted(missing)[0]}: it was not exported by this version of the program",
                    hint="export the run again: unet-repro export run=... output=model.zip",
                )
            files = {one: archive.read(one) for one in {*NEEDED, *OPTIONAL, NAME} & there}  # compares checksums
    except zipfile.BadZipFile as error:
        raise RunError(f"{name} is damaged or no package: {error}", hint="export or install it again") from error
    run_id = files[NAME].decode("ascii", "replace").strip()
    if not re.fullmatch(r"\w[\w.-]*", run_id):
        raise RunError(f"{name} has an invalid id in {NAME}", hint="export or install it again")
    inside = folder / run_id
    inside.mkdir(parents=True)
    for one, data in files.items():
        (inside / one).write_bytes(data)
    return folder
