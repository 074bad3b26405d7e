"""One HTML file without references to others: the inspection's text, outlined images, weight maps, augmented tiles."""

import base64
import html
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from unet_repro.config import TrainConfig
from unet_repro.data.datamodule import TileData, TrainTiles
from unet_repro.data.labels import IGNORED, Labels, class_counts, classes_of
from unet_repro.data.sample import Sample, evenly
from unet_repro.data.weight_cache import cached
from unet_repro.data.weight_maps import none, paper
from unet_repro.files import write_atomically
from unet_repro.grey import stretched
from unet_repro.stacks.palette import class_palette

SIDE_PX = 384  # most of an image that is shown: its centre
NUM_TILES = 6
NUM_MAPS = 3
_STYLE = """body{font:15px/1.45 system-ui,sans-serif;margin:2rem auto;max-width:75rem;padding:0 1rem;color:#222}
pre{background:#f4f4f4;padding:1rem;white-space:pre-wrap}
.row{display:flex;flex-wrap:wrap;gap:1rem}figure{margin:0;flex:0 1 22rem}
img{width:100%;display:block}figcaption{font-size:.85em;overflow-wrap:anywhere}"""

Colours = npt.NDArray[np.uint8]


def write_page(path: Path, lines: Sequence[str], pictures: Sequence[str]) -> None:
    """Writes the page.

    Args:
        path: The HTML file.
        lines: The inspection's text.
        pictures: HTML of its sections, see ``image_section`` and ``tile_section``.

    Raises:
        RunError: If it cannot be written.
    """
    text = html.escape("\n".join(lines))
    write_atomically(
        path,
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>Inspection</title><style>{_STYLE}</style>'
        f"<h1>Inspection</h1><pre>{text}</pre>{''.join(pictures)}</html>\n",
    )


def image_section(samples: Sequence[Sample], number: int) -> str:
    """Labelled images, evenly spaced, with the outlines of their objects; ignored pixels are dimmed."""
    labelled = [one for one in samples if one.labels is not None]
    figures = []
    for one in evenly(labelled, number):
        assert one.labels is not None, "only labelled samples are drawn"
        centre = _centre(*one.labels.shape)
        classes = classes_of(one.labels, one.classes)[centre]
        figures.append(_figure(outlined(one.image[..., *centre], one.labels[centre], classes), one.key))
    return _section("Images with the outlines of their objects", figures)


def weight_section(data: TileData, config: TrainConfig) -> str:
    """Weight maps of the first training images: those of the training, or the paper's if it has none."""
    has_map = config.weight_map["_target_"] != f"{none.__module__}.{none.__name__}"
    train = [(one, one.labels) for one in data.samples["train"] if one.labels is not None]
    if has_map:
        assert data.train_tiles is not None, "setup makes them"
        maps = [weights.reshape(-1, *weights.shape[-2:])[0] for weights in data.train_tiles.weights]
    else:
        classes = [classes_of(labels, one.classes) for one, labels in train]
        counts = np.mean([class_counts(each, len(data.class_names)) for each in classes], axis=0)
        shown = train[:NUM_MAPS] if counts.all() else []
        maps = [cached(paper, labels, counts, classes=one.classes) for one, labels in shown]
    figures = []
    for (one, _), weights in zip(train, maps[:NUM_MAPS], strict=False):
        highest = float(weights.max())
        scaled = (255 * weights / max(highest, 1e-9)).astype(np.uint8)
        colours = np.asarray(cv2.applyColorMap(scaled, cv2.COLORMAP_VIRIDIS)[..., ::-1], np.uint8)
        figures.append(_figure(colours[_centre(*weights.shape)], f"{one.key}: up to {highest:.3g}"))
    title = "Weight maps" if has_map else "Weight maps of weight_map=paper; this training has none, all pixels weigh 1"
    return _section(title, figures)


def tile_section(tiles: TrainTiles) -> str:
    """The first tiles of the training, normalised and augmented, with the objects of the part that is supervised."""
    figures = []
    for number in range(min(NUM_TILES, len(tiles))):
        image, classes, _ = (part.numpy() for part in tiles[number])
        halo = (image.shape[-1] - classes.shape[-1]) // 2
        inside = (slice(halo, image.shape[-1] - halo),) * 2
        shown = _grey(image) // 2  # the part that is not supervised is darker
        shown[inside] = outlined(image, np.zeros(image.shape[-2:], np.int32), None)[inside]
        shown[inside] = _edged(shown[inside], classes.astype(np.int32), classes)
        figures.append(_figure(shown, f"tile {number + 1}: {image.shape[-1]} -> {classes.shape[-1]} pixels"))
    return _section("Augmented tiles as the network receives them; the bright part is supervised", figures)


def outlined(image: npt.NDArray[np.generic], labels: Labels, classes: npt.NDArray[np.uint8] | None) -> Colours:
    """An image with the outlines of its objects.

    Args:
        image: ``(H, W)`` or ``(C, H, W)``.
        labels: ``(H, W)`` int32 instances.
        classes: ``(H, W)`` uint8, which choose the outlines' colours; ``None`` for a single colour.

    Returns:
        ``(H, W, 3)`` uint8, red, green, blue.
    """
    return _edged(_grey(image), labels, classes)


def _edged(colours: Colours, labels: Labels, classes: npt.NDArray[np.uint8] | None) -> Colours:
    shown = colours.copy()
    classes = (labels > 0).astype(np.uint8) if classes is None else classes
    shown[classes == IGNORED] //= 3
    ids = labels.astype(np.float64)  # OpenCV's morphology does not support int32
    cross = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))
    edge = (labels > 0) & (cv2.erode(ids, cross) != cv2.dilate(ids, cross))
    highest = max(2, int(classes[classes != IGNORED].max(initial=1)))  # a palette of two classes is black and white
    palette = np.array(class_palette(highest + 1), np.uint8)
    of_object = np.where((classes == 0) | (classes == IGNORED), 1, classes)  # touching objects have background between
    shown[edge] = palette[of_object[edge]]
    return shown


def _grey(image: npt.NDArray[np.generic]) -> Colours:
    """Three channels as red, green and blue, otherwise the first."""
    values = image.astype(np.float32)
    values = np.moveaxis(values, 0, -1) if values.ndim == 3 else values[..., None]
    values = values if values.shape[-1] == 3 else values[..., :1].repeat(3, axis=-1)
    return (stretched(values) * 255).astype(np.uint8)


def _centre(height: int, width: int) -> tuple[slice, slice]:
    rows, columns = (
        slice(max(0, (side - SIDE_PX) // 2), max(0, (side - SIDE_PX) // 2) + SIDE_PX) for side in (height, width)
    )
    return rows, columns


def _figure(colours: Colours, caption: str) -> str:
    png = cv2.imencode(".png", np.ascontiguousarray(colours[..., ::-1]))[1].tobytes()
    source = f"data:image/png;base64,{base64.b64encode(png).decode()}"
    text = html.escape(caption)
    return f'<figure><img alt="{text}" src="{source}"><figcaption>{text}</figcaption></figure>'


def _section(title: str, figures: Sequence[str]) -> str:
    return f'<h2>{html.escape(title)}</h2><div class="row">{"".join(figures)}</div>' if figures else ""
