"""A pool of job processes: starts them, collects their answers, restarts dead ones, and stops them with the sweep."""

import multiprocessing
import pickle
import signal
import sys
import time
from collections import deque
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path

from hydra.core.utils import JobReturn, JobStatus
from omegaconf import DictConfig

from hydra_plugins.unet_repro_launchers._jobs import Jobs, run_of, thread_settings
from hydra_plugins.unet_repro_launchers._local_process import started
from hydra_plugins.unet_repro_launchers._local_worker import order, work
from unet_repro.errors import RunError, Stopped
from unet_repro.runs.stopping import StopRequest

POLL_S = 0.5  # upper bound on the delay before a signal to the sweep is handled


@dataclass
class _Attempt:
    index: int
    config: DictConfig
    slot: str | None
    process: BaseProcess
    checkpoint: int | None  # ``checkpointed_at`` of the run when the attempt started
    answer: bytes | None = None
    answered: float = 0.0


class Pool:
    """Runs all jobs, as many at once as there are slots.

    Args:
        jobs: The jobs.
        slots: ``CUDA_VISIBLE_DEVICES`` of each slot, or ``None``.
        threads: Threads of each process, unless its job sets a number.
        max_restarts: How often a job whose process dies is restarted without a new checkpoint in between.
        grace_s: Seconds that a process may take to end after a signal, or after its job is done.
    """

    def __init__(
        self, jobs: Jobs, slots: list[str | None], *, threads: int | None, max_restarts: int, grace_s: float
    ) -> None:
        self.jobs, self.max_restarts, self.grace_s = jobs, max_restarts, grace_s
        self._free = slots
        self._threads = thread_settings(threads)
        self._waiting = deque(range(len(jobs)))
        self._working: dict[Connection, _Attempt] = {}
        self._restarts = [0] * len(jobs)
        self._returns: dict[int, JobReturn] = {}

    def run(self) -> list[JobReturn]:
        """Runs until every job has returned.

        Raises:
            KeyboardInterrupt: After Ctrl-C, once all processes have ended.
            Stopped: After another stop signal, once all processes have ended.
        """
        with StopRequest() as stop:
            try:
                while self._waiting or self._working:
                    while self._waiting and self._free:
                        self._start(self._waiting.popleft(), self._free.pop(0))
                    for attempt in self._hear():
                        self._settle(attempt)
                    if stop.asked is not None:
                        raise KeyboardInterrupt if stop.asked == signal.SIGINT else Stopped(stop.asked)
            finally:
                self._end()
        return [self._returns[index] for index in range(len(self.jobs))]

    def _start(self, index: int, slot: str | None) -> None:
        config = self.jobs.config(index)
        environment = {**self._threads, **({} if slot is None else {"CUDA_VISIBLE_DEVICES": slot})}
        ordered = order(self.jobs.call(config), environment=environment, log=_log(config), grace_s=self.grace_s)
        checkpoint = run_of(config).checkpointed_at
        reader, writer = multiprocessing.Pipe(duplex=False)
        process = started(work, (ordered, writer), name=str(config.hydra.job.name), environment=self._threads)
        writer.close()  # the process has its own; when that closes, it has ended
        self._working[reader] = _Attempt(index, config, slot, process, checkpoint)

    def _hear(self) -> list[_Attempt]:
        """Receives answers, waiting up to ``POLL_S`` for one; returns the attempts whose process has ended."""
        ended = []
        for connection in wait(list(self._working), POLL_S):
            assert isinstance(connection, Connection)
            attempt = self._working[connection]
            try:
                attempt.answer = connection.recv_bytes()
                attempt.answered = time.monotonic()
            except (EOFError, OSError):
                del self._working[connection]
                connection.close()
                attempt.process.join()
                self._free.append(attempt.slot)
                ended.append(attempt)
        for attempt in self._working.values():
            if attempt.answer is not None and time.monotonic() - attempt.answered > self.grace_s:
                attempt.process.kill()  # its job is done, but the process hangs on exit
        return ended

    def _settle(self, attempt: _Attempt) -> None:
        """Stores the answer; restarts a job whose process died, up to ``max_restarts`` times."""
        index = attempt.index
        if attempt.answer is not None:
            self._returns[index] = pickle.loads(attempt.answer)
            return
        if run_of(attempt.config).checkpointed_at != attempt.checkpoint:
            self._restarts[index] = 0
        death = f"the worker process of {run_of(attempt.config).path} {_how(attempt.process.exitcode)}"
        if self._restarts[index] < self.max_restarts:
            self._restarts[index] += 1
            self._waiting.appendleft(index)
            sys.stderr.write(f"{death}; restarting it\n")
            return
        deaths = self._restarts[index] + 1
        error = RunError(
            death + (f", {deaths} times in a row without a new checkpoint" if deaths > 1 else ""),
            hint="if memory ran out, use fewer hydra.launcher.jobs or a smaller tiles.budget; "
            f"see {_log(attempt.config)} for details; the same command retries the run",
        )
        run_of(attempt.config).fail(f"{type(error).__name__}: {error}")
        overrides = list(self.jobs.overrides[index])
        self._returns[index] = JobReturn(overrides=overrides, status=JobStatus.FAILED, _return_value=error)

    def _end(self) -> None:
        """Terminates running jobs, waits for their checkpoints, then kills them. A second Ctrl-C skips the wait."""
        for attempt in self._working.values():
            attempt.process.terminate()
        deadline = time.monotonic() + self.grace_s
        try:
            while self._working and time.monotonic() < deadline:
                self._hear()
        finally:
            for attempt in self._working.values():
                attempt.process.kill()
                attempt.process.join()


def _log(config: DictConfig) -> Path:
    """The file that a job's output goes to."""
    return Path(str(config.hydra.launcher.log))


def _how(exitcode: int | None) -> str:
    """Describes how a process ended.

    >>> _how(-9), _how(-11), _how(3)
    ('was killed by SIGKILL (out of memory?)', 'was killed by SIGSEGV', 'ended with status 3')
    """
    if exitcode is None or exitcode >= 0:
        return f"ended with status {exitcode}"
    name = signal.Signals(-exitcode).name
    return f"was killed by {name}" + (" (out of memory?)" if name == "SIGKILL" else "")
