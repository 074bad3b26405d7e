"""Grey values to mean 0 and standard deviation 1, with the statistics of the training images."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from unet_repro.errors import DataError

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
            raise DataError("the training images are constant", mend="use images that show something")
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


def channels_first(image: npt.NDArray[np.generic]) -> npt.NDArray[np.generic]:
    """``(C, H, W)`` view of ``(H, W)`` or ``(C, H, W)``."""
    return image[None] if image.ndim == 2 else image


def _channels(image: npt.NDArray[np.generic]) -> int:
    return int(channels_first(image).shape[0])


def _check_channels(number: int, wanted: int) -> None:
    if number != wanted:
        raise DataError(
            f"an image has {number} channels, the training images have {wanted}", mend="use images of the same kind"
        )
