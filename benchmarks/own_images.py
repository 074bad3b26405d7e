"""Twelve images as if they were one's own: inspected, trained on, measured and segmented by the command line alone.

    python benchmarks/own_images.py FOLDER [--steps 600] [--picture docs/pictures/own-images.jpg]

Makes FOLDER/mine of crops of PhC-C2DH-U373 (Cell Tracking Challenge, phase contrast, silver masks as labels): eight of
sequence 02 to train on, four of sequence 01 to test on. Runs `unet-repro inspect`, `train experiment=own_data`,
`evaluate part=test` and `predict` there, and draws the picture of the README.
"""

import argparse
import csv
import subprocess
import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt
import tifffile
from matplotlib.figure import Figure
from skimage.segmentation import find_boundaries

from unet_repro.data.sample import Sample
from unet_repro.data.sources.cell_tracking import CellTracking
from unet_repro.report.credits import CREDITS

NAME = "PhC-C2DH-U373"
TRAINED = [f"02/t{frame:03d}" for frame in range(0, 112, 14)]
TESTED = [f"01/t{frame:03d}" for frame in (10, 40, 70, 100)]
# Four cells an image could be four classes as well, so that `inspect` asks: they are numbered objects.
OWN = ("data=folder", "data.root=mine", "data.labels=instances")
SIZE_HW = (320, 400)  # of a crop; a frame has 520 x 696 pixels
CELL_YELLOW = (0.94, 0.89, 0.26)


def main() -> None:
    asked = _arguments()
    _write(asked.folder / "mine")
    said = [_command(asked.folder, "inspect", *OWN)]
    own = ["experiment=own_data", *OWN, f"trainer.max_steps={asked.steps}"]
    said.append(_command(asked.folder, "train", *own, "trainer.progress=false"))
    (run,) = (asked.folder / "runs").glob("*/result.json")
    of_run = f"run=runs/{run.parent.name}"
    said.append(_command(asked.folder, "evaluate", of_run, "part=val", "warping=false"))
    said.append(_command(asked.folder, "evaluate", of_run, "part=test", "warping=false"))
    said.append(_command(asked.folder, "predict", of_run, "input=mine/test/images", "output=out"))
    (asked.folder / "said.txt").write_text("\n".join(said))
    _draw(asked.folder, asked.picture or asked.folder / "own-images.jpg")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="a folder that does not exist")
    parser.add_argument("--steps", type=int, default=600, help="the plan has 2000 (default %(default)s)")
    parser.add_argument("--picture", type=Path, help="default: FOLDER/own-images.jpg")
    return parser.parse_args()


def _command(folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "unet_repro", *arguments], cwd=folder, text=True, capture_output=True, check=False
    )
    said = f"$ unet-repro {' '.join(arguments)}\n{done.stderr}{done.stdout}"
    print(said)
    if done.returncode:
        raise SystemExit(done.returncode)
    return said


def _write(mine: Path) -> None:
    """Writes the crops: TIFF images, and labels numbered anew, as a program for annotation would."""
    samples = {one.key: one for one in CellTracking(name=NAME).samples()}
    for keys, folder in ((TRAINED, mine), (TESTED, mine / "test")):
        for part in ("images", "labels"):
            (folder / part).mkdir(parents=True)
        for key in keys:
            image, labels = _crop(samples[key])
            name = f"cells_{key.replace('/', '_')}"
            tifffile.imwrite(folder / "images" / f"{name}.tif", image)
            tifffile.imwrite(folder / "labels" / f"{name}_mask.tif", labels)


def _crop(sample: Sample) -> tuple[npt.NDArray[np.generic], npt.NDArray[np.uint16]]:
    """The crop with the most cell pixels."""
    assert sample.labels is not None, "silver masks are on all frames"
    height, width = SIZE_HW
    sums = np.pad((sample.labels > 0).astype(np.int64).cumsum(0).cumsum(1), ((1, 0), (1, 0)))
    inside = sums[height:, width:] - sums[:-height, width:] - sums[height:, :-width] + sums[:-height, :-width]
    top, left = np.unravel_index(int(inside.argmax()), inside.shape)
    part = np.s_[top : top + height, left : left + width]
    numbered = np.unique(sample.labels[part], return_inverse=True)[1].reshape(SIZE_HW)
    return sample.image[part], numbered.astype(np.uint16)


def _draw(folder: Path, path: Path) -> None:
    """Image, labels and prediction of three tested images, each a crop, with the number of objects in it."""
    rows = list(csv.DictReader((folder / "out/objects.csv").open()))
    figure = Figure(figsize=(8.4, 6.6), layout="constrained", dpi=100)
    names = sorted(one.name for one in (folder / "mine/test/images").iterdir())[:3]
    axes = figure.subplots(len(names), 3)
    for line, name in zip(axes, names, strict=True):
        image = tifffile.imread(folder / "mine/test/images" / name)
        truth = tifffile.imread(folder / "mine/test/labels" / name.replace(".tif", "_mask.tif"))
        found = tifffile.imread(folder / "out" / name)
        assert len(np.unique(found)) - 1 == sum(row["image"] == name for row in rows), "the table has every object"
        for panel, objects, what in zip(line, (None, truth, found), ("image", "labels", "prediction"), strict=True):
            panel.imshow(_outlined(image, objects))
            number = "" if objects is None else f": {len(np.unique(objects)) - 1} cells"
            panel.set_title(f"{what}{number}", fontsize=9)
            panel.set(xticks=[], yticks=[])
    figure.supxlabel(f"Crops of test images. {CREDITS[NAME]}", fontsize=7)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, pil_kwargs={"quality": 82})


def _outlined(image: npt.NDArray[np.generic], objects: npt.NDArray[np.generic] | None) -> npt.NDArray[np.float32]:
    low, high = np.percentile(image, (0.5, 99.5))
    colours = np.repeat(np.clip((image.astype(np.float32) - low) / (high - low), 0, 1)[..., None], 3, axis=2)
    if objects is not None:
        colours[find_boundaries(objects, mode="thick")] = CELL_YELLOW
    return colours


if __name__ == "__main__":
    main()
