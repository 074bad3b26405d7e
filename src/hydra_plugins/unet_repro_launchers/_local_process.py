"""Processes that start in milliseconds: forked from a server with all modules already imported."""

import contextlib
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from multiprocessing import forkserver
from multiprocessing.process import BaseProcess
from typing import Any

# Not on macOS: its system libraries are not fork-safe once they are loaded.
FORKS = sys.platform == "linux"
PRELOAD = ["hydra_plugins.unet_repro_launchers._preload"]


def started(
    work: Callable[..., None], arguments: tuple[Any, ...], *, name: str, environment: dict[str, str]
) -> BaseProcess:
    """Starts a process.

    Args:
        work: A module-level function.
        arguments: Its arguments; they must be picklable.
        name: Name of the process.
        environment: Variables that libraries read on loading; they have no effect on a fork server already running.
    """
    # Not daemonic: it has children (loaders, further devices). It watches this process and ends with it.
    process: BaseProcess
    with _environment(environment):
        if not FORKS:
            process = multiprocessing.get_context("spawn").Process(target=work, args=arguments, name=name)
        else:
            _ensure_server()
            process = multiprocessing.get_context("forkserver").Process(target=work, args=arguments, name=name)
        process.start()
    return process


def _ensure_server() -> None:
    """Starts the fork server, or restarts it if it has died.

    The server and its children ignore Ctrl-C, which a terminal sends to all processes: the launcher stops them.
    """
    forkserver.set_forkserver_preload(PRELOAD)
    if threading.current_thread() is not threading.main_thread():
        forkserver.ensure_running()
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        forkserver.ensure_running()
    finally:
        signal.signal(signal.SIGINT, before)


@contextlib.contextmanager
def _environment(variables: dict[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
