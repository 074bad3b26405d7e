"""A run's checkpoints as W&B artifacts: two versions of ``model-<run_id>``, with the aliases ``best`` and ``last``."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    import wandb

    from unet_repro.runs.folder import RunFolder


def log_checkpoints(run: wandb.Run, folder: RunFolder, *, best: Mapping[str, float], last: Mapping[str, float]) -> None:
    """Logs the best and the last checkpoint, each with what a prediction needs, so that a download is a run's folder.

    The files are not copied: W&B reads them from the run's folder when it uploads them. The last one is logged last, so
    it is also ``latest``. Equal files are one version, so that a repeated upload adds none.

    Args:
        run: An open run.
        folder: The trained run's folder, with both checkpoints.
        best: The history's row of the best one, the artifact's metadata.
        last: The history's row of the last one.
    """
    import wandb  # noqa: PLC0415  (slow, and only needed where a run is open)

    for alias, path, row in (("best", folder.best, best), ("last", folder.last, last)):
        artifact = wandb.Artifact(f"model-{folder.run_id}", type="model", metadata=dict(row))
        for file in (path, folder.config, folder.network):
            artifact.add_file(str(file.resolve()), name=file.name, policy="immutable")
        run.log_artifact(artifact, aliases=[alias])
