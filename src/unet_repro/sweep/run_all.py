"""Trains the runs of a sweep with any launcher, in as many rounds as necessary.

One round is enough unless other processes hold some of the runs (two sweeps that share their work), or the launcher
itself fails (such as a pool that lost a worker).
"""

import time
from collections.abc import Callable, Sequence
from pathlib import Path

from hydra.core.utils import JobReturn, JobStatus

from unet_repro.errors import RunHeld, Submitted, UserError
from unet_repro.runs.folder import RunFolder
from unet_repro.runs.ledger import Entry

Launch = Callable[[Sequence[Entry]], Sequence[JobReturn]]
IsDone = Callable[[Entry], bool]
POLL_S = 1.0
MAX_IN_VAIN = 1  # consecutive failed launches without progress before giving up


def train_all(
    entries: Sequence[Entry],
    runs_dir: Path,
    launch: Launch,
    *,
    show_line: Callable[[str], object],
    is_done: IsDone | None = None,
) -> list[str]:
    """Trains the runs that are not done.

    Args:
        entries: Distinct runs.
        runs_dir: Folder of the runs.
        launch: Trains runs, and returns the result of each, in order.
        show_line: Shows the user a line.
        is_done: Whether a run is done; by default, whether it has a result.

    Returns:
        A line for each failed run: which run, the reason, and where to find details.

    Raises:
        Submitted: If the launcher does not wait.
    """
    is_done = is_done or (lambda entry: RunFolder(runs_dir / entry.run_id).is_done)
    failed: dict[str, str] = {}
    held: list[Entry] = []
    waiting = [entry for entry in entries if not is_done(entry)]
    while waiting or held:
        if waiting:
            more_failed, now_held = _round(waiting, runs_dir, launch, show_line, is_done)
            failed.update(more_failed)
            if now_held and not held:
                show_line(f"waiting for {len(now_held)} runs that other processes are training")
            held += now_held
        else:
            time.sleep(POLL_S)
        held = [entry for entry in held if not is_done(entry)]
        waiting = [entry for entry in held if not RunFolder(runs_dir / entry.run_id).running]
        held = [entry for entry in held if entry not in waiting]
    return [failed[entry.run_id] for entry in entries if entry.run_id in failed]


def _round(
    entries: list[Entry], runs_dir: Path, launch: Launch, show_line: Callable[[str], object], is_done: IsDone
) -> tuple[dict[str, str], list[Entry]]:
    """Failed runs, and runs held by other processes; restarts a failed launcher while runs make progress."""
    failed: dict[str, str] = {}
    held: list[Entry] = []
    in_vain = 0  # consecutive failed launches without progress
    while entries:
        before = _advance(entries, runs_dir, is_done)
        try:
            returns = launch(entries)
        except (UserError, Submitted):
            raise
        except Exception as error:  # launchers raise errors of many kinds
            in_vain = in_vain + 1 if _advance(entries, runs_dir, is_done) == before else 0
            entries = [entry for entry in entries if not is_done(entry)]
            failure = f"the launcher failed: {type(error).__name__}: {' '.join(str(error).split())}"
            if in_vain > MAX_IN_VAIN:
                failed.update({entry.run_id: _line(entry, runs_dir, failure) for entry in entries})
                break
            if entries:
                show_line(f"{failure}; restarting it")
            continue
        for entry, job in zip(entries, returns, strict=True):
            reason = job._return_value  # the public property would print and raise
            if job.status == JobStatus.COMPLETED:
                continue
            if isinstance(reason, RunHeld):
                held.append(entry)
            else:
                failed[entry.run_id] = _line(entry, runs_dir, str(reason))
        break
    return failed, held


def _advance(entries: Sequence[Entry], runs_dir: Path, is_done: IsDone) -> dict[str, object]:
    """The progress of each run: whether it is done, and when its last checkpoint was written."""
    return {entry.run_id: (is_done(entry), RunFolder(runs_dir / entry.run_id).checkpointed_at) for entry in entries}


def _line(entry: Entry, runs_dir: Path, reason: str) -> str:
    folder = RunFolder(runs_dir / entry.run_id)
    where = folder.error if folder.error.exists() else folder.path
    return f"{entry.experiment}, {entry.arm}, seed {entry.seed}: {reason}\n  see {where}"
