"""ImageJ regions of interest: a single ``.roi``, or the ``.zip`` of the ROI Manager."""

from pathlib import Path
from typing import Any

import numpy as np

from unet_repro.data.drawn.shapes import Drawn
from unet_repro.errors import DataError, install_extra

SUFFIXES = (".zip", ".roi")


def read_rois(path: Path) -> tuple[list[Drawn], int]:
    """Reads the areas of a file.

    Returns:
        The areas in the order of the file, and the number of other ROIs (points, lines).

    Raises:
        DataError: If the package roifile is missing.
        ValueError: If the file is damaged.
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
        page = max(roi.position, roi.z_position, roi.t_position) - 1  # counted from 1; 0: on every page
        drawn.append(Drawn("", [[np.asarray(ring, np.float64) for ring in rings]], page=page if page >= 0 else None))
    return drawn, len(rois) - len(drawn)


def _oval(roi: Any) -> np.ndarray[Any, Any]:
    """A fine polygon around an ellipse: roifile's own has 33 points."""
    angle = np.linspace(0, 2 * np.pi, 360, endpoint=False)
    radii = np.array([roi.right - roi.left, roi.bottom - roi.top]) / 2
    return np.asarray(np.array([roi.left, roi.top]) + radii * (1 + np.stack([np.cos(angle), np.sin(angle)], 1)))
