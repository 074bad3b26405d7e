"""``unet_repro.train`` and ``unet_repro.samples``: a training and its images from Python, in one call each."""

import sys
from pathlib import Path

from unet_repro.commands.data_choice import with_data
from unet_repro.commands.hydra_app import compose
from unet_repro.config import check
from unet_repro.data.sample import Sample
from unet_repro.runs.network import Network, open_network
from unet_repro.runs.recorder import OnRow
from unet_repro.train import train as train_composed
from unet_repro.training.build import DataReader

__all__ = ["samples", "train"]


def samples(*overrides: str) -> list[Sample]:
    """The images and labels that a training with these settings reads.

    Args:
        overrides: Settings as of ``train``, such as ``"data=isbi2012"``, or ``"data=folder", "data.root=mine"``.

    Returns:
        Samples in the order of their source; each has a ``key``, an ``image`` as stored, ``(H, W)`` or ``(C, H, W)``,
        and ``labels``, ``(H, W)`` int32 instance labels, or ``None`` where there is no truth.

    Raises:
        UserError: If a setting is wrong, or the data are missing or unreadable.
    """
    named, line = with_data("train", overrides)
    sys.stderr.write(f"{line}\n")
    return DataReader().whole(check(compose("train", named))).samples


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
