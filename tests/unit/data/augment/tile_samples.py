"""What the tests of warping and augmentation cut tiles from, and the tile that nothing has changed."""

import numpy as np
from scipy import ndimage


def sample(height=90, width=110, seed=0):
    """A normalised image, its class map of smooth blobs, and a weight map."""
    rng = np.random.default_rng(seed)
    image = rng.standard_normal((height, width)).astype(np.float32)
    classes = (ndimage.gaussian_filter(image, 5, mode="mirror") > 0).astype(np.uint8)
    return image, classes, rng.random((height, width)).astype(np.float32)


def mirrored_crop(array, center, size):
    pad = size + max(array.shape)
    top, left = (int(c) - size // 2 + pad for c in center)
    return np.pad(array, pad, mode="reflect")[top : top + size, left : left + size]
