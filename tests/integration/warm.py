"""Runs the command line many times, and imports its libraries once: each command is a fork of one warm process.

As a program it answers JSON lines on its standard input. ``{"program", "arguments", "cwd", "environment", "stdout",
"stderr"}`` starts a command, and its process id is printed; ``{"ended": pid}`` prints its exit status, or ``null``.
"""

import atexit
import json
import os
import runpy
import select
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

# The slow ones that commands import anyway. Not W&B: it makes its temporary folders when it is imported.
PRELOADED = ("hydra", "torch", "lightning.pytorch", "torchmetrics", "skimage.measure", "unet_repro.training.fit")


class Started:
    """A command at work, like a ``subprocess.Popen``."""

    def __init__(self, server: "WarmProcess", pid: int) -> None:
        self.pid, self.returncode = pid, None
        self._server, self._end = server, os.pidfd_open(pid)

    def poll(self) -> int | None:
        """The exit status, or ``None`` if it has not ended."""
        if self.returncode is None:
            self.returncode = self._server.ask({"ended": self.pid})
            if self.returncode is not None:
                os.close(self._end)
        return self.returncode

    def wait(self, timeout: float = 300) -> int:
        """The exit status; after ``timeout`` seconds the command is killed."""
        if self.poll() is None:
            events = select.poll()
            events.register(self._end, select.POLLIN)
            if not events.poll(timeout * 1000):
                os.kill(self.pid, signal.SIGKILL)
                events.poll()
        while (status := self.poll()) is None:
            pass
        return status


class WarmProcess:
    """One process with the libraries, which forks for each command."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._server = subprocess.Popen(
            [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        atexit.register(self._close)

    def ask(self, request: dict[str, Any]) -> Any:
        """The server's answer to a request."""
        assert self._server.stdin
        assert self._server.stdout
        with self._lock:
            self._server.stdin.write(json.dumps(request) + "\n")
            self._server.stdin.flush()
            return json.loads(self._server.stdout.readline())

    def start(
        self,
        arguments: Sequence[str],
        cwd: Path,
        *,
        environment: dict[str, str] | None = None,
        program: str | None = None,
        stdout: str = os.devnull,
        stderr: str = os.devnull,
    ) -> Started:
        """Starts ``unet-repro`` with these arguments, or another program's text; output goes to files."""
        request = {
            "program": program,
            "arguments": list(arguments),
            "cwd": str(cwd),
            "environment": environment or dict(os.environ),
            "stdout": stdout,
            "stderr": stderr,
        }
        return Started(self, self.ask(request))

    def run(self, arguments: Sequence[str], cwd: Path, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
        """Runs ``unet-repro`` with these arguments to its end; its output is captured as text."""
        with tempfile.TemporaryDirectory() as folder:
            out, err = Path(folder, "out"), Path(folder, "err")
            started = self.start(arguments, cwd, environment=environment, stdout=str(out), stderr=str(err))
            return subprocess.CompletedProcess(list(arguments), started.wait(), out.read_text(), err.read_text())

    def _close(self) -> None:
        assert self._server.stdin
        assert self._server.stdout
        self._server.stdin.close()
        self._server.wait()
        self._server.stdout.close()


def _serve() -> dict[str, Any] | None:
    """Answers requests until there are no more; in a fork, returns what it is to run."""
    for line in sys.stdin:
        request = json.loads(line)
        if "ended" in request:
            pid, status = os.waitpid(request["ended"], os.WNOHANG)
            print(json.dumps(os.waitstatus_to_exitcode(status) if pid else None), flush=True)
            continue
        pid = os.fork()
        if not pid:
            return request
        print(pid, flush=True)
    return None


def _become(request: dict[str, Any]) -> None:
    """Turns this process into one that has just been started as requested."""
    for descriptor, path in ((0, os.devnull), (1, request["stdout"]), (2, request["stderr"])):
        opened = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        os.dup2(opened, descriptor)
        os.close(opened)
    os.environ.clear()
    os.environ.update(request["environment"])
    os.chdir(request["cwd"])
    sys.argv = ["unet-repro", *request["arguments"]]
    own = request["environment"].get("PYTHONPATH", "")
    sys.path[:1] = [request["cwd"], *own.split(os.pathsep)] if own else [request["cwd"]]


if __name__ == "__main__":
    from unet_repro.imports import import_uncollected  # also makes waiting threads sleep, which must be before torch

    for name in PRELOADED:
        import_uncollected(name)
    wanted = _serve()
    if wanted is not None:
        _become(wanted)
        if wanted["program"]:
            exec(wanted["program"])
        else:
            runpy.run_module("unet_repro", run_name="__main__", alter_sys=True)
