"""Programs on the same folds, with equal minutes of training on the same cores, measured by the same code.

    python benchmarks/peers.py [--minutes 10] [--seeds 0] [--programs NAME ...] [--data em hela u373] [--views 1 4 8]

EM: five folds, each predicted by a network that saw neither its slices nor their neighbours. HeLa and U373: each
sequence predicted by a network that was trained on the other. The programs train on the same images, with the same
labels and the same validation images; each has its own architecture, augmentation and schedule:

- own_data, own_objects: the recommended settings of this program (own_objects for cells only), width 16;
- BasicUNet: MONAI's, with this program's augmentation (`peer_basicunet.py`);
- nnU-Net: v2, 2D, its own plan (`peer_nnunet.py`);
- Cellpose: version 3, from scratch, for cells only (`peer_cellpose.py`).

Single predictions, and each program's own mean over rotated or mirrored views: eight, and four of nnU-Net; Cellpose has
single ones only; `--views 1 4` leaves out the eight. Objects are found in probabilities with settings chosen on
validation images; Cellpose finds its own.
Predictions are kept in --work, so that a stopped comparison goes on; the measures go to the record of the open table.
"""

import unet_repro  # noqa: F401 - before torch, which reads how OpenMP's threads wait

# isort: split
import json
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from harness import command, machine, options
from peer_basicunet import BASIC_UNET
from peer_cellpose import Cellpose
from peer_nnunet import NNUNet
from timed import configured, train_for
from tqdm import tqdm

from unet_repro.config import TrainConfig
from unet_repro.data.datamodule import TileData, WholeImage
from unet_repro.data.labels import Labels
from unet_repro.data.sample import Sample
from unet_repro.evaluation.assessment import assess_trained
from unet_repro.evaluation.trained_run import Part, Trained
from unet_repro.inference.rotations import Views, average_views
from unet_repro.machine import usable_cores, use_machine
from unet_repro.report.open_table import Kept, keep
from unet_repro.runs.folder import RunFolder
from unet_repro.training.build import Data, build, read_data

HALF = ["data.scale=0.5", "tiles.size=348", "tiles.budget=1x348"]
PROGRAMS = {
    "own_data": ["experiment=own_data"],
    "own_objects": ["experiment=own_objects", *HALF],
    "BasicUNet": ["augment=paper", *BASIC_UNET],
    "nnU-Net": [],
    "Cellpose": [],
}
CELLS_ONLY = ("own_objects", "Cellpose")
TITLES = {"em": "EM", "hela": "HeLa", "u373": "U373"}
FOLDS = {
    "em": [["data=isbi2012", "split=kfold", f"split.fold={fold}"] for fold in range(5)],
    **{
        data: [
            [f"data={data}", "split=sequence", f"split.train='{train}'", f"split.test='{test}'"]
            for train, test in (("01", "02"), ("02", "01"))
        ]
        for data in ("hela", "u373")
    },
}
# Rotated or mirrored images whose mean is a prediction; all others 1 and 8.
VIEWS: dict[str, tuple[Views, ...]] = {"nnU-Net": (1, 4), "Cellpose": (1,)}

Maps = dict[str, npt.NDArray[np.generic]]  # number of views: class probabilities and a seed map; "objects": (H, W)


@dataclass(frozen=True)
class Fold:
    """What a program trains on and predicts."""

    name: str
    program: str
    seed: int
    overrides: list[str]
    views: tuple[Views, ...]

    @cached_property
    def config(self) -> TrainConfig:
        return configured([*self.overrides, *PROGRAMS[self.program], f"seed={self.seed}"])

    @cached_property
    def source(self) -> Data:
        return read_data(self.config)

    @cached_property
    def data(self) -> TileData:
        return build(self.config, self.source)[0]

    @property
    def part(self) -> Part:
        return "test" if any(sample.labels is not None for sample in self.data.samples["test"]) else "val"

    def stored_in(self, work: Path) -> Path:
        views = "+".join(map(str, self.views))
        return work / f"{self.name}-{self.program}-{self.seed}-{views}-views.npz"


@dataclass(frozen=True)
class Stored(Trained):
    """The predictions of a program, in place of a network."""

    predicted: Mapping[str, npt.NDArray[np.generic]] = field(default_factory=dict)

    def maps(self, image: WholeImage, views: Views) -> torch.Tensor:
        return torch.from_numpy(self.predicted[f"{image.key} {views}"].astype(np.float32))

    def objects(self, image: WholeImage) -> Labels | None:
        found = self.predicted.get(f"{image.key} objects")
        return None if found is None else found.astype(np.int32)


