"""Hydra's launcher for SLURM: one array of jobs, through submitit; waits for each, loses none to another's failure.

hydra-submitit-launcher writes and submits the jobs. What is ours is the waiting: upstream's raises at the first job
that has no result, and asks ``sacct``, which a cluster without accounting does not answer. Here a job is over when its
result lies in the shared folder, or when SLURM's own queue no longer knows it and no result has come.
"""

import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hydra.core.utils import JobReturn, JobStatus
from hydra_plugins.hydra_submitit_launcher.submitit_launcher import SlurmLauncher as SubmititLauncher

# States of a job that SLURM still has work with; all others are ends.
_LIVE = {
    "PENDING", "RUNNING", "CONFIGURING", "COMPLETING", "REQUEUED", "REQUEUE_HOLD", "REQUEUE_FED", "SUSPENDED",
    "RESIZING", "SIGNALING", "STAGE_OUT", "STOPPED", "PREEMPTED", "SPECIAL_EXIT", "RESV_DEL_HOLD",
}  # fmt: skip
MISSING_POLLS = 3  # a shared folder may show a result some seconds after its job has left the queue


class SlurmLauncher(SubmititLauncher):  # type: ignore[misc]  # the plugin has no types
    """Submits the jobs, waits, and returns what each came to.

    Args:
        poll_s: Seconds between two looks at queue and results.
        params: See ``conf/hydra/launcher/slurm.yaml``.
    """

    def __init__(self, *, poll_s: float, **params: Any) -> None:
        super().__init__(**params)
        self.poll_s = poll_s

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Runs the jobs; one that fails does not stop the others.

        Args:
            job_overrides: Of each job.
            initial_job_idx: Number of the first.

        Returns:
            One return for each job, in their order.

        Raises:
            ConfigError: If there is no SLURM here, or it refuses the jobs.
            KeyboardInterrupt: After Ctrl-C, with the jobs cancelled.
            Stopped: After another signal that asks to stop, likewise.
        """
        # Here, not above: Hydra imports every plugin at every start.
        from unet_repro.errors import Stopped  # noqa: PLC0415
        from unet_repro.runs.stopping import StopRequest  # noqa: PLC0415

        if not job_overrides:
            return []
        jobs = self._submit(job_overrides, initial_job_idx)
        array = jobs[0].job_id.split("_")[0]
        sys.stderr.write(f"{len(jobs)} SLURM jobs submitted: {array}; `squeue -j {array}` shows them\n")
        with StopRequest() as stop:
            returns = self._wait(jobs, list(map(list, job_overrides)), stop)
            if stop.asked is not None:
                subprocess.run(["scancel", array], check=False)
                sys.stderr.write(f"SLURM jobs {array} cancelled; each writes a checkpoint first\n")
                raise KeyboardInterrupt if stop.asked == signal.SIGINT else Stopped(stop.asked)
        return returns

    def _submit(self, job_overrides: Sequence[Sequence[str]], first: int) -> list[Any]:
        """The submitted jobs.

        Raises:
            ConfigError: If there is no SLURM here, or it refuses.
        """
        import submitit  # noqa: PLC0415
        from hydra.core.singleton import Singleton  # noqa: PLC0415

        from unet_repro.errors import ConfigError  # noqa: PLC0415

        assert self.config is not None, "setup comes first"
        params = {key: value for key, value in self.params.items() if value is not None}
        folder = Path(params.pop("submitit_folder"))
        try:
            executor = submitit.SlurmExecutor(folder=folder, max_num_timeout=params.pop("max_num_timeout"))
            executor.update_parameters(**executor._convert_parameters(params))
            Path(str(self.config.hydra.sweep.dir)).mkdir(parents=True, exist_ok=True)
            state = Singleton.get_state()
            orders = [
                (list(overrides), "hydra.sweep.dir", first + index, f"job_id_for_{first + index}", state)
                for index, overrides in enumerate(job_overrides)
            ]
            return list(executor.map_array(self, *zip(*orders, strict=True)))
        except (submitit.core.utils.FailedJobError, subprocess.CalledProcessError, ValueError) as error:
            told = getattr(error, "stderr", None) or str(error)
            raise ConfigError(
                f"SLURM refuses the jobs: {' '.join(str(told).split())}", mend="change hydra.launcher.*"
            ) from error
        except (RuntimeError, FileNotFoundError) as error:
            raise ConfigError(
                f"there is no SLURM here: {error}", mend="start it where sbatch is, or use hydra/launcher=local"
            ) from error

    def _wait(self, jobs: list[Any], overrides: list[list[str]], stop: Any) -> list[JobReturn]:
        """What the jobs came to; returns early when asked to stop."""
        returns: dict[int, JobReturn] = {}
        missed = [0] * len(jobs)
        while len(returns) < len(jobs) and stop.asked is None:
            states = queue_states(jobs[0].job_id.split("_")[0])
            for index, job in enumerate(jobs):
                if index in returns:
                    continue
                if job.paths.result_pickle.exists():
                    returns[index] = _returned(job, overrides[index])
                elif states is not None and states.get(job.job_id) not in _LIVE:
                    missed[index] += 1
                    if missed[index] >= MISSING_POLLS:
                        ended = f"ended as {states.get(job.job_id, 'unknown to SLURM')} without a result"
                        returns[index] = _failed(job, overrides[index], ended)
                else:
                    missed[index] = 0
            if len(returns) < len(jobs) and stop.asked is None:
                time.sleep(self.poll_s)
        return [returns[index] for index in range(len(jobs)) if index in returns]


def queue_states(array: str) -> dict[str, str] | None:
    """States of an array's jobs by ``<array>_<index>``; ``None`` while SLURM does not answer."""
    asked = subprocess.run(
        ["squeue", "--noheader", "--array", "--states=all", "--format=%i|%T", f"--jobs={array}"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if asked.returncode and "Invalid job id" in asked.stderr:
        return {}  # it has forgotten them: they ended some time ago
    if asked.returncode:
        return None
    pairs = (line.strip().split("|") for line in asked.stdout.splitlines() if "|" in line)
    return {job: state.split()[0] for job, state in pairs}


def _returned(job: Any, overrides: list[str]) -> JobReturn:
    try:
        (returned,) = job.results()
    except Exception as error:  # whatever the job left, or an unreadable file
        return _failed(job, overrides, f"left no result: {error}")
    assert isinstance(returned, JobReturn), "what hydra's run_job returns"
    return returned


def _failed(job: Any, overrides: list[str], how: str) -> JobReturn:
    from unet_repro.errors import RunError  # noqa: PLC0415

    error = RunError(f"SLURM job {job.job_id} {how}", mend=f"see {job.paths.stderr}; the same command tries again")
    return JobReturn(overrides=overrides, status=JobStatus.FAILED, _return_value=error)
