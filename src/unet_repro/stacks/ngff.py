"""Zarr arrays and OME-Zarr images, including the folders that bioformats2raw writes; read by regions at level 0."""

import math
from pathlib import Path
from typing import Any

import zarr

from unet_repro.errors import DataError
from unet_repro.stacks.choice import Series
from unet_repro.stacks.opened import Opened, one_of

MARKS = ("zarr.json", ".zarray", ".zgroup")
_AXES = {"t": "T", "time": "T", "z": "Z", "c": "C", "channel": "C", "channels": "C", "s": "S", "y": "Y", "x": "X"}
_UM = {"nanometer": 1e-3, "micrometer": 1.0, "millimeter": 1e3, "centimeter": 1e4, "meter": 1e6, "angstrom": 1e-4}


def is_zarr(path: Path) -> bool:
    """Whether a path is a folder with a Zarr array or group."""
    return path.is_dir() and any((path / mark).exists() for mark in MARKS)


def open_zarr(path: Path, series: Series) -> Opened:
    """Opens a Zarr array, an OME-Zarr image, or one image of a group of these.

    Args:
        path: The folder.
        series: See ``choice.Choice``; names are paths within the folder.

    Raises:
        DataError: If it has no image, no such series, or several of different kinds of which none is chosen.
    """
    if not is_zarr(path):
        raise DataError(
            f"{path} is a folder without Zarr data (none of {', '.join(MARKS)})",
            hint="copy the complete folder, or leave it out",
        )
    node: Any = zarr.open(path, mode="r")
    if isinstance(node, zarr.Array):
        return _open_array(node)
    if "multiscales" in _metadata(node):
        return _open_multiscale(node)
    names = _image_names(node)
    if not names:
        raise DataError(
            f"{path} is a Zarr group without an image (no multiscales)", hint="use the path of the array inside it"
        )
    members = [node[name] for name in names]
    images = [_open_array(each) if isinstance(each, zarr.Array) else _open_multiscale(each) for each in members]
    return one_of(path, images, names, series)


def _metadata(group: zarr.Group) -> dict[str, Any]:
    """OME metadata of a group: in version 0.5 under ``ome``."""
    attributes: dict[str, Any] = dict(group.attrs)
    metadata: dict[str, Any] = attributes.get("ome", attributes)
    return metadata


def _image_names(group: zarr.Group) -> list[str]:
    """Members that are images, in the order of a bioformats2raw root if it has one."""
    if "plate" in _metadata(group):
        wells = [str(well["path"]) for well in _metadata(group)["plate"]["wells"]]
        found: dict[str, Any] = {well: group[well] for well in wells}
        return [f"{well}/{field['path']}" for well in wells for field in _metadata(found[well])["well"]["images"]]
    if "well" in _metadata(group):
        return [str(field["path"]) for field in _metadata(group)["well"]["images"]]
    members = dict(group.members())
    if isinstance(ome := members.get("OME"), zarr.Group) and "series" in _metadata(ome):
        return [str(name) for name in _metadata(ome)["series"]]
    names = [name for name, each in members.items() if isinstance(each, zarr.Array) or "multiscales" in _metadata(each)]
    return sorted(names, key=lambda name: (not name.isdigit(), int(name) if name.isdigit() else 0, name))


def _open_array(array: "zarr.Array[Any]") -> Opened:
    names = [str(name or "").lower() for name in getattr(array.metadata, "dimension_names", None) or []]
    named = {"y", "x"} <= set(names) and all(names)
    return Opened(array, _letters(names) if named else "")


def _letters(names: list[str]) -> str:
    return "".join(_AXES.get(name.lower(), "Q") for name in names)


def _open_multiscale(group: zarr.Group) -> Opened:
    scale = _metadata(group)["multiscales"][0]
    level = scale["datasets"][0]
    array = group[level["path"]]
    if not isinstance(array, zarr.Array):
        raise ValueError(f"its level {level['path']} is not an array")  # noqa: TRY004  # reported as a damaged file
    axes = [axis if isinstance(axis, dict) else {"name": axis} for axis in scale.get("axes", "tczyx")]
    channels = _metadata(group).get("omero", {}).get("channels", [])
    labels = tuple(str(channel.get("label", "")) for channel in channels)
    names = [str(axis["name"]) for axis in axes]
    return Opened(array, _letters(names), labels if all(labels) else (), _pixel_size_um(scale, axes[-2:]))


def _pixel_size_um(scale: dict[str, Any], axes: list[dict[str, Any]]) -> tuple[float, float] | None:
    """Height and width of a pixel of level 0; ``None`` without a scale or a known unit."""
    transforms = [
        *scale["datasets"][0].get("coordinateTransformations", []),
        *scale.get("coordinateTransformations", []),
    ]
    factors = [each["scale"][-2:] for each in transforms if each.get("type") == "scale"]
    units = [_UM.get(str(axis.get("unit"))) for axis in axes]
    if not factors or None in units:
        return None
    height, width = (
        float(unit or 0) * math.prod(each) for unit, each in zip(units, zip(*factors, strict=True), strict=True)
    )
    return height, width