def trained(fold: Fold, minutes: float) -> tuple[Callable[[Sample, WholeImage], Maps], dict[str, float]]:
    """Trains a program; returns what predicts an image, and what is to be recorded of the training."""
    samples, num_classes = fold.data.samples, len(fold.data.class_names)
    if fold.program == "nnU-Net":
        with tempfile.TemporaryDirectory() as folder:
            net = NNUNet(samples, num_classes, seed=fold.seed, minutes=minutes, folder=Path(folder))
        return (
            lambda sample, _: {str(views): net.probabilities(sample.image, mirrored=views > 1) for views in fold.views}
        ), {"steps": net.steps}
    if fold.program == "Cellpose":
        cellpose = Cellpose(samples["train"], seed=fold.seed, minutes=minutes)

        def found(sample: Sample, _: WholeImage) -> Maps:
            objects, probability = cellpose.found(sample.image)
            return {"1": np.stack([1 - probability, probability]), "objects": objects}

        return found, {"epochs": cellpose.epochs, "seconds": cellpose.seconds}
    timed = train_for(
        minutes, fold.config, fold.source, name=f"{fold.name}, {fold.program}", plain_order=fold.program == "BasicUNet"
    )
    return (
        lambda _, image: {
            str(views): average_views(timed.scores, image.image, views, num_classes).numpy() for views in fold.views
        }
    ), {"steps": timed.steps}


def predict(fold: Fold, minutes: float, work: Path) -> None:
    """Trains a program on a fold and keeps its predictions of the labelled images that it did not train on."""
    path = fold.stored_in(work)
    if path.exists():
        return
    maps_of, about = trained(fold, minutes)
    kept: Maps = {"about": np.array(json.dumps({**about, "minutes": minutes, "machine": machine()}))}
    for part in dict.fromkeys(("val", fold.part)):
        labelled = [sample for sample in fold.data.samples[part] if sample.labels is not None]
        images = fold.data.whole_images(part).items
        for sample, image in tqdm(list(zip(labelled, images, strict=True)), desc=f"{fold.name} {part}", leave=False):
            for name, maps in maps_of(sample, image).items():
                kept[f"{image.key} {name}"] = maps.astype(np.int32 if name == "objects" else np.float16)
    work.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(".part.npz")
    np.savez_compressed(unfinished, **kept)
    unfinished.rename(path)
    print(fold.name, fold.program, fold.seed, about, flush=True)


def stored(folds: list[Fold], work: Path) -> Iterator[Stored]:
    for fold in folds:
        with np.load(fold.stored_in(work)) as file:
            predicted = {name: file[name] for name in file.files}
        folder = RunFolder(Path(f"{fold.name}-{fold.program}-{fold.seed}"))
        _, task = build(fold.config, fold.source)
        yield Stored(folder, fold.config, fold.data, task, torch.device("cpu"), fold.source.name, predicted=predicted)


def folds_of(data: str, program: str, seed: int, asked: list[int]) -> list[Fold]:
    views = tuple(each for each in VIEWS.get(program, (1, 8)) if each in asked)
    return [Fold(f"{data}-{number}", program, seed, overrides, views) for number, overrides in enumerate(FOLDS[data])]


def main() -> None:
    asked = options(
        __doc__, minutes=10.0, seeds=[0], programs=list(PROGRAMS), data=list(FOLDS), views=[1, 4, 8],
        work="reports/peers", record="experiments/record/open",
    )  # fmt: skip
    use_machine(usable_cores())
    work = Path(asked.work) / f"{asked.minutes:g}"
    folds = {
        (data, program): {seed: folds_of(data, program, seed, asked.views) for seed in asked.seeds}
        for data in asked.data
        for program in asked.programs
        if data != "em" or program not in CELLS_ONLY
    }
    for seed in asked.seeds:
        for by_seed in folds.values():
            for fold in by_seed[seed]:
                predict(fold, asked.minutes, work)
    for part in ("val", "test"):
        for views in asked.views:
            assessments = tuple(
                assess_trained(
                    f"{TITLES[data]} {program}",
                    {seed: stored(each, work) for seed, each in by_seed.items()},
                    part=part,
                    views=views,
                    warping=False,
                )
                for (data, program), by_seed in folds.items()
                if (first := by_seed[asked.seeds[0]][0]).part == part and views in first.views
            )
            if assessments:
                name = f"peers-{asked.minutes:g}-minutes"
                keep(Kept(name, part, "last", views, assessments), Path(asked.record), command())


if __name__ == "__main__":
    main()
