"""ImageJ regions of interest: a single ``.roi``, or the ``.zip`` of the ROI Manager."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from unet_repro.data.drawn.shapes import Drawn
from unet_repro.errors import DataError, install_extra

SUFFIXES = (".zip", ".roi")


def read_rois(path: Path, leading: Sequence[tuple[str, int]] = ()) -> tuple[list[Drawn], int]:
    """Reads the areas of a file.

    Args:
        path: The file.
        leading: Names and lengths of the axes that the image's pages are counted along.

    Returns:
        The areas in the order of the file, and the number of other ROIs (points, lines).

    Raises:
        DataError: If the package roifile is missing.
        ValueError: If the file is damaged, or a position is not in the image.
    """
    try:
        import roifile  # noqa: PLC0415  # optional
    except ImportError as error:
        raise DataError(
            f"{path} has ImageJ ROIs, for which the package roifile is missing",
            hint=install_extra("formats"),
        ) from error
    kinds = roifile.ROI_TYPE
    areas = {kinds.POLYGON, kinds.RECT, kinds.OVAL, kinds.FREEHAND, kinds.TRACED}
    found = roifile.roiread(path)
    rois: list[Any] = found if isinstance(found, list) else [found]
    drawn = []
    for roi in rois:
        if roi.roitype not in areas and not roi.composite:
            continue
        coordinates = _oval(roi) if roi.roitype == kinds.OVAL else roi.coordinates(multi=True)
        rings = coordinates if isinstance(coordinates, list) else [coordinates]
        drawn.append(Drawn("", [[np.asarray(ring, np.float64) for ring in rings]], page=_page(roi, leading)))
    return drawn, len(rois) - len(drawn)


def _page(roi: Any, leading: Sequence[tuple[str, int]]) -> int | None:
    """The page of a ROI, from 0; ``None`` if it is on every page. ImageJ counts from 1, 0 being every position."""
    along = {"Z": roi.z_position, "T": roi.t_position}
    if roi.position > 0 or max(along.values()) <= 0:
        return roi.position - 1 if roi.position > 0 else None
    longer = [(axis, length) for axis, length in leading if length > 1]
    if len(longer) <= 1:
        return int(max(along.values())) - 1
    page = 0
    for axis, length in longer:
        if not 1 <= along.get(axis, 0) <= length:
            raise ValueError(f"a ROI has the position {along}, which is not in an image of {dict(leading)}")
        page = page * length + along[axis] - 1
    return int(page)


def _oval(roi: Any) -> np.ndarray[Any, Any]:
    """A fine polygon around an ellipse: roifile's own has 33 points."""
    angle = np.linspace(0, 2 * np.pi, 360, endpoint=False)
    radii = np.array([roi.right - roi.left, roi.bottom - roi.top]) / 2
    return np.asarray(np.array([roi.left, roi.top]) + radii * (1 + np.stack([np.cos(angle), np.sin(angle)], 1)))
