"""Evaluations of trained runs for the trial: one file each in ``<run>/evaluations/``, computed once.

Each file contains ``transform`` (how images were evaluated, which the guard compares), and for each variant the
measures of every image. The weights of the last step are evaluated, not the best, which were selected on these images.
"""

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from tqdm import tqdm

from unet_repro.data.datamodule import WholeImage
from unet_repro.data.labels import instances_from_mask
from unet_repro.errors import ConfigError, RunError
from unet_repro.evaluation.trained_run import Part, Trained, open_trained
from unet_repro.files import replacing
from unet_repro.geometry import halo
from unet_repro.inference.overlap_tile import Padding, TilePlan, plan_tiles, predict
from unet_repro.inference.rotations import Views, average_views
from unet_repro.metrics.pixel import confusion, pixel_measures
from unet_repro.metrics.rand import pair_f_score
from unet_repro.runs.folder import write_atomically
from unet_repro.training.losses import summed_cross_entropy

VERSION = 2  # increased whenever a change to the code changes what is measured
SMALL_TILE_PX = 252  # tiles whose stitched prediction is compared with untiled prediction
VIEWS: tuple[Views, ...] = (1, 4, 7, 8)

Measures = dict[str, dict[str, float]]  # image key -> measure -> value
Record = dict[str, Any]


def evaluation(run: Path, name: str) -> Record:
    """An evaluation of a finished run; computed if it does not exist yet.

    Args:
        run: The run's folder.
        name: One of ``EVALUATIONS``.

    Returns:
        ``name``, ``version``, ``transform``, and ``variants``: variant -> image -> measure -> value.

    Raises:
        ConfigError: If there is no such evaluation.
        RunError: If the run is not finished, or its data have changed.
    """
    if name not in EVALUATIONS:
        raise ConfigError(f"there is no evaluation {name!r}", hint=f"use one of {', '.join(EVALUATIONS)}")
    known = read_evaluation(run, name)
    if known is not None:
        return known
    with torch.inference_mode():
        body = EVALUATIONS[name](open_trained(run, "last"))
    record = {"name": name, "version": VERSION, **body}
    write_atomically(path_of(run, name), json.dumps(record, indent=1))
    return record


def read_evaluation(run: Path, name: str) -> Record | None:
    """Reads an evaluation made by this version of the code; ``None`` if there is none.

    Raises:
        RunError: If its file is damaged.
    """
    path = path_of(run, name)
    if not path.exists():
        return None
    try:
        record: Record = json.loads(path.read_text())
    except ValueError as error:
        raise RunError(f"{path} is damaged", hint="remove it; it will be recomputed") from error
    return record if record.get("version") == VERSION else None


def path_of(run: Path, name: str) -> Path:
    """Path of an evaluation's file."""
    return run / "evaluations" / f"{name}.json"


def is_evaluated(run: Path, names: Iterable[str]) -> bool:
    """Whether all of these evaluations exist."""
    return all(read_evaluation(run, name) is not None for name in names)


def measure_images(trained: Trained, part: Part) -> Measures:
    """The measures of every labelled image of a part: image -> measure -> value, in float32.

    For a run trained in float32 they equal the measures of its validation.

    Raises:
        DataError: If the part has no public labels.
    """
    with torch.inference_mode():
        images = tqdm(trained.images(part), desc="evaluate", unit="image", leave=False)
        return {image.key: _measures(trained, _scores(trained, image), image) for image in images}


def _val(trained: Trained) -> Record:
    """Measures of the validation images; also writes their predicted classes to ``val.npz`` for the gallery."""
    measures: Measures = {}
    predictions = []
    for image in trained.images("val"):
        scores_KHW = _scores(trained, image)
        measures[image.key] = _measures(trained, scores_KHW, image)
        predictions.append(scores_KHW.argmax(0).to("cpu", torch.uint8).numpy())
    path = path_of(trained.folder.path, "val").with_suffix(".npz")
    path.parent.mkdir(exist_ok=True)
    with replacing(path) as file:
        np.savez_compressed(file, allow_pickle=False, **{str(n): classes for n, classes in enumerate(predictions)})
    return {"transform": _transform(trained, "mirror", "plan"), "variants": {"whole": measures}}


