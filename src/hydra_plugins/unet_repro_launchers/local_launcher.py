"""Hydra's launcher for one machine: a process for each run, side by side, started again if it is killed.

Other launchers share processes among runs, and lose the sweep with one of them. Here a run's memory, threads and GPU
are its own, and whatever kills its process (the system for want of memory, a crash in native code) costs the others
nothing; the run goes on from its checkpoint.
"""

from collections.abc import Sequence
from pathlib import Path

from hydra.core.utils import JobReturn, configure_log
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig


class LocalLauncher(Launcher):
    """Runs jobs side by side, each in a process of its own.

    Args:
        jobs: How many at once; ``None``: one for each GPU if the jobs use GPUs, else as many as the cores allow.
        threads: Of each job, where ``trainer.threads`` says nothing; ``None``: the libraries' choice.
        gpus: Which devices are handed out, as in ``CUDA_VISIBLE_DEVICES``; a device named twice takes two jobs.
            ``auto``: the visible ones if the jobs use GPUs; ``None``: none.
        max_restarts: How often a job whose process dies is started again without a new checkpoint in between.
        grace_s: Seconds for a last checkpoint when the sweep is stopped.
        log: Where a job's process prints. Read from each job's own configuration: it names the run.
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
        """Keeps what Hydra hands over."""
        self.hydra_context, self.task_function, self.config = hydra_context, task_function, config

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Runs the jobs; one that fails does not stop the others.

        Args:
            job_overrides: Of each job.
            initial_job_idx: Number of the first.

        Returns:
            One return for each job, in their order.

        Raises:
            ConfigError: If the settings do not fit each other or the machine.
            KeyboardInterrupt: After Ctrl-C, once the jobs have ended.
            Stopped: After another signal that asks to stop, likewise.
        """
        # Here, not above: Hydra imports every plugin at every start.
        from hydra_plugins.unet_repro_launchers._local_jobs import Jobs  # noqa: PLC0415
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
