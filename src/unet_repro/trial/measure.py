"""How fast a training would go on this machine, measured by a few of its steps. Leaves nothing on disk."""

import time

import torch
import torch.nn.functional as F  # noqa: N812

from unet_repro.config import TrainConfig
from unet_repro.losses import weighted_mean
from unet_repro.placement import place
from unet_repro.train import build

STEPS = 2  # after one to warm up


def seconds_for(config: TrainConfig) -> float | None:
    """Estimate of a whole training's seconds: its steps and its validations.

    Args:
        config: The training's configuration.

    Returns:
        Seconds; ``None`` where the device is not on this machine, as on the login node of a cluster.
    """
    if config.trainer.accelerator == "gpu" and not torch.cuda.is_available():
        return None
    place(config.trainer)
    data, task = build(config)
    data.setup("fit")
    device = torch.device("cuda" if config.trainer.accelerator == "gpu" else "cpu")
    task.to(device).train()
    optimizer = task.make_optimizer(task.net.parameters())
    batches = iter(data.train_dataloader())
    for step in range(1 + STEPS):
        if step == 1:
            started = time.monotonic()
        images, classes, weights = (part.to(device) for part in next(batches))
        scores = task.net(images.contiguous(memory_format=torch.channels_last))
        loss = weighted_mean(F.cross_entropy(scores, classes, reduction="none"), weights)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]  # torch lacks it
        optimizer.step()
        loss.item()  # waits for a GPU
    step_s = (time.monotonic() - started) / STEPS
    task.eval()
    started = time.monotonic()
    task.predict_image(data.val_images[0].image).sum().item()
    image_s = time.monotonic() - started
    trainer = config.trainer
    return trainer.max_steps * step_s + trainer.max_steps / trainer.val_every * len(data.val_images) * image_s
