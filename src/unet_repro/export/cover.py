"""The cover picture of a package: part of a validation image, and the classes that the run predicts there."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from unet_repro.grey import stretched
from unet_repro.objects.crop import best_crop
from unet_repro.runs.network import Network
from unet_repro.stacks.palette import class_palette

PANEL_PX = 256  # two panels side by side: the specification asks for 2:1 and less than 500 kB
SHARE = 0.5  # of a colour over the image


@dataclass(frozen=True)
class Example:
    """A validation image.

    Attributes:
        image: Its normalised pixels ``(C, H, W)``.
        data: Name of its data set.
    """

    image: npt.NDArray[np.float32]
    data: str


def draw_cover(network: Network, shown: Example, path: Path) -> None:
    """Draws a crop in grey, and beside it the same crop with its predicted classes in colour.

    The crop has at most half the image's height and width, so that a complete image is never shown.

    Args:
        network: A run's network.
        shown: One of its validation images.
        path: The picture, 512 x 256 pixels, ``.png``.
    """
    image = shown.image
    classes = network.scores(image)[: network.head.num_classes].argmax(0).cpu().numpy().astype(np.intp)
    part = best_crop(classes > 0, share=0.5)
    grey = stretched(image[0][part])[..., None] * np.full(3, 255.0)
    palette = np.array(class_palette(max(3, network.head.num_classes)))  # of two classes, no white
    colours = palette[classes[part]]
    coloured = np.where(classes[part][..., None] > 0, (1 - SHARE) * grey + SHARE * colours, grey)
    panels = [
        np.asarray(Image.fromarray(panel.astype(np.uint8)).resize((PANEL_PX, PANEL_PX), Image.Resampling.NEAREST))
        for panel in (grey, coloured)
    ]
    Image.fromarray(np.hstack(panels)).save(path, optimize=True)
