"""Times the augmentation of one 572 tile of a 512 x 512 image with labels and weights, one thread.

The elastic grid spans 572 pixels, here the whole tile. Peers: elasticdeform on the whole image, then a crop
(as in the earlier reproduction), the same with scipy, albumentations, and nnU-Net's batchgeneratorsv2.

All candidates run in turn in one process, so that a busy machine slows them equally: python benchmarks/augment.py
"""

import os

os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = os.environ["MKL_NUM_THREADS"] = "1"
os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"  # all of these are read only at import

import itertools
from collections.abc import Callable
from pathlib import Path

import albumentations
import cv2
import elasticdeform
import numpy as np
import torch
from batchgeneratorsv2.transforms.spatial.spatial import SpatialTransform
from harness import Record, in_turn, options
from hydra.utils import instantiate
from omegaconf import OmegaConf
from scipy import ndimage

SIZE, TILE, OUTPUT = 512, 572, 388
GOALS = {"whole image by elasticdeform, then crop": ">= 20", "albumentations ElasticTransform": ">= 3"}
CONF = Path(__file__).parents[1] / "conf" / "augment"


def cut(warped):
    """Cuts a tile, and the labels and weights of its centre, from an image."""
    margin, inner = (TILE - SIZE) // 2, (SIZE - OUTPUT) // 2
    central = slice(inner, SIZE - inner)
    return np.pad(warped[0], margin, mode="reflect"), warped[1][central, central], warped[2][central, central]


def by_elasticdeform(image, classes, weights):
    """As in the earlier reproduction, with the cheaper of its interpolations."""
    arrays = [image, classes, weights]
    return cut(elasticdeform.deform_random_grid(arrays, sigma=10, points=3, order=[1, 0, 1], mode="mirror"))


def by_scipy(image, classes, weights, seed):
    """A plain version: a bicubic field over the whole image, warped by scipy, then cropped."""
    rng = np.random.default_rng(seed)
    height, width = image.shape
    rows, columns = np.mgrid[:height, :width].astype(np.float64)
    nodes = [rows * 2 / (height - 1), columns * 2 / (width - 1)]
    field = [ndimage.map_coordinates(rng.normal(0, 10, (3, 3)), nodes, order=3, mode="nearest") for _ in range(2)]
    source = [rows + field[0], columns + field[1]]
    warped = [
        ndimage.map_coordinates(array, source, order=order, mode="mirror")
        for array, order in ((image, 1), (classes, 0), (weights, 1))
    ]
    return cut(warped)


def candidates() -> dict[str, Callable[[int], object]]:
    rng = np.random.default_rng(0)
    image, weights = rng.standard_normal((2, SIZE, SIZE), dtype=np.float32)
    classes = (image > 0).astype(np.uint8)
    place = {"center_yx": (SIZE // 2, SIZE // 2), "tile_size": TILE, "output_size": OUTPUT}
    found: dict[str, Callable[[int], object]] = {}
    for file in sorted(CONF.glob("*.yaml")):
        augment = instantiate(OmegaConf.load(file))
        found[f"augment={file.stem}"] = lambda seed, augment=augment: augment(
            image, classes, weights, **place, seed=seed
        )
    found["whole image by elasticdeform, then crop"] = lambda _: by_elasticdeform(image, classes, weights)
    found["whole image by scipy, then crop"] = lambda seed: by_scipy(image, classes, weights, seed)
    margin = (TILE - SIZE) // 2
    tiles = {
        "image": np.pad(image, margin, mode="reflect"),
        "mask": np.pad(classes, margin, mode="reflect"),
        "weights": np.pad(weights, margin, mode="reflect"),
    }
    for approximate in (False, True):
        # White noise blurred by sigma has standard deviation 1 / (2 sigma sqrt(pi)): this alpha makes it 10 px.
        # Only the tile is warped, and cutting it is not counted.
        elastic = albumentations.Compose(
            [albumentations.ElasticTransform(alpha=10 * 100 * np.pi**0.5, sigma=50, approximate=approximate, p=1)],
            additional_targets={"weights": "image"},
            seed=0,
        )
        label = f"albumentations ElasticTransform{' (approximate)' if approximate else ''}"
        found[label] = lambda _, elastic=elastic: elastic(**tiles)
    # Its magnitude is relative to the tile; the weights are deformed as a second channel of the image.
    spatial = SpatialTransform(
        (TILE, TILE), 0, False, p_elastic_deform=1, elastic_deform_scale=0.25, elastic_deform_magnitude=10 / TILE
    )
    both = torch.from_numpy(np.stack([tiles["image"], tiles["weights"]]))
    labels = torch.from_numpy(tiles["mask"].astype(np.int16))[None]
    found["batchgeneratorsv2 SpatialTransform"] = lambda _: spatial(image=both, segmentation=labels)
    return found


def main() -> None:
    rounds = options(__doc__, rounds=25).rounds
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    runs, seeds = candidates(), itertools.count()
    times = in_turn({name: lambda run=run: run(next(seeds)) for name, run in runs.items()}, rounds=rounds, warm_up=2)
    ours = times["augment=elastic"].median
    record = Record("augment", f"Cut and augment one {TILE} tile with labels and weights, one thread")
    for name, seconds in times.items():
        record.add(name, seconds, ratio=seconds.median / ours, to="augment=elastic, its time", goal=GOALS.get(name, ""))
    record.write()


if __name__ == "__main__":
    main()
