"""The paper's elastic deformation of a whole image, on its own."""

from typing import Any, TypeVar, overload

import numpy as np
import numpy.typing as npt

from unet_repro.data.augment.warp import WarpRanges
from unet_repro.errors import DataError

Labels = TypeVar("Labels", bound=npt.NDArray[np.generic])
Floats = npt.NDArray[np.float32]


@overload
def elastic_deformation(
    image: npt.ArrayLike,
    labels: None = None,
    *,
    seed: int = 0,
    grid: int = 3,
    std_px: float = 10.0,
    span_px: int | None = None,
) -> Floats: ...
@overload
def elastic_deformation(
    image: npt.ArrayLike,
    labels: Labels,
    *,
    seed: int = 0,
    grid: int = 3,
    std_px: float = 10.0,
    span_px: int | None = None,
) -> tuple[Floats, Labels]: ...
def elastic_deformation(
    image: npt.ArrayLike,
    labels: Any = None,
    *,
    seed: int = 0,
    grid: int = 3,
    std_px: float = 10.0,
    span_px: int | None = None,
) -> Any:
    """Deforms an image, and its labels alike, by random displacements on a coarse grid (section 3.1 of the paper).

    The displacements are Gaussian, and bicubic between the nodes. Image and labels are interpolated once, the image
    linearly, labels to the nearest; beyond the border they are mirrored.

    Args:
        image: ``(H, W)`` or ``(C, H, W)``, converted to float32.
        labels: ``(H, W)`` of any type, such as classes or instances.
        seed: The same seed gives the same deformation.
        grid: Nodes per side.
        std_px: Standard deviation of a node's displacement along each axis, in pixels.
        span_px: Side of the square, centred on the image, that the grid spans; ``None``: the longer side of the image.

    Returns:
        The image, float32; with labels also those, of their own type.

    Raises:
        ConfigError: If ``grid``, ``std_px`` or ``span_px`` is out of range.
        DataError: If the shapes are not as above, or do not match.

    >>> image = np.arange(16.0).reshape(4, 4)
    >>> bool(np.array_equal(elastic_deformation(image, std_px=0), image))
    True
    >>> deformed, labels = elastic_deformation(image, image.astype(np.int32), seed=1)
    >>> deformed.shape, labels.dtype
    ((4, 4), dtype('int32'))
    """
    pixels = np.asarray(image, np.float32)
    if pixels.ndim not in (2, 3) or 0 in pixels.shape:
        raise DataError(f"an image has shape {pixels.shape}", hint="pass a non-empty (H, W) or (C, H, W) array")
    height, width = pixels.shape[-2:]
    if labels is not None and labels.shape != (height, width):
        raise DataError(f"labels of {labels.shape}, an image of {(height, width)} pixels", hint="use equal sizes")
    ranges = WarpRanges(
        flip=False, rotate_deg=0, scale=(1, 1), elastic_grid=grid, elastic_std_px=std_px, elastic_span_px=span_px
    )
    side = max(height, width, 2)  # of a square that is centred on the image
    top, left = (side - height) // 2, (side - width) // 2
    warp = ranges.draw(
        np.random.default_rng(seed),
        center_yx=(side // 2 - top, side // 2 - left),
        image_hw=(height, width),
        tile_size=side,
        output_size=side,
    )
    inside = np.s_[..., top : top + height, left : left + width]
    deformed = np.ascontiguousarray(warp.image(pixels)[inside])
    if labels is None:
        return deformed
    ids, codes = np.unique(labels, return_inverse=True)  # OpenCV does not interpolate every type
    moved = warp.labels(codes.reshape(height, width).astype(np.float64))[inside]
    return deformed, ids[moved.astype(np.intp)]
