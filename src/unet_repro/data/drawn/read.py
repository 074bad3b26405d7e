"""Reads label files that hold drawn objects as label images."""

import functools
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from unet_repro.data.drawn import json_files, roi_files
from unet_repro.data.drawn.shapes import Drawn, is_area, paint, pixels_of, reaches_into
from unet_repro.data.labels import Labels
from unet_repro.errors import DataError
from unet_repro.files import counted
from unet_repro.stacks.damage import reading
from unet_repro.stacks.names import stem

SUFFIXES = (*roi_files.SUFFIXES, ".geojson", ".json")


def images_of(path: Path) -> list[str] | None:
    """Names without suffix of the images that a COCO file annotates; ``None`` for a file that annotates one image.

    Raises:
        DataError: If it is not readable.
    """
    if path.suffix.lower() != ".json":
        return None
    with reading(path):
        content = _load(path)
        return list(json_files.coco_images(content)) if _is_coco(content) else None


def read_drawn_labels(
    path: Path,
    image_name: str,
    image_hw: tuple[int, int],
    num_pages: int,
    classes: Sequence[str] | None = None,
    *,
    leading: Sequence[tuple[str, int]] = (),
) -> tuple[list[Labels], list[str]]:
    """Reads the drawn objects of an image as label images.

    Args:
        path: The file.
        image_name: File name of the image, by which a COCO file names it.
        image_hw: Its height and width.
        num_pages: Its pages. Only ImageJ ROIs of a stack say which page they are drawn on.
        classes: Names of the classes, background first, for labels that are the numbers of classes; ``None`` to number
            the objects.
        leading: Names and lengths of the axes that its pages are counted along.

    Returns:
        One ``(H, W)`` int32 array per page, 0 = background; and a sentence for what is skipped, and why.

    Raises:
        DataError: If the file is damaged, has no areas, objects outside of the image, or classes without a number.
    """
    with reading(path):
        drawn, others, drawn_hw = _read(path, image_name, leading)
        whole = [each for each in drawn if is_area(each)]
        drawn, others = whole, others + len(drawn) - len(whole)
    if drawn_hw not in (None, image_hw):
        raise DataError(
            f"{path} was drawn on an image of {drawn_hw[0]} x {drawn_hw[1]} pixels, but the image has "
            f"{image_hw[0]} x {image_hw[1]}",
            hint="export the objects for the image itself, or give the images the size that was drawn on",
        )
    if not drawn and others:
        raise DataError(f"{path} has {others} drawn objects, but none is an area", hint="draw polygons, not points")
    notes = _on_names(drawn) if classes is None else []
    if others:
        notes.append(
            f"{path}: skipped {counted(others, 'drawn object')} (points, lines, boxes, searched regions or empty areas)"
        )
    if num_pages > 1 and any(each.page is None for each in drawn):
        raise DataError(
            f"{path} does not say to which of the image's {num_pages} pages its objects belong",
            hint="save each page as a separate file, with labels of its own",
        )
    positions = {each.page for each in drawn if each.page is not None}
    if max(positions, default=0) >= num_pages and (num_pages > 1 or len(positions) > 1):  # a page may be from a stack
        raise DataError(
            f"{path} has objects on page {max(positions) + 1}, but the image has {counted(num_pages, 'page')}",
            hint="save the ROIs with the positions of this image; of several channels, count one",
        )
    values = _values(path, drawn, classes)
    pages = []
    for page in range(num_pages):
        own = [number for number, each in enumerate(drawn) if num_pages == 1 or each.page == page]
        pixels = {number: pixels_of(drawn[number], image_hw) for number in own}
        _check_inside(path, [drawn[number] for number in own], image_hw)
        drawable = [number for number in own if len(pixels[number][0])]
        if tiny := len(own) - len(drawable):
            notes.append(f"{path}: skipped {counted(tiny, 'object')} without the centre of any pixel")
        labels = paint([pixels[each] for each in drawable], [values[each] for each in drawable], image_hw)
        pages.append(labels)
        if classes is None and (hidden := len(drawable) - int(np.count_nonzero(np.unique(labels)))):
            notes.append(f"{path}: skipped {counted(hidden, 'object')} that smaller ones cover")
    return pages, notes


def _on_names(drawn: Sequence[Drawn]) -> list[str]:
    """A sentence, equal for all files with these names, if numbered objects do not keep the names of what is drawn."""
    names = sorted({each.name for each in drawn if each.name})
    if len({each.name for each in drawn}) < 2:
        return []
    return [
        f"drawn objects are numbered, whatever their names ({', '.join(names)}); data.labels=classes "
        f"'data.classes=[background,{','.join(names)}]' keeps the names"
    ]


def _read(
    path: Path, image_name: str, leading: Sequence[tuple[str, int]]
) -> tuple[list[Drawn], int, tuple[int, int] | None]:
    """The areas, the number of other objects, and the size of the image that they were drawn on, if known."""
    if path.suffix.lower() in roi_files.SUFFIXES:
        return *roi_files.read_rois(path, leading), None
    content = _load(path)
    if _is_coco(content):
        images = json_files.coco_images(content)
        if (name := stem(Path(image_name))) not in images:
            raise DataError(f"{path} has no image {name}", hint="name images as in the COCO file")
        return *json_files.read_coco(content, images[name]), json_files.drawn_on(images[name])
    if isinstance(content, dict) and "shapes" in content:
        return *json_files.read_labelme(content), json_files.drawn_on(content)
    if isinstance(content, list) or "features" in content or "geometry" in content:
        return *json_files.read_geojson(content), None
    raise ValueError("it is JSON, but neither GeoJSON, labelme nor COCO")


def _load(path: Path) -> Any:
    return _parsed(path, path.stat().st_mtime_ns)


@functools.lru_cache(maxsize=2)  # a COCO file is read for each of its images
def _parsed(path: Path, _changed: int) -> Any:
    return json.loads(path.read_text(encoding="utf-8-sig"))


def _is_coco(content: Any) -> bool:
    return isinstance(content, dict) and {"images", "annotations"} <= set(content)


def _values(path: Path, drawn: Sequence[Drawn], classes: Sequence[str] | None) -> list[int]:
    """The label value of each object: its number from 1, or that of its class."""
    if classes is None:
        return list(range(1, len(drawn) + 1))
    numbers = {name: number for number, name in enumerate(classes) if number > 0}
    unknown = sorted({each.name or "(no class)" for each in drawn} - set(numbers))
    if unknown:
        raise DataError(
            f"{path} has objects of {', '.join(unknown[:5])}, but classes={list(classes)}",
            hint="list every class in classes, background first, or set labels=instances",
        )
    return [numbers[each.name] for each in drawn]


def _check_inside(path: Path, drawn: Sequence[Drawn], image_hw: tuple[int, int]) -> None:
    """Checks that each object reaches into the image: those drawn at another magnification do not."""
    height, width = image_hw
    sizes = {each.mask.shape for each in drawn if each.mask is not None} - {image_hw}
    beyond = sum(not reaches_into(each, image_hw) for each in drawn)
    if beyond or sizes:
        masks = " and ".join(f"{rows} x {columns}" for rows, columns in sorted(sizes))
        raise DataError(
            f"{path}: {beyond} of {len(drawn)} objects lie outside of the image of {height} x {width} pixels"
            if beyond
            else f"{path} has masks of {masks} pixels, but the image has {height} x {width}",
            hint="export them at the image's own magnification, in pixels",
        )
