"""A SLURM of one node in a folder of its own: started as root, without accounting, without touching the system's."""

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "squeue", "scontrol", "scancel")
START_S = 30

# `urgent` jobs put `main` ones back into the queue, after a warning and some seconds of grace.
CONF = """
ClusterName=local
SlurmctldHost=localhost(127.0.0.1)
SlurmctldPort={ctld_port}
SlurmdPort={d_port}
SlurmUser=root
SlurmdUser=root
AuthInfo=socket={folder}/munge.sock
CommunicationParameters=NoCtldInAddrAny,NoInAddrAny
StateSaveLocation={folder}/ctld
SlurmdSpoolDir={folder}/d
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
SlurmdParameters=config_overrides
SlurmctldParameters=preempt_send_user_signal
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerParameters=sched_interval=2,bf_interval=2
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
KillWait=5
ReturnToService=2
NodeName=localhost NodeHostname={host} NodeAddr=127.0.0.1 CPUs=2 RealMemory=4000
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP PriorityTier=1 GraceTime=20
PartitionName=urgent Nodes=ALL MaxTime=INFINITE State=UP PriorityTier=2 PreemptMode=OFF
"""


class NoSlurmError(Exception):
    """It cannot be started here, for a reason that is no fault of the package."""


class Cluster:
    """Runs from entering to leaving a ``with`` block.

    Args:
        folder: Scratch; its path must be short, for a socket lies in it.

    Attributes:
        environment: What programs need to talk to it.

    Raises:
        NoSlurmError: On entering, if it cannot run here.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = {"SLURM_CONF": str(folder / "slurm.conf")}
        self._processes: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> "Cluster":
        missing = [program for program in PROGRAMS if shutil.which(program) is None]
        if missing:
            raise NoSlurmError(f"there is no {missing[0]}: apt-get install slurm-wlm munge")
        if sys.platform != "linux" or os.geteuid() != 0:
            raise NoSlurmError("a SLURM of one's own has to be started as root")
        try:
            self._start()
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._end()

    def ask(self, *command: str) -> str:
        """Output of one of SLURM's programs."""
        asked = subprocess.run(
            command, env={**os.environ, **self.environment}, capture_output=True, text=True, timeout=60, check=False
        )
        assert asked.returncode == 0, f"{command}: {asked.stderr}"
        return asked.stdout.strip()

    def jobs(self) -> dict[str, str]:
        """States of all jobs by ``<array>_<index>``."""
        lines = self.ask("squeue", "--noheader", "--array", "--states=all", "--format=%i|%T").splitlines()
        return dict(line.split("|") for line in lines)

    def hurry(self) -> None:
        """Lets requeued jobs start at once: SLURM would have them wait for two minutes."""
        for job, state in self.jobs().items():
            if state == "PENDING":
                subprocess.run(
                    ["scontrol", "update", f"JobId={job}", "StartTime=now"],
                    env={**os.environ, **self.environment},
                    capture_output=True,
                    check=False,  # it may have started by now
                )

    def _start(self) -> None:
        for name in ("ctld", "d"):
            (self.folder / name).mkdir()
        key = self.folder / "key"
        key.touch(mode=0o600)
        key.write_bytes(os.urandom(128))
        conf = self.folder / "slurm.conf"
        ctld_port, d_port = _free_ports(2)
        host = socket.gethostname().partition(".")[0]
        conf.write_text(CONF.format(folder=self.folder, ctld_port=ctld_port, d_port=d_port, host=host))
        files = {"key-file": "key", "socket": "munge.sock", "pid-file": "munged.pid", "seed-file": "seed"}
        options = [f"--{option}={self.folder / name}" for option, name in files.items()]
        self._run("munged", "--foreground", "--force", *options)
        self._until((self.folder / "munge.sock").exists)
        self._run("slurmctld", "-D", "-f", str(conf))
        self._run("slurmd", "-D", "-f", str(conf), "-N", "localhost")
        self._until(self._is_idle)

    def _run(self, program: str, *arguments: str) -> None:
        with (self.folder / f"{program}.out").open("wb") as out:
            self._processes.append(subprocess.Popen([program, *arguments], stdout=out, stderr=out))

    def _is_idle(self) -> bool:
        asked = subprocess.run(
            ["sinfo", "--noheader", "--format=%T"],
            env={**os.environ, **self.environment},
            capture_output=True,
            text=True,
            check=False,
        )
        return "idle" in asked.stdout

    def _until(self, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + START_S
        while not condition():
            ended = [process.args[0] for process in self._processes if process.poll() is not None]
            if ended or time.monotonic() > deadline:
                told = [path.read_text(errors="replace")[-500:] for path in sorted(self.folder.glob("*.out"))]
                raise NoSlurmError(f"{ended or 'SLURM'} did not start: {' '.join(told)}")
            time.sleep(0.1)

    def _end(self) -> None:
        """Ends jobs first: they would outlive the daemons."""
        if len(self._processes) == 3:
            environment = {**os.environ, **self.environment}
            subprocess.run(["scancel", "--user=root"], env=environment, capture_output=True, check=False)
            deadline = time.monotonic() + START_S
            while time.monotonic() < deadline:
                left = subprocess.run(["squeue", "-h"], env=environment, capture_output=True, check=False)
                if not left.stdout:
                    break
                time.sleep(0.2)
        for process in reversed(self._processes):
            process.terminate()
            try:
                process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self._processes.clear()


def _free_ports(number: int) -> list[int]:
    sockets = [socket.socket() for _ in range(number)]
    try:
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
    finally:
        for one in sockets:
            one.close()
