"""Runs a function as a Hydra application on the configuration that ships with the package."""

import sys
from collections.abc import Callable, Sequence

import hydra
from hydra.errors import HydraException
from omegaconf import DictConfig

from unet_repro.config import conf_dir
from unet_repro.errors import ConfigError


def run(task: Callable[[DictConfig], object], *, name: str, arguments: Sequence[str]) -> None:
    """Composes ``conf/<name>.yaml`` with the arguments and runs the task, or sweeps it with ``-m``.

    Args:
        task: A module-level function, so that worker processes can import it.
        name: Name of the configuration.
        arguments: Hydra's flags and overrides.
    """
    sys.argv = [f"unet-repro {name}", *arguments]
    hydra.main(version_base="1.3", config_path=str(conf_dir()), config_name=name)(task)()


def compose(name: str, overrides: Sequence[str]) -> DictConfig:
    """Composes the configuration only, for verbs that do not train.

    Raises:
        ConfigError: If Hydra rejects an override.
    """
    try:
        with hydra.initialize_config_dir(str(conf_dir()), version_base="1.3"):
            return hydra.compose(name, overrides=list(overrides))
    except HydraException as error:
        raise ConfigError(str(error), hint="see conf/ for the available groups and keys") from error
