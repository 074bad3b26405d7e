"""Runs a function as a Hydra application on the configuration that ships with the package."""

import os
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import hydra
from omegaconf import DictConfig

from unet_repro.commands.hydra_errors import OVERRIDE_ERRORS, explained, flags_first, refuse_ignored
from unet_repro.commands.path_arguments import quoted
from unet_repro.commands.verbs import VERBS
from unet_repro.conf_files import conf_dir
from unet_repro.errors import UserError

# The plugin's schema has the name of conf/hydra/launcher/joblib.yaml, which Hydra reports in every process of a sweep.
warnings.filterwarnings("ignore", message=r"\s*'hydra/launcher/joblib' is validated against ConfigStore schema")


def run(task: Callable[[DictConfig], object], *, verb: str, arguments: Sequence[str]) -> None:
    """Composes the verb's configuration with the arguments and runs the task, or sweeps it with ``-m``.

    Args:
        task: A module-level function, so that worker processes can import it.
        verb: The verb.
        arguments: Hydra's flags and overrides.

    Raises:
        ConfigError: If Hydra rejects an argument, or would ignore it.
    """
    arguments = quoted(flags_first(verb, arguments))
    refuse_ignored(verb, arguments)
    sys.argv = [f"unet-repro {verb}", *arguments]
    os.environ["HYDRA_FULL_ERROR"] = "1"  # raises errors instead of printing them and ending the process
    with _explaining(verb, arguments):
        hydra.main(version_base="1.3", config_path=str(conf_dir()), config_name=VERBS[verb].config)(task)()


def compose(name: str, overrides: Sequence[str]) -> DictConfig:
    """Composes the configuration only, for verbs that do not train.

    Raises:
        ConfigError: If Hydra rejects an override.
    """
    with _explaining(name, overrides), hydra.initialize_config_dir(str(conf_dir()), version_base="1.3"):
        return hydra.compose(name, overrides=quoted(overrides))


@contextmanager
def _explaining(verb: str, arguments: Sequence[str]) -> Iterator[None]:
    """Raises errors of Hydra and OmegaConf as this project's."""
    try:
        yield
    except UserError:
        raise
    except OVERRIDE_ERRORS as error:
        if (readable := explained(error, verb, arguments)) is None:
            raise
        raise readable from error
