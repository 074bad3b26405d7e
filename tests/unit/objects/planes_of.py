"""Planes in memory."""

import numpy as np

from unet_repro.objects.planes import ObjectPlane


def plane_of(labels, image=None, probability=None):
    image = np.zeros((1, *labels.shape), np.uint8) if image is None else image
    probability = np.ones(labels.shape, np.float32) if probability is None else probability
    return ObjectPlane(
        labels=lambda top, rows: labels[top : top + rows],
        image=lambda top, rows: image[:, top : top + rows],
        probability=lambda top, rows: probability[top : top + rows],
        shape_hw=labels.shape,
        channels=len(image),
    )


def blobs(height, width, share, seed):
    """Random objects in raster order, 4-connected; some have holes, and corners in common."""
    from scipy import ndimage

    from unet_repro.data.labels import instances_from_mask

    noise = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=(height, width)), 1)
    return instances_from_mask(noise > np.quantile(noise, 1 - share))
