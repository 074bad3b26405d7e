"""Drawn objects in JSON: QuPath's GeoJSON, labelme, COCO."""

import base64
import io
from collections.abc import Iterable, Mapping
from pathlib import Path, PureWindowsPath
from typing import Any

import numpy as np
from PIL import Image

from unet_repro.data.drawn.run_lengths import from_counts, from_text
from unet_repro.data.drawn.shapes import Drawn, Ring
from unet_repro.stacks.names import stem

Json = Any
_OBJECTS = ("detection", "cell", "tile")  # QuPath's objects that are results, inside annotated regions


def read_geojson(content: Json) -> tuple[list[Drawn], int]:
    """The areas of GeoJSON, and the number of features that are left out: points, lines, regions around detections.

    Where a file has QuPath's detections or cells, its annotations are the regions in which they were sought. Classes
    that end with ``*``, such as ``Region*``, are no objects to QuPath, unless there are no others.
    """
    features = content.get("features", [content]) if isinstance(content, dict) else content
    found = [feature for feature in features if _kind(feature) in _OBJECTS]
    found = found or features
    drawn = []
    for feature in [one for one in found if not _class(one).endswith("*")] or found:
        geometry = feature.get("geometry") or {}
        if geometry.get("type") in ("Polygon", "MultiPolygon"):
            parts = geometry["coordinates"] if geometry["type"] == "MultiPolygon" else [geometry["coordinates"]]
            drawn.append(Drawn(_class(feature), [[_ring(ring) for ring in part] for part in parts]))
    return drawn, len(features) - len(drawn)


def _kind(feature: Json) -> str:
    properties = feature.get("properties") or {}
    return str(properties.get("objectType") or properties.get("object_type") or "").lower()


def _class(feature: Json) -> str:
    given = (feature.get("properties") or {}).get("classification") or {}
    return str(given.get("name") or " ".join(given.get("names", []))) if isinstance(given, dict) else str(given)


def read_labelme(content: Json) -> tuple[list[Drawn], int]:
    """The areas of a labelme file, and the number of other shapes; shapes of one group are one object."""
    groups: dict[Any, list[Json]] = {}
    for number, shape in enumerate(content["shapes"]):
        group = shape.get("group_id")
        groups.setdefault(("alone", number) if group is None else (shape["label"], group), []).append(shape)
    drawn, others = [], 0
    for shapes in groups.values():
        masks = [_labelme_mask(shape, content) for shape in shapes if shape.get("shape_type") == "mask"]
        rings = [ring for shape in shapes if (ring := _labelme_ring(shape)) is not None]
        others += len(shapes) - len(masks) - len(rings)
        if masks:
            drawn.append(Drawn(str(shapes[0]["label"]), mask=np.logical_or.reduce(masks)))
        elif rings:
            drawn.append(Drawn(str(shapes[0]["label"]), [[ring] for ring in rings]))
    return drawn, others


def _labelme_ring(shape: Json) -> Ring | None:
    points, kind = _ring(shape["points"]), shape.get("shape_type") or "polygon"
    if kind == "polygon":
        return points
    if kind == "rectangle":
        (left, top), (right, bottom) = points.min(0), points.max(0)
        return np.array([[left, top], [right, top], [right, bottom], [left, bottom]])
    if kind == "circle":
        angle = np.linspace(0, 2 * np.pi, 360, endpoint=False)
        radius = float(np.linalg.norm(points[1] - points[0]))
        return np.asarray(points[0] + radius * np.stack([np.cos(angle), np.sin(angle)], 1), np.float64)
    return None


def _labelme_mask(shape: Json, content: Json) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """A mask of the whole image from the PNG of its bounding box."""
    mask = np.zeros((int(content["imageHeight"]), int(content["imageWidth"])), np.bool_)
    left, top = (round(value) for value in shape["points"][0])
    with Image.open(io.BytesIO(base64.b64decode(shape["mask"]))) as image:
        inside = np.asarray(image) > 0
    window = mask[top : top + inside.shape[0], left : left + inside.shape[1]]
    window[:] = inside[: window.shape[0], : window.shape[1]]
    return mask


def coco_images(content: Json) -> dict[str, Json]:
    """The images of a COCO file by file name, without folders, of any system, and suffix."""
    return {stem(Path(PureWindowsPath(str(image["file_name"])).name)): image for image in content["images"]}


def read_coco(content: Json, image: Json) -> tuple[list[Drawn], int]:
    """The objects of one image of a COCO file, and the number of annotations without an area, such as boxes."""
    names = {each["id"]: str(each["name"]) for each in content.get("categories", [])}
    own = [each for each in content["annotations"] if str(each["image_id"]) == str(image["id"])]
    drawn = [each for annotation in own if (each := _coco_object(annotation, names, image)) is not None]
    return drawn, len(own) - len(drawn)


def _coco_object(annotation: Json, names: Mapping[Any, str], image: Json) -> Drawn | None:
    name, given = names.get(annotation.get("category_id"), ""), annotation.get("segmentation")
    if isinstance(given, dict):
        height, width = given.get("size", (image.get("height"), image.get("width")))
        counts = given["counts"]
        counts = from_text(counts) if isinstance(counts, str) else counts
        return Drawn(name, mask=from_counts(counts, (int(height), int(width))))
    if not given:
        return None
    return Drawn(name, [[np.reshape(np.asarray(flat, np.float64), (-1, 2))] for flat in given])


def _ring(points: Iterable[Iterable[float]]) -> Ring:
    return np.asarray([list(point)[:2] for point in points], np.float64).reshape(-1, 2)


def drawn_on(content: Json) -> tuple[int, int] | None:
    """Height and width of the image that a labelme file, or an entry of a COCO file, says that it was drawn on."""
    for height, width in (("imageHeight", "imageWidth"), ("height", "width")):
        if isinstance(content, dict) and content.get(height) and content.get(width):
            return int(content[height]), int(content[width])
    return None
