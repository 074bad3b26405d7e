"""The jobs of one launch, for every launcher; each job is composed when it is needed."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hydra.core.singleton import Singleton
from hydra.core.utils import setup_globals
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, open_dict

from unet_repro.runs.folder import RunFolder

_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "OPENCV_FOR_THREADS_NUM")


class Jobs:
    """The jobs of one launch, numbered from ``first``."""

    def __init__(
        self,
        context: HydraContext,
        function: TaskFunction,
        config: DictConfig,
        overrides: Sequence[Sequence[str]],
        first: int,
    ) -> None:
        setup_globals()
        self.context, self.function, self.sweep = context, function, config
        self.overrides, self.first = overrides, first

    def __len__(self) -> int:
        return len(self.overrides)

    def config(self, index: int) -> DictConfig:
        """The job's complete configuration, including the ``hydra`` node."""
        config = self.context.config_loader.load_sweep_config(self.sweep, list(self.overrides[index]))
        with open_dict(config):
            config.hydra.job.num = self.first + index
            config.hydra.job.id = f"{config.hydra.job.name}_{config.hydra.job.num}"
        return config

    def call(self, config: DictConfig) -> tuple[Any, ...]:
        """Task function, Hydra's context and singletons, and the configuration: what another process needs."""
        return self.function, self.context, Singleton.get_state(), config


def run_of(config: DictConfig) -> RunFolder:
    """The run that a job trains; the sweeper sets the job's name to the run id."""
    return RunFolder(Path(str(config.runs_dir)) / str(config.hydra.job.name))


def run_id_of(overrides: Sequence[str]) -> str | None:
    """The run id in a job's overrides, without composing its configuration; ``None`` with another sweeper."""
    return next((one.partition("=")[2] for one in overrides if one.startswith("hydra.job.name=")), None)


def thread_settings(threads: int | None) -> dict[str, str]:
    """Environment variables that set the thread count of every library; empty for ``None``."""
    return {} if threads is None else dict.fromkeys(_THREADS, str(threads))
