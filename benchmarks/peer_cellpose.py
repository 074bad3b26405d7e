"""Cellpose 3 from scratch: its network, targets, augmentation and optimizer, with the defaults of its command line.

Those are SGD 0.2 and batches of 8; images with fewer than five objects are kept, unlike there. Its learning-rate
schedule needs the number of epochs, which follows from the time of the first ones. Computing the targets (flows) is not
part of the training time, as weight maps are not.
"""

import tempfile
import time
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from cellpose import dynamics, train
from cellpose.models import CellposeModel

from unet_repro.data.sample import Sample

TRIED = 2  # epochs whose time gives the number of epochs
GREY = [0, 0]  # its channels for grey images


class Cellpose:
    """Trains on samples, and finds objects in images."""

    def __init__(self, samples: Sequence[Sample], *, seed: int, minutes: float):
        images = [sample.image for sample in samples if sample.labels is not None]
        labels = [sample.labels for sample in samples if sample.labels is not None]
        flows = dynamics.labels_to_flows([one.astype(np.int32) for one in labels], device=torch.device("cpu"))
        _, seconds = _trained(images, flows, TRIED, seed)
        self.epochs = max(1, round(60 * minutes / (seconds / TRIED)))
        self.model, self.seconds = _trained(images, flows, self.epochs, seed)

    def found(self, image: npt.NDArray[np.generic]) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.float32]]:
        """Objects and the probability of being in one, both ``(H, W)``."""
        diameter = float(self.model.net.diam_labels)
        objects, flows, _ = self.model.eval(image, channels=GREY, diameter=diameter)
        return objects.astype(np.int32), 1 / (1 + np.exp(-np.asarray(flows[2], np.float32)))


def _trained(
    images: list[npt.NDArray[np.generic]], flows: list[npt.NDArray[np.float32]], epochs: int, seed: int
) -> tuple[CellposeModel, float]:
    torch.manual_seed(seed)
    model = CellposeModel(gpu=False, pretrained_model=False)
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        train.train_seg(
            model.net, train_data=images, train_labels=flows, channels=GREY, n_epochs=epochs, save_path=folder,
            learning_rate=0.2, SGD=True, weight_decay=1e-5, batch_size=8, min_train_masks=1,
        )  # fmt: skip
    return model, time.perf_counter() - start
