"""Writes the objects of an image beside its label image: table, GeoJSON, ROIs and a picture."""

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Literal

import numpy as np

from unet_repro.files import replacing, writing
from unet_repro.objects import table
from unet_repro.objects.geojson import GeoJson
from unet_repro.objects.measure import Measures, measure
from unet_repro.objects.outlines import outlines
from unet_repro.objects.overlay import draw_overlay, to_png
from unet_repro.objects.planes import ObjectPlane
from unet_repro.objects.rois import RoiZip
from unet_repro.objects.summary import Summary
from unet_repro.stacks.names import stem

Extra = Literal["table", "geojson", "rois", "overlay"]

_SUFFIXES: dict[Extra, str] = {
    "table": ".objects.csv",
    "geojson": ".geojson",
    "rois": ".rois.zip",
    "overlay": ".outlines.png",
}


@dataclass(frozen=True)
class ObjectStack:
    """The planes of an image with their objects.

    Attributes:
        name: Name of the image.
        plane: Opens a plane by its number.
        leading: Sizes of the axes before rows and columns; ``()`` for a single plane.
        axes: Names of those axes, such as ``TZ``.
        pixel_size_um: Height and width of a pixel in micrometres; ``None`` if unknown.
        class_name: Class of all objects; ``None`` if there are several.
    """

    name: str
    plane: Callable[[int], ObjectPlane]
    leading: tuple[int, ...] = ()
    axes: str = ""
    pixel_size_um: tuple[float, float] | None = None
    class_name: str | None = None

    @property
    def num_planes(self) -> int:
        """Number of planes."""
        return int(np.prod(self.leading, dtype=np.int64))

    def slice_and_time(self, plane: int) -> tuple[int, int] | None:
        """Slice and time of a plane, from 0; ``None`` for a single plane. An unknown axis counts as slices."""
        if self.num_planes == 1:
            return None
        z = t = 0
        for axis, size, index in zip(self.axes, self.leading, np.unravel_index(plane, self.leading), strict=True):
            if axis == "T":
                t = int(index)
            else:
                z = z * size + int(index)
        return z, t


def paths_of(target: Path, extra: Extra) -> Path:
    """The file of a label image's objects, such as ``cells.objects.csv`` beside ``cells.tif``."""
    return target.with_name(f"{stem(target)}{_SUFFIXES[extra]}")


def write_objects(target: Path, stack: ObjectStack, extras: frozenset[Extra]) -> Summary:
    """Measures all objects and writes files about them; memory grows with the objects of a plane, not with its pixels.

    Args:
        target: The label image.
        stack: Its planes.
        extras: The files to write. The overlay is of the middle plane.

    Raises:
        RunError: If a file cannot be written; an older file is then unchanged.
    """
    summary = Summary()
    hint = "free some space, or switch these files off with objects=false; the same command resumes"
    with writing(f"the objects of {target}", hint=hint), ExitStack() as opened:
        files: dict[Extra, BinaryIO] = {
            extra: opened.enter_context(replacing(paths_of(target, extra))) for extra in sorted(extras)
        }
        geojson = GeoJson(files["geojson"], stack.class_name) if "geojson" in files else None
        rois = RoiZip(files["rois"]) if "rois" in files else None
        for number in range(stack.num_planes):
            plane = stack.plane(number)
            measures = measure(plane, max(int(plane.labels(*band).max()) for band in plane.bands()))
            summary.add(measures)
            if "table" in files:
                if number == 0:
                    files["table"].write(table.header(plane.channels).encode())
                for lines in table.rows(stack.name, number + 1, measures, stack.pixel_size_um):
                    files["table"].write(lines.encode())
            if geojson or rois:
                _write_outlines(stack, number, measures, geojson, rois)
            if "overlay" in files and number == stack.num_planes // 2:
                files["overlay"].write(to_png(draw_overlay(plane)))
        if geojson:
            geojson.finish()
        if rois:
            rois.finish()
    return summary


def _write_outlines(
    stack: ObjectStack, number: int, measures: Measures, geojson: GeoJson | None, rois: RoiZip | None
) -> None:
    columns = _measurements(measures, stack.pixel_size_um)
    place = stack.slice_and_time(number)
    for outline in outlines(stack.plane(number), measures.box[:, 2]):
        if geojson:
            own = {name: values[outline.number - 1] for name, values in columns.items()}
            geojson.add(outline, own, place)
        if rois:
            rois.add(outline, None if place is None else number + 1)


def _measurements(measures: Measures, pixel_size_um: tuple[float, float] | None) -> dict[str, list[float]]:
    """The measurements that QuPath shows, by name."""
    found = {
        "Area px": measures.area,
        "Perimeter px": measures.perimeter.round(table.DIGITS),
        "Eccentricity": measures.eccentricity.round(table.DIGITS),
        "Mean probability": measures.mean_probability.round(table.DIGITS),
    }
    for channel, values in enumerate(measures.mean_intensity.T):
        found[f"Mean intensity {channel}"] = values.round(table.DIGITS)
    if pixel_size_um is not None:
        found["Area µm^2"] = (measures.area * pixel_size_um[0] * pixel_size_um[1]).round(table.DIGITS)
    return {name: values.tolist() for name, values in found.items()}
