"""Submitted SLURM jobs, looked after until each has come to something.

A job is over when its answer lies in the shared folder, or when SLURM's queue has ended or forgotten it and no answer
has come. SLURM and submitit requeue most of what they end; what ended all the same (killed, preempted without requeue,
too slow for the time limit's warning) is requeued from here.
"""

import pickle
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from typing import Any

from hydra.core.utils import JobReturn, JobStatus

from hydra_plugins.unet_repro_launchers._local_jobs import Jobs, run_of
from unet_repro.errors import RunError, Stopped
from unet_repro.runs.stopping import StopRequest

# States of a job that SLURM has yet to work with; all others are ends.
LIVE = {
    "PENDING", "RUNNING", "CONFIGURING", "COMPLETING", "REQUEUED", "REQUEUE_HOLD", "REQUEUE_FED", "SUSPENDED",
    "RESIZING", "SIGNALING", "STAGE_OUT", "STOPPED", "SPECIAL_EXIT", "RESV_DEL_HOLD",
}  # fmt: skip
FINAL = {"CANCELLED", "DEADLINE", "REVOKED", "COMPLETED", "unknown"}  # by will, or SLURM has forgotten it: no requeue
LOOKS = 3  # a shared folder may show an answer some seconds after its job has ended


class Watch:
    """Waits for jobs.

    Args:
        jobs: Submitit's, all of one array.
        orders: The same, as Hydra knows them.
        poll_s: Seconds between two looks.
        max_restarts: How often a job that ended without an answer is requeued without a new checkpoint in between.
    """

    def __init__(self, jobs: Sequence[Any], orders: Jobs, *, poll_s: float, max_restarts: int) -> None:
        self.jobs, self.orders, self.poll_s, self.max_restarts = jobs, orders, poll_s, max_restarts
        self._array = jobs[0].job_id.partition("_")[0]
        self._returns: dict[int, JobReturn] = {}
        self._missed = [0] * len(jobs)
        self._restarts = [0] * len(jobs)
        self._checkpoints: list[int | None] = [None] * len(jobs)  # at the job's latest end
        self._heard = True

    def returns(self, stop: StopRequest) -> list[JobReturn]:
        """One for each job.

        Raises:
            KeyboardInterrupt: If Ctrl-C is noted.
            Stopped: If another signal is.
        """
        while True:
            self._look()
            if len(self._returns) == len(self.jobs):
                return [self._returns[index] for index in range(len(self.jobs))]
            deadline = time.monotonic() + self.poll_s
            while time.monotonic() < deadline:
                if stop.asked is not None:
                    raise KeyboardInterrupt if stop.asked == signal.SIGINT else Stopped(stop.asked)
                time.sleep(min(0.2, self.poll_s))

    def _look(self) -> None:
        states = queue_states(self._array)  # before the answers: a job that ends in between is seen next time
        if (states is not None) != self._heard:
            self._heard = states is not None
            sys.stderr.write("SLURM answers again\n" if self._heard else "SLURM does not answer; waiting\n")
        for index, job in enumerate(self.jobs):
            if index in self._returns:
                continue
            state = "unknown" if states is None else states.get(job.job_id, "unknown")
            if _answered(job):
                self._returns[index] = self._answer(index)
            elif states is None or state in LIVE:
                self._missed[index] = 0
            else:
                self._missed[index] += 1
                if self._missed[index] == LOOKS:
                    self._missed[index] = 0
                    self._settle(index, state)

    def _answer(self, index: int) -> JobReturn:
        """What the job returned, or why that is nothing."""
        try:
            outcome, content = pickle.loads(self.jobs[index].paths.result_pickle.read_bytes())
        except Exception as error:  # unpickling runs code of the object's class: anything may come
            return self._failed(index, f"left an answer that cannot be read: {error}")
        if outcome == "success":
            assert isinstance(content, JobReturn), "what Hydra's run_job returns"
            return content
        return self._failed(index, f"failed: {str(content).strip().splitlines()[-1]}")  # of a traceback

    def _settle(self, index: int, state: str) -> None:
        """Requeues a job that ended without an answer, unless that does not help."""
        job = self.jobs[index]
        checkpoint = self._checkpoint(index)
        if checkpoint != self._checkpoints[index]:
            self._restarts[index] = 0
        self._checkpoints[index] = checkpoint
        how = f"ended as {state} without a result"
        if state not in FINAL and self._restarts[index] < self.max_restarts:
            asked = subprocess.run(["scontrol", "requeue", job.job_id], capture_output=True, text=True, check=False)
            if asked.returncode == 0:
                self._restarts[index] += 1
                sys.stderr.write(f"SLURM job {job.job_id} {how}; requeued (its log: {job.paths.stderr})\n")
                return
            how += f", and SLURM does not requeue it: {asked.stderr.strip()}"
        elif self._restarts[index]:
            how += f", {self._restarts[index] + 1} times in a row without a new checkpoint"
        self._returns[index] = self._failed(index, how)

    def _failed(self, index: int, how: str) -> JobReturn:
        """A failure; unless the run is done, and only the answer is lost."""
        job, run = self.jobs[index], run_of(self.orders.config(index))
        overrides = list(self.orders.overrides[index])
        if (result := run.result()) is not None:
            return JobReturn(overrides=overrides, status=JobStatus.COMPLETED, _return_value=result)
        error = RunError(f"SLURM job {job.job_id} {how}", hint=f"see {job.paths.stderr}; the same command tries again")
        if run.path.is_dir() and not run.running:
            run.fail(f"{type(error).__name__}: {error}")
        return JobReturn(overrides=overrides, status=JobStatus.FAILED, _return_value=error)

    def _checkpoint(self, index: int) -> int | None:
        """When the run's last checkpoint was written, in ns; ``None`` if there is none."""
        try:
            return run_of(self.orders.config(index)).last.stat().st_mtime_ns
        except OSError:
            return None


def _answered(job: Any) -> bool:
    # Listing the folder makes a network file system look at the server; asking for a file may be told an old answer.
    answer = job.paths.result_pickle
    try:
        return answer in list(answer.parent.iterdir())
    except OSError:
        return False


def queue_states(array: str) -> dict[str, str] | None:
    """States of an array's jobs.

    Args:
        array: Number of the array, or of a single job.

    Returns:
        The state by ``<array>_<index>``, or by the number; jobs that ended some minutes ago are forgotten. ``None``
        while SLURM does not answer.
    """
    command = ["squeue", "--noheader", "--array", "--states=all", "--format=%i|%T", f"--jobs={array}"]
    try:
        asked = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    except subprocess.TimeoutExpired:
        return None
    if asked.returncode:
        return {} if "Invalid job id" in asked.stderr else None
    return dict(line.strip().split("|") for line in asked.stdout.splitlines() if "|" in line)
