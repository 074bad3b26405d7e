"""Estimates the training time on this machine by timing a few steps. Writes nothing to disk."""

import time

import torch

from unet_repro.config import TrainConfig
from unet_repro.machine import autocast, use_machine
from unet_repro.training.build import Data, build, read_data

STEPS = 2  # timed steps, after one for warm-up and compilation


def seconds_for(config: TrainConfig, source: Data | None = None) -> float | None:
    """Estimated seconds of a complete training: steps and validations.

    Args:
        config: The training's configuration.
        source: Its data; ``None`` reads them.

    Returns:
        Seconds; ``None`` if the device is not on this machine, as on the login node of a cluster.
    """
    trainer = config.trainer
    if trainer.accelerator == "gpu" and not torch.cuda.is_available():
        return None
    use_machine(trainer.threads)
    data, task = build(config, source or read_data(config))
    data.setup("fit")
    device = torch.device("cuda" if trainer.accelerator == "gpu" else "cpu")
    task.to(device, torch.float64 if trainer.precision == "64-true" else None).train()
    if trainer.compile:
        task.net.compile()
    optimizer = task.make_optimizer(task.net.parameters())
    batches = iter(data.train_dataloader())
    for step in range(1 + STEPS):
        if step == 1:
            started = time.monotonic()
        images, classes, weights = (part.to(device, non_blocking=True) for part in next(batches))
        with autocast(device, trainer.precision):
            loss = task.training_step((images.to(task.dtype), classes, weights), 0)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]  # torch lacks it
        optimizer.step()
        loss.item()  # waits for a GPU
    step_s = (time.monotonic() - started) / STEPS
    task.eval()
    started = time.monotonic()
    with autocast(device, trainer.precision):
        task.predict_image(data.val_images[0].image).sum().item()
    image_s = time.monotonic() - started
    num_images = len(data.val_images) + len(data.threshold_images)
    return trainer.max_steps * step_s + trainer.max_steps / trainer.val_every * num_images * image_s
