"""Watches submitted SLURM jobs until each has returned or failed.

A job is over when its answer is in the shared folder, or when it is no longer in SLURM's queue and no answer has
arrived. SLURM and submitit requeue most interrupted jobs. Jobs that ended anyway (killed, preempted without requeue,
too slow to react to the time limit's warning) are requeued here.
"""

import pickle
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from typing import Any

from hydra.core.utils import JobReturn, JobStatus

from hydra_plugins.unet_repro_launchers._jobs import Jobs, run_of
from unet_repro.errors import RunError, Stopped
from unet_repro.runs.stopping import StopRequest
from unet_repro.sweep.slurm_orders import LIVE, queue_states

FINAL = {"CANCELLED", "DEADLINE", "REVOKED", "COMPLETED", "unknown"}  # intended, or unknown to SLURM: not requeued
LOOKS = 3  # an answer may appear in the shared folder some seconds after its job has ended


class Watch:
    """Waits for jobs.

    Args:
        jobs: Submitit's jobs, or others with ``job_id`` and ``paths``.
        orders: The same jobs as Hydra knows them.
        poll_s: Seconds between two polls.
        max_restarts: How often a job that ended without an answer is requeued without a new checkpoint in between.
    """

    def __init__(self, jobs: Sequence[Any], orders: Jobs, *, poll_s: float, max_restarts: int) -> None:
        self.jobs, self.orders, self.poll_s, self.max_restarts = jobs, orders, poll_s, max_restarts
        self._returns: dict[int, JobReturn] = {}
        self._missed = [0] * len(jobs)
        self._restarts = [0] * len(jobs)
        self._checkpoints: list[int | None] = [None] * len(jobs)  # at the job's latest end
        self._heard = True

    def returns(self, stop: StopRequest) -> list[JobReturn]:
        """Waits for all jobs; one return for each.

        Raises:
            KeyboardInterrupt: If Ctrl-C was received.
            Stopped: If another stop signal was received.
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
        # Before the answers: a job that ends in between is handled next time.
        states = queue_states(job.job_id for job in self.jobs)
        if (states is not None) != self._heard:
            self._heard = states is not None
            sys.stderr.write("SLURM is responding again\n" if self._heard else "SLURM is not responding; waiting\n")
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
        """What the job returned, or a failure."""
        try:
            outcome, content = pickle.loads(self.jobs[index].paths.result_pickle.read_bytes())
        except Exception as error:  # unpickling runs code of the object's class, which may raise anything
            return self._failed(index, f"left an answer that cannot be read: {error}")
        if outcome == "success":
            assert isinstance(content, JobReturn), "what Hydra's run_job returns"
            return content
        return self._failed(index, f"failed: {str(content).strip().splitlines()[-1]}")  # of a traceback

    def _settle(self, index: int, state: str) -> None:
        """Requeues a job that ended without an answer, up to ``max_restarts`` times."""
        job = self.jobs[index]
        checkpoint = run_of(self.orders.config(index)).checkpointed_at
        if checkpoint != self._checkpoints[index]:
            self._restarts[index] = 0
        self._checkpoints[index] = checkpoint
        how = f"ended as {state} without a result"
        if state not in FINAL and self._restarts[index] < self.max_restarts:
            asked = subprocess.run(["scontrol", "requeue", job.job_id], capture_output=True, text=True, check=False)
            now = (queue_states([job.job_id]) or {}).get(job.job_id)  # another command may have requeued it
            if asked.returncode == 0 or now in LIVE:
                self._restarts[index] += 1
                sys.stderr.write(f"SLURM job {job.job_id} {how}; requeued (its log: {job.paths.stderr})\n")
                return
            how += f", and SLURM refused to requeue it: {asked.stderr.strip()}"
        elif self._restarts[index]:
            how += f", {self._restarts[index] + 1} times in a row without a new checkpoint"
        self._returns[index] = self._failed(index, how)

    def _failed(self, index: int, how: str) -> JobReturn:
        """A failure, unless the run is done and only the answer was lost."""
        job, run = self.jobs[index], run_of(self.orders.config(index))
        overrides = list(self.orders.overrides[index])
        if (result := run.result()) is not None:
            return JobReturn(overrides=overrides, status=JobStatus.COMPLETED, _return_value=result)
        error = RunError(f"SLURM job {job.job_id} {how}", hint=f"see {job.paths.stderr}; the same command retries it")
        if run.path.is_dir() and not run.running:
            run.fail(f"{type(error).__name__}: {error}")
        return JobReturn(overrides=overrides, status=JobStatus.FAILED, _return_value=error)


def _answered(job: Any) -> bool:
    # Listing the folder makes a network file system query the server; checking one file may return a cached answer.
    answer = job.paths.result_pickle
    try:
        return answer in list(answer.parent.iterdir())
    except OSError:
        return False
