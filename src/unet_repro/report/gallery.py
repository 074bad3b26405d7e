"""Crops for the page: held-out images with truth and predictions, and the weight maps, as PNG data URLs.

A complete image is never shown: the crop's side is at most half of the image's side.
"""

import base64
from collections.abc import Iterable, Mapping
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from matplotlib import colormaps
from omegaconf import DictConfig

from unet_repro.config import check
from unet_repro.data.labels import classes_from_instances
from unet_repro.data.normalise import channels_first
from unet_repro.data.sample import Sample
from unet_repro.errors import DataError
from unet_repro.evaluation.evaluations import path_of
from unet_repro.report.weights_figure import all_weight_maps
from unet_repro.training.build import Data, read_data
from unet_repro.trial.finished_runs import Run

CROP_PX = 192
NUM_TILES = 3  # the first, middle and last of the evaluated images
CREDITS = {
    "isbi2012": "ISBI 2012 EM challenge; Cardona et al. 2010, Arganda-Carreras et al. 2015",
    "DIC-C2DH-HeLa": "Cell Tracking Challenge, G. van Cappellen; Maška et al. 2023",
    "PhC-C2DH-U373": "Cell Tracking Challenge, S. Kumar; Maška et al. 2023",
}
Image = npt.NDArray[np.uint8]


def data_of(run: Run) -> Data:
    """The data that a run was trained on.

    Raises:
        DataError: If the data are not on this machine, or have changed.
    """
    data = read_data(check(DictConfig(run.config)))
    if data.manifest["digest"] != run.manifest["digest"]:
        raise DataError(f"the images of {data.name} have changed since the training", hint="restore them to show them")
    return data


def tiles_of(run: Run) -> list[dict[str, Any]]:
    """Crops of the images that a run is evaluated on: ``key``, ``credit``, ``size``, ``image`` and ``truth``.

    Raises:
        DataError: If the images are missing.
    """
    data = data_of(run)
    samples = {sample.key: sample for sample in data.samples}
    return [_tile(samples[key], data.name) for key in shown_keys(run)]


def shown_keys(run: Run) -> list[str]:
    """Keys of the images to show."""
    record = run.evaluation("val")
    keys = list(record["variants"]["whole"]) if record else []
    return [keys[index] for index in sorted({0, len(keys) // 2, len(keys) - 1})][:NUM_TILES] if keys else []


def predictions_of(run: Run) -> list[str]:
    """Predicted classes for the same crops."""
    record = run.evaluation("val")
    path = path_of(run.folder.path, "val").with_suffix(".npz")
    if record is None or not path.exists():
        return []
    keys = list(record["variants"]["whole"])
    with np.load(path) as stored:
        classes = [stored[str(keys.index(key))] for key in shown_keys(run)]
    return [_png(_crop(predicted) * np.uint8(255), bilevel=True) for predicted in classes]


def weight_maps_of(run: Run) -> list[dict[str, str]]:
    """Every weight map of the first training image, on one logarithmic colour scale.

    Raises:
        DataError: If the images are missing.
    """
    data = data_of(run)
    key = data.split.train[0]
    sample = next(sample for sample in data.samples if sample.key == key)
    maps = {name: _crop(weights) for name, weights in all_weight_maps(data, key).items()}
    highest = max(float(weights.max()) for weights in maps.values())
    lowest = highest / 100
    pictures = [{"name": "image", "image": _png(_grey(_crop(channels_first(sample.image)[0]))), "note": key}]
    for name, weights in maps.items():
        share = np.log(np.clip(weights, lowest, highest) / lowest) / np.log(highest / lowest)
        colours = (colormaps["viridis"](share)[..., 2::-1] * 255).astype(np.uint8)
        note = f"{weights.min():.3g} to {weights.max():.3g}, mean {weights.mean():.3g} in this crop"
        pictures.append({"name": name, "image": _png(colours), "note": note})
    return pictures


def first_with_images(runs: Iterable[Run]) -> Run | None:
    """The first run with evaluated validation images."""
    return next((run for run in runs if shown_keys(run)), None)


def predictions_by_arm(arms: Mapping[str, Run], keys: list[str]) -> dict[str, list[str]]:
    """Predictions of the arms that are evaluated on exactly these images."""
    return {arm: pictures for arm, run in arms.items() if shown_keys(run) == keys and (pictures := predictions_of(run))}


def _tile(sample: Sample, source: str) -> dict[str, Any]:
    assert sample.labels is not None, "only labelled images are evaluated"
    image, truth = _crop(channels_first(sample.image)[0]), _crop(classes_from_instances(sample.labels))
    return {
        "key": sample.key,
        "credit": CREDITS.get(source, source),
        "size": int(image.shape[0]),
        "image": _png(_grey(image)),
        "truth": _png(truth * np.uint8(255), bilevel=True),
    }


def _crop(image: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """The square crop in the middle."""
    height, width = image.shape[:2]
    side = min(CROP_PX, height // 2, width // 2)
    top, left = (height - side) // 2, (width - side) // 2
    return image[top : top + side, left : left + side]


def _grey(image: npt.NDArray[Any]) -> Image:
    low, high = np.percentile(image, (0.5, 99.5))
    grey: Image = (np.clip((image - low) / max(high - low, 1e-9), 0, 1) * 255).astype(np.uint8)
    return grey


def _png(image: Image, *, bilevel: bool = False) -> str:
    done, encoded = cv2.imencode(".png", image, [cv2.IMWRITE_PNG_BILEVEL, int(bilevel), cv2.IMWRITE_PNG_COMPRESSION, 9])
    assert done, "an array of bytes can be written as PNG"
    return "data:image/png;base64," + base64.b64encode(encoded.tobytes()).decode()
