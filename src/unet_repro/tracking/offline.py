"""Writes the offline W&B run of a finished training: exactly one, and complete."""

from __future__ import annotations

import contextlib
import shutil
import time
from typing import TYPE_CHECKING, Any

from unet_repro.errors import RunError, UserError
from unet_repro.tracking.panels import PANEL_KEY, Panel, log_panel
from unet_repro.tracking.reading import offline_file, read_run
from unet_repro.tracking.wandb_run import log_rows, open_run

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    import wandb

WAIT_S = 20.0  # W&B's process takes milliseconds; the limit is for a machine that hangs, or a full disk
_POLL_S = 0.005


def write_offline_run(
    *,
    directory: Path,
    run_id: str,
    rows: Sequence[Mapping[str, float]],
    panel: Panel | None,
    summary: Mapping[str, float],
    log_files: Callable[[wandb.Run], None] | None = None,
    wait_s: float = WAIT_S,
    **settings: Any,
) -> Path:
    """Writes the run, replacing any other W&B run below ``directory``, and returns its .wandb file once it is complete.

    Args:
        directory: The run's folder, in which W&B creates its folder ``wandb``.
        run_id: The run's identity, also its id in W&B.
        rows: The whole history; ``step`` is the step, the rest are measures.
        panel: Validation images, shown at the last step.
        summary: Summary values for sorting runs.
        log_files: Logs artifacts, such as ``log_checkpoints``; ``None`` for nothing.
        wait_s: How long W&B may take to write its file, in seconds.
        **settings: ``project``, ``name``, ``group``, ``tags``, ``job_type`` and ``config``, as for ``open_run``.

    Raises:
        UserError: If the directory cannot be written, or W&B does not accept a setting.
        RunError: If W&B does not complete its file.
    """

    def write() -> None:
        _remove(directory / "wandb")
        run = open_run(
            mode="offline",
            run_id=run_id,
            directory=directory,
            class_names=panel.class_names if panel else (),
            **settings,
        )
        log_rows(run, rows)
        if panel is not None:
            log_panel(run, panel, step=int(rows[-1]["step"]))
        run.summary.update(dict(summary))
        if log_files is not None:
            log_files(run)
        run.finish(exit_code=0)

    for is_last in (False, True):
        try:
            write()
            break
        except UserError:
            raise
        except Exception as error:  # W&B's process has died; it raises errors of many kinds
            _forget_service()
            if is_last:
                raise RunError(
                    f"W&B failed to write {directory / 'wandb'}: {type(error).__name__}: {error}",
                    hint="start again to resume from the last checkpoint, or set logger.mode=disabled",
                ) from error
    return _wait_for(directory, run_id=run_id, num_rows=len(rows), wait_s=wait_s)


def is_complete(directory: Path, *, run_id: str, num_rows: int) -> bool:
    """Whether exactly one offline run exists below ``directory``, complete, with this id and number of rows."""
    path = offline_file(directory)
    if path is None:
        return False
    found = read_run(path)
    return (
        found.exit_code is not None
        and found.run.get("id") == run_id
        and sum(PANEL_KEY not in row for row in found.history) == num_rows
        and all((found.folder / "files" / name).is_file() for name in found.files)
        and all(path.is_file() for paths in found.artifacts.values() for path in paths)
    )


def _wait_for(directory: Path, *, run_id: str, num_rows: int, wait_s: float) -> Path:
    """Waits for the last record, which W&B's process writes after it has reported that it is done."""
    until = time.monotonic() + wait_s
    while not is_complete(directory, run_id=run_id, num_rows=num_rows):
        if time.monotonic() > until:
            raise RunError(
                f"W&B did not complete its file below {directory / 'wandb'} within {wait_s:g} s",
                hint="free some space and start again to resume from the last checkpoint, or set logger.mode=disabled",
            )
        time.sleep(_POLL_S)
    path = offline_file(directory)
    assert path is not None, "it was read just now"
    return path


def _remove(folder: Path) -> None:
    """Removes the remains of a killed attempt, or an older run of the same training."""
    try:
        shutil.rmtree(folder)
    except FileNotFoundError:
        pass
    except OSError as error:
        raise RunError(f"cannot remove {folder}: {error.strerror}", hint="check its permissions") from error


def _forget_service() -> None:
    """Makes W&B start a new process for the next run."""
    import wandb  # noqa: PLC0415

    with contextlib.suppress(Exception):  # it complains that the old one is gone
        wandb.teardown()
