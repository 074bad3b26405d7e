"""nnU-Net v2, 2D: its own fingerprint, plan, preprocessing, augmentation, network and optimizer, for a given time.

The training loop is its trainer's, except that it ends with the time, and that the polynomial learning-rate schedule
follows the time instead of its 250,000 steps. The planned batch is for a GPU of 8 GB.
"""

import json
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import tifffile
import torch
from nnunetv2.experiment_planning import plan_and_preprocess_api as api
from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor
from nnunetv2.run.run_training import get_trainer_from_args

from unet_repro.data.labels import IGNORED, classes_of
from unet_repro.data.sample import Sample

NUMBER, NAME = 1, "Dataset001_peer"
CASE = "case_{:04d}"
# A natural image has no pixel size; nnU-Net's reader for 2D images returns this one.
SPACING = {"spacing": (999, 1, 1)}


class NNUNet:
    """Trains on samples, and predicts images."""

    def __init__(
        self, samples: dict[str, Sequence[Sample]], num_classes: int, *, seed: int, minutes: float, folder: Path
    ):
        folders = {f"nnUNet_{name}": str((folder / name).resolve()) for name in ("raw", "preprocessed", "results")}
        os.environ.update(folders, nnUNet_compile="f")
        _write(samples, num_classes, folder)
        torch.manual_seed(seed)
        np.random.seed(seed)  # noqa: NPY002  # nnU-Net's loaders use it
        self.trainer = _planned()
        self.steps = _train(self.trainer, minutes)
        self.weights = {name: value.clone() for name, value in self.trainer.network.state_dict().items()}

    def probabilities(self, image: npt.NDArray[np.generic], *, mirrored: bool) -> npt.NDArray[np.float32]:
        """Class probabilities ``(K, H, W)``; with its default, the mean over four mirrored images, or without."""
        predictor = nnUNetPredictor(
            use_mirroring=mirrored, perform_everything_on_device=False, device=torch.device("cpu"), allow_tqdm=False
        )
        trainer = self.trainer
        predictor.manual_initialization(
            trainer.network,
            trainer.plans_manager,
            trainer.configuration_manager,
            [self.weights],
            trainer.dataset_json,
            type(trainer).__name__,
            trainer.inference_allowed_mirroring_axes,
        )
        _, probabilities = predictor.predict_single_npy_array(_channels_first(image), SPACING, None, None, True)
        return probabilities[:, 0]


def _write(samples: dict[str, Sequence[Sample]], num_classes: int, folder: Path) -> None:
    """The training and validation images in nnU-Net's layout, with this split."""
    raw = folder / "raw" / NAME
    for part in ("imagesTr", "labelsTr"):
        (raw / part).mkdir(parents=True)
    cases: dict[str, list[str]] = {"train": [], "val": []}
    some_ignored = False
    everything = [(part, sample) for part in cases for sample in samples[part] if sample.labels is not None]
    for number, (part, sample) in enumerate(everything):
        case = CASE.format(number)
        classes = classes_of(sample.labels, sample.classes)
        some_ignored |= bool((classes == IGNORED).any())
        classes = np.where(classes == IGNORED, num_classes, classes).astype(np.uint8)
        tifffile.imwrite(raw / "imagesTr" / f"{case}_0000.tif", sample.image)
        tifffile.imwrite(raw / "labelsTr" / f"{case}.tif", classes)
        cases[part].append(case)
    labels = {"background": 0, **{f"class {number}": number for number in range(1, num_classes)}}
    labels |= {"ignore": num_classes} if some_ignored else {}
    content = {
        "channel_names": {"0": "grey"}, "labels": labels, "numTraining": len(everything), "file_ending": ".tif",
    }  # fmt: skip
    (raw / "dataset.json").write_text(json.dumps(content))
    preprocessed = folder / "preprocessed" / NAME
    preprocessed.mkdir(parents=True)
    (preprocessed / "splits_final.json").write_text(json.dumps([cases]))


def _planned() -> Any:
    """Its trainer for the planned 2D network, ready to train."""
    api.extract_fingerprints([NUMBER], num_processes=1)
    api.plan_experiments([NUMBER])
    api.preprocess([NUMBER], configurations=("2d",), num_processes=(1,))
    trainer = get_trainer_from_args(str(NUMBER), "2d", 0, device=torch.device("cpu"))
    trainer.disable_checkpointing = True
    trainer.initialize()
    trainer.on_train_start()
    return trainer


def _train(trainer: Any, minutes: float) -> int:
    trainer.network.train()
    steps, start = 0, time.perf_counter()
    while (passed := (time.perf_counter() - start) / (60 * minutes)) < 1:
        for group in trainer.optimizer.param_groups:
            group["lr"] = trainer.initial_lr * (1 - passed) ** 0.9
        trainer.train_step(next(trainer.dataloader_train))
        steps += 1
    trainer.on_train_end()
    trainer.network.eval()
    trainer.set_deep_supervision_enabled(False)
    return steps


def _channels_first(image: npt.NDArray[np.generic]) -> npt.NDArray[np.float32]:
    return (image[None, None] if image.ndim == 2 else image[:, None]).astype(np.float32)
