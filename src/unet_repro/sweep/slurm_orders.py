"""Orders to SLURM, on disk: which job is to train which run, so that a later command can wait for it, show it, tidy up.

An order is a folder below ``<runs_dir>/slurm``, which holds a job's input, answer and logs, and a file ``order.json``.
Imports nothing slow, since ``sweep-status`` reads them.
"""

import contextlib
import json
import shutil
import subprocess
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path

from unet_repro.errors import RunError

FILE = "order.json"
# States of a job that is not over; all other states are final.
LIVE = {
    "PENDING", "RUNNING", "CONFIGURING", "COMPLETING", "REQUEUED", "REQUEUE_HOLD", "REQUEUE_FED", "SUSPENDED",
    "RESIZING", "SIGNALING", "STAGE_OUT", "STOPPED", "SPECIAL_EXIT", "RESV_DEL_HOLD",
}  # fmt: skip


@dataclass(frozen=True)
class Order:
    """One order.

    Attributes:
        folder: Its folder.
        job_id: The job, ``<array>_<index>``.
        run_id: The run that the job trains.
    """

    folder: Path
    job_id: str
    run_id: str

    @property
    def is_answered(self) -> bool:
        """Whether the job has written its answer."""
        return any(self.folder.glob("*_result.pkl"))


def write_order(folder: Path, *, job_id: str, run_id: str) -> None:
    """Records what a submitted job is for."""
    (folder / FILE).write_text(json.dumps({"job_id": job_id, "run_id": run_id}))


def read_orders(runs_dir: Path) -> list[Order]:
    """All orders of a folder of runs; one that cannot be read, since it is being written or removed, is left out."""
    orders = []
    for path in sorted((runs_dir / "slurm").glob(f"*/{FILE}")):
        with contextlib.suppress(OSError, ValueError, TypeError):
            orders.append(Order(path.parent, **json.loads(path.read_text())))
    return orders


def live_orders(runs_dir: Path, *, required: bool = False) -> dict[str, tuple[Order, str]]:
    """Orders in SLURM's queue that have no answer yet, with the job's state, by run id.

    Args:
        runs_dir: Folder of the runs.
        required: Whether an answer of SLURM is needed: without, there are no orders while it does not respond.

    Returns:
        Empty where there is no SLURM.

    Raises:
        RunError: If an answer is needed and SLURM does not respond.
    """
    orders = [order for order in read_orders(runs_dir) if not order.is_answered]
    if not orders or shutil.which("squeue") is None:
        return {}
    states = queue_states(order.job_id for order in orders)
    if states is None and required:
        raise RunError(
            "SLURM does not respond: it is unknown which runs have a job already", hint="repeat the command in a minute"
        )
    states = states or {}
    return {order.run_id: (order, states[order.job_id]) for order in orders if states.get(order.job_id) in LIVE}


def remove_orders(runs_dir: Path, finished: Collection[str]) -> None:
    """Removes the orders of finished runs; those of other runs are kept, with their logs.

    Args:
        runs_dir: Folder of the runs.
        finished: Ids of runs that need no job any more.
    """
    over = [order for order in read_orders(runs_dir) if order.run_id in finished]
    live = live_orders(runs_dir) if any(not order.is_answered for order in over) else {}
    for order in over:
        if order.run_id not in live:
            shutil.rmtree(order.folder, ignore_errors=True)  # a job that is ending may still write to its log
    if over:
        left = {_array(order) for order in read_orders(runs_dir)}
        _remove_scripts(runs_dir / "slurm", {_array(order) for order in over} - left)


def _remove_scripts(folder: Path, arrays: Collection[str]) -> None:
    """Removes the scripts that submitit has submitted, and the folder itself with the last of them."""
    for array in arrays:
        shutil.rmtree(folder / array, ignore_errors=True)
    for link in folder.glob(".submission_file_*"):
        if not link.exists():  # it led to one of them
            link.unlink(missing_ok=True)
    with contextlib.suppress(OSError):  # others are left
        folder.rmdir()


def _array(order: Order) -> str:
    return order.job_id.partition("_")[0]


def queue_states(jobs: Iterable[str]) -> dict[str, str] | None:
    """States of jobs.

    Args:
        jobs: Ids of jobs, or of jobs of an array.

    Returns:
        The state by ``<array>_<index>``, or by the id; jobs that ended some minutes ago are missing. ``None`` while
        SLURM is not responding.
    """
    arrays = ",".join(sorted({job.partition("_")[0] for job in jobs}))
    command = ["squeue", "--noheader", "--array", "--states=all", "--format=%i|%T", f"--jobs={arrays}"]
    try:
        asked = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    except subprocess.TimeoutExpired:
        return None
    if asked.returncode:
        return {} if "Invalid job id" in asked.stderr else None
    return dict(line.strip().split("|") for line in asked.stdout.splitlines() if "|" in line)
