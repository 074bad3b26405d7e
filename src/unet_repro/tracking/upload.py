"""Uploads offline runs with W&B's client, in a separate process, and checks what has arrived.

The client always exits with status 0, and marks a run as synced even if the server rejected its rows or images. Neither
its console nor the response of its sync service (``ServerSyncResponse``) reports a rejected image. Only its log does, a
file of JSON lines below ``WANDB_DIR``. So the log is parsed, and a mark counts only if there is no error.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unet_repro.errors import UserError
from unet_repro.tracking.wandb_run import check_credentials, send_no_statistics

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

POLL_S = 0.2
# By default the client retries for many minutes per run if the server does not respond.
_RETRIES = {f"WANDB__{what}_RETRY_MAX": "4" for what in ("GRAPHQL", "FILE_STREAM", "FILE_TRANSFER")}
_URL = re.compile(r"View run .* at (\S+)/runs/\S+")


def has_arrived(path: Path) -> bool:
    """Whether a .wandb file was uploaded completely."""
    return _mark(path).exists() and not _doubt(path).exists()


def _mark(path: Path) -> Path:
    """The file with which W&B's client marks a .wandb file as uploaded."""
    return path.with_name(path.name + ".synced")


def _doubt(path: Path) -> Path:
    """A marker that exists from before a file's upload until its mark is checked, in case this process is killed."""
    return path.with_name(path.name + ".unchecked")


def check_server() -> str:
    """Checks once that the server accepts this machine's credentials, and returns its address.

    Raises:
        UserError: If there is no API key, no response within some seconds, or the key is rejected.
    """
    send_no_statistics()
    import wandb  # noqa: PLC0415  (slow)

    wanted = wandb.Settings(mode="online", silent=True, x_graphql_retry_max=1)  # retries are for later
    settings = wandb.setup(settings=wanted).settings
    check_credentials(settings, otherwise="use `wandb leet` or `unet-repro report`, which need no account")
    address = str(settings.base_url)
    try:
        wandb.login(verify=True)
    except (wandb.errors.Error, TimeoutError) as error:
        raise UserError(
            f"W&B login was rejected: {_one_line(str(error)).replace('<no message>', 'no response')}",
            hint=f"check the network, WANDB_BASE_URL ({address}) and `wandb login --verify`; nothing was uploaded",
        ) from error
    return address


class Upload:
    """The upload of a batch of .wandb files.

    Args:
        paths: The files; their marks, if any, are removed first.
        address: The server.
        entity: User or team to upload to; ``None`` for the user's default.
        on_done: Called with the number of files that have arrived so far.
    """

    def __init__(
        self, paths: Sequence[Path], *, address: str, entity: str | None, on_done: Callable[[int], object]
    ) -> None:
        self.paths = [path.resolve() for path in paths]
        self.address, self.entity, self.on_done = address, entity, on_done
        self.project_url: str | None = None

    def run(self) -> dict[Path, str]:
        """Uploads the files and waits for the end.

        Returns:
            Resolved paths of the files that did not arrive, with the reason.
        """
        for path in self.paths:
            _doubt(path).touch()
            _mark(path).unlink(missing_ok=True)
        team = ["--entity", self.entity] if self.entity else []
        with tempfile.TemporaryDirectory(prefix="unet-repro-wandb-") as folder:
            logs, console = Path(folder), Path(folder) / "console.txt"
            with console.open("wb") as output:
                client = subprocess.Popen(
                    [sys.executable, "-m", "wandb", "sync", *team, *map(str, self.paths)],
                    env=self._environment(logs),
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                )
                try:
                    while client.poll() is None:
                        with contextlib.suppress(subprocess.TimeoutExpired):
                            client.wait(POLL_S)
                        self.on_done(len(self.paths) - len(self._missing(logs)))
                finally:
                    client.terminate()
                    client.wait()
                    missing = self._missing(logs)
                    for path in set(self.paths) - set(missing):
                        _doubt(path).unlink()
            said = console.read_text(errors="replace")
        if found := _URL.search(said):
            self.project_url = found[1]
        if any(not reason for reason in missing.values()):
            last = [line.removeprefix("wandb: ") for line in said.splitlines() if "ERROR" in line][-1:]
            unknown = f"W&B's client did not finish it{': ' if last else ''}{''.join(last)}"
            missing = {path: reason or unknown for path, reason in missing.items()}
        self.on_done(len(self.paths) - len(missing))
        return missing

    def _missing(self, logs: Path) -> dict[Path, str]:
        """Files that have not arrived yet, with the reason if known; removes wrong marks."""
        # First the marks, then the log: the client logs an error before it marks the run.
        missing = {path: "" for path in self.paths if not _mark(path).exists()}
        for path, reason in _errors(logs):
            if path in self.paths:
                _mark(path).unlink(missing_ok=True)
                missing[path] = missing.get(path) or reason
        return missing

    def _environment(self, logs: Path) -> dict[str, str]:
        # Without variables that would disable the upload or attach it to another run's process.
        send_no_statistics()
        kept = {key: value for key, value in os.environ.items() if key not in ("WANDB_MODE", "WANDB_SERVICE")}
        return {**_RETRIES, **kept, "WANDB_DIR": str(logs), "WANDB_BASE_URL": self.address}


def _errors(logs: Path) -> Iterator[tuple[Path, str]]:
    """Files with errors in the client's log, and the errors."""
    for log in sorted(logs.glob("wandb/logs/debug-sync*.log")):
        for line in log.read_text(errors="replace").splitlines():
            try:
                said: dict[str, Any] = json.loads(line)
            except ValueError:  # the line is being written
                continue
            # Not every response is needed, so a bare HTTP error is ignored: if it matters, the next line reports it.
            if (
                str(said.get("level", "")).startswith("ERROR")
                and "sync_path" in said
                and said.get("msg") != "api: HTTP error"
            ):
                reason = ": ".join(str(said[key]) for key in ("msg", "error") if key in said)
                yield Path(said["sync_path"]).resolve(), _one_line(reason)


def _one_line(text: str) -> str:
    return " ".join(text.split())