def _overlap_tile(trained: Trained) -> Record:
    """Mirror padding against zero padding, also in the border band; stitched small tiles against untiled prediction."""
    band_px = halo(trained.task.net.depth)
    variants: dict[str, Measures] = {"mirror": {}, "zero": {}, "small tiles": {}}
    for image in trained.images("val"):
        padded = {padding: _scores(trained, image, padding=padding) for padding in ("mirror", "zero")}
        for padding, scores_KHW in padded.items():
            variants[padding][image.key] = {
                **_measures(trained, scores_KHW, image),
                "iou_band": _iou(trained, scores_KHW, image, _band(image, band_px)),
            }
        small = plan_tiles(image.classes.shape, trained.task.net.depth, max_tile_pixels=_small_tile(trained))
        stitched = _scores(trained, image, plan=small)
        difference = (stitched.softmax(0) - padded["mirror"].softmax(0)).abs()
        variants["small tiles"][image.key] = {
            **_measures(trained, stitched, image),
            "max_difference": float(difference.max()),
            "mean_difference": float(difference.mean()),
        }
    return {"transform": _transform(trained, "mirror, zero", "plan, small tiles"), "variants": variants}


def _rotations(trained: Trained) -> Record:
    """Measures for the mean probabilities of 1, 4, 7 and 8 views."""
    variants: dict[str, Measures] = {str(views): {} for views in VIEWS}
    for image in trained.images("val"):
        for views in VIEWS:
            mean_KHW = average_views(lambda view: _scores_of(trained, view), image.image, views)
            variants[str(views)][image.key] = _measures(trained, mean_KHW.clamp(min=1e-12).log(), image)
    return {"transform": _transform(trained, "mirror", "plan"), "variants": variants}


EVALUATIONS: dict[str, Callable[[Trained], Record]] = {
    "val": _val,
    "overlap_tile": _overlap_tile,
    "rotations": _rotations,
}


def _small_tile(trained: Trained) -> int:
    """Input pixels of a small tile, at most the run's own tile size."""
    tile = min(SMALL_TILE_PX, int(trained.config.tiles["size"]))
    return tile * tile


def _scores(
    trained: Trained, image: WholeImage, *, plan: TilePlan | None = None, padding: Padding = "mirror"
) -> Tensor:
    return _scores_of(trained, image.image, plan=plan, padding=padding)


def _scores_of(
    trained: Trained, image_CHW: npt.NDArray[np.float32], *, plan: TilePlan | None = None, padding: Padding = "mirror"
) -> Tensor:
    net = trained.task.net
    plan = plan or plan_tiles((image_CHW.shape[-2], image_CHW.shape[-1]), net.depth)
    return predict(net, image_CHW, plan, device=trained.device, padding=padding)


def _measures(trained: Trained, scores_KHW: Tensor, image: WholeImage) -> dict[str, float]:
    classes_HW = torch.from_numpy(image.classes).to(trained.device).long()
    predicted_HW = scores_KHW.argmax(0)
    names = trained.data.class_names
    measured = pixel_measures(confusion(predicted_HW, classes_HW, len(names))[None], names)
    pieces = instances_from_mask(predicted_HW.cpu().numpy())
    return {
        "loss": float(summed_cross_entropy(scores_KHW, classes_HW)) / classes_HW.numel(),
        **{name: float(value) for name, value in measured.items()},
        "pair_f_score": pair_f_score(instances_from_mask(image.classes), pieces),
    }


def _iou(trained: Trained, scores_KHW: Tensor, image: WholeImage, where: npt.NDArray[np.bool_]) -> float:
    """Mean IoU over the selected pixels of an image."""
    inside = torch.from_numpy(where).to(trained.device)
    classes_HW = torch.from_numpy(image.classes).to(trained.device).long()
    names = trained.data.class_names
    matrix = confusion(scores_KHW.argmax(0)[inside], classes_HW[inside], len(names))
    return float(pixel_measures(matrix[None], names)["iou"])


def _band(image: WholeImage, width_px: int) -> npt.NDArray[np.bool_]:
    """Mask of the pixels within a distance of the border."""
    band = np.ones(image.classes.shape, bool)
    band[width_px:-width_px, width_px:-width_px] = False
    return band


def _transform(trained: Trained, padding: str, tiles: str) -> dict[str, Any]:
    """How the images were evaluated; this must be the same for all arms of a comparison."""
    return {
        "part": "val",
        "checkpoint": "last",
        "augmentation": "none",
        "padding": padding,
        "tiles": tiles,
        "precision": "float32",
        "normalisation": "mean and standard deviation of the training images",
        "device": trained.device.type,
    }
