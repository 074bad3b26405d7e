"""Augmentation: a tile is cut and warped with its labels and weights, then its grey values are varied."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from unet_repro.data.augment.grey import GreyRanges
from unet_repro.data.augment.remap import Floats
from unet_repro.data.augment.warp import WarpRanges, check_sizes
from unet_repro.errors import DataError

Classes = npt.NDArray[np.uint8]


class Augment:
    """The augmentation of one training tile: a pure function of its arguments and the seed.

    It neither reads nor changes a global random state, and calls are independent.

    Args:
        flip: Whether to mirror each axis with probability 1/2.
        rotate_deg: Rotation, uniform in +- this many degrees.
        scale: Magnification, uniform between the two values.
        shift_px: Shift of each axis, uniform in +- this many pixels.
        elastic_grid: Nodes per side of the grid of random displacements.
        elastic_std_px: Standard deviation of the nodes' displacement along each axis, in pixels.
        elastic_span_px: Side in pixels of the square that the grid spans, centred on the tile; larger tiles are spanned
            completely, as is every tile with ``None``.
        brightness: Added, uniform in +- this many standard deviations of the training set.
        contrast: Factor about the training mean, uniform in 1 +- this share.
        gamma: Exponent of the tile's grey values, between 1 / (1 + this) and 1 + this; 0 for none.
        noise_std: Of Gaussian noise, in standard deviations of the training set.

    Raises:
        ConfigError: If an argument is out of range.

    >>> mirror_only = Augment(flip=False, rotate_deg=0, scale=(1, 1), shift_px=0, elastic_grid=3, elastic_std_px=0,
    ...                       elastic_span_px=None, brightness=0, contrast=0, gamma=0, noise_std=0)
    >>> image = np.arange(9, dtype=np.float32).reshape(3, 3)
    >>> tile, classes, weights = mirror_only(image, np.eye(3, dtype=np.uint8), image, center_yx=(0, 1),
    ...                                      tile_size=4, output_size=2, seed=0)
    >>> tile[0], classes.tolist(), weights.tolist()
    (array([7., 6., 7., 8.], dtype=float32), [[0, 1], [1, 0]], [[3.0, 4.0], [0.0, 1.0]])
    """

    def __init__(
        self,
        *,
        flip: bool,
        rotate_deg: float,
        scale: Sequence[float],
        shift_px: float,
        elastic_grid: int,
        elastic_std_px: float,
        elastic_span_px: int | None,
        brightness: float,
        contrast: float,
        gamma: float,
        noise_std: float,
    ) -> None:
        self._warp = WarpRanges(
            flip=flip,
            rotate_deg=rotate_deg,
            scale=tuple(scale),
            shift_px=shift_px,
            elastic_grid=elastic_grid,
            elastic_std_px=elastic_std_px,
            elastic_span_px=elastic_span_px,
        )
        self._grey = GreyRanges(brightness=brightness, contrast=contrast, gamma=gamma, noise_std=noise_std)

    def __call__(
        self,
        image: Floats,
        classes: Classes,
        weights: Floats,
        *,
        center_yx: tuple[float, float],
        tile_size: int,
        output_size: int,
        seed: int,
    ) -> tuple[Floats, Classes, Floats]:
        """Cuts and augments a tile.

        Args:
            image: ``(H, W)`` or ``(C, H, W)`` float32, the whole image, normalised with training-set statistics.
            classes: ``(H, W)`` uint8 class indices.
            weights: ``(H, W)`` float32, or several such maps ``(N, H, W)``.
            center_yx: Row and column of the tile's middle in pixels.
            tile_size: Side S of the image tile.
            output_size: Side s of the labels and weights.
            seed: Not negative; a hash of (seed, step, index), such as a word of a ``numpy.random.SeedSequence``.

        Returns:
            Image ``(S, S)`` or ``(C, S, S)`` float32, classes ``(s, s)`` uint8, weights ``(s, s)`` or
            ``(N, s, s)`` float32.

        Raises:
            ConfigError: If the sizes do not match.
            DataError: If the shapes of the arrays do not match.
        """
        check_sizes(tile_size, output_size)
        if image.dtype != np.float32 or image.ndim not in {2, 3}:
            raise DataError(
                f"an image has shape {image.shape} and type {image.dtype}", hint="pass (H, W) or (C, H, W) float32"
            )
        height, width = image.shape[-2:]
        check_same_size((height, width), mask=classes, weights=weights if weights.ndim == 2 else weights[0])
        rng = np.random.default_rng(seed)
        warp = self._warp.draw(
            rng, center_yx=center_yx, image_hw=(height, width), tile_size=tile_size, output_size=output_size
        )
        tile: Floats = warp.image(image)
        if not self._grey.changes_nothing:
            tile = self._grey.apply(tile, self._grey.draw(rng))
        return tile, warp.labels(classes), warp.weights(weights)


def check_same_size(image_hw: tuple[int, int], **others: npt.NDArray[np.generic] | None) -> None:
    """Checks that labels and weights have the image's size.

    Raises:
        DataError: If one has another size.
    """
    for name, other in others.items():
        if other is not None and other.shape[:2] != image_hw:
            raise DataError(
                f"{name} has {other.shape[0]} x {other.shape[1]} pixels, the image {image_hw[0]} x {image_hw[1]}",
                hint="pass image, labels and weights of the same size",
            )
