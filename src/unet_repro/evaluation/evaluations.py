"""The evaluation of a trained run for the trial: ``<run>/evaluations/trial.json``, made once.

It is a pure function of the run: weights of the last step, float32, complete images by mirrored overlap-tiles. The best
weights are not evaluated, because they were selected on these images. A comparison asks for sections:

=========== ==========================================================================================================
scores      ``thresholds`` chosen on all training images, ``at_threshold`` and ``at_half`` (IoU and thinned V_rand of
            each held-out image), ``loss`` (cross-entropy of each image), ``all_cell`` (IoU of a constant prediction)
views       the first three also for the mean over 7 rotated views, under ``"7"`` beside ``"1"``
border      ``border``: IoU in the border band: mirrored, zero-padded, and with true surroundings
seam        ``seam``: largest difference of a class probability between small stitched tiles and the complete image
=========== ==========================================================================================================
"""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch

from unet_repro.config import TrainConfig
from unet_repro.data.labels import NUM_CLASSES
from unet_repro.errors import ConfigError, DataError
from unet_repro.evaluation.sections import SECTIONS, Predictions, Record
from unet_repro.evaluation.trained_run import Trained, open_trained
from unet_repro.files import locked, replacing, write_atomically
from unet_repro.runs.folder import RunFolder, open_run

NAME = "trial"
VERSION = 3  # increased whenever a change to the code changes what is measured


def evaluate(run: Path, sections: Iterable[str]) -> Record:
    """The evaluation of a finished run with at least these sections; only missing ones are computed.

    Also writes the predicted classes of the held-out images, at the threshold of the IoU, to ``trial.npz``: arrays
    ``0``, ``1``, ... in the order of the split.

    Args:
        run: The run's folder.
        sections: Names of sections; the others build on ``scores``, which is always computed.

    Returns:
        ``name``, ``version``, ``transform``, ``sections``, and the content of the sections computed so far.

    Raises:
        ConfigError: If there is no such section.
        DataError: If the data have more than two classes.
        RunError: If the run is not finished, or its data have changed.
    """
    wanted = {"scores", *check_sections(sections)}
    if is_evaluated(run, wanted):
        return cast(Record, read_evaluation(run))
    path = open_run(run).evaluation_file  # refuses a folder that is no run, before a lock is created in it
    # Locked: a sweep evaluates a run that several comparisons share in several processes.
    with locked(path.with_name(".lock"), hint="make the run's folder writable"):
        return _evaluate(run, wanted)


def _evaluate(run: Path, wanted: set[str]) -> Record:
    record = read_evaluation(run) or {"name": NAME, "version": VERSION, "sections": []}
    missing = [name for name in SECTIONS if name in wanted - {*record["sections"]}]
    if not missing:
        return record
    trained = open_trained(run, "last")
    check_measurable(trained.config, trained.data_name, len(trained.data.class_names))
    with torch.inference_mode():
        predictions = Predictions(trained)
        for name in missing:
            record = _merged(record, {**SECTIONS[name](predictions, record), "sections": [name]})
    record["sections"].sort(key=list(SECTIONS).index)
    record["transform"] = _transform(trained)
    path = trained.folder.evaluation_file
    if "scores" in missing:
        _write_classes(path.with_suffix(".npz"), predictions, record["thresholds"]["1"]["iou"])
    write_atomically(path, json.dumps(record, indent=1, sort_keys=True))
    return record


def check_measurable(config: TrainConfig, data: str, num_classes: int) -> None:
    """Checks that the trial's measures apply to runs of a configuration.

    Raises:
        DataError: If they do not.
    """
    why = ""
    if num_classes != NUM_CLASSES:
        why = f"of two classes; {data} has {num_classes}"
    elif config.target is not None or config.data_scale is not None:
        why = "of runs without target and data.scale"
    if why:
        raise DataError(
            f"the trial's measures are {why}",
            hint="set experiment.evaluations=[]; `unet-repro evaluate` measures such runs",
        )


def read_evaluation(run: Path) -> Record | None:
    """Reads the evaluation made by this version of the code; ``None`` if there is none.

    Raises:
        RunError: If its file is damaged.
    """
    record = RunFolder(run).evaluation()
    return record if record is not None and record.get("version") == VERSION else None


def is_evaluated(run: Path, sections: Iterable[str]) -> bool:
    """Whether all of these sections are computed."""
    wanted = set(sections)
    record = read_evaluation(run) if wanted else None
    return not wanted or (record is not None and wanted <= {*record["sections"]})


def check_sections(names: Iterable[str]) -> tuple[str, ...]:
    """The names, if all are sections.

    Raises:
        ConfigError: If one is not.
    """
    names = tuple(names)
    for name in names:
        if name not in SECTIONS:
            raise ConfigError(
                f"experiment.evaluations: unknown section {name!r}", hint=f"use one or more of {', '.join(SECTIONS)}"
            )
    return names


def _merged(one: Any, other: Any) -> Any:
    """Nested mappings united, lists joined."""
    if isinstance(one, dict) and isinstance(other, dict):
        return {key: _merged(one.get(key), other.get(key)) for key in {**one, **other}}
    if isinstance(one, list) and isinstance(other, list):
        return one + other
    return one if other is None else other


def _write_classes(path: Path, predictions: Predictions, threshold: float) -> None:
    classes = [image.probability > np.float32(threshold) for image in predictions.val]
    with replacing(path) as file:
        np.savez_compressed(file, allow_pickle=False, **{str(n): one.astype(np.uint8) for n, one in enumerate(classes)})


def _transform(trained: Trained) -> dict[str, str]:
    """How the images were evaluated; this must be the same for all arms of a comparison."""
    return {
        "part": "val",
        "checkpoint": "last",
        "augmentation": "none",
        "padding": "mirror",
        "precision": "float32",
        "normalisation": "mean and standard deviation of the training images",
        "device": trained.device.type,
    }
