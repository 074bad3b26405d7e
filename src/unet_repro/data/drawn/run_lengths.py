"""COCO's run lengths: pixels column by column, in runs that alternate between background and object."""

from collections.abc import Sequence

import numpy as np

from unet_repro.data.drawn.shapes import Mask


def from_counts(counts: Sequence[int], image_hw: tuple[int, int]) -> Mask:
    """The mask that run lengths describe.

    Raises:
        ValueError: If they do not add up to the image.

    >>> from_counts([1, 2, 1], (2, 2)).astype(int)
    array([[0, 1],
           [1, 0]])
    """
    values = np.arange(len(counts)) % 2 == 1
    flat = np.repeat(values, counts)
    if flat.size != image_hw[0] * image_hw[1]:
        raise ValueError(f"its run lengths have {flat.size} pixels, the image has {image_hw[0]} x {image_hw[1]}")
    return flat.reshape(image_hw[::-1]).T


def from_text(text: str) -> list[int]:
    """Decodes compressed run lengths: five bits a letter, low bits first; from the third on, differences to two before.

    >>> from_text("121")
    [1, 2, 1]
    """
    counts: list[int] = []
    value = shift = 0
    for letter in text:
        bits = ord(letter) - 48
        value |= (bits & 0x1F) << shift
        shift += 5
        if bits & 0x20:  # more letters follow
            continue
        if bits & 0x10:  # negative
            value -= 1 << shift
        counts.append(value + (counts[-2] if len(counts) > 2 else 0))
        value = shift = 0
    return counts
