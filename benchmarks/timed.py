"""Trains a configuration for a given time: its learning-rate schedule follows the time, not the steps."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader
from tqdm import tqdm

from unet_repro.commands.hydra_app import compose
from unet_repro.config import TrainConfig, check
from unet_repro.data.datamodule import From, TileData
from unet_repro.machine import autocast
from unet_repro.training.build import Data, build
from unet_repro.training.task import SegmentationTask

CPU = torch.device("cpu")
TICKS = 1000  # steps of the schedule over the training time
MOST_STEPS = 100_000
ADAM = [
    "optimizer=adam",
    "optimizer.lr=1e-3",
    "schedule=cosine",
    "weight_map=none",
]  # for networks without norm, and peers


@dataclass(frozen=True)
class Timed:
    """A network that was trained for a time, in evaluation mode."""

    data: TileData
    task: SegmentationTask
    steps: int

    def scores(self, image_CHW: np.ndarray) -> Tensor:
        """Class scores of a normalised image by overlap-tiles, in float32."""
        with torch.inference_mode():
            return self.task.predict_image(image_CHW)


def configured(overrides: Sequence[str]) -> TrainConfig:
    """The configuration of a timed training."""
    return check(compose("train", [f"trainer.max_steps={TICKS}", "trainer.val_every=1", *overrides]))


def train_for(minutes: float, config: TrainConfig, source: Data, *, name: str, plain_order: bool = False) -> Timed:
    """Trains; the time counts from the first step to the last, including the sampling of tiles.

    Args:
        minutes: The training time.
        config: See ``configured``.
        source: Its data, split.
        name: Of the progress bar.
        plain_order: Whether images and weights keep torch's default memory order.
    """
    data, task = build(config, source)
    data.max_steps = MOST_STEPS
    if plain_order:
        task.order = torch.contiguous_format
        task.net.to(memory_format=task.order)
    data.setup("fit")
    assert data.train_tiles is not None
    loader = DataLoader(
        data.train_tiles,
        batch_size=data.batch.num_tiles,
        sampler=From(0, len(data.train_tiles), data.batch.num_tiles),
    )
    optimizer = task.make_optimizer(task.net.parameters())
    schedule = task.make_schedule(optimizer)
    steps, ticks, start = 0, 0, time.perf_counter()
    with tqdm(total=TICKS, desc=name, bar_format="{l_bar}{bar}| {remaining} left") as bar:
        for batch in loader:
            optimizer.zero_grad()
            with autocast(CPU, config.trainer.precision):
                loss = task.training_step(batch, steps)
            loss.backward()
            optimizer.step()
            steps += 1
            passed = int((time.perf_counter() - start) / (60 * minutes) * TICKS)
            while ticks < min(passed, TICKS):
                schedule.step()
                ticks += 1
                bar.update()
            if ticks == TICKS:
                break
    task.eval()
    return Timed(data, task, steps)
