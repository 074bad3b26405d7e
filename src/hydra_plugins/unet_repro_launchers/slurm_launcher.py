"""Hydra launcher for SLURM: an array of jobs, one for each run.

hydra-submitit-launcher and submitit write the jobs, submit them, and requeue a job that is warned of its time limit or
of preemption. Waiting is implemented here: theirs raises at the first job without a result, and calls ``sacct``, which
does not work on a cluster without accounting.
"""

import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from hydra.core.singleton import Singleton
from hydra.core.utils import JobReturn, configure_log
from hydra_plugins.hydra_submitit_launcher.submitit_launcher import SlurmLauncher as SubmititLauncher

if TYPE_CHECKING:
    from hydra_plugins.unet_repro_launchers._jobs import Jobs


class SlurmLauncher(SubmititLauncher):  # type: ignore[misc]  # the plugin has no types
    """Submits the jobs, waits, and returns the result of each.

    Args:
        poll_s: Seconds between two polls of the answers and the queue.
        wait: Whether to wait for the jobs; otherwise ``launch`` raises ``Submitted``.
        max_restarts: How often a job that ended without a result is requeued without a new checkpoint in between.
        gpus_per_node: GPUs of each job; ``auto``: ``trainer.devices`` if the runs use GPUs; ``None``: not requested.
        params: Parameters of submitit's SLURM executor; ``None`` means the cluster's default.
    """

    def __init__(
        self, *, poll_s: float, max_restarts: int, wait: bool, gpus_per_node: int | str | None, **params: Any
    ) -> None:
        super().__init__(**params)
        self.poll_s, self.max_restarts, self.wait, self.gpus_per_node = poll_s, max_restarts, wait, gpus_per_node

    def __call__(self, *arguments: Any, **named: Any) -> JobReturn:
        """Runs one job on its node. A stopped job leaves no result, because it is not over."""
        from unet_repro.errors import Stopped  # noqa: PLC0415

        try:
            returned: JobReturn = super().__call__(*arguments, **named)
        except Stopped as stopped:
            sys.stderr.write("stopped with a checkpoint\n")
            raise SystemExit(128 + stopped.signum) from None
        return returned

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Runs the jobs; one that fails does not stop the others. A run whose job is in the queue gets no second one.

        Returns:
            One return for each job, in order.

        Raises:
            ConfigError: If SLURM is not available here, or it rejects the jobs.
            Submitted: If ``wait`` is false, with the jobs in the queue.
            KeyboardInterrupt: After Ctrl-C, with the jobs cancelled.
            Stopped: After another stop signal, with the jobs cancelled.
        """
        # Imported here because Hydra imports every plugin at every start.
        from hydra_plugins.unet_repro_launchers._jobs import Jobs  # noqa: PLC0415
        from hydra_plugins.unet_repro_launchers._slurm_watch import Watch  # noqa: PLC0415
        from unet_repro.errors import Submitted  # noqa: PLC0415
        from unet_repro.files import counted  # noqa: PLC0415
        from unet_repro.runs.stopping import StopRequest  # noqa: PLC0415

        if not job_overrides:
            return []
        configure_log(self.config.hydra.hydra_logging, self.config.hydra.verbose)
        orders = Jobs(self.hydra_context, self.task_function, self.config, job_overrides, initial_job_idx)
        with StopRequest() as stop:
            jobs = self._queued(orders)
            if jobs:
                sys.stderr.write(f"{counted(len(jobs), 'run')} with a SLURM job from an earlier command\n")
            if wanted := [index for index in range(len(orders)) if index not in jobs]:
                jobs |= dict(zip(wanted, self._submit(orders, wanted), strict=True))
                array = jobs[wanted[0]].job_id.partition("_")[0]
                shown = f"`squeue -j {array}` shows them"
                sys.stderr.write(f"SLURM job {array} submitted, for {counted(len(wanted), 'run')}; {shown}\n")
            if not self.wait:
                later = "the same command without wait=false (make: WAIT=0) waits for them and writes the tables"
                raise Submitted(f"in SLURM's queue: {counted(len(jobs), 'run')}; {later}")
            watched = [jobs[index] for index in range(len(orders))]
            try:
                return Watch(watched, orders, poll_s=self.poll_s, max_restarts=self.max_restarts).returns(stop)
            except BaseException:
                names = [job.job_id for job in watched]
                arrays = ", ".join(sorted({name.partition("_")[0] for name in names}))
                sys.stderr.write(f"cancelling SLURM job {arrays}; active runs write a checkpoint first\n")
                subprocess.run(["scancel", *names], check=False)
                raise

    def _queued(self, orders: "Jobs") -> dict[int, Any]:
        """Jobs of these runs that are in SLURM's queue already, by the index of the run."""
        from submitit.core.utils import JobPaths  # noqa: PLC0415

        from hydra_plugins.unet_repro_launchers._jobs import run_id_of  # noqa: PLC0415
        from unet_repro.sweep.slurm_orders import live_orders  # noqa: PLC0415

        live = live_orders(Path(str(self.config.runs_dir)), required=True)
        names = {index: run_id_of(overrides) for index, overrides in enumerate(orders.overrides)}
        known = {index: live[name][0] for index, name in names.items() if name in live}
        return {
            index: SimpleNamespace(job_id=order.job_id, paths=JobPaths(order.folder, order.job_id))
            for index, order in known.items()
        }

    def _submit(self, orders: "Jobs", wanted: Sequence[int]) -> list[Any]:
        """Submits the jobs of these indices."""
        import submitit  # noqa: PLC0415

        from hydra_plugins.unet_repro_launchers._jobs import run_id_of  # noqa: PLC0415
        from unet_repro.errors import ConfigError  # noqa: PLC0415
        from unet_repro.sweep.slurm_orders import write_order  # noqa: PLC0415

        missing = [program for program in ("sbatch", "srun", "squeue", "scontrol") if shutil.which(program) is None]
        if missing:
            raise ConfigError(
                f"hydra/launcher=slurm, but {missing[0]} was not found on this machine",
                hint="start the command on a machine of the cluster, or use hydra/launcher=local",
            )
        Path(str(self.config.hydra.sweep.dir)).mkdir(parents=True, exist_ok=True)
        state = Singleton.get_state()
        arguments = [
            (list(orders.overrides[index]), "hydra.sweep.dir", orders.first + index, "", state) for index in wanted
        ]
        params = self._sbatch(orders)
        folder, max_num_timeout = params.pop("submitit_folder"), params.pop("max_num_timeout")
        try:
            executor = submitit.AutoExecutor(folder=folder, cluster="slurm", slurm_max_num_timeout=max_num_timeout)
            executor.update_parameters(**{f"slurm_{name}": value for name, value in params.items()})
            jobs = list(executor.map_array(self, *zip(*arguments, strict=True)))
        except (NameError, ValueError) as error:
            raise ConfigError(
                f"submitit rejected a setting: {error}",
                hint="change hydra.launcher.*; put other sbatch options into additional_parameters",
            ) from error
        except submitit.core.utils.FailedJobError as error:
            raise ConfigError(
                f"SLURM rejected the jobs: {' '.join(str(error).split())}", hint="change hydra.launcher.*"
            ) from error
        for index, job in zip(wanted, jobs, strict=True):
            if (name := run_id_of(orders.overrides[index])) is not None:
                write_order(job.paths.folder, job_id=job.job_id, run_id=name)
        return jobs

    def _sbatch(self, orders: "Jobs") -> dict[str, Any]:
        """The submitit settings that are not null."""
        from hydra_plugins.unet_repro_launchers._jobs import thread_settings  # noqa: PLC0415

        params = {name: value for name, value in self.params.items() if value is not None}
        gpus = self.gpus_per_node
        if gpus == "auto":
            trainer = orders.config(0).trainer  # all jobs of a sweep use the same devices
            gpus = trainer.devices if trainer.accelerator == "gpu" else None
        if gpus is not None:
            params["gpus_per_node"] = gpus
        cpus = params.get("cpus_per_task")
        if cpus is not None:
            params["srun_args"] = [f"--cpus-per-task={cpus}"]  # since SLURM 22.05 srun ignores sbatch's option
            exports = [f"export {name}={number}" for name, number in thread_settings(cpus).items()]
            params["setup"] = [*exports, *params.get("setup", [])]
        return params
