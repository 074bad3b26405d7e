"""W&B during training: the callback that mirrors it online, and the panel of its validation images."""

from collections.abc import Sequence

import numpy as np
import torch
import wandb
from lightning.pytorch import Callback, LightningModule, Trainer

from unet_repro.data.datamodule import WholeImages
from unet_repro.runs.recorder import Recorder
from unet_repro.tracking.panels import Panel, log_panel
from unet_repro.tracking.wandb_run import log_rows
from unet_repro.training.task import SegmentationTask


class WandbMirror(Callback):
    """Logs the recorder's rows during training, so that W&B shows the same steps and numbers as ``history.csv``.

    Args:
        run: An open run.
        recorder: The recorder; it must precede this callback in the trainer's list.
        images: The validation images.
        class_names: Names of class 0, 1, ...
        num_images: Number of images in the panel.
    """

    def __init__(
        self,
        run: wandb.Run,
        recorder: Recorder,
        *,
        images: WholeImages,
        class_names: Sequence[str],
        num_images: int,
    ) -> None:
        self.run, self.recorder = run, recorder
        self.images, self.class_names, self.num_images = images, class_names, num_images

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:  # noqa: ARG002
        """Logs the row of this validation, and any rows that a killed attempt did not send."""
        log_rows(self.run, self.recorder.rows)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Logs missing rows, and the panel of the trained network: images with prediction and truth as masks."""
        assert isinstance(pl_module, SegmentationTask), "the panel needs its predictions"
        log_rows(self.run, self.recorder.rows)
        panel = validation_panel(pl_module, self.images, class_names=self.class_names, num_images=self.num_images)
        if panel is not None and trainer.global_step == trainer.max_steps:
            log_panel(self.run, panel, step=trainer.global_step)


@torch.inference_mode()
def validation_panel(
    task: SegmentationTask, images: WholeImages, *, class_names: Sequence[str], num_images: int
) -> Panel | None:
    """The first validation images with the network's predictions.

    Predictions of the latest validation are reused if available; otherwise, as after a training killed after its last
    validation, the images are predicted again.

    Args:
        task: The trained network.
        images: The validation images.
        class_names: Names of class 0, 1, ...
        num_images: Number of images to show.

    Returns:
        The panel; ``None`` if there is no image to show.
    """
    items = [images[index] for index in range(min(num_images, len(images)))]
    if not items:
        return None
    task.eval()
    predicted = [
        task.shown[item.key]
        if item.key in task.shown
        else task.predict_image(item.image)[: task.head.num_classes].argmax(0).to("cpu", torch.uint8)
        for item in items
    ]
    return Panel(
        keys=[item.key for item in items],
        images=[item.image for item in items],
        truths=[item.classes for item in items],
        predictions=[np.asarray(classes_HW) for classes_HW in predicted],
        class_names=class_names,
    )
