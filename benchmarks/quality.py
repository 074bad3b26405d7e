"""Quality for equal training time on EM: slices 0-23 train, 24-29 validate, same augmentation, two cores.

    python benchmarks/quality.py [--minutes 7] [--seeds 0 1 2]

In turn, seed by seed: the paper's network, `experiment=own_data` at the same width (bf16 if native), and
MONAI's BasicUNet of that width (same padding, instance norm; default memory order and float32),
the peers with Adam 1e-3 and a cosine schedule. A padded network learns from every pixel of its tile (384, better
than 560 on slices 18-23 after 0-17), an unpadded one from the valid centre. Time counts from the first step to the
last, including tile sampling; validation follows, in float32.
"""

import unet_repro  # noqa: F401 - before torch, which reads how OpenMP's threads wait

# isort: split
import statistics
from dataclasses import replace
from typing import Literal

import numpy as np
import torch
from harness import Record, Row, options
from peer_basicunet import BASIC_UNET
from timed import ADAM, Timed, configured, train_for

from unet_repro.data.splits import Split
from unet_repro.inference.rotations import average_views
from unet_repro.machine import usable_cores, use_machine
from unet_repro.metrics.isbi import THRESHOLDS, slice_measures
from unet_repro.metrics.pixel import confusion, iou_per_class
from unet_repro.training.build import read_data

CELL = 1
WIDTH = 16
EQUAL = ["data=isbi2012", "split=contiguous", f"model.width={WIDTH}", "augment=paper"]
OURS, PEER_NET = "experiment=own_data", "MONAI BasicUNet"
ARMS = {"the paper's network": ADAM, OURS: [OURS], PEER_NET: BASIC_UNET}
EM = (range(24), range(24, 30))
IOU, V_RAND = "membrane IoU", "V_rand"  # at equal probability; unthinned, at the best threshold


def train(name: str, overrides: list[str], *, seed: int, minutes: float) -> dict[str, float]:
    config = configured([*EQUAL, *overrides, f"seed={seed}"])
    source = read_data(config)
    train_keys, val_keys = (tuple(source.samples[index].key for index in part) for part in EM)
    source = replace(source, split=Split(train=train_keys, val=val_keys, test=()))
    return judged(train_for(minutes, config, source, name=f"{name}, seed {seed}", plain_order=name == PEER_NET))


def judged(trained: Timed) -> dict[str, float]:
    """Validates single predictions and means of eight views."""
    iou, best_iou, v_rand = measured(trained, views=1)
    iou_views, _, v_rand_views = measured(trained, views=8)
    return {IOU: iou, "at its best threshold": best_iou, V_RAND: v_rand, f"{IOU}, 8 views": iou_views,
            f"{V_RAND}, 8 views": v_rand_views, "steps": trained.steps}  # fmt: skip


def measured(trained: Timed, *, views: Literal[1, 8]) -> tuple[float, float, float]:
    """Membrane IoU at equal probability and at the best threshold, and V_rand; thresholds as in the challenge."""
    matrices = torch.zeros(len(THRESHOLDS), 2, 2, dtype=torch.int64)
    v_rand = np.zeros(len(THRESHOLDS))
    data = trained.data
    for item, sample in zip(data.val_images.items, data.samples["val"], strict=True):
        probability = average_views(trained.scores, item.image, views)[CELL]
        truth = torch.from_numpy(item.classes)
        for number, threshold in enumerate(THRESHOLDS):
            matrices[number] += confusion(torch.where(probability > threshold, CELL, 1 - CELL), truth, 2)
        v_rand += slice_measures(sample.labels, probability.numpy(), warping=False)["v_rand_unthinned"]
    ious = iou_per_class(matrices)[:, 1 - CELL]
    return ious[THRESHOLDS.index(0.5)].item(), ious.max().item(), float(v_rand.max() / len(data.val_images))


def recorded(found: dict[str, list[dict[str, float]]], minutes: float) -> Record:
    """Means, ranges over the seeds, and ours minus BasicUNet relative to the wider range of the two."""
    seeds = min(len(outcomes) for outcomes in found.values())
    title = f"Quality after {minutes:g} minutes of training on EM, width {WIDTH}, {seeds} seeds (range, not quartiles)"
    record = Record("quality", title)
    for what in found[OURS][0]:
        values = {name: [outcome[what] for outcome in outcomes] for name, outcomes in found.items()}
        margin = statistics.mean(values[OURS]) - statistics.mean(values[PEER_NET])
        width = max(max(values[name]) - min(values[name]) for name in (OURS, PEER_NET))
        for name, of_seeds in values.items():
            row = Row(f"{name}: {what}", statistics.mean(of_seeds), "", (min(of_seeds), max(of_seeds)))
            if name == OURS and what != "steps" and seeds > 1:
                goal = ">= 1" if what in (IOU, V_RAND) else ""
                row = replace(row, ratio=margin / width, to="range over seeds: more than BasicUNet", goal=goal)
            record.rows.append(row)
    return record


def main() -> None:
    asked = options(__doc__, minutes=7.0, seeds=[0, 1, 2])
    use_machine(usable_cores())
    found: dict[str, list[dict[str, float]]] = {name: [] for name in ARMS}
    for seed in asked.seeds:
        for name, overrides in ARMS.items():
            found[name].append(train(name, overrides, seed=seed, minutes=asked.minutes))
            print(name, seed, found[name][-1], flush=True)
        recorded(found, asked.minutes).write()


if __name__ == "__main__":
    main()
