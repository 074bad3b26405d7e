"""What starting from a trained network saves: HeLa cells of a new sequence, with 1, 3 and 6 own images.

    python benchmarks/fine_tuning.py --start RUN [--folder FOLDER] [--seeds 0 1 2] [--jobs 2]

RUN is a run of `experiment=sequences`, arm "HeLa own_objects, 01 to 02": it has seen sequence 01 alone. The own images
are frames of sequence 02 with silver masks, as a folder of files; the nine frames of sequence 02 with gold masks,
at least five frames away from them, judge. All own images train (`split=all`); the step is fixed in advance, and the
last weights are measured:

- from scratch: 2000 steps of the setting own_objects, and 500;
- from the network: 500 steps at a third of the learning rate (assumed, not tuned);
- the network as it is, its best weights, with which fine-tuning starts.

The trainings are ordinary runs in FOLDER/runs, so that a stopped benchmark goes on.
"""

import unet_repro  # noqa: F401 - before torch, which reads how OpenMP's threads wait

# isort: split
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import tifffile
from harness import command, options

from unet_repro.data.labels import Labels
from unet_repro.data.sample import Sample
from unet_repro.data.sources.cell_tracking import CellTracking
from unet_repro.evaluation.assessment import assess
from unet_repro.evaluation.groups import Group, groups_of, runs_of
from unet_repro.evaluation.measured import Assessment
from unet_repro.machine import use_machine
from unet_repro.report.open_table import Kept, keep
from unet_repro.runs.folder import open_run

OWN = {1: (48,), 3: (0, 48, 80), 6: (0, 20, 48, 54, 73, 80)}  # number of own images -> frames of sequence 02
SETTING = [
    "experiment=own_objects", "plan=null", "data=folder", "data.labels=instances", "data.scale=0.5", "tiles.size=348",
    "tiles.budget=1x348", "split=all", "trainer.val_every=500", "trainer.threads=1",
]  # fmt: skip


def write(folder: Path, frames: tuple[int, ...]) -> None:
    """Writes own images and, as its test part, the frames with gold masks."""
    if folder.exists():
        return
    source = CellTracking(name="DIC-C2DH-HeLa")
    gold = source.gold()
    for sample in source.samples():
        own = sample.key in [f"02/t{frame:03d}" for frame in frames]
        if own or (sample.sequence == "02" and sample.key in gold):
            _write(folder if own else folder / "test", sample, sample.labels if own else gold[sample.key])


def main() -> None:
    asked = options(__doc__, start="", folder="reports/fine-tuning", seeds=[0, 1, 2], jobs=2,
                    record="experiments/record/open")  # fmt: skip
    if open_run(Path(asked.start)).settings()["split"].get("train") != "01":
        raise SystemExit(
            f"{asked.start} was not trained on sequence 01 alone: sequence 02, which judges, must be new to it"
        )
    folder = Path(asked.folder).resolve()
    arms = {
        "from scratch, 2000 steps": ["trainer.max_steps=2000"],
        "from scratch, 500 steps": ["trainer.max_steps=500"],
        "fine-tuned, 500 steps": ["trainer.max_steps=500", f"init={Path(asked.start).resolve()}", "optimizer.lr=1e-3"],
    }
    start = Group("HeLa, 0 own images, the network as it is", {0: tuple(runs_of(asked.start, None, Path("runs")))})
    groups = []
    for number, frames in OWN.items():
        write(folder / str(number), frames)
        for arm, settings in arms.items():
            name = f"HeLa, {number} own image{'s' * (number > 1)}, {arm}"
            runs = folder / "runs" / name.lower().replace(",", "").replace(" ", "-")
            seeds = f"seed={','.join(map(str, asked.seeds))}"
            sweep = ["-m", seeds, "hydra/launcher=local", f"hydra.launcher.jobs={asked.jobs}"]
            own = [f"data.root={folder / str(number)}", f"runs_dir={runs}"]
            subprocess.run([sys.executable, "-m", "unet_repro", "train", *SETTING, *settings, *own, *sweep], check=True)
            (group,) = groups_of(runs_of(f"{runs}/*", None, runs))
            groups.append(Group(name, {seed: group.members[seed] for seed in asked.seeds}))
    use_machine(asked.jobs)
    found = [assess(start, part="test", checkpoint="best", warping=False)]  # `init=` takes the best weights
    found += [_of_cells(assess(group, part="test", checkpoint="last", warping=False)) for group in groups]
    keep(Kept("fine_tuning", "test", "last", 1, tuple(found)), Path(asked.record), command())


def _of_cells(found: Assessment) -> Assessment:
    """Without the measures of membranes, which own images with so many cells would get."""
    members = {name: [replace(each, sweep={}) for each in images] for name, images in found.members.items()}
    return replace(found, members=members)


def _write(folder: Path, sample: Sample, labels: Labels | None) -> None:
    assert labels is not None, "silver masks are on all frames"
    name = f"{sample.key.replace('/', '_')}.tif"
    for kind, content in (("images", sample.image), ("labels", labels.astype(np.uint16))):
        (folder / kind).mkdir(parents=True, exist_ok=True)
        tifffile.imwrite(folder / kind / name, content)


if __name__ == "__main__":
    main()
