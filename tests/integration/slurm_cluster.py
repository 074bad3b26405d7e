"""A SLURM of one node on this machine, in a scratch folder, on ports of its own: for the tests marked ``slurm``."""

import contextlib
import os
import secrets
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

NEEDED = ("munged", "slurmctld", "slurmd", "sbatch", "squeue", "scontrol")


def why_not() -> str | None:
    """Why no SLURM can be started here; ``None`` if it can."""
    path = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin"])
    missing = [name for name in NEEDED if shutil.which(name, path=path) is None]
    if missing:
        return f"not installed: {', '.join(missing)} (Debian: slurm-wlm, munge)"
    return None if os.geteuid() == 0 else "starting SLURM's daemons needs root"


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@contextlib.contextmanager
def cluster(folder: Path) -> Iterator[dict[str, str]]:
    """Starts it for the block.

    Args:
        folder: Empty, and with a short path: sockets lie in it.

    Yields:
        The environment in which SLURM's commands find it.
    """
    for name in ("ctld", "d"):
        (folder / name).mkdir()
    key = folder / "key"
    key.touch(mode=0o600)
    key.write_bytes(secrets.token_bytes(128))
    host = socket.gethostname().split(".")[0]
    conf = folder / "slurm.conf"
    conf.write_text(f"""
ClusterName=local
SlurmctldHost=localhost(127.0.0.1)
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
SlurmctldPort={_free_port()}
SlurmdPort={_free_port()}
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
SlurmctldParameters=preempt_send_user_signal
MinJobAge=86400
KillWait=5
ReturnToService=2
NodeName=localhost NodeHostname={host} NodeAddr=127.0.0.1 CPUs=2 RealMemory=4000
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP PriorityTier=1 GraceTime=20
PartitionName=urgent Nodes=ALL MaxTime=INFINITE State=UP PriorityTier=9 PreemptMode=off
""")
    path = os.pathsep.join([os.environ["PATH"], "/usr/sbin"])
    environment = {**os.environ, "PATH": path, "SLURM_CONF": str(conf)}
    try:
        _start(folder, environment)
        yield environment
    finally:
        for name in ("slurmd", "slurmctld", "munged"):
            with contextlib.suppress(OSError, ValueError):
                os.kill(int((folder / f"{name}.pid").read_text()), signal.SIGKILL)


def _start(folder: Path, environment: dict[str, str]) -> None:
    def run(*command: str) -> None:
        subprocess.run(command, env=environment, check=True, capture_output=True, timeout=60)

    run("munged", "--force", f"--key-file={folder}/key", f"--socket={folder}/munge.sock",
        f"--pid-file={folder}/munged.pid", f"--log-file={folder}/munged.log", f"--seed-file={folder}/seed")  # fmt: skip
    run("slurmctld", "-f", str(folder / "slurm.conf"))
    run("slurmd", "-f", str(folder / "slurm.conf"), "-N", "localhost")
    until = time.monotonic() + 30
    while "idle" not in (told := ask(environment, "sinfo", "--noheader", "--format=%T")):
        if time.monotonic() > until:
            raise RuntimeError(f"SLURM did not come up: {told}")
        time.sleep(0.2)


def ask(environment: dict[str, str], *command: str) -> str:
    """What a SLURM command prints."""
    return subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=60, check=False
    ).stdout.strip()


def jobs(environment: dict[str, str]) -> dict[str, str]:
    """States of all jobs by their number, array jobs as ``<array>_<index>``."""
    lines = ask(environment, "squeue", "--noheader", "--array", "--states=all", "--format=%i|%T").splitlines()
    return dict(line.strip().split("|") for line in lines)


def start_requeued_now(environment: dict[str, str]) -> None:
    """Spares the two minutes that SLURM lets a requeued job wait."""
    for job, state in jobs(environment).items():
        if state == "PENDING":
            ask(environment, "scontrol", "update", f"JobId={job}", "StartTime=now")
