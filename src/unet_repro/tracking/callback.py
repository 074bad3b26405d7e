"""The callback that mirrors a training in W&B: every row of its history, and at the end its validation images."""

import numpy as np
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.loggers import WandbLogger

from unet_repro.data.datamodule import WholeImages
from unet_repro.runs.recorder import Recorder
from unet_repro.tracking.panels import log_validation_panel


class WandbMirror(Callback):
    """Logs what the recorder recorded: W&B shows the same steps and numbers as ``history.csv``.

    Args:
        logger: An open run.
        recorder: Stands before this one among the trainer's callbacks.
        images: The validation images.
        class_names: Names of class 0, 1, ...
        num_images: How many of them the panel shows.
    """

    def __init__(
        self,
        logger: WandbLogger,
        recorder: Recorder,
        *,
        images: WholeImages,
        class_names: tuple[str, ...],
        num_images: int,
    ) -> None:
        self.logger, self.recorder, self.class_names = logger, recorder, class_names
        self.items = [images[index] for index in range(min(num_images, len(images)))]

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:  # noqa: ARG002
        """Mirrors the row of this validation."""
        row = dict(self.recorder.rows[-1])
        self.logger.log_metrics(row, step=int(row.pop("step")))

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Logs the panel of the trained network: images with prediction and truth as masks."""
        shown = pl_module.shown
        assert isinstance(shown, dict), "the task keeps its latest predictions"
        if self.items and shown:
            log_validation_panel(
                self.logger,
                step=trainer.global_step,
                keys=[item.key for item in self.items],
                images=[item.image for item in self.items],
                truths=[item.classes for item in self.items],
                predictions=[np.asarray(shown[item.key]) for item in self.items],
                class_names=self.class_names,
            )
