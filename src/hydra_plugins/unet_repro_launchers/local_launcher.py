"""Hydra launcher for one machine: a process for each run, in parallel, restarted if it is killed.

Other launchers share processes among runs and lose the whole sweep if one dies. Here each run has its own memory,
threads and GPU. If its process is killed (out of memory, a crash in native code), the other runs are not affected, and
the run resumes from its checkpoint.
"""

from collections.abc import Sequence
from pathlib import Path

from hydra.core.utils import JobReturn, configure_log
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig


class LocalLauncher(Launcher):
    """Runs jobs in parallel, each in its own process.

    Args:
        jobs: How many at once; ``None``: one for each GPU if the jobs use GPUs, else as many as the cores allow.
        threads: Threads of each job if ``trainer.threads`` is null; ``None``: the libraries' default.
        gpus: Devices to assign, as in ``CUDA_VISIBLE_DEVICES``; a device listed twice takes two jobs.
            ``auto``: the visible devices if the jobs use GPUs; ``None``: none are assigned.
        max_restarts: How often a job whose process dies is restarted without a new checkpoint in between.
        grace_s: Seconds for a last checkpoint when the sweep is stopped.
        log: File for a job's output. Read from each job's own configuration, because it contains the run id.
    """

    def __init__(
        self,
        *,
        jobs: int | None,
        threads: int | None,
        gpus: str | Sequence[int | str] | None,
        max_restarts: int,
        grace_s: float,
        log: str,  # noqa: ARG002
    ) -> None:
        self.jobs, self.threads, self.gpus = jobs, threads, gpus
        self.max_restarts, self.grace_s = max_restarts, grace_s

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Stores what Hydra passes in."""
        self.hydra_context, self.task_function, self.config = hydra_context, task_function, config

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Runs the jobs; one that fails does not stop the others.

        Returns:
            One return for each job, in order.

        Raises:
            ConfigError: If the settings do not fit each other or the machine.
            KeyboardInterrupt: After Ctrl-C, once the jobs have ended.
            Stopped: After another stop signal, once the jobs have ended.
        """
        # Imported here because Hydra imports every plugin at every start.
        from hydra_plugins.unet_repro_launchers._jobs import Jobs  # noqa: PLC0415
        from hydra_plugins.unet_repro_launchers._local_pool import Pool  # noqa: PLC0415
        from hydra_plugins.unet_repro_launchers._local_slots import slots  # noqa: PLC0415

        configure_log(self.config.hydra.hydra_logging, self.config.hydra.verbose)
        Path(str(self.config.hydra.sweep.dir)).mkdir(parents=True, exist_ok=True)
        jobs = Jobs(self.hydra_context, self.task_function, self.config, job_overrides, initial_job_idx)
        if not job_overrides:
            return []
        return Pool(
            jobs,
            slots(jobs.config(0), jobs=self.jobs, threads=self.threads, gpus=self.gpus),
            threads=self.threads,
            max_restarts=self.max_restarts,
            grace_s=self.grace_s,
        ).run()
