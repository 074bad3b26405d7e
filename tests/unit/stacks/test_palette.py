"""Class numbers in a PNG keep their values, and a viewer shows each in its colour."""

import io

import cv2
import numpy as np
import pytest
from PIL import Image

from unet_repro.stacks.palette import class_palette, with_palette


@pytest.mark.parametrize("num_classes", [2, 3, 8, 9, 40, 255])
def test_values_are_indices_and_every_class_has_a_colour_of_its_own(num_classes: int) -> None:
    classes = np.random.default_rng(0).integers(0, num_classes, (13, 17)).astype(np.uint8)
    classes.flat[:num_classes] = np.arange(num_classes)[: classes.size]
    palette = class_palette(num_classes)
    data = with_palette(cv2.imencode(".png", classes)[1].tobytes(), palette)
    with Image.open(io.BytesIO(data)) as image:
        image.verify()
    with Image.open(io.BytesIO(data)) as image:
        np.testing.assert_array_equal(np.asarray(image), classes)
        np.testing.assert_array_equal(np.asarray(image.convert("RGB")), np.array(palette, np.uint8)[classes])
    assert len(set(palette)) == len(palette) == num_classes
    assert palette[0] == (0, 0, 0)
