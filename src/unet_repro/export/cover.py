"""The cover picture of a package: part of a validation image, and the classes that the run predicts there."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy import ndimage

from unet_repro.runs.network import Network

PANEL_PX = 256  # two panels side by side: the specification asks for 2:1 and less than 500 kB
MOST_CROP_PX = 192
SHARE = 0.5  # of a colour over the image
# Okabe and Ito's colours, which colour-blind readers can distinguish; class 0 is not coloured.
COLOURS = np.array(
    [[230, 159, 0], [86, 180, 233], [0, 158, 115], [240, 228, 66], [0, 114, 178], [213, 94, 0], [204, 121, 167]]
)


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
    part = most_mixed(classes > 0)
    low, high = np.percentile(image[0][part], (0.5, 99.5))
    grey = np.clip((image[0][part] - low) / max(high - low, 1e-6), 0, 1)[..., None] * np.full(3, 255.0)
    colours = np.concatenate([[[0, 0, 0]], COLOURS])[np.where(classes[part] > 0, (classes[part] - 1) % 7 + 1, 0)]
    coloured = np.where(classes[part][..., None] > 0, (1 - SHARE) * grey + SHARE * colours, grey)
    panels = [
        np.asarray(Image.fromarray(panel.astype(np.uint8)).resize((PANEL_PX, PANEL_PX), Image.Resampling.NEAREST))
        for panel in (grey, coloured)
    ]
    Image.fromarray(np.hstack(panels)).save(path, optimize=True)


def most_mixed(foreground: npt.NDArray[np.bool_]) -> tuple[slice, slice]:
    """The square crop, at most half the image's side, whose share of foreground is nearest to one half."""
    side = max(1, min(MOST_CROP_PX, *(extent // 2 for extent in foreground.shape)))
    share = ndimage.uniform_filter(foreground.astype(np.float32), side, mode="constant")
    rows, columns = (extent - side + 1 for extent in foreground.shape)
    inside = share[side // 2 : side // 2 + rows, side // 2 : side // 2 + columns]
    top, left = np.unravel_index(int(np.abs(inside - 0.5).argmin()), inside.shape)
    return np.s_[int(top) : int(top) + side, int(left) : int(left) + side]
