"""Crops for the page: held-out images with truth and predictions, and the weight maps, as PNG data URLs.

A complete image is never shown: the crop's side is at most half of the image's side.
"""

import base64
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from matplotlib import colormaps
from omegaconf import DictConfig

from unet_repro.config import check
from unet_repro.data.labels import IGNORED, classes_of
from unet_repro.data.normalise import channels_first
from unet_repro.data.sample import Sample
from unet_repro.errors import DataError, UserError
from unet_repro.grey import stretched
from unet_repro.report.arm_runs import ArmRun, image_name
from unet_repro.report.credits import CREDITS
from unet_repro.report.weights_figure import all_weight_maps
from unet_repro.runs.folder import RunFolder
from unet_repro.training.build import Data, read_data

CROP_PX = 192
NUM_TILES = 3  # the first, middle and last of the evaluated images
Image = npt.NDArray[np.uint8]


def pictures_of(runs_dir: Path, runs: Iterable[ArmRun]) -> dict[str, Any]:
    """The page's pictures: one finished run of each arm, all of the smallest seed.

    Returns:
        ``gallery``: ``tiles`` by image set, ``predictions`` by comparison, and why images are ``missing``;
        ``weight_maps`` of the first training image.
    """
    comparisons: dict[str, list[ArmRun]] = {}
    for run in runs:
        if run.state == "done":
            comparisons.setdefault(run.place, []).append(run)
    tiles: dict[str, list[dict[str, Any]]] = {}
    predictions: dict[str, Any] = {}
    missing: dict[str, str] = {}
    maps: list[dict[str, str]] = []
    for place, members in comparisons.items():
        seed = min(run.seed for run in members)
        arms = {run.arm: run for run in members if run.seed == seed and shown_keys(runs_dir, run)}
        if not arms:
            continue
        first = next(iter(arms.values()))
        keys = shown_keys(runs_dir, first)
        name = f"{first.data} {' '.join(keys)}"
        if name not in tiles and first.data not in missing:
            try:
                data = data_of(first)
                tiles[name] = _tiles(data, keys)
                maps = maps or weight_maps_of(data)
            except UserError as error:
                missing[first.data] = f"{error.what}; {error.hint}"
        alike = [(arm, run) for arm, run in arms.items() if shown_keys(runs_dir, run) == keys]
        if name in tiles:
            predictions[place] = {"data": name, "arms": {arm: _predictions(runs_dir, run) for arm, run in alike}}
    return {
        "gallery": {"tiles": tiles, "predictions": predictions, "missing": list(missing.values())},
        "weight_maps": maps,
    }


def data_of(run: ArmRun) -> Data:
    """The data that a run was trained on.

    Raises:
        DataError: If the data are not on this machine, or have changed.
    """
    data = read_data(check(DictConfig(run.settings)))
    if data.manifest["digest"] != run.manifest["digest"]:
        raise DataError(f"the images of {data.name} have changed since the training", hint="restore them to show them")
    return data


def shown_keys(runs_dir: Path, run: ArmRun) -> list[str]:
    """Keys of the held-out images to show; none if the run has not been evaluated."""
    if not _predicted(runs_dir, run).exists():
        return []
    with np.load(_predicted(runs_dir, run)) as stored:
        keys = run.manifest["split"]["val"][: len(stored.files)]  # trainer.max_val_images can leave the others out
    return [keys[index] for index in sorted({0, len(keys) // 2, len(keys) - 1})][:NUM_TILES] if keys else []


def _predicted(runs_dir: Path, run: ArmRun) -> Path:
    """The file with the predicted classes of the held-out images, in their order in the manifest."""
    return RunFolder(runs_dir / run.run_id).evaluation_file.with_suffix(".npz")


def _predictions(runs_dir: Path, run: ArmRun) -> list[str]:
    keys = run.manifest["split"]["val"]
    with np.load(_predicted(runs_dir, run)) as stored:
        classes = [stored[str(keys.index(key))] for key in shown_keys(runs_dir, run)]
    return [_png(_mask(_crop(predicted)), bilevel=True) for predicted in classes]


def weight_maps_of(data: Data) -> list[dict[str, str]]:
    """Every weight map of the first training image, on one logarithmic colour scale."""
    key = data.split.train[0]
    sample = next(sample for sample in data.samples if sample.key == key)
    maps = {name: _crop(weights) for name, weights in all_weight_maps(data, key).items()}
    highest = max(float(weights.max()) for weights in maps.values())
    lowest = highest / 100
    picture = _png(_grey(_crop(channels_first(sample.image)[0])))
    pictures = [{"name": "image", "image": picture, "note": f"image {image_name(key)}, trained on"}]
    for name, weights in maps.items():
        share = np.log(np.clip(weights, lowest, highest) / lowest) / np.log(highest / lowest)
        colours = (colormaps["viridis"](share)[..., 2::-1] * 255).astype(np.uint8)
        note = f"{weights.min():.3g} to {weights.max():.3g}, mean {weights.mean():.3g} in this crop"
        pictures.append({"name": name, "image": _png(colours), "note": note})
    return pictures


def _tiles(data: Data, keys: Sequence[str]) -> list[dict[str, Any]]:
    samples = {sample.key: sample for sample in data.samples}
    return [_tile(samples[key], data.name) for key in keys]


def _tile(sample: Sample, source: str) -> dict[str, Any]:
    assert sample.labels is not None, "only labelled images are evaluated"
    image, truth = _crop(channels_first(sample.image)[0]), _crop(classes_of(sample.labels, sample.classes))
    return {
        "title": f"image {image_name(sample.key)}, held out",
        "credit": CREDITS.get(source, source),
        "size": int(image.shape[0]),
        "image": _png(_grey(image)),
        "truth": _png(_mask(truth), bilevel=True),
    }


def _crop(image: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """The square crop in the middle."""
    height, width = image.shape[:2]
    side = min(CROP_PX, height // 2, width // 2)
    top, left = (height - side) // 2, (width - side) // 2
    return image[top : top + side, left : left + side]


def _mask(classes: npt.NDArray[Any]) -> Image:
    mask: Image = ((classes > 0) & (classes != IGNORED)).astype(np.uint8) * np.uint8(255)
    return mask


def _grey(image: npt.NDArray[Any]) -> Image:
    grey: Image = (stretched(image) * 255).astype(np.uint8)
    return grey


def _png(image: Image, *, bilevel: bool = False) -> str:
    done, encoded = cv2.imencode(".png", image, [cv2.IMWRITE_PNG_BILEVEL, int(bilevel), cv2.IMWRITE_PNG_COMPRESSION, 9])
    assert done, "an array of bytes can be written as PNG"
    return "data:image/png;base64," + base64.b64encode(encoded.tobytes()).decode()
