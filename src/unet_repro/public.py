"""``unet_repro.train``: a training from Python, in one call."""

import sys
from pathlib import Path

from unet_repro.commands.data_choice import with_data
from unet_repro.commands.hydra_app import compose
from unet_repro.runs.network import Network, open_network
from unet_repro.runs.recorder import OnRow
from unet_repro.train import train as train_composed

__all__ = ["train"]


def train(*overrides: str, on_row: OnRow | None = None) -> Network:
    """Trains a run, or resumes it, or opens it if it is done.

    Args:
        overrides: Settings as on the command line, such as ``"data=isbi2012"``, ``"optimizer=adam"``,
            ``"trainer.max_steps=320"``; ``unet-repro train --help`` lists them.
        on_row: Called with each row of the history, such as ``{"step": 40, "val/iou": 0.7, ...}``.

    Returns:
        The network with the weights at the best mean IoU on validation; ``network.folder`` is the run's folder.

    Raises:
        UserError: For problems that the user can fix, before the training if possible.
        Stopped: After SIGTERM or Ctrl-C, with a checkpoint written; the same call then resumes.
    """
    named, line = with_data("train", overrides)
    sys.stderr.write(f"{line}\n")  # synthetic images are never taken silently
    composed = compose("train", named)
    result = train_composed(composed, on_row=on_row)
    return open_network(Path(composed.runs_dir) / result["run_id"])
