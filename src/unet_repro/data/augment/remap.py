"""The source position of each pixel of a deformed tile, and the one remap that reads it.

A tile of side S has its pixel ``(S // 2, S // 2)`` at ``center_yx``. Its pixel ``p`` (row, column) takes the value at

    source(p) = origin + (S - 1) / 2 + t + R F / s (u + d(u)),    u = p - (S - 1) / 2,

with ``d`` the elastic displacement in the tile's frame, ``s`` the magnification, ``F`` the flips, ``R`` the rotation
(counter-clockwise as displayed), ``t`` the shift and ``origin`` the tile's first pixel in the image. The image is
mirrored at its border without repeating the border pixel, as in ``numpy.pad(mode="reflect")``. Pixels are interpolated
once, and only those of the tile, whatever the size of the image.

``d`` follows the paper (section 3.1): Gaussian vectors on a coarse grid, bicubic in between. Bicubic interpolation is
separable, ``d = B @ grid @ B.T`` with a fixed ``(S, n)`` matrix B. So is the affine part, with columns ``u`` and 1
appended to B: the complete map is one thin matrix product. The grid may span more than the tile, which then gets the
middle of the field: tiles of any size are deformed equally, and with equal draws a small tile is the middle of a large
one.
"""

import math
from functools import lru_cache
from typing import Any, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional

Floats = npt.NDArray[np.float32]
# Multiplications up to which OpenBLAS, NumPy's library, uses one thread. The threads of larger products spin
# afterwards, which doubled the time of a training step of two threads.
_ONE_THREAD = 1 << 18
Array = npt.NDArray[Any]
Span = tuple[int, int, int, int]  # first pixel, one past the last, pixels mirrored before, pixels mirrored after


class Placed(NamedTuple):
    """A map ``(2, S, S)`` into a part of an image, and the rows and columns of that part."""

    source: Floats
    rows: Span
    columns: Span


@lru_cache(maxsize=32)
def bicubic_matrix(size: int, num_nodes: int, span_px: int | None = None) -> Floats:
    """Weights of equidistant nodes at the middle pixels of a line; the outer nodes are on its outer pixels.

    The weights are those of ``torch.nn.functional.interpolate(mode="bicubic", align_corners=True)`` (cubic convolution,
    Keys 1981, a = -0.75, outer nodes repeated beyond the ends), obtained by applying it to unit vectors: the field is
    the one torch would interpolate. ``cv2.resize`` has the same kernel, but cannot put nodes on the outer pixels.

    Args:
        size: Number of output pixels, at least 2.
        num_nodes: Number of nodes, at least 2.
        span_px: Pixels in the line, at least ``size``; ``None`` for ``size``.

    Returns:
        ``(size, num_nodes)``, read-only; every row sums to 1.

    >>> bicubic_matrix(5, 3)
    array([[ 1.     ,  0.     ,  0.     ],
           [ 0.5    ,  0.59375, -0.09375],
           [ 0.     ,  1.     ,  0.     ],
           [-0.09375,  0.59375,  0.5    ],
           [ 0.     ,  0.     ,  1.     ]], dtype=float32)
    >>> bool(np.array_equal(bicubic_matrix(3, 3, span_px=5), bicubic_matrix(5, 3)[1:4]))
    True
    """
    span_px = span_px or size
    unit = torch.eye(num_nodes, dtype=torch.float64).reshape(1, num_nodes, num_nodes, 1)
    # In steps of half a pixel: if only one of the sizes is odd, the middle pixels are between those of the line.
    weights = functional.interpolate(unit, size=(2 * span_px - 1, 1), mode="bicubic", align_corners=True)
    middle = weights[0, :, span_px - size : span_px + size : 2, 0]
    matrix: Floats = middle.T.numpy().astype(np.float32)
    matrix.setflags(write=False)
    return matrix


@lru_cache(maxsize=32)
def _basis(size: int, num_nodes: int, span_px: int) -> Floats:
    u = np.arange(size, dtype=np.float32) - np.float32((size - 1) / 2)
    return np.column_stack([bicubic_matrix(size, num_nodes, span_px), u, np.ones(size, np.float32)])


