"""Draws an image, its instances, and every weight map in one picture."""

import math
from pathlib import Path

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm, to_rgba_array
from matplotlib.figure import Figure
from omegaconf import OmegaConf
from scipy import ndimage

from unet_repro.config import conf_dir, make
from unet_repro.data.labels import class_counts, classes_of
from unet_repro.data.weight_cache import cached
from unet_repro.errors import DataError
from unet_repro.grey import stretched
from unet_repro.training.build import Data

# Okabe and Ito's palette without black, distinguishable with any kind of colour vision.
_COLOURS = to_rgba_array(["#E69F00", "#56B4E9", "#009E73", "#F0E442", "#0072B2", "#D55E00", "#CC79A7"])[:, :3]
_MAX_COLUMNS = 4
_PANEL_INCHES = 3.4
_DECADES = 2  # decades of the shared scale; smaller weights get its lowest colour


def all_weight_maps(data: Data, key: str) -> dict[str, npt.NDArray[np.float32]]:
    """Every map of ``conf/weight_map`` of one labelled sample, ``(H, W)`` float32, by name.

    Args:
        data: A source; its training part determines the class balance.
        key: Key of the sample.
    """
    labelled = {sample.key: (sample.labels, sample.classes) for sample in data.samples if sample.labels is not None}
    classes = [classes_of(*labelled[name]) for name in data.split.train]
    counts = np.mean([class_counts(each, len(data.class_names)) for each in classes], axis=0)
    instances, given = labelled[key]
    maps = {}
    for file in sorted((conf_dir() / "weight_map").glob("*.yaml")):
        node = OmegaConf.to_container(OmegaConf.load(file))
        assert isinstance(node, dict), "a weight map's configuration is a mapping"
        weight_map = make("weight_map", {str(k): v for k, v in node.items()})
        maps[file.stem] = cached(weight_map, instances, counts, classes=given)
    return maps


def draw_weights(
    image: npt.NDArray[np.generic],
    instances: npt.NDArray[np.int32],
    maps: dict[str, npt.NDArray[np.float32]],
    path: Path,
    *,
    crop_px: int = 256,
) -> None:
    """Draws the image, its labels and all maps into one PNG.

    All maps share one logarithmic colour scale, so that equal colours are equal weights. Larger images are cropped to
    the window in which the maps vary most; the numbers in the titles refer to the complete image.

    Args:
        image: ``(H, W)``, any real dtype.
        instances: ``(H, W)`` int32, 0 = background.
        maps: Name to weights, each ``(H, W)`` float32, finite and not negative.
        path: File to write; its folder is created.
        crop_px: Largest height and width to draw, in pixels.

    Raises:
        DataError: If shapes differ, there is no map, a map is negative or not finite, or the crop is not positive.

    >>> import tempfile
    >>> labels = np.array([[1, 0, 2]], np.int32)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = Path(folder) / "new" / "weights.png"
    ...     draw_weights(labels, labels, {"none": np.ones((1, 3), np.float32)}, file)
    ...     file.read_bytes()[1:4]
    b'PNG'
    """
    _check(image, instances, maps, crop_px)
    window = _window(list(maps.values()), crop_px)
    highest = max(float(weights.max()) for weights in maps.values()) or 1.0
    positive = [float(weights[weights > 0].min()) for weights in maps.values() if weights.any()]
    lowest = max(min(positive, default=highest), highest * 10.0**-_DECADES)
    lowest = min(lowest, highest / 10)  # at least one decade, for constant maps
    norm = LogNorm(lowest, highest)

    num_panels = 2 + len(maps)
    columns = min(num_panels, _MAX_COLUMNS)
    rows = math.ceil(num_panels / columns)
    figure = Figure(figsize=(_PANEL_INCHES * columns * 1.08, _PANEL_INCHES * rows * 1.12 + 0.4), layout="compressed")
    axes = list(figure.subplots(rows, columns, squeeze=False).flat)
    for axis in axes:
        axis.set_axis_off()
    num_instances = len(np.unique(instances[instances > 0]))
    _draw_image(axes[0], axes[1], image[window], instances[window], num_instances)
    for axis, (name, weights) in zip(axes[2:], maps.items(), strict=False):  # leftover panels stay empty
        drawn = axis.imshow(np.maximum(weights[window], lowest), cmap="viridis", norm=norm, interpolation="nearest")
        axis.set_title(f"{name}\nmin {weights.min():.3g}, mean {weights.mean():.3g}, max {weights.max():.3g}", size=9)
        bar = figure.colorbar(drawn, ax=axis, shrink=0.8, extend="min" if weights.min() < lowest else "neither")
        bar.ax.tick_params(labelsize=7)
    shown, whole = " x ".join(map(str, image[window].shape)), " x ".join(map(str, image.shape))
    figure.suptitle(f"Weight maps on one logarithmic scale: {shown} of {whole} px", size=11)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, format="png", dpi=110)


def _check(
    image: npt.NDArray[np.generic],
    instances: npt.NDArray[np.int32],
    maps: dict[str, npt.NDArray[np.float32]],
    crop_px: int,
) -> None:
    if not maps or crop_px < 1:
        raise DataError(
            f"nothing to draw: {len(maps)} weight maps, crop of {crop_px} px", hint="both must be at least 1"
        )
    if image.ndim != 2:
        raise DataError(f"the image has shape {image.shape}, expected (H, W)", hint="pass one channel, as `image[0]`")
    for name, array in {"instances": instances, **maps}.items():
        if array.shape != image.shape:
            raise DataError(
                f"{name!r} has shape {array.shape}, the image {image.shape}",
                hint="pass labels and weights of the image's size",
            )
    for name, weights in maps.items():
        if not np.all(np.isfinite(weights) & (weights >= 0)):
            raise DataError(f"weight map {name!r} has negative or non-finite values", hint="use finite weights >= 0")


def _window(maps: list[npt.NDArray[np.float32]], crop_px: int) -> tuple[slice, slice]:
    """The window of at most ``crop_px`` per side in which the maps, each on its own scale, vary most."""
    interest: npt.NDArray[np.float64] = np.zeros(maps[0].shape)
    for weights in maps:
        interest += (weights - weights.min()) / max(float(weights.max()), np.finfo(np.float32).tiny)
    height, width = interest.shape
    rows, columns = min(height, crop_px), min(width, crop_px)
    density = ndimage.uniform_filter(interest, (rows, columns), mode="constant")
    row, column = divmod(int(density.argmax()), width)
    top = min(max(row - rows // 2, 0), height - rows)
    left = min(max(column - columns // 2, 0), width - columns)
    return slice(top, top + rows), slice(left, left + columns)


def _draw_image(
    left: Axes, right: Axes, image: npt.NDArray[np.generic], instances: npt.NDArray[np.int32], num_instances: int
) -> None:
    grey = stretched(image)
    left.imshow(grey, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
    left.set_title("image", size=9)
    overlay = np.repeat(grey[..., None], 3, axis=-1)
    inside = instances > 0
    overlay[inside] = 0.55 * overlay[inside] + 0.45 * _COLOURS[instances[inside] % len(_COLOURS)]
    edge = ndimage.maximum_filter(instances, 3) != ndimage.minimum_filter(instances, 3)
    overlay[inside & edge] = 1  # white, so that neighbours of one colour stay apart
    right.imshow(overlay, interpolation="nearest")
    right.set_title(f"{num_instances} instances", size=9)
