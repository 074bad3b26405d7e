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
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from harness import Record, Row, options
from lightning.pytorch import seed_everything
from monai.networks.nets import BasicUNet
from torch import Tensor
from torch.utils.data import DataLoader
from tqdm import tqdm

from unet_repro.commands.hydra_app import compose
from unet_repro.config import TrainConfig, check, make
from unet_repro.data.datamodule import From, TileData, WholeImage
from unet_repro.data.splits import Split
from unet_repro.inference.overlap_tile import plan_tiles, predict
from unet_repro.inference.rotations import average_views
from unet_repro.machine import autocast, memory_order, usable_cores, use_machine
from unet_repro.metrics.isbi import THRESHOLDS, slice_measures
from unet_repro.metrics.pixel import confusion, iou_per_class
from unet_repro.training.losses import weighted_mean

CPU = torch.device("cpu")
CELL = 1
WIDTH = 16
TICKS = 1000  # of a schedule, over the training time
EQUAL = ["data=isbi2012", f"model.width={WIDTH}", "augment=paper", f"trainer.max_steps={TICKS}", "trainer.val_every=1"]
PEER = ["optimizer=adam", "optimizer.lr=1e-3", "schedule=cosine", "weight_map=none"]
OURS, PEER_NET = "experiment=own_data", "MONAI BasicUNet"
ARMS = {"the paper's network": PEER, OURS: [OURS], PEER_NET: [*PEER, "tiles.size=396", "tiles.budget=1x396"]}
EM = (range(24), range(24, 30))
IOU, V_RAND = "membrane IoU", "V_rand"  # at equal probability; unthinned, at the best threshold


def train(name: str, overrides: Sequence[str], *, seed: int, minutes: float) -> dict[str, float]:
    config = check(compose("train", [*EQUAL, *overrides]))
    seed_everything(seed, verbose=False)
    data = tile_data(config, seed)
    precision, padded = config.trainer.precision, name == PEER_NET
    order = torch.contiguous_format if padded else memory_order("cpu", WIDTH, training=True, precision=precision)
    if padded:
        levels = [WIDTH * 2**level for level in range(5)]
        net = BasicUNet(spatial_dims=2, in_channels=1, out_channels=2, features=(*levels, WIDTH))
        side = data.tiles.size // 16 * 16  # it has four pooling layers
        data.tiles, data.output_size = replace(data.tiles, size=side), side
    else:
        net = make("model", config.model, in_channels=1, num_classes=2).to(memory_format=order)
    data.setup("fit")
    assert data.train_tiles is not None
    tiles, per_step = data.train_tiles, data.batch.num_tiles
    loader = DataLoader(tiles, batch_size=per_step, sampler=From(0, len(tiles), per_step))
    optimizer = make("optimizer", config.optimizer)(net.parameters())
    schedule = make("schedule", config.schedule)(optimizer)
    steps, ticks, start = 0, 0, time.perf_counter()
    with tqdm(total=TICKS, desc=f"{name}, seed {seed}", bar_format="{l_bar}{bar}| {remaining} left") as bar:
        for image, classes, weights in loader:
            passed = int((time.perf_counter() - start) / (60 * minutes) * TICKS)
            if passed >= TICKS:
                break
            while ticks < passed:
                schedule.step()
                ticks += 1
                bar.update()
            optimizer.zero_grad()
            with autocast(CPU, precision):
                scores = net(image.contiguous(memory_format=order))
            weighted_mean(F.cross_entropy(scores.float(), classes.long(), reduction="none"), weights).backward()
            optimizer.step()
            steps += 1
    net.eval()
    return judged(data, (lambda image: whole(net, image)) if padded else (lambda image: tiled(net, image)), steps)


def tile_data(config: TrainConfig, seed: int) -> TileData:
    source = make("data", config.data)
    samples = source.samples()
    train_keys, val_keys = (tuple(samples[index].key for index in part) for part in EM)
    return TileData(
        samples=samples,
        split=Split(train=train_keys, val=val_keys, test=()),
        class_names=source.class_names,
        tiles=make("tiles", config.tiles),
        depth=config.model["depth"],
        augment=make("augment", config.augment),
        weight_map=make("weight_map", config.weight_map),
        max_steps=100_000,
        seed=seed,
    )


def tiled(net: torch.nn.Module, image_CHW: np.ndarray) -> Tensor:
    return predict(net, image_CHW, plan_tiles(image_CHW.shape[1:], net.depth), device=CPU)


def whole(net: torch.nn.Module, image_CHW: np.ndarray) -> Tensor:
    with torch.inference_mode():
        return net(torch.from_numpy(image_CHW)[None])[0]


def judged(data: TileData, scores: Callable[[np.ndarray], Tensor], steps: int) -> dict[str, float]:
    """Validates single predictions and means of eight views."""
    iou, best_iou, v_rand = measured(data, scores, views=1)
    iou_views, _, v_rand_views = measured(data, scores, views=8)
    return {IOU: iou, "at its best threshold": best_iou, V_RAND: v_rand, f"{IOU}, 8 views": iou_views,
            f"{V_RAND}, 8 views": v_rand_views, "steps": steps}  # fmt: skip


def measured(
    data: TileData, scores: Callable[[np.ndarray], Tensor], *, views: Literal[1, 8]
) -> tuple[float, float, float]:
    """Membrane IoU at equal probability and at the best threshold, and V_rand; thresholds as in the challenge."""
    matrices = torch.zeros(len(THRESHOLDS), 2, 2, dtype=torch.int64)
    v_rand = np.zeros(len(THRESHOLDS))
    item: WholeImage
    for item, sample in zip(data.val_images, data.samples["val"], strict=True):
        probability = average_views(scores, item.image, views)[CELL]
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
