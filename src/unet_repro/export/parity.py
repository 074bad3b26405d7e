"""Compares an exported network with its run, at sizes that a network itself cannot process."""

import math
from collections.abc import Callable, Iterable

import numpy as np
import numpy.typing as npt
import torch

from unet_repro.data.tiles import crop_mirrored
from unet_repro.errors import RunError
from unet_repro.heads import probabilities_of
from unet_repro.models.protocol import normalises_tiles
from unet_repro.runs.network import Network

TOLERANCE = 1e-5  # of a probability
TOLERANCE_NORMALISED = 1e-4  # with instance or group norm, which amplify rounding where a tile varies little

Pixels = npt.NDArray[np.float32]


def check_parity(network: Network, run: Callable[[Pixels], Pixels]) -> float:
    """Compares an exported network with the run's own prediction: smaller than a halo, odd, not square, in batches.

    Args:
        network: A run's network.
        run: Maps images ``(B, C, H, W)`` as stored to probabilities ``(B, K, H, W)``.

    Returns:
        The largest difference of a probability.

    Raises:
        RunError: If it is more than ``tolerance``, or an output has another size than its image.
    """
    worst, allowed = 0.0, tolerance(network)
    for index, size_hw in enumerate(checked_sizes(network)):
        images = sample_images(network, size_hw, number=1 + index % 2)
        expected, given = own_probabilities(network, images), run(images)
        worst = max(worst, float(np.abs(given - expected).max()) if given.shape == expected.shape else math.inf)
    if not worst <= allowed:
        raise RunError(
            f"the export differs from run {network.run_id} by {worst:.2g} in a probability, more than {allowed}",
            hint="export another checkpoint; with model.norm=instance or group, rounding alone can cause this",
        )
    return worst


def tolerance(network: Network) -> float:
    """The largest difference of a probability that is allowed."""
    return TOLERANCE_NORMALISED if normalises_tiles(network.net) else TOLERANCE


def checked_sizes(network: Network) -> Iterable[tuple[int, int]]:
    """Heights and widths at which exports are compared."""
    geometry = network.geometry
    # A few mirrored pixels are periodic: their features hardly vary, so that instance norm would show rounding only.
    small = (geometry.halo_px // 4 + 2, geometry.halo_px // 3 + 5) if normalises_tiles(network.net) else (2, 5)
    output, step = geometry.output_size(geometry.smallest_px), geometry.step_px
    return (output + 2 * step, output + 4 * step), small, (output + 3 * step + 1, output + 7 * step - 1)


def own_probabilities(network: Network, images: Pixels) -> Pixels:
    """The run's outputs ``(B, K, H, W)`` for images ``(B, C, H, W)`` of one size, each in a single tile.

    In default memory order, as in an exported graph: the order decides about rounding.
    """
    rows, columns = images.shape[2:]
    geometry, halo = network.geometry, network.geometry.halo_px
    covering = (geometry.covering(rows), geometry.covering(columns))
    tiles = [crop_mirrored(network.normalisation.apply(image), -halo, -halo, *covering) for image in images]
    with torch.inference_mode():
        scores = network.head.read(network.net(torch.from_numpy(np.stack(tiles))))
        probabilities: Pixels = probabilities_of(scores, network.head.num_classes).numpy()
    return probabilities[:, :, :rows, :columns]


def sample_images(network: Network, size_hw: tuple[int, int], *, number: int) -> Pixels:
    """Noise with the training images' mean and standard deviation, ``(B, C, H, W)``; deterministic."""
    noise = np.random.default_rng(0).standard_normal((number, network.in_channels, *size_hw))
    mean, std = (np.asarray(each)[:, None, None] for each in (network.normalisation.mean, network.normalisation.std))
    return (mean + std * noise).astype(np.float32)


def recorded_images(network: Network) -> Pixels:
    """Two images from which a graph is recorded, of a size that no size in a network equals by chance."""
    output = network.geometry.output_size(network.geometry.smallest_px)
    return sample_images(network, (output + 75, output + 91), number=2)
