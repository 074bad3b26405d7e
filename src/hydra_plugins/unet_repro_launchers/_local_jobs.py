"""The jobs of one launch; each is composed when it is needed."""

from collections.abc import Sequence
from pathlib import Path

from hydra.core.singleton import Singleton
from hydra.core.utils import setup_globals
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, open_dict

from hydra_plugins.unet_repro_launchers._local_worker import Order, order
from unet_repro.runs.folder import RunFolder


class Jobs:
    """The jobs of one launch.

    Args:
        context: Hydra's context.
        function: The task function.
        config: The sweep's configuration.
        overrides: The overrides of each job.
        first: Number of the first job.
    """

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

    def order(self, config: DictConfig, *, environment: dict[str, str], grace_s: float) -> Order:
        """The order that the job's process receives."""
        job = (self.function, self.context, Singleton.get_state(), config)
        return order(job, environment=environment, log=log_of(config), grace_s=grace_s)


def log_of(config: DictConfig) -> Path:
    """The file that a job's output goes to."""
    return Path(str(config.hydra.launcher.log))


def run_of(config: DictConfig) -> RunFolder:
    """The run that a job trains; the sweeper sets the job's name to the run id."""
    return RunFolder(Path(str(config.runs_dir)) / str(config.hydra.job.name))
