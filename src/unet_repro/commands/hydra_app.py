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
        task: A function of a module, so that worker processes can import it.
        name: Which configuration.
        arguments: Hydra's flags and overrides.
    """
    sys.argv = [f"unet-repro {name}", *arguments]
    hydra.main(version_base="1.3", config_path=str(conf_dir()), config_name=name)(task)()


def compose(name: str, overrides: Sequence[str]) -> DictConfig:
    """The configuration alone, for verbs that train nothing.

    Raises:
        ConfigError: If Hydra refuses an override.
    """
    try:
        with hydra.initialize_config_dir(str(conf_dir()), version_base="1.3"):
            return hydra.compose(name, overrides=list(overrides))
    except HydraException as error:
        raise ConfigError(str(error), hint="see conf/ for the groups and keys that exist") from error
