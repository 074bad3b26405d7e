"""Opens, fills and closes the Weights & Biases side of a run.

W&B only mirrors runs: it flushes its file in blocks, so a killed process loses the end. Results are always read from
the run's own folder. Importing wandb is slow, so it is imported only when a run is opened.
"""

from __future__ import annotations

import netrc
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlsplit

from unet_repro.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import wandb

Mode = Literal["online", "offline"]
STEP_KEY = "trainer/global_step"  # the x axis, logged with every metric; the name that Lightning uses
OFFLINE_INSTEAD = "set logger.mode=offline and upload later with `unet-repro wandb-sync`"


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
) -> wandb.Run:
    """Opens a run; offline, W&B's process writes the last block some milliseconds after the run is finished.

    Every call opens a separate run, even while another one is open in this process (a sweep whose last job died).
    Online, a run with the same id is resumed. Offline, each call creates a new folder with the same run id, so only
    ``offline.write_offline_run`` should open one.

    Args:
        mode: ``offline`` writes below ``directory`` without network access.
        project: W&B project.
        run_id: The run's identity, also its id in W&B.
        name: Name that distinguishes this run from the others of its group.
        group: The experiment.
        tags: Labels of 1 to 64 characters each.
        job_type: Type of the run, such as ``train``.
        config: Nested plain containers, so that W&B can group and filter by keys such as ``optimizer.name``.
        directory: Folder in which W&B creates its folder ``wandb``; created if necessary.
        class_names: Names of class 0, 1, ...; if not empty, added to the config as ``class_names``.
        entity: User or team; ``None`` for the user's default.
        init_timeout_s: Timeout for the server's response, in seconds.

    Raises:
        UserError: If the directory is not writable, a setting is rejected, or, online, there is no API key or the
            server does not respond.
    """
    _check_writable(directory)
    send_no_statistics()

    import wandb  # noqa: PLC0415

    if mode == "online":
        check_credentials(wandb.setup().settings, otherwise=OFFLINE_INSTEAD)
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
            # Offline, W&B cannot check whether the run exists, and warns if `resume` is set.
            resume="allow" if mode == "online" else None,
            reinit="create_new",
            settings=_settings(wandb, mode, init_timeout_s),
        )
    except (wandb.errors.CommError, TimeoutError) as error:
        raise UserError(
            f"W&B could not open run {run_id!r}: {error}",
            hint=f"check the network and `wandb login --verify`, or {OFFLINE_INSTEAD}",
        ) from error
    except (wandb.errors.Error, ValueError) as error:
        raise UserError(
            f"W&B rejected the settings of run {run_id!r}: {error}",
            hint="correct the logger's settings, or set logger.mode=disabled",
        ) from error
    run.define_metric(STEP_KEY)
    run.define_metric("*", step_metric=STEP_KEY, step_sync=True)
    return run


def log_rows(run: wandb.Run, rows: Sequence[Mapping[str, float]]) -> None:
    """Logs the rows of a history that the run does not have yet.

    W&B counts logged rows, also across a resume. So if a run was killed between recording and sending a row, the row is
    sent later, and no row is sent twice.

    Args:
        run: An open run in which only rows of this history were logged.
        rows: The whole history so far; ``step`` is the step, the rest are measures.
    """
    for row in rows[max(run.step, run.starting_step) :]:  # `step` includes earlier attempts only after the first log
        measures = {key: value for key, value in row.items() if key != "step"}
        run.log({**measures, STEP_KEY: int(row["step"])})


def send_no_statistics() -> None:
    """Prevents W&B 0.31 from sending usage statistics when the process ends, which it does even offline."""
    os.environ.setdefault("WANDB_ERROR_REPORTING", "false")


def _settings(package: Any, mode: Mode, init_timeout_s: float) -> wandb.Settings:
    """No console output, source code, git or machine information: the run's own folder records what is needed."""
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
    """Checks that the folder is writable; W&B would otherwise silently use the system's temporary folder."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=directory):
            pass
    except OSError as error:
        raise UserError(
            f"W&B cannot write to {directory}: {error.strerror}",
            hint="choose another run folder, check its permissions, or set logger.mode=disabled",
        ) from error


def check_credentials(settings: wandb.Settings, *, otherwise: str) -> None:
    """Checks at once that an API key exists, since W&B would prompt for it. Whether the key is valid is not checked.

    Args:
        settings: W&B's settings.
        otherwise: What a user without an account can do instead, for the hint.

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
    # W&B also accepts a key for its older address.
    if known is None or not (known.authenticators(host) or known.authenticators("api.wandb.ai")):
        raise UserError(
            f"W&B has no API key for {host}, neither in WANDB_API_KEY nor in {path}",
            hint=f"run `wandb login` and repeat the command, or {otherwise}",
        )
