"""Normalises grey values to mean 0 and standard deviation 1, with the statistics of the training images."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from unet_repro.errors import DataError
from unet_repro.files import counted

Pixels = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Normalisation:
    """Mean and standard deviation of the training images, one value per channel."""

    mean: tuple[float, ...]
    std: tuple[float, ...]

    @classmethod
    def of(cls, images: Sequence[npt.NDArray[np.generic]]) -> "Normalisation":
        """Statistics over all pixels of ``(H, W)`` or ``(C, H, W)`` images.

        Raises:
            DataError: If a channel is constant.
        """
        for image in images:
            _check_channels(_channels(image), _channels(images[0]))
        flat = [channels_first(image).reshape(_channels(image), -1).astype(np.float64) for image in images]
        number = sum(pixels.shape[1] for pixels in flat)
        mean = sum(pixels.sum(1) for pixels in flat) / number
        std = np.sqrt(sum(((pixels.T - mean) ** 2).sum(0) for pixels in flat) / number)
        if not (std > 0).all():
            raise DataError(
                f"channel {int(np.argmin(std))} of the training images is constant",
                hint="leave it out with data.channels=, or use other images",
            )
        return cls(tuple(mean.tolist()), tuple(std.tolist()))

    def apply(self, image: npt.NDArray[np.generic]) -> Pixels:
        """Mean 0, standard deviation 1 over the training images: ``(C, H, W)`` float32.

        Raises:
            DataError: If the image has another number of channels.
        """
        _check_channels(_channels(image), len(self.mean))
        mean, std = (np.asarray(values)[:, None, None] for values in (self.mean, self.std))
        normalised: Pixels = ((channels_first(image) - mean) / std).astype(np.float32)
        return normalised


def normaliser(normalisation: Normalisation, dtype: np.dtype[Any]) -> Callable[[npt.NDArray[np.generic]], Pixels]:
    """``normalisation.apply`` for many ``(C, H, W)`` blocks of one type: same results, with tables for 8 and 16 bit."""
    if dtype not in (np.uint8, np.uint16):
        return normalisation.apply
    grey = np.arange(np.iinfo(dtype).max + 1, dtype=dtype)
    tables = normalisation.apply(np.broadcast_to(grey, (len(normalisation.mean), 1, len(grey))))[:, 0]

    def looked_up(block: npt.NDArray[np.generic]) -> Pixels:
        _check_channels(_channels(block), len(tables))
        return np.stack([table[channel] for table, channel in zip(tables, channels_first(block), strict=True)])

    return looked_up


def channels_first(image: npt.NDArray[np.generic]) -> npt.NDArray[np.generic]:
    """``(C, H, W)`` view of ``(H, W)`` or ``(C, H, W)``."""
    return image[None] if image.ndim == 2 else image


def _channels(image: npt.NDArray[np.generic]) -> int:
    return int(channels_first(image).shape[0])


def _check_channels(number: int, wanted: int) -> None:
    if number != wanted:
        raise DataError(
            f"an image has {counted(number, 'channel')}, but the training images have {wanted}",
            hint="use images of the same kind",
        )
