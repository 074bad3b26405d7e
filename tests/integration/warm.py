"""Runs the command line many times, and imports its libraries once: each command is a fork of one warm process.

Run as a program, it reads requests from its standard input: JSON lines of ``arguments``, ``cwd``, ``environment``,
``stdout`` and ``stderr`` (paths). It answers each with two lines: the process id, and the exit status.
"""

import atexit
import json
import os
import runpy
import subprocess
import sys
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

LIMIT_S = 300
# The slow ones that commands import anyway. Not W&B: it makes its temporary folders when it is imported.
PRELOADED = ("hydra", "torch", "lightning.pytorch", "torchmetrics", "skimage.measure", "unet_repro.training.fit")


class WarmProcess:
    """One process with the libraries, which forks for each command."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._server = subprocess.Popen(
            [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        atexit.register(self._close)

    def run(self, arguments: Sequence[str], cwd: Path, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
        """Runs ``unet-repro`` with these arguments; its output is captured as text."""
        assert self._server.stdin
        assert self._server.stdout
        with self._lock, tempfile.TemporaryDirectory() as folder:
            out, err = Path(folder, "out"), Path(folder, "err")
            request = {
                "arguments": list(arguments),
                "cwd": str(cwd),
                "environment": environment,
                "stdout": str(out),
                "stderr": str(err),
            }
            self._server.stdin.write(json.dumps(request) + "\n")
            self._server.stdin.flush()
            pid = int(self._server.stdout.readline())
            limit = threading.Timer(LIMIT_S, os.kill, (pid, 9))
            limit.start()
            status = int(self._server.stdout.readline())
            limit.cancel()
            return subprocess.CompletedProcess(list(arguments), status, out.read_text(), err.read_text())

    def _close(self) -> None:
        assert self._server.stdin
        assert self._server.stdout
        self._server.stdin.close()
        self._server.wait()
        self._server.stdout.close()


def _serve() -> dict[str, Any] | None:
    """Answers requests until there are no more; in a fork, returns its request."""
    for line in sys.stdin:
        pid = os.fork()
        if not pid:
            return json.loads(line)
        print(pid, flush=True)
        _, status = os.waitpid(pid, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)
    return None


def _become(request: dict[str, Any]) -> None:
    """Turns this process into one that has just been started with the requested arguments."""
    for descriptor, path in ((0, os.devnull), (1, request["stdout"]), (2, request["stderr"])):
        opened = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        os.dup2(opened, descriptor)
        os.close(opened)
    os.environ.clear()
    os.environ.update(request["environment"])
    os.chdir(request["cwd"])
    sys.argv = ["unet-repro", *request["arguments"]]
    sys.path[0] = request["cwd"]


if __name__ == "__main__":
    import unet_repro  # noqa: F401  # before torch: it makes waiting threads sleep

    for name in PRELOADED:
        __import__(name)
    wanted = _serve()
    if wanted is not None:
        _become(wanted)
        runpy.run_module("unet_repro", run_name="__main__", alter_sys=True)
