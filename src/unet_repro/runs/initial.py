"""The weights that a training starts from (``init=``), identified by their content, not by their place."""

import functools
from pathlib import Path

from torch import nn

from unet_repro.errors import ConfigError, TrainingError
from unet_repro.runs.checkpoint import check_architecture, load_network, read_checkpoint, weights_sha256
from unet_repro.runs.folder import open_run
from unet_repro.runs.package import run_of


def initial_sha256(init: str) -> str:
    """SHA-256 of the weights' names and values.

    Args:
        init: A run's folder (its best weights), a package, or the name of a network that comes with this program.

    Raises:
        UserError: If there are no such weights.
    """
    path = _weights(init)
    return _sha256(path, path.stat().st_mtime_ns)


def start_from(net: nn.Module, init: str) -> None:
    """Loads the weights into a network.

    Raises:
        ConfigError: If the network has others.
        UserError: If there are no such weights.
    """
    path = _weights(init)
    try:
        check_architecture(net, read_checkpoint(path)["state_dict"], path)
    except TrainingError as error:
        raise ConfigError(
            f"init={init} does not fit this network: {error.what}",
            hint="use the model.*, target and data with as many channels and classes as in its training, or init=null",
        ) from error
    load_network(net, path)


def _weights(init: str) -> Path:
    return open_run(run_of(init)).best


@functools.lru_cache(maxsize=8)
def _sha256(path: Path, _changed: int) -> str:
    return weights_sha256(read_checkpoint(path)["state_dict"])
