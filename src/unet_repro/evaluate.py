"""Measures a finished run on one part of its split."""

import json
from pathlib import Path
from typing import Any, Literal

import torch
import torch.nn.functional as F  # noqa: N812
import yaml
from omegaconf import DictConfig

from unet_repro.config import check
from unet_repro.errors import ConfigError
from unet_repro.metrics.pixel import confusion, pixel_measures
from unet_repro.runs.checkpoint import load_network
from unet_repro.runs.folder import open_run, write_atomically
from unet_repro.train import build, place, read_data

Part = Literal["train", "val", "test"]


@torch.inference_mode()
def evaluate(run: Path, *, split: Part = "val", checkpoint: Literal["best", "last"] = "best") -> dict[str, Any]:
    """Measures of whole images by overlap-tiles, together and per image; the same as a training's validation.

    Args:
        run: A run's folder.
        split: Which part of its split.
        checkpoint: Which of its checkpoints.

    Returns:
        What is written to ``<run>/evaluation-<split>-<checkpoint>.json``: ``loss`` (unweighted cross-entropy), the
        measures of ``metrics.pixel``, and under ``images`` the same per image.

    Raises:
        ConfigError: If a choice does not exist.
        RunError: If it is no run, has no such checkpoint, or its data have changed.
        DataError: If the part has no public labels.
    """
    for name, value, known in (
        ("split", split, ("train", "val", "test")),
        ("checkpoint", checkpoint, ("best", "last")),
    ):
        if value not in known:
            raise ConfigError(f"{name}={value} does not exist", mend=f"use {', '.join(known)}")
    folder = open_run(run)
    config = check(DictConfig(yaml.safe_load(folder.config.read_text())))
    folder.check_manifest(read_data(config).manifest)
    place(config)
    data, task = build(config)
    load_network(task.net, folder.best if checkpoint == "best" else folder.last)
    device = torch.device("cuda" if config.trainer.accelerator == "gpu" and torch.cuda.is_available() else "cpu")
    task.to(device).eval()

    matrices, losses, sizes, keys = [], [], [], []
    for image in data.whole_images(split).items:
        scores_KHW = task.predict_image(image)
        classes_HW = torch.from_numpy(image.classes).to(device).long()
        losses.append(F.cross_entropy(scores_KHW[None], classes_HW[None], reduction="sum").double())
        matrices.append(confusion(scores_KHW.argmax(0), classes_HW, len(data.class_names)))
        sizes.append(classes_HW.numel())
        keys.append(image.key)
    result = {
        "run_id": folder.run_id,
        "data": read_data(config).name,
        "split": split,
        "checkpoint": checkpoint,
        "loss": float(torch.stack(losses).sum()) / sum(sizes),
        **_floats(pixel_measures(torch.stack(matrices), data.class_names)),
        "images": {
            key: {"loss": float(loss) / size, **_floats(pixel_measures(matrix[None], data.class_names))}
            for key, loss, size, matrix in zip(keys, losses, sizes, matrices, strict=True)
        },
    }
    write_atomically(run / f"evaluation-{split}-{checkpoint}.json", json.dumps(result, indent=1))
    return result


def _floats(measures: dict[str, torch.Tensor]) -> dict[str, float]:
    return {name: float(value) for name, value in measures.items()}
