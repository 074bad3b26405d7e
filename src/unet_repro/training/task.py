"""The LightningModule: network, weighted cross-entropy, whole-image validation, optimizer and schedule.

Tensor names: B batch, C channels, H W input, h w output, K classes.
"""

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.distributed as dist
import torch.nn.functional as F  # noqa: N812
from lightning.pytorch import LightningModule
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau

from unet_repro.data.datamodule import TrainBatch, WholeImage
from unet_repro.data.labels import IGNORED
from unet_repro.data.targets import Distance, Target, head_of
from unet_repro.errors import TrainingError
from unet_repro.inference.whole_image import predict_image
from unet_repro.metrics.pixel import PixelMeasures
from unet_repro.metrics.thresholds import THRESHOLDS, best_threshold, iou_at
from unet_repro.models.protocol import dtype_of, tile_geometry
from unet_repro.training.losses import mean_of_known, summed_cross_entropy, weighted_mean, weighted_mean_across


class SegmentationTask(LightningModule):
    """Trains on weighted tiles, validates on whole images at their own resolution.

    Logged: ``train/loss`` (weighted, the training loss) and ``train/ce`` (unweighted), means over the steps since the
    last validation; ``val/loss`` (unweighted cross-entropy over all pixels), ``val/iou``, ``val/iou_<class>``,
    ``val/dice``, ``val/pixel_error``, ``val/iou_stepped``. If a second validation loader has whole training images, and
    there are two classes: ``val/threshold``, the threshold with the highest mean IoU on these, and ``val/iou_own``, the
    mean over validation images of the IoU (mean over classes) at that threshold.

    Args:
        net: The network; see ``models.protocol``.
        optimizer: Maps parameters to an optimizer.
        schedule: Maps an optimizer to a learning-rate schedule, in steps; a plateau schedule monitors ``val/loss``.
        class_names: Names of the K classes.
        seed: The run's seed; dropout at a step depends only on the seed and the step.
        order: Memory format of weights and images in training.
        ignores: Whether classes may be ``labels.IGNORED``; such pixels have no loss and are in no measure.
        target: What the network predicts beside the K classes.
        scale: Working resolution as a share of the images'; ``None``: the images' own.
    """

    def __init__(
        self,
        *,
        net: torch.nn.Module,
        optimizer: Callable[[Iterable[torch.nn.Parameter]], Optimizer],
        schedule: Callable[[Optimizer], LRScheduler | ReduceLROnPlateau],
        class_names: tuple[str, ...],
        seed: int,
        order: torch.memory_format = torch.channels_last,
        ignores: bool = False,
        target: Target | None = None,
        scale: float | None = None,
    ) -> None:
        super().__init__()
        self.net = net.to(memory_format=order)  # type: ignore[call-overload]  # torch's stubs lack it
        self.make_optimizer, self.make_schedule = optimizer, schedule
        self.geometry = tile_geometry(net)
        self.seed, self.order, self.ignores = seed, order, ignores
        self.target, self.head, self.scale = target, head_of(target, len(class_names)), scale
        self.last_good_step = 0
        self.plateau: ReduceLROnPlateau | None = None
        self.measures = PixelMeasures(class_names)
        self.shown: dict[str, Tensor] = {}  # predicted classes (H, W) uint8 by key, of the latest validation
        self._unread: tuple[int, Tensor, torch.cuda.Event | None] | None = None  # step, its losses, copy event
        self._rate = float("nan")  # learning rate of that step
        self._train_sums = torch.zeros(3, dtype=torch.float64)  # loss, cross-entropy, steps
        self._val_sums = torch.zeros(2, dtype=torch.float64)  # cross-entropy, pixels
        # Sums over validation images, and over training images: IoU at each threshold, images.
        self._own_sums = torch.zeros(2, len(THRESHOLDS) + 1, dtype=torch.float64)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """Outputs of the network ``(B, R, h, w)``; see ``heads``."""
        return self.net(x_BCHW)  # type: ignore[no-any-return]

    def on_fit_start(self) -> None:
        """Compiles the network, if enabled, for the training tiles before the training time starts."""
        if self.net._compiled_call_impl is not None:
            precision = self.trainer.precision_plugin
            batch = precision.convert_input(self.trainer.datamodule.blank_batch())  # type: ignore[attr-defined]
            with precision.train_step_context():
                self.rehearse(self.trainer.strategy.batch_to_device(batch))

    def rehearse(self, batch: TrainBatch) -> None:
        """Runs the forward and backward pass of a step without changing weights, gradients, buffers or random state."""
        before = [buffer.clone() for buffer in self.net.buffers()]
        with torch.random.fork_rng([self.device] if self.device.type == "cuda" else []):
            torch.autograd.grad(self.training_step(batch, 0), list(self.net.parameters()))
        for buffer, value in zip(self.net.buffers(), before, strict=True):
            buffer.copy_(value)
        self._unread = None

    def on_train_batch_start(self, batch: TrainBatch, batch_idx: int) -> None:  # noqa: ARG002
        """Makes dropout a function of (seed, batch): Lightning does not restore torch's random state on resume.

        Raises:
            TrainingError: If the loss of the previous step is not finite.
        """
        self._read_losses()
        self._rate = self.optimizers().param_groups[0]["lr"]  # type: ignore[union-attr]
        # Hashed, not packed: torch's CPU generator uses only the lower 32 bits of a seed.
        per_step = self.trainer.accumulate_grad_batches
        number = self.global_step * per_step + batch_idx % per_step
        torch.manual_seed(int(np.random.SeedSequence((self.seed, 3, number)).generate_state(1)[0]))

    def training_step(self, batch: TrainBatch, batch_idx: int) -> Tensor:  # noqa: ARG002
        """The training loss of one step's tiles; whether it is finite is checked a step later, without waiting."""
        x_BCHW, classes_Bhw, weights_Bhw = batch
        scores_BRhw = self.net(x_BCHW.contiguous(memory_format=self.order))
        scores_BRhw = scores_BRhw.to(torch.promote_types(scores_BRhw.dtype, torch.float32))
        value_losses_Bhw = None
        if isinstance(self.target, Distance):  # the last output, and the last weights, are distances
            weights_Bhw, distances_Bhw = weights_Bhw.unbind(1)
            value_losses_Bhw = self.target.losses(scores_BRhw[:, -1], distances_Bhw)
            scores_BRhw = scores_BRhw[:, :-1]
        losses_Bhw = F.cross_entropy(scores_BRhw, classes_Bhw.long(), reduction="none", ignore_index=IGNORED)
        known_Bhw = classes_Bhw != IGNORED if self.ignores else None
        if known_Bhw is not None:
            weights_Bhw = weights_Bhw * known_Bhw  # interpolated weights may be positive on ignored pixels
        if dist.is_initialized():
            loss, weighted, plain = weighted_mean_across(losses_Bhw, weights_Bhw, known_Bhw)
        else:
            loss = weighted_mean(losses_Bhw, weights_Bhw)
            of_known = losses_Bhw.detach()
            weighted = loss.detach()
            plain = of_known.mean() if known_Bhw is None else mean_of_known(of_known, known_Bhw)
        if value_losses_Bhw is not None:
            of_values, shown = _mean_of_values(value_losses_Bhw, known_Bhw)
            loss, weighted = loss + of_values, weighted + shown
        values, copied = torch.stack([weighted, plain]).double(), None
        if values.is_cuda:
            values = values.to("cpu", non_blocking=True)  # into pinned memory
            copied = torch.cuda.current_stream().record_event()
        self._unread = (self.global_step, values, copied)
        return loss

    def _read_losses(self) -> None:
        """Adds the losses of the latest step to the sums, once."""
        if self._unread is None:
            return
        step, values, copied = self._unread
        self._unread = None
        if copied is not None:
            copied.synchronize()
        if not values.isfinite().all():
            good = self.last_good_step
            saved = f"last.ckpt is from step {good}" if good else "there is no checkpoint yet"
            raise TrainingError(
                f"the loss is {values[0].item()} at step {step} (learning rate {self._rate:g}); {saved}",
                hint="lower optimizer.lr, or use schedule=warmup_cosine or model.norm=instance",
            )
        self._train_sums += torch.cat([values, torch.ones(1, dtype=torch.float64)])

    def on_validation_start(self) -> None:
        """Reads the losses of the latest step before whole images are predicted.

        Raises:
            TrainingError: If they are not finite.
        """
        self._read_losses()

    def validation_step(self, batch: WholeImage, batch_idx: int, dataloader_idx: int = 0) -> None:  # noqa: ARG002
        """Predicts one whole image by mirrored overlap-tiles, without augmentation; loader 1 has training images."""
        scores_KHW = self.predict_image(batch.image)
        classes_HW = torch.from_numpy(batch.classes).to(self.device).long()
        scores_KHW = scores_KHW[: self.head.num_classes]  # without a seed map
        if len(scores_KHW) == 2:
            iou_T = iou_at(scores_KHW.softmax(0)[1], classes_HW)
            self._own_sums[dataloader_idx] += torch.cat([iou_T, torch.ones(1, dtype=torch.float64)])
        if dataloader_idx == 1:
            return
        total = summed_cross_entropy(scores_KHW, classes_HW).item()
        self._val_sums += torch.tensor([total, int((classes_HW != IGNORED).sum())], dtype=torch.float64)
        predicted_HW = scores_KHW.argmax(0)
        self.measures.update(predicted_HW, classes_HW)
        self.shown[batch.key] = predicted_HW.to("cpu", torch.uint8)

    def predict_image(self, image_CHW: npt.NDArray[np.float32]) -> Tensor:
        """Class scores ``(K, H, W)`` of a normalised image ``(C, H, W)``, followed by its seed map if there is one."""
        precision = dtype_of(self.net)  # images are float32; a network may be float64
        # Not self.net(...), which may be compiled, and would be recompiled for every image size.
        return predict_image(
            lambda x_BCHW: self.net.forward(x_BCHW.to(precision)),
            image_CHW,
            self.geometry,
            head=self.head,
            scale=self.scale,
            device=self.device,
        )

    def on_validation_epoch_end(self) -> None:
        """Logs the pooled measures of all images, and the mean training losses since the last validation."""
        measures = {f"val/{name}": value.float() for name, value in self.measures.compute().items()}
        self.measures.reset()
        if self.trainer.world_size > 1:
            self._val_sums = self._sum_over_devices(self._val_sums)
            self._own_sums = self._sum_over_devices(self._own_sums)
        measures["val/loss"] = (self._val_sums[0] / self._val_sums[1]).float()
        self._val_sums = torch.zeros(2, dtype=torch.float64)
        judged, own = self._own_sums
        if own[-1] > 0:
            chosen = best_threshold((own[:-1] / own[-1]).numpy())
            measures["val/threshold"] = torch.tensor(THRESHOLDS[chosen])
            measures["val/iou_own"] = (judged[chosen] / judged[-1]).float()
        self._own_sums = torch.zeros_like(self._own_sums)
        if self._train_sums[2] > 0:
            measures["train/loss"], measures["train/ce"] = (self._train_sums[:2] / self._train_sums[2]).float()
            measures["lr"] = torch.tensor(self.optimizers().param_groups[0]["lr"])  # type: ignore[union-attr]
            self._train_sums.zero_()
        self.log_dict(measures, logger=False)  # loggers mirror the recorder: Lightning would log a step early
        if self.plateau is not None:
            self.plateau.step(float(measures["val/loss"]))

    def _sum_over_devices(self, values: Tensor) -> Tensor:
        summed = values.to(self.device)
        dist.all_reduce(summed)
        return summed.cpu()

    def configure_optimizers(self) -> Any:
        """Optimizer and schedule; the schedule is stepped after every step, a plateau after every validation.

        A plateau is stepped in this class, because Lightning would step it after saving the validation's checkpoint.
        """
        optimizer = self.make_optimizer(self.net.parameters())
        schedule = self.make_schedule(optimizer)
        if isinstance(schedule, ReduceLROnPlateau):
            if self.plateau is not None:  # Lightning loads a checkpoint before it calls this
                schedule.load_state_dict(self.plateau.state_dict())
            self.plateau = schedule
            return optimizer
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Adds the state of a plateau, and the training losses since the last validation.

        Raises:
            TrainingError: If the latest loss is not finite.
        """
        self._read_losses()
        checkpoint["train_sums"] = self._train_sums.clone()
        if self.plateau is not None:
            checkpoint["plateau"] = self.plateau.state_dict()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Restores them, and converts the optimizer's state to the weights' memory format, as fused optimizers need."""
        for state in checkpoint["optimizer_states"][0]["state"].values():
            for name, value in state.items():
                if isinstance(value, Tensor) and value.ndim == 4:
                    state[name] = value.contiguous(memory_format=self.order)
        self._train_sums = checkpoint["train_sums"]
        self.last_good_step = checkpoint["global_step"]
        if self.plateau is not None:
            self.plateau.load_state_dict(checkpoint["plateau"])


def _mean_of_values(losses_Bhw: Tensor, known_Bhw: Tensor | None) -> tuple[Tensor, Tensor]:
    """Mean loss over the pixels that are not ignored: to differentiate, and, over all devices, to record."""
    weights_Bhw = torch.ones_like(losses_Bhw) if known_Bhw is None else known_Bhw.to(losses_Bhw.dtype)
    if dist.is_initialized():
        loss, shown, _ = weighted_mean_across(losses_Bhw * weights_Bhw, weights_Bhw, known_Bhw)
        return loss, shown
    loss = weighted_mean(losses_Bhw, weights_Bhw)
    return loss, loss.detach()
