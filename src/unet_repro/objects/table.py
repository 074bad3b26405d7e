"""``objects.csv``: one row for each object."""

import csv
import io
from collections.abc import Iterator
from itertools import islice
from typing import Any

import numpy as np
import numpy.typing as npt

from unet_repro.objects.measure import Measures

DIGITS = 4  # after the decimal point


def columns(num_channels: int) -> list[str]:
    """Names of the columns."""
    grey = [f"mean_intensity_{channel}" for channel in range(num_channels)] if num_channels > 1 else ["mean_intensity"]
    return [
        *("image", "plane", "id", "area_px", "centroid_x_px", "centroid_y_px", "left_px", "top_px", "right_px"),
        *("bottom_px", "perimeter_px", "eccentricity", *grey, "touches_border", "mean_probability"),
        *("area_um2", "centroid_x_um", "centroid_y_um", "left_um", "top_um", "right_um", "bottom_um", "perimeter_um"),
    ]


def header(num_channels: int) -> str:
    """The first line."""
    return ",".join(columns(num_channels)) + "\n"


def rows(image: str, plane: int, measures: Measures, pixel_size_um: tuple[float, float] | None) -> Iterator[str]:
    """The lines of a plane, a few thousand at once.

    Args:
        image: Name of the image.
        plane: Number of the plane.
        measures: Its objects.
        pixel_size_um: Height and width of a pixel; micrometres are empty if it is unknown, and so is the perimeter in
            micrometres for pixels that are not square.
    """
    number = len(measures.area)
    text: list[list[Any]] = [[image] * number, [plane] * number, list(range(1, number + 1))]
    centre_y, centre_x = measures.centroid.T
    top, left, bottom, right = measures.box.T
    box = (left, top, right, bottom)
    text += map(_cells, (measures.area, centre_x, centre_y, *box, measures.perimeter, measures.eccentricity))
    text += map(_cells, measures.mean_intensity.T)
    text += [measures.touches_border.astype(int).tolist(), _cells(measures.mean_probability)]
    if pixel_size_um is None:
        text += [[""] * number] * 8
    else:
        y_um, x_um = pixel_size_um
        # Positions start at the outer corner of the first pixel, as those of the box.
        lengths = [measures.area * y_um * x_um, (centre_x + 0.5) * x_um, (centre_y + 0.5) * y_um]
        lengths += [side * size for side, size in zip(box, (x_um, y_um, x_um, y_um), strict=True)]
        text += map(_cells, lengths)
        square = np.isclose(y_um, x_um, rtol=1e-3)
        text.append(_cells(measures.perimeter * x_um) if square else [""] * number)
    lines = zip(*text, strict=True)
    while chunk := list(islice(lines, 4096)):
        written = io.StringIO()
        csv.writer(written, lineterminator="\n").writerows(chunk)
        yield written.getvalue()


def _cells(values: npt.NDArray[Any]) -> list[Any]:
    cells: list[Any] = (values if values.dtype.kind in "iu" else np.round(values, DIGITS)).tolist()
    return cells
