"""Opens, fills and closes the Weights & Biases side of a run.

W&B is a mirror for looking at runs, never the record: W&B flushes its file in blocks, so a killed process loses the
tail, and the run's own folder is what results are read from. Importing wandb is slow, so it happens on opening.
"""

from __future__ import annotations

import netrc
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from unet_repro.config import Mode
from unet_repro.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import wandb

STEP_KEY = "trainer/global_step"  # the x axis, beside every logged metric; the name that Lightning's users know
_OFFLINE_INSTEAD = "set logger.mode=offline and upload later with `unet-repro wandb-sync`"


def open_run(
    *,
    mode: Mode,
    project: str,
    run_id: str,
    name: str,
    group: str,
    tags: Sequence[str],
    job_type: str,
    config: Mapping[str, Any],
    directory: Path,
    class_names: Sequence[str],
    entity: str | None = None,
    init_timeout_s: float = 20.0,
) -> wandb.Run | None:
    """Opens a run.

    Every call opens a run of its own, even while another one is open in this process (a sweep whose last job died).
    Online, a run of the same id is gone on with; offline, each call makes a new folder of the same run id, so that
    only ``offline.write_offline_run`` should ask for one.

    Args:
        mode: ``offline`` writes below ``directory`` and leaves the network alone; ``disabled`` does nothing at all.
        project: W&B project.
        run_id: The run's own identity, also its id in W&B.
        name: What tells this run from the others of its group.
        group: The experiment.
        tags: Labels of 1 to 64 characters each.
        job_type: What the run does, such as ``train``.
        config: Nested plain containers, so that W&B can group and filter by ``optimizer.name``.
        directory: Where W&B makes its folder ``wandb``; created if need be.
        class_names: Names of class 0, 1, ...; where there are any, they join the config under ``class_names``.
        entity: User or team; ``None`` for the user's default.
        init_timeout_s: How long the server may take to answer, in seconds.

    Returns:
        The run, or ``None`` where W&B is disabled.

    Raises:
        UserError: If the directory cannot be written, a setting is not accepted, or, online, there is no API key or
            no answer.
    """
    if mode == "disabled":
        return None
    _check_writable(directory)
    send_no_statistics()

    import wandb  # noqa: PLC0415

    if mode == "online":
        check_credentials(wandb.setup().settings)
    try:
        run = wandb.init(
            mode=mode,
            entity=entity,
            project=project,
            id=run_id,
            name=name,
            group=group,
            tags=list(tags),
            job_type=job_type,
            config={**config, **({"class_names": list(class_names)} if class_names else {})},
            dir=directory,
            # Offline there is nothing to ask whether the run exists, and W&B warns when told to.
            resume="allow" if mode == "online" else None,
            reinit="create_new",
            settings=_settings(wandb, mode, init_timeout_s),
        )
    except (wandb.errors.CommError, TimeoutError) as error:
        raise UserError(
            f"W&B did not open run {run_id!r}: {error}",
            hint=f"check the network and `wandb login --verify`, or {_OFFLINE_INSTEAD}",
        ) from error
    except (wandb.errors.Error, ValueError) as error:
        raise UserError(
            f"W&B does not accept the settings of run {run_id!r}: {error}",
            hint="correct the logger's settings, or set logger.mode=disabled",
        ) from error
    run.define_metric(STEP_KEY)
    run.define_metric("*", step_metric=STEP_KEY, step_sync=True)
    return run


def log_rows(run: wandb.Run, rows: Sequence[Mapping[str, float]]) -> None:
    """Logs those rows of a history that the run does not have yet.

    W&B counts what was logged, also over a resume: so a run that was killed between writing a row down and sending it
    gets the row later, and none twice.

    Args:
        run: An open run in which nothing but rows of this history was logged.
        rows: The whole history so far; ``step`` is the step, the rest are measures.
    """
    for row in rows[max(run.step, run.starting_step) :]:  # step tells of earlier attempts only after the first log
        measures = {key: value for key, value in row.items() if key != "step"}
        run.log({**measures, STEP_KEY: int(row["step"])})


def finish(run: wandb.Run | None, *, exit_code: int = 0) -> None:
    """Closes a run; online, waits for the upload.

    Offline, W&B's own process writes the last block some milliseconds after this returns.

    Args:
        run: What ``open_run`` returned.
        exit_code: 0 marks the run as finished, anything else as failed.
    """
    if run is not None:
        run.finish(exit_code=exit_code)


def send_no_statistics() -> None:
    """Keeps W&B 0.31 from sending its own usage statistics, which it does offline or not, when the process ends."""
    os.environ.setdefault("WANDB_ERROR_REPORTING", "false")


def _settings(package: Any, mode: Mode, init_timeout_s: float) -> wandb.Settings:
    """Nothing on the console, no source code, no git, no machine: the run's own folder records what matters."""
    settings: wandb.Settings = package.Settings(
        init_timeout=init_timeout_s,
        silent=mode == "offline",  # online, warnings and errors of the upload still show
        quiet=True,
        show_info=False,
        console="off",
        host="",
        save_code=False,
        disable_code=True,
        disable_git=True,
        use_dot_wandb=False,
        x_disable_stats=True,
        x_disable_meta=True,
        x_disable_machine_info=True,
        x_save_requirements=False,
    )
    return settings


def _check_writable(directory: Path) -> None:
    """W&B itself would fall back to the system's temporary folder, where nobody looks for the run."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=directory):
            pass
    except OSError as error:
        raise UserError(
            f"W&B cannot write to {directory}: {error.strerror}",
            hint="choose another run folder, hint its permissions, or set logger.mode=disabled",
        ) from error


def check_credentials(settings: wandb.Settings) -> None:
    """Says at once what W&B would say after a prompt that no sweep can answer; whether a key is good, W&B decides.

    Raises:
        UserError: If there is no API key.
    """
    if settings.api_key or os.environ.get("WANDB_API_KEY") or os.environ.get("WANDB_IDENTITY_TOKEN_FILE"):
        return
    host = urlsplit(settings.base_url).netloc
    path = Path(os.environ.get("NETRC") or "~/.netrc").expanduser()
    try:
        known = netrc.netrc(path)
    except (OSError, netrc.NetrcParseError):
        known = None
    # W&B takes a key for its older address as one for its newer.
    if known is None or not (known.authenticators(host) or known.authenticators("api.wandb.ai")):
        raise UserError(
            f"W&B has no API key for {host}, neither in WANDB_API_KEY nor in {path}",
            hint=f"run `wandb login`, or {_OFFLINE_INSTEAD}",
        )
