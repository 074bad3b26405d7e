"""The training's side of W&B: the callback that mirrors it online, and the panel of its validation images."""

from collections.abc import Sequence

import numpy as np
import torch
import wandb
from lightning.pytorch import Callback, LightningModule, Trainer

from unet_repro.data.datamodule import WholeImages
from unet_repro.runs.recorder import Recorder
from unet_repro.tracking.panels import Panel, log_panel
from unet_repro.tracking.wandb_run import finish, log_rows
from unet_repro.training.task import SegmentationTask


class WandbMirror(Callback):
    """Logs what the recorder recorded, while it trains: W&B shows the same steps and numbers as ``history.csv``.

    Args:
        run: An open run.
        recorder: Stands before this one among the trainer's callbacks.
        images: The validation images.
        class_names: Names of class 0, 1, ...
        num_images: How many of them the panel shows.
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
        """Mirrors the row of this validation, and any that an attempt before was killed with."""
        log_rows(self.run, self.recorder.rows)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Logs what is missing, and the panel of the trained network: images with prediction and truth as masks."""
        assert isinstance(pl_module, SegmentationTask), "the panel asks it for predictions"
        log_rows(self.run, self.recorder.rows)
        panel = validation_panel(pl_module, self.images, class_names=self.class_names, num_images=self.num_images)
        if panel is not None and trainer.global_step == trainer.max_steps:
            log_panel(self.run, panel, step=trainer.global_step)

    def close(self, *, exit_code: int = 0) -> None:
        """Ends the run and waits for the upload.

        Args:
            exit_code: 0 for a training that is finished, anything else for one that was stopped or failed.
        """
        finish(self.run, exit_code=exit_code)


@torch.inference_mode()
def validation_panel(
    task: SegmentationTask, images: WholeImages, *, class_names: Sequence[str], num_images: int
) -> Panel | None:
    """The first validation images with what the network makes of them.

    Predictions of the latest validation are taken where there are any; a training that was killed after its last
    validation has none left, and its images are predicted again.

    Args:
        task: The trained network.
        images: The validation images.
        class_names: Names of class 0, 1, ...
        num_images: How many to show.

    Returns:
        The panel; ``None`` where no image is to be shown.
    """
    items = [images[index] for index in range(min(num_images, len(images)))]
    if not items:
        return None
    task.eval()
    predicted = [
        task.shown[item.key]
        if item.key in task.shown
        else task.predict_image(item.image).argmax(0).to("cpu", torch.uint8)
        for item in items
    ]
    return Panel(
        keys=[item.key for item in items],
        images=[item.image for item in items],
        truths=[item.classes for item in items],
        predictions=[np.asarray(classes_HW) for classes_HW in predicted],
        class_names=class_names,
    )
