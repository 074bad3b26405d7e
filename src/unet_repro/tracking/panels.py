"""Validation images with truth and prediction as W&B mask overlays."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from unet_repro.data.labels import IGNORED
from unet_repro.grey import stretched
from unet_repro.tracking.wandb_run import STEP_KEY

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt
    import wandb

PANEL_KEY = "val/panel"


def to_display(image: npt.NDArray[np.float32]) -> npt.NDArray[np.uint8]:
    """Stretches each channel between two percentiles to 8 bit.

    Args:
        image: ``(H, W)`` or ``(C, H, W)`` float32, any range. Three channels are red, green and blue; for any other
            number only the first is shown.

    Returns:
        ``(H, W)`` or ``(H, W, 3)`` uint8; a constant channel becomes 0.

    >>> to_display(np.linspace(-1, 1, 256, dtype=np.float32).reshape(16, 16))[[0, 8, 15], [0, 0, 15]]
    array([  0, 128, 255], dtype=uint8)
    """
    if image.ndim == 3 and image.shape[0] != 3:
        image = image[0]
    shown = np.rint(255 * stretched(image, by_channel=True)).astype(np.uint8)
    return np.moveaxis(shown, 0, -1) if shown.ndim == 3 else shown


@dataclass(frozen=True)
class Panel:
    """Images with their masks.

    Attributes:
        keys: Names of the images, shown as captions.
        images: Each ``(H, W)`` or ``(C, H, W)`` float32, any range.
        truths: Each ``(H, W)`` uint8 class indices, or ``labels.IGNORED``.
        predictions: Each ``(H, W)`` uint8 class indices.
        class_names: Names of class 0, 1, ...

    Raises:
        ValueError: If numbers or sizes do not match, or a class index has no name.
    """

    keys: Sequence[str]
    images: Sequence[npt.NDArray[np.float32]]
    truths: Sequence[npt.NDArray[np.uint8]]
    predictions: Sequence[npt.NDArray[np.uint8]]
    class_names: Sequence[str]

    def __post_init__(self) -> None:
        for key, image, *masks in zip(self.keys, self.images, self.truths, self.predictions, strict=True):
            for mask in masks:
                if mask.shape != image.shape[-2:]:
                    raise ValueError(f"{key}: a mask of {mask.shape} does not fit an image of {image.shape}")
                highest = mask[mask != IGNORED].max(initial=0)
                if highest >= len(self.class_names):
                    raise ValueError(f"{key}: class {highest} has no name among {list(self.class_names)}")


def log_panel(run: wandb.Run, panel: Panel, *, step: int) -> None:
    """Logs images with the masks ``prediction`` and ``ground_truth`` under ``val/panel``.

    Images of different sizes are padded with 0 at the right and the bottom, because W&B shows a panel at one size.

    Args:
        run: An open run.
        panel: What to show.
        step: Global step, not below any step logged before.
    """
    import wandb  # noqa: PLC0415  (slow, and only needed where a run is open)

    labels = dict(enumerate(panel.class_names))
    if any((truth == IGNORED).any() for truth in panel.truths):
        labels[IGNORED] = "ignored"
    height, width = (max(image.shape[axis] for image in panel.images) for axis in (-2, -1))
    shown = []
    for key, image, truth, prediction in zip(panel.keys, panel.images, panel.truths, panel.predictions, strict=True):
        masks = {"prediction": prediction, "ground_truth": truth}
        shown.append(
            wandb.Image(
                _fill_up(to_display(image), height, width),
                caption=key,
                masks={
                    kind: {"mask_data": _fill_up(mask, height, width), "class_labels": labels}
                    for kind, mask in masks.items()
                },
            )
        )
    run.log({PANEL_KEY: shown, STEP_KEY: step})


def _fill_up(array: npt.NDArray[np.uint8], height: int, width: int) -> npt.NDArray[np.uint8]:
    """Adds zeros below and to the right: ``(h, w)`` or ``(h, w, 3)`` to ``(height, width[, 3])``."""
    rest = [(0, 0)] * (array.ndim - 2)
    return np.pad(array, [(0, height - array.shape[0]), (0, width - array.shape[1]), *rest])
