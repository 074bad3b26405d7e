"""A run's identity: a hash of everything that can change its numbers, and nothing else."""

import hashlib
import json
from typing import Any

from unet_repro.conf_files import PLACEMENT
from unet_repro.config import TrainConfig
from unet_repro.config_nodes import OBSERVES
from unet_repro.data.splits import Manifest

# Increased whenever a change to the code changes the numbers of some run, so that old runs are not reused.
CODE_VERSION = 2

# Settings of the split that say which part of the data is held out.
HELD_OUT = ("fold", "draw_seed", "train", "test")
_NOT_NUMBERS = {"data", "logger", "experiment", "arm", "scale", "runs_dir", "rates", "plan"}


def numbers_of(config: TrainConfig) -> dict[str, Any]:
    """The part of a configuration that can change a run's numbers: no paths, no logging, no hardware placement.

    The data settings are also left out: the content of the data is identified by the manifest. Callbacks count in their
    order, without their names and without those marked ``_observes_: true``. Initial weights count by their content.
    """
    plain = {key: value for key, value in config.plain().items() if key not in _NOT_NUMBERS}
    plain["trainer"] = {key: value for key, value in plain["trainer"].items() if key not in PLACEMENT}
    if config.init is not None:
        from unet_repro.runs.initial import initial_sha256  # noqa: PLC0415  (imports torch, which is slow)

        plain["init"] = initial_sha256(config.init)
    callbacks = [node for node in plain.pop("callbacks", {}).values() if not node.get(OBSERVES)]
    return {**plain, "callbacks": callbacks} if callbacks else plain


def run_id(config: TrainConfig, manifest: Manifest) -> str:
    """Twelve hexadecimal digits, the same for the same configuration, data and code version."""
    return _digest({"config": numbers_of(config), "data": manifest["digest"], "code": CODE_VERSION})


def setting_id(config: TrainConfig) -> str:
    """Twelve hexadecimal digits, the same for runs that differ only in the seed and the held-out part of the data."""
    numbers = numbers_of(config)
    del numbers["seed"]
    numbers["split"] = {key: value for key, value in numbers["split"].items() if key not in HELD_OUT}
    data = {key: value for key, value in config.plain()["data"].items() if key != "root"}
    return _digest({"config": numbers, "data": data, "code": CODE_VERSION})


def _digest(content: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:12]
