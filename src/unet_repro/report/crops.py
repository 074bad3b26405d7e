"""What a network gets right and wrong: crops of validation images beside truth and error."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

from unet_repro.data.datamodule import WholeImage

# Okabe and Ito's blue and vermilion: colour-blind readers tell them apart.
FALSE_CELL, MISSED_CELL = (0.0, 0.447, 0.698), (0.835, 0.369, 0.0)


def error_colours(predicted: npt.NDArray[np.uint8], truth: npt.NDArray[np.uint8]) -> npt.NDArray[np.float64]:
    """Right pixels in grey (cells light, background dark), false foreground blue, missed foreground vermilion.

    Args:
        predicted: ``(H, W)`` class indices, 0 = background.
        truth: Likewise.

    Returns:
        ``(H, W, 3)`` in [0, 1].
    """
    colours = np.where(truth[..., None] > 0, 0.85, 0.25) * np.ones(3)
    colours[(predicted > 0) & (truth == 0)] = FALSE_CELL
    colours[(predicted == 0) & (truth > 0)] = MISSED_CELL
    return colours


def draw_crops(
    images: Sequence[WholeImage],
    predictions: Sequence[npt.NDArray[np.uint8]],
    path: Path,
    *,
    class_names: Sequence[str],
    crop_px: int = 192,
) -> None:
    """One row an image: the crop from its middle, truth, prediction, errors.

    Args:
        images: Normalised images with their classes.
        predictions: ``(H, W)`` class indices, one an image.
        path: The picture.
        class_names: Names of class 0 and 1.
        crop_px: Side of the crop in pixels, at most half the image's: a whole image is never shown.
    """
    figure = Figure(figsize=(9.2, 2.45 * len(images)), layout="constrained", dpi=90)
    axes = figure.subplots(len(images), 4, squeeze=False)
    for row, image, predicted in zip(axes, images, predictions, strict=True):
        height, width = image.classes.shape
        side = min(crop_px, height // 2, width // 2)
        top, left = (height - side) // 2, (width - side) // 2
        part = np.s_[top : top + side, left : left + side]
        shown = image.image[0][part]
        low, high = np.percentile(shown, (0.5, 99.5))
        row[0].imshow(shown, cmap="gray", vmin=low, vmax=high)
        row[1].imshow(image.classes[part], cmap="gray", vmin=0, vmax=1)
        row[2].imshow(predicted[part], cmap="gray", vmin=0, vmax=1)
        row[3].imshow(error_colours(predicted[part], image.classes[part]))
        row[0].set_ylabel(image.key)
        for panel in row:
            panel.set(xticks=[], yticks=[])
    background, foreground = class_names[0], class_names[1]
    titles = ["image", "truth", "prediction", f"blue: false {foreground}\nvermilion: false {background}"]
    for panel, title in zip(axes[0], titles, strict=True):
        panel.set_title(title, fontsize=9)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)
