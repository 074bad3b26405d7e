"""Who trains a run: one worker at a time, on one machine or on a shared file system; a dead worker's place is taken.

Two things keep workers apart. A lock of the operating system (``.lock``) does on one machine, and is freed by its
holder's death. A shared file system may keep such locks to each machine, so ``worker.json`` says who works, and its
holder touches it every few seconds. A worker on another machine watches the file by its own clock: clocks of two
machines are never compared, and a clock that goes back does no harm.

``filelock.SoftFileLease`` does not replace this: where a file system cannot exchange two names, as NFS and SMB cannot,
it never takes a dead worker's place, and it takes a killed process for alive until its parent has waited for it.
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
BEAT_S = 5.0  # how often a holder touches its record
SILENT_S = 30.0  # another machine's record untouched for so long is a dead worker's
_ENDED = (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD)


@dataclass(frozen=True)
class Holder:
    """Who works on a run.

    Attributes:
        host: Name of the machine, for people.
        boot: Identity of the running machine: two machines of one name differ here.
        pid: Process on that machine.
        born: When that process started, in seconds since the boot: a number used again is another process.
        token: Identity of this hold.
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
        """Whether its process runs; to be asked on its own machine only."""
        born = _born(self.pid)
        return born is not None and abs(born - self.born) < 2  # the boot's time is known to the second only

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
        # Of two times by the adjustable clock the difference holds, whatever is done to the clock.
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
    """Whether somebody works on the run, as far as a look without waiting can tell."""
    holder = read_holder(folder)
    if holder is None:
        return False
    if holder.is_local:
        return holder.is_alive
    with contextlib.suppress(OSError):
        return time.time() - (folder / RECORD).stat().st_mtime < 2 * SILENT_S
    return False


class Lease:
    """A hold on a run, kept alive by a thread.

    Args:
        folder: The run's folder.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.record = folder, folder / RECORD
        pid = os.getpid()
        self.holder = Holder(socket.gethostname(), _boot(), pid, _born(pid) or 0.0, uuid.uuid4().hex)
        self._lost = self._ended = False
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._beat, daemon=True, name="lease")

    def check(self) -> None:
        """Refuses to go on once another worker has taken over, because this one was silent for too long.

        Raises:
            RunHeld: If the record is another one's.
        """
        if self._lost:
            raise RunHeld(
                f"{read_holder(self.folder) or 'another process'} has taken over {self.folder}: this process was "
                f"silent for more than {SILENT_S:g} s",
                hint="leave the run to it; the same command goes on once it has ended",
            )

    def take(self, *, locked: bool) -> None:
        """Writes the record.

        Args:
            locked: The operating system's lock is held, so no other process of this machine is at work.

        Raises:
            RunHeld: If a living worker has one.
        """
        while True:
            try:
                with self.record.open("x") as file:
                    json.dump(asdict(self.holder), file)
            except FileExistsError:
                self._remove_if_dead(locked)
            else:
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
        # Set aside first: of several that find a dead record, one moves it; who moves a living one puts it back.
        aside = self.record.with_name(f".{RECORD}.{uuid.uuid4().hex}.part")
        with contextlib.suppress(FileNotFoundError):
            self.record.rename(aside)
            if _read(aside) != seen and not self.record.exists():
                aside.rename(self.record)
            aside.unlink(missing_ok=True)

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
            seen = read_holder(self.folder)
            if seen is None or seen.token != self.holder.token:
                self._lost = True
                return
            with contextlib.suppress(OSError):
                os.utime(self.record)


def _mtime(path: Path) -> int | None:
    try:
        with path.open("rb") as file:  # opening makes a network file system look at the server
            return os.fstat(file.fileno()).st_mtime_ns
    except OSError:
        return None


def held(folder: Path) -> RunHeld:
    """The error that names who holds a run."""
    return RunHeld(
        f"another process is training {folder} ({read_holder(folder) or 'it has just begun'})",
        hint="wait for it, or stop it; its checkpoint is then taken over",
    )


@contextlib.contextmanager
def hold(folder: Path) -> Iterator[Lease]:
    """Holds a run for the block.

    Raises:
        RunHeld: If another worker is at work.
        RunError: If the folder cannot be written to.
    """
    lease = Lease(folder)
    lock = FileLock(folder / LOCK, timeout=0)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        try:
            lock.acquire()
        except NotImplementedError:  # a file system without locks: the record alone must do
            lease.take(locked=False)
        else:
            lease.take(locked=True)
    except Timeout as error:
        raise held(folder) from error
    except OSError as error:
        lock.release()
        raise RunError(
            f"cannot write to {folder}: {error.strerror}", hint="choose a runs_dir that you may write to"
        ) from error
    except RunHeld:
        lock.release()
        raise
    try:
        yield lease
    finally:
        lease.end()
        lock.release()
