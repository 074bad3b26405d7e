"""The process of one job."""

import contextlib
import faulthandler
import io
import multiprocessing
import os
import pickle
import signal
import socket
import sys
import threading
import time
import traceback
from dataclasses import dataclass
from datetime import datetime
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

import cloudpickle  # type: ignore[import-untyped]
from hydra.core.singleton import Singleton
from hydra.core.utils import JobReturn, JobStatus, run_job, setup_globals

from unet_repro.errors import Stopped
from unet_repro.files import writing


@dataclass(frozen=True)
class Order:
    """What a process receives.

    Attributes:
        job: Pickled with cloudpickle: task function, Hydra's context and singletons, the job's configuration.
        cwd: The launcher's working directory.
        environment: The complete environment; a fork server would pass on that of its own start.
        start_method: Start method of its children, as in the launcher's process: a fork server's child would use
            another server, whose loader processes do not notice that this one was killed.
        log: File for all output.
        grace_s: Seconds for a last checkpoint if the launcher dies.
    """

    job: bytes
    cwd: str
    environment: dict[str, str]
    start_method: str
    log: Path
    grace_s: float


def work(order: Order, answer: Connection) -> None:
    """Runs the job and sends its return; if a signal stopped it, ends by that signal."""
    os.chdir(order.cwd)
    os.environ.clear()
    os.environ.update(order.environment)
    multiprocessing.set_start_method(order.start_method, force=True)
    threading.Thread(target=_end_with_launcher, args=(order.grace_s,), daemon=True).start()
    try:
        _print_to(order.log)
        returned = _run(order.job)
    except (Stopped, KeyboardInterrupt) as stopped:
        signum = stopped.signum if isinstance(stopped, Stopped) else signal.SIGINT
        signal.signal(signum, signal.SIG_DFL)
        signal.raise_signal(signum)
    except SystemExit as left:
        returned = _failed(RuntimeError(f"the job ended its process with {left.code!r}"))
    except Exception as error:
        returned = _failed(error)
    if returned.status != JobStatus.COMPLETED:
        traceback.print_exception(returned._return_value)
    answer.send_bytes(packed(returned))


def packed(returned: JobReturn) -> bytes:
    """Pickles a return; an error that cannot be pickled becomes a ``RuntimeError`` with its text."""
    try:
        content: bytes = cloudpickle.dumps(returned)
        pickle.loads(content)
    except Exception:  # pickling runs code of the object's class, which may raise anything
        value = returned._return_value
        text = f"{type(value).__name__}: {value}" if isinstance(value, Exception) else f"cannot pickle {value!r}"
        return bytes(cloudpickle.dumps(_failed(RuntimeError(text))))
    return content


def _run(job: bytes) -> JobReturn:
    function, context, singletons, config = pickle.loads(job)
    setup_globals()
    Singleton.set_state(singletons)
    return run_job(
        hydra_context=context,
        config=config,
        task_function=function,
        job_dir_key="hydra.sweep.dir",
        job_subdir_key="hydra.sweep.subdir",
    )


def _failed(error: Exception) -> JobReturn:
    return JobReturn(status=JobStatus.FAILED, _return_value=error)


def _print_to(log: Path) -> None:
    """Appends all output of this process, including that of native code, to a file."""
    with writing(log, hint="choose another hydra.launcher.log"):
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as file:
            os.dup2(file.fileno(), 1)
            os.dup2(file.fileno(), 2)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(line_buffering=True)  # a killed process loses no line
    faulthandler.enable()
    devices = os.environ.get("CUDA_VISIBLE_DEVICES")
    process = f"process {os.getpid()} on {socket.gethostname()}" + (f", GPU {devices}" if devices else "")
    print(f"--- {datetime.now().astimezone():%Y-%m-%d %H:%M:%S %z}, {process}")


def _end_with_launcher(grace_s: float) -> None:
    """Stops this process when the launcher's process has ended for any reason: nobody waits for the result any more.

    The kernel's parent-death signal does not help: the parent is the fork server, which outlives the launcher.
    """
    launcher = multiprocessing.parent_process()
    assert launcher is not None, "runs in a process that multiprocessing made"
    wait([launcher.sentinel])
    with contextlib.suppress(OSError):
        os.write(2, b"the sweep's process has ended: stopping\n")
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(grace_s)
    os._exit(1)


def order(job: tuple[Any, ...], *, environment: dict[str, str], log: Path, grace_s: float) -> Order:
    """An order for a process with this process's working directory and environment."""
    return Order(
        job=cloudpickle.dumps(job),
        cwd=str(Path.cwd()),
        environment={**os.environ, **environment},
        start_method=multiprocessing.get_start_method(),
        log=log,
        grace_s=grace_s,
    )
