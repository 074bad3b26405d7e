"""Made samples with square objects."""

import numpy as np

from unet_repro.data.sample import Sample


def sample(key="a", height=160, width=160, *, object_px=16, seed=0, part="train", labelled=True, sequence="images"):
    """Noise, with squares of ``object_px`` at every second place of a grid."""
    rng = np.random.default_rng(seed)
    labels = np.zeros((height, width), np.int32)
    step = 2 * object_px
    for number, (row, column) in enumerate(np.ndindex(height // step, width // step), start=1):
        labels[row * step : row * step + object_px, column * step : column * step + object_px] = number
    image = rng.integers(0, 255, (height, width)).astype(np.uint8)
    return Sample(key, sequence, part, image, labels if labelled else None)