def source_map(
    size: int,
    linear: npt.NDArray[np.float64],
    offset: npt.NDArray[np.float64],
    grid: Array,
    *,
    span_px: int | None = None,
) -> Floats:
    """The source position of each pixel of a tile: ``offset + linear (u + d(u))``, see the top of this file.

    Args:
        size: Side S of the tile in pixels.
        linear: ``(2, 2)``, acts on (row, column).
        offset: ``(2,)``, source position of the tile's middle, (row, column) in pixels.
        grid: ``(2, n, n)``, displacements of the nodes, rows then columns, in pixels.
        span_px: Side of the square, centred on the tile, whose corner pixels hold the corner nodes; ``None`` or less
            than S: the tile itself.

    Returns:
        ``(2, S, S)``: rows, then columns, in pixels.

    >>> source_map(2, np.eye(2), np.array([0.5, 7.5]), np.zeros((2, 3, 3))).tolist()
    [[[0.0, 0.0], [1.0, 1.0]], [[7.0, 8.0], [7.0, 8.0]]]
    """
    n = grid.shape[-1]
    core = np.zeros((2, n + 2, n + 2), np.float32)
    core[:, :n, :n] = np.tensordot(linear, grid, axes=1)
    core[:, n, n + 1], core[:, n + 1, n], core[:, n + 1, n + 1] = linear[:, 0], linear[:, 1], offset
    basis = _basis(size, n, max(span_px or 0, size))
    left: Floats = basis @ core
    mapped = np.empty((2, size, size), np.float32)
    rows = max(1, _ONE_THREAD // basis.size)
    for top in range(0, size, rows):
        np.matmul(left[:, top : top + rows], basis.T, out=mapped[:, top : top + rows])
    return mapped


def mirrored_span(low: int, high: int, size: int) -> Span:
    """The part of a line of ``size`` pixels that covers ``low .. high - 1`` once mirrored at its own ends.

    >>> mirrored_span(-2, 3, 10), mirrored_span(4, 6, 10), mirrored_span(8, 13, 10)
    ((0, 3, 2, 0), (4, 6, 0, 0), (6, 10, 0, 3))
    """
    before, after = max(0, -low), max(0, high - size)
    return max(0, min(low, size - 1 - after)), min(size, max(high, before + 1)), before, after


def place(source: Floats, first: tuple[int, int], shape: tuple[int, int]) -> Placed:
    """Finds the part of the image that a map needs, and makes the map relative to that part, in place.

    Args:
        source: ``(2, S, S)``, relative to ``first``.
        first: Row and column in the image, whole pixels.
        shape: Height and width of the image.
    """
    rows, columns = (
        # Linear interpolation reads one more pixel.
        mirrored_span(math.floor(axis.min()) + start, math.floor(axis.max()) + start + 2, size)
        for axis, start, size in zip(source, first, shape, strict=True)
    )
    source[0] += first[0] - (rows[0] - rows[2])
    source[1] += first[1] - (columns[0] - columns[2])
    return Placed(source, rows, columns)


def remap(array_HW: Array, placed: Placed, interpolation: int) -> Array:
    """Applies a map: ``(H, W)`` to ``(S, S)`` of the same type.

    Args:
        array_HW: The complete image, or labels or weights of its size.
        placed: The map, from ``place``.
        interpolation: An OpenCV constant, such as ``cv2.INTER_LINEAR``.
    """
    (source_y, source_x), (top, bottom, above, below), (left, right, before, after) = placed
    patch = np.ascontiguousarray(array_HW[top:bottom, left:right])
    if above or below or before or after:
        patch = cv2.copyMakeBorder(patch, above, below, before, after, cv2.BORDER_REFLECT_101)
    warped: Array = cv2.remap(patch, source_x, source_y, interpolation, borderMode=cv2.BORDER_REFLECT_101)
    return warped
