"""Locks a run for one worker at a time, on one machine or a shared file system; a dead worker's lock is taken over.

Two mechanisms are used. An operating-system lock (``.lock``) works on one machine, and is released when its holder
dies. On a shared file system such locks may be local to each machine, so ``worker.json`` names the worker, which
touches the file every few seconds. A worker on another machine watches the file by its own clock: clocks of two
machines are never compared, and a clock that is set back does no harm.

``filelock.SoftFileLease`` does not replace this: on file systems without atomic name exchange, such as NFS and SMB, it
never takes over from a dead worker, and it considers a killed process alive until its parent has waited for it.
"""

import contextlib
import json
import os
import socket
import threading
import time
import uuid
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil
from filelock import FileLock, Timeout

from unet_repro.errors import RunError, RunHeld

RECORD, LOCK = "worker.json", ".lock"
BEAT_S = 5.0  # interval at which a holder touches its record
SILENT_S = 30.0  # a worker on another machine is dead if its record is untouched for this long
_ENDED = (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD)


@dataclass(frozen=True)
class Holder:
    """The worker that holds a run.

    Attributes:
        host: Name of the machine, for display.
        boot: Boot id of the machine, which distinguishes machines with the same name.
        pid: Process id on that machine.
        born: Start of that process, in seconds since the boot, which detects a reused process id.
        token: Unique id of this lock.
    """

    host: str
    boot: str
    pid: int
    born: float
    token: str

    @property
    def is_local(self) -> bool:
        """Whether it is on this machine."""
        return self.boot == _boot()

    @property
    def is_alive(self) -> bool:
        """Whether its process runs; valid only on its own machine."""
        born = _born(self.pid)
        return born is not None and abs(born - self.born) < 2  # the boot time is known only to the second

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}"


def _boot() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return socket.gethostname()


def _born(pid: int) -> float | None:
    """When a process started, in seconds since the boot; ``None`` if there is none, or only its zombie."""
    try:
        booted, process = psutil.boot_time(), psutil.Process(pid)
        # The difference of two wall-clock times is independent of clock adjustments.
        return None if process.status() in _ENDED else float(process.create_time()) - booted
    except psutil.Error:
        return None


def read_holder(folder: Path) -> Holder | None:
    """The record of a run's worker, dead or alive; ``None`` if there is none, or it is being written."""
    return _read(folder / RECORD)


def _read(record: Path) -> Holder | None:
    try:
        return Holder(**json.loads(record.read_text()))
    except (OSError, ValueError, TypeError):
        return None


def is_running(folder: Path) -> bool:
    """Whether a worker is training the run, as far as can be determined without waiting."""
    holder = read_holder(folder)
    if holder is None:
        return False
    if holder.is_local:
        return holder.is_alive
    with contextlib.suppress(OSError):
        return time.time() - (folder / RECORD).stat().st_mtime < 2 * SILENT_S
    return False


class Lease:
    """A lock on a run, kept alive by a thread."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.record = folder, folder / RECORD
        pid = os.getpid()
        self.holder = Holder(socket.gethostname(), _boot(), pid, _born(pid) or 0.0, uuid.uuid4().hex)
        self._lost = False
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._beat, daemon=True, name="lease")

    def check(self) -> None:
        """Checks that no other worker has taken over because this one was silent for too long.

        Raises:
            RunHeld: If the record belongs to another worker.
        """
        if self._lost:
            raise RunHeld(
                f"{read_holder(self.folder) or 'another process'} has taken over {self.folder}: this process was "
                f"silent for more than {SILENT_S:g} s",
                hint="let it finish the run; the same command resumes once it has ended",
            )

    def confirm(self) -> None:
        """``check``, after reading the record again: for a process that may have been suspended.

        Raises:
            RunHeld: If the record belongs to another worker.
        """
        self._lost = self._lost or self._is_lost()
        self.check()

    def take(self, *, locked: bool) -> None:
        """Writes the record.

        Args:
            locked: Whether the operating-system lock is held, so that no other process of this machine is active.

        Raises:
            RunHeld: If a live worker has a record.
        """
        takes_over = False
        while True:
            try:
                with self.record.open("x") as file:
                    json.dump(asdict(self.holder), file)
            except FileExistsError:
                self._remove_if_dead(locked)
                takes_over = True
            else:
                if takes_over and not locked:
                    self._settle()
                self._thread.start()
                return

    def end(self) -> None:
        """Stops the thread and removes the record."""
        self._end.set()
        self._thread.join()
        seen = read_holder(self.folder)
        if seen is not None and seen.token == self.holder.token:
            self.record.unlink(missing_ok=True)

    def _remove_if_dead(self, locked: bool) -> None:
        seen = read_holder(self.folder)
        dead = (locked or not seen.is_alive) if seen is not None and seen.is_local else self._is_silent()
        if not dead:
            raise held(self.folder)
        # Moved aside first: of several workers that find a dead record only one moves it; a live record is put back.
        aside = self.record.with_name(f".{RECORD}.{uuid.uuid4().hex}.part")
        if _read(self.record) != seen:  # another worker was quicker
            return
        with contextlib.suppress(FileNotFoundError):
            self.record.rename(aside)
            if _read(aside) != seen and not self.record.exists():
                aside.rename(self.record)
            aside.unlink(missing_ok=True)

    def _settle(self) -> None:
        """Waits for others that found the same dead record: one that was about to move it may have moved ours.

        Raises:
            RunHeld: If another worker has the run.
        """
        time.sleep(min(1.0, SILENT_S / 10))
        if self._is_lost():
            raise held(self.folder)

    def _is_silent(self) -> bool:
        """Watches another machine's record, by this machine's monotonic clock."""
        first, started = _mtime(self.record), time.monotonic()
        while time.monotonic() - started < SILENT_S:
            time.sleep(min(1.0, SILENT_S / 10))
            if _mtime(self.record) != first:
                return False
        return True

    def _beat(self) -> None:
        while not self._end.wait(BEAT_S):
            if self._is_lost():
                self._lost = True
                return
            with contextlib.suppress(OSError):
                os.utime(self.record)

    def _is_lost(self) -> bool:
        """Whether the record is gone or another's; a file system that fails to answer says neither."""
        try:
            content = self.record.read_text()
        except FileNotFoundError:
            return True
        except OSError:
            return False
        return self.holder.token not in content


def _mtime(path: Path) -> int | None:
    try:
        with path.open("rb") as file:  # opening makes a network file system query the server
            return os.fstat(file.fileno()).st_mtime_ns
    except OSError:
        return None


def held(folder: Path) -> RunHeld:
    """An error that names the worker that holds a run."""
    return RunHeld(
        f"another process is training {folder} ({read_holder(folder) or 'it has just begun'})",
        hint="wait for it, or stop it; this command then resumes from its checkpoint",
    )


@contextlib.contextmanager
def hold(folder: Path) -> Iterator[Lease]:
    """Locks a run during the block.

    Raises:
        RunHeld: If another worker is training the run.
        RunError: If the folder is not writable.
    """
    lease = Lease(folder)
    lock = FileLock(folder / LOCK, timeout=0)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        try:
            lock.acquire()
        except NotImplementedError:  # a file system without locks: use only the record
            lease.take(locked=False)
        else:
            lease.take(locked=True)
    except Timeout as error:
        raise held(folder) from error
    except OSError as error:
        lock.release()
        raise RunError(f"cannot write to {folder}: {error.strerror}", hint="choose a writable runs_dir") from error
    except RunHeld:
        lock.release()
        raise
    try:
        yield lease
    finally:
        lease.end()
        lock.release()
