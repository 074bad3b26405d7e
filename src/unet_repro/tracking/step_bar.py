"""A progress bar that counts steps; Lightning's own counts epochs, which this training does not have."""

from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from tqdm import tqdm


class StepBar(Callback):
    """Steps done, speed and time left on one line, with the latest mean IoU."""

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Opens the bar; a resumed run starts at the step of its checkpoint."""
        self.bar = tqdm(total=trainer.max_steps, initial=pl_module.global_step, unit="step", desc="train")

    def on_train_batch_end(self, trainer: Trainer, *_: Any) -> None:
        """Advances the bar; several batches may make one step."""
        self.bar.update(trainer.global_step - self.bar.n)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:  # noqa: ARG002
        """Shows the latest measures."""
        shown = {key.removeprefix("val/"): f"{trainer.callback_metrics[key]:.3f}" for key in ("val/loss", "val/iou")}
        self.bar.set_postfix(shown)

    def on_train_end(self, *_: Any) -> None:
        """Closes the bar."""
        self.bar.close()

    def on_exception(self, *_: Any) -> None:
        """Closes the bar, so that the error message starts on a new line."""
        self.bar.close()
