"""Objects as GeoJSON detections for QuPath."""

import json
from collections.abc import Mapping
from typing import BinaryIO

from unet_repro.objects.outlines import Outline, Ring


class GeoJson:
    """A feature collection that is written object by object.

    Args:
        file: An opened binary file.
        class_name: Class of all objects; ``None`` for none.
    """

    def __init__(self, file: BinaryIO, class_name: str | None) -> None:
        self._file = file
        named = "" if class_name is None else f',"classification":{{"name":{json.dumps(class_name)}}}'
        self._properties = f'"properties":{{"objectType":"detection"{named}'
        self._separator = "\n"
        file.write(b'{"type":"FeatureCollection","features":[')

    def add(self, outline: Outline, measurements: Mapping[str, float], plane_zt: tuple[int, int] | None) -> None:
        """Writes an object.

        Args:
            outline: Its outline; its number becomes its name.
            measurements: Finite values by name.
            plane_zt: Its slice and time in a stack, from 0; ``None`` for a single plane.
        """
        polygons = [f"[{','.join(map(_closed, rings))}]" for rings in outline.polygons]
        kind, where = ("Polygon", polygons[0]) if len(polygons) == 1 else ("MultiPolygon", f"[{','.join(polygons)}]")
        plane = "" if plane_zt is None else f',"plane":{{"c":-1,"z":{plane_zt[0]},"t":{plane_zt[1]}}}'
        self._file.write(
            f'{self._separator}{{"type":"Feature","geometry":{{"type":"{kind}","coordinates":{where}{plane}}},'
            f'{self._properties},"name":"{outline.number}","measurements":{json.dumps(measurements)}}}}}'.encode()
        )
        self._separator = ",\n"

    def finish(self) -> None:
        """Ends the collection."""
        self._file.write(b"\n]}\n")


def _closed(ring: Ring) -> str:
    """A ring as JSON, with its first corner repeated at its end."""
    corners: list[list[int]] = ring.tolist()
    return str([*corners, corners[0]]).replace(" ", "")
