import numpy as np
import pytest

from unet_repro.data.normalise import Normalisation
from unet_repro.errors import DataError


def test_normalisation_weighs_pixels_not_images():
    small, large = np.full((2, 2), 10, np.uint8), np.zeros((4, 8), np.uint8)
    normalisation = Normalisation.of([small, large])

    assert normalisation.mean == pytest.approx((40 / 36,))
    assert normalisation.std == pytest.approx((np.concatenate([small.ravel(), large.ravel()]).std(),))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_normalised_images_are_float32_with_channels_first(dtype):
    image = np.arange(12).reshape(3, 4).astype(dtype)
    applied = Normalisation.of([image]).apply(image)

    assert applied.dtype == np.float32
    assert applied.shape == (1, 3, 4)


@pytest.mark.parametrize(
    "image",
    [
        np.full((9, 8), 3, np.uint8),
        np.stack([np.arange(72).reshape(9, 8), np.full((9, 8), 3)]).astype(np.uint8),
        np.full((101, 103), 0.1, np.float32),
        np.full((512, 512), 0.3, np.float32),
    ],
    ids=["uint8", "one channel", "float32", "large float32"],
)
def test_constant_training_images_are_refused(image):
    with pytest.raises(DataError, match="constant"):
        Normalisation.of([image, image, image])


def test_an_image_of_other_channels_is_refused():
    normalisation = Normalisation.of([np.arange(12).reshape(3, 2, 2)])

    with pytest.raises(DataError, match="has 1 channel, but the training images have 3"):
        normalisation.apply(np.zeros((2, 2)))
