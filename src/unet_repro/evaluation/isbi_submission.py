"""The submission for the ISBI 2012 challenge: a volume with the probabilities of the 30 test slices."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import tifffile
import torch

from unet_repro.data.sources.isbi2012 import NUM_SLICES, Isbi2012
from unet_repro.errors import RunError
from unet_repro.evaluation.trained_run import open_trained
from unet_repro.files import replacing
from unet_repro.inference.rotations import Views, average_views
from unet_repro.runs.network import Checkpoint


def predict_test_slices(
    runs: Sequence[Path], *, checkpoint: Checkpoint, views: Views, slice_done: Callable[[], object]
) -> npt.NDArray[np.float32]:
    """The probability that a pixel is not membrane, averaged over runs and views.

    Args:
        runs: Folders of runs that were trained on ISBI 2012.
        checkpoint: The weights to use.
        views: Rotated views of each slice; 7 in the paper.
        slice_done: Called after each slice of each run.

    Returns:
        ``(30, H, W)`` float32 in [0, 1]; 0 is certainly membrane, 1 certainly not, as the challenge requires.

    Raises:
        RunError: If a run was trained on other data, has no such checkpoint, or its data have changed.
    """
    total: npt.NDArray[np.float32] | None = None
    for run in runs:
        trained = open_trained(run, checkpoint)
        if trained.data_name != Isbi2012.name:
            raise RunError(f"{run} was trained on {trained.data_name}, not on isbi2012", hint="select runs of isbi2012")
        slices = trained.data.samples["test"]
        assert len(slices) == NUM_SLICES, "the source refuses an incomplete stack"
        num_classes, volume = len(trained.data.class_names), []
        with torch.inference_mode():
            for sample in slices:
                image = trained.data.normalisation.apply(sample.image)
                volume.append(average_views(trained.scores, image, views, num_classes)[num_classes - 1].cpu().numpy())
                slice_done()
        total = np.stack(volume) if total is None else total + np.stack(volume)
    assert total is not None, "at least one run is named"
    return np.asarray(total / len(runs), np.float32)


def write_volume(volume: npt.NDArray[np.float32], path: Path) -> None:
    """Writes a TIFF of 32-bit slices, which ImageJ opens as a stack."""
    with replacing(path) as file:
        tifffile.imwrite(file, volume, imagej=True, metadata={"axes": "ZYX"})
