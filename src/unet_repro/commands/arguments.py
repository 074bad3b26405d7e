"""Reads the arguments of the verbs that use Hydra, without Hydra: which groups and folders they choose."""

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

from unet_repro import conf_files

_ALWAYS = {"search": {"hydra/sweeper": "search"}}  # what a verb chooses before its arguments


def choices_of(verb: str, arguments: Sequence[str]) -> dict[str, str]:
    """Option by group, of the groups that the arguments choose; of several options, the first.

    >>> choices_of("train", ["-m", "optimizer=adam,sgd", "model.width=8", "+logger=wandb"])
    {'optimizer': 'adam', 'logger': 'wandb'}
    """
    groups = {path.parent.relative_to(folder).as_posix() for folder in (conf_files.conf_dir(), *config_dirs(arguments))
              for path in folder.rglob("*.yaml")}  # fmt: skip
    found = dict(_ALWAYS.get(verb, {}))
    for argument in arguments:
        key, _, value = argument.lstrip("+").partition("=")
        if key in groups and value:
            found[key] = value.strip("[]").split(",")[0]
    return found


def with_model(arguments: Sequence[str]) -> list[str]:
    """``model=`` as ``network=``, for verbs that take a package: ``model`` is a group of the configuration.

    >>> with_model(["model=em-membranes", "input=a.tif"])
    ['network=em-membranes', 'input=a.tif']
    """
    return [f"network={one.removeprefix('model=')}" if one.startswith("model=") else one for one in arguments]


def config_dirs(arguments: Sequence[str]) -> list[Path]:
    """The user's folders of configuration: of ``--config-dir`` and ``hydra.searchpath``.

    >>> config_dirs(["--config-dir", "mine", "-cd=yours", "hydra.searchpath=[file://ours]"])
    [PosixPath('mine'), PosixPath('yours'), PosixPath('ours')]
    """
    found = []
    for argument, following in pairwise([*arguments, ""]):
        key, _, value = argument.partition("=")
        if key in ("--config-dir", "-cd"):
            found.append(Path(value or following))
        elif key == "hydra.searchpath":
            paths = (path.strip(" '\"").removeprefix("file://") for path in value.strip("[]").split(","))
            found += [Path(path) for path in paths if path and "://" not in path]
    return found
