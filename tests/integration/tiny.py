"""The smallest real training: a synthetic stack of a few small slices, a narrow and shallow network."""

import functools
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

from omegaconf import DictConfig
from warm import WarmProcess

from unet_repro.commands.hydra_app import compose

NETWORK = [
    "model.width=2",
    "model.depth=2",
    "tiles.size=84",
    "tiles.budget=2x84",
    "trainer.max_steps=8",
    "trainer.val_every=2",
    "trainer.threads=1",
    "trainer.progress=false",
    "logger.mode=disabled",
]


STACK = ["data=synthetic", "data.num_slices=6", "data.size_px=96"]


def tiny(runs_dir: Path, *overrides: str, data: Sequence[str] = STACK) -> DictConfig:
    """The composed configuration of a tiny training."""
    return compose("train", [*data, *NETWORK, f"runs_dir={runs_dir}", *overrides])


warm = functools.cache(WarmProcess)


def unet_repro(*arguments: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Runs the command line in a process of its own, as a user would, with these variables in its environment."""
    return warm().run(arguments, cwd, {**os.environ, "COLUMNS": "100", **environment})
