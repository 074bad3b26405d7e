"""Pictures of good and bad cases: crops of measured images with ground truth, objects and errors."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure
from skimage.segmentation import find_boundaries

from unet_repro.evaluation.measured import Assessment, notable
from unet_repro.grey import stretched
from unet_repro.inference.instances import to_instances
from unet_repro.objects.crop import best_crop

# Okabe and Ito's blue and vermilion, which colour-blind readers can distinguish.
FALSE_CELL, MISSED_CELL = (0.0, 0.447, 0.698), (0.835, 0.369, 0.0)


def error_colours(predicted: npt.NDArray[np.uint8], truth: npt.NDArray[np.uint8]) -> npt.NDArray[np.float64]:
    """Correct pixels in grey (cells light, background dark), false foreground blue, missed foreground vermilion.

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


def draw_cases(assessments: Sequence[Assessment], path: Path) -> None:
    """Draws the worst, median and best image of each group by SEG: a crop of each with the most wrong pixels.

    A complete image is never shown.

    Args:
        assessments: The assessed groups.
        path: The picture, ``.jpg``.
    """
    chosen = [(each, label, image) for each in assessments for label, image in notable(each.members)]
    figure = Figure(figsize=(9.6, 2.5 * len(chosen)), layout="constrained", dpi=90)
    axes = figure.subplots(len(chosen), 4, squeeze=False)
    for row, (assessment, label, measured) in zip(axes, chosen, strict=True):
        image_CHW, truth, probability, seeds = assessment.cases[measured.key]
        objects = to_instances(probability, measured.settings, seeds)
        part = best_crop((objects > 0) != (truth > 0), share=1.0)
        grey = stretched(image_CHW[0][part])
        row[0].imshow(grey, cmap="gray", vmin=0, vmax=1)
        row[1].imshow(_outlined(grey, truth[part]))
        row[2].imshow(_outlined(grey, objects[part]))
        row[3].imshow(error_colours((objects[part] > 0).astype(np.uint8), (truth[part] > 0).astype(np.uint8)))
        row[0].set_ylabel(f"{assessment.group}\n{label}: {measured.key}\nSEG {measured.seg.mean():.3f}", fontsize=7)
        for panel in row:
            panel.set(xticks=[], yticks=[])
    names = assessments[0].class_names
    foreground = names[1] if len(names) == 2 else "foreground"
    titles = ["image", "ground truth", "predicted objects", f"blue: false {foreground}\nvermilion: missed {foreground}"]
    for panel, title in zip(axes[0], titles, strict=True):
        panel.set_title(title, fontsize=9)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, pil_kwargs={"quality": 85})


def _outlined(grey: npt.NDArray[np.floating], objects: npt.NDArray[np.int32]) -> npt.NDArray[np.float32]:
    """The image in grey with the objects' outlines in yellow."""
    colours = np.repeat(grey[..., None], 3, axis=2).astype(np.float32)
    outline = find_boundaries(objects, mode="inner")  # type: ignore[no-untyped-call]
    colours[outline] = (0.94, 0.89, 0.26)
    return colours
