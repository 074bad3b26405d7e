"""The verdict table as a separate W&B run with a fixed id."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from unet_repro.tracking.dashboard import PART_COLUMNS
from unet_repro.tracking.wandb_run import open_run

RUN_ID = "verdicts"
JOB_TYPE = "trial"


def log_verdicts(entity: str, project: str, parts: Sequence[Mapping[str, Any]], directory: Path) -> str:
    """Uploads the table, replacing an older one, and returns the address of its run.

    Args:
        entity: User or team.
        project: W&B project.
        parts: The claims' parts, from ``dashboard.parts_of``.
        directory: Folder for W&B's files.

    Raises:
        UserError: If there is no API key, or the server does not respond.
    """
    import wandb  # noqa: PLC0415  (slow)

    run = open_run(
        mode="online",
        entity=entity,
        project=project,
        run_id=RUN_ID,
        name="verdicts",
        group="trial",
        tags=[],
        job_type=JOB_TYPE,
        config={},
        directory=directory,
        class_names=(),
    )
    rows = [[part[name] for name in PART_COLUMNS] for part in parts]
    table = wandb.Table(columns=list(PART_COLUMNS), data=rows, allow_mixed_types=True)
    run.log({"verdicts": table})
    address = str(run.url)
    run.finish(exit_code=0)
    return address
