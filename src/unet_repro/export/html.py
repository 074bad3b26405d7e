"""Exports a trained network as one HTML file that segments images in a browser, without a network or a server.

The file contains the network as ONNX, ONNX Runtime for WebAssembly, a TIFF reader, and the scripts in ``page/``, which
tile images exactly as ``inference.overlap_tile`` does.
"""

import base64
import gzip
import json
import re
from collections.abc import Mapping
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import Any

from unet_repro.errors import ConfigError
from unet_repro.export.about import about, lead_of, title_of
from unet_repro.export.npm import GEOTIFF, ONNX_RUNTIME, read_members
from unet_repro.export.onnx import tile_graph
from unet_repro.files import write_atomically
from unet_repro.inference.instance_settings import InstanceSettings
from unet_repro.inference.planner import shape_of, tile_bytes
from unet_repro.models.protocol import normalises_tiles
from unet_repro.runs.network import Checkpoint, Network
from unet_repro.runs.object_settings import read_choice
from unet_repro.stacks.palette import class_palette

# In the order of inclusion; the scripts of the worker share one scope, and so do those of the page.
WORKER = ("tiling", "png", "reading", "channels", "objects", "table", "picture", "worker")
PAGE = ("jobs", "words", "view", "page")

MOST_TILE_PIXELS = 1_000_000  # larger tiles gain a sixth; smaller ones need less memory and show progress
MOST_PIXELS_AT_ONCE = 4_000_000  # if the result depends on the tile: the limit of ``plan_tiles``, for equal tiles
# Modelled memory of a tile; in Chromium 0.4 of it is used, and 4 GB are the most that WebAssembly can address.
MOST_TILE_BYTES = 3.2e9


def read_runtime(folder: Path | None) -> tuple[dict[str, bytes], str]:
    """Files of the packages, by their id in the page, and the TIFF reader's licence; see ``npm.read_members``.

    The files are ONNX Runtime's script, the script that starts its WebAssembly, this itself, and the TIFF reader.
    """
    names = ("ort.wasm.min.js", "ort-wasm-simd-threaded.mjs", "ort-wasm-simd-threaded.wasm")
    runtime, loader, wasm = read_members(ONNX_RUNTIME, [f"dist/{name}" for name in names], folder)
    tiff, licence = read_members(GEOTIFF, ["dist-browser/geotiff.js", "LICENSE"], folder)
    return {"wasm": wasm, "loader": loader, "runtime": runtime, "tiff": tiff}, licence.decode()


def export_html(
    network: Network, path: Path, *, checkpoint: Checkpoint = "best", packages: Path | None = None
) -> float:
    """Writes the page after checking that its network reproduces the run's output.

    Args:
        network: A run's network.
        path: The ``.html`` file.
        checkpoint: The run's checkpoint that the network was opened with, for its scores and its objects' settings.
        packages: A folder with the archives of ``npm.PACKAGES``; ``None``: npm brings them.

    Returns:
        The largest difference of a probability from the run's own output.

    Raises:
        ConfigError: If packages of the extra ``export``, or npm, are missing, or the run has a target or a working
            resolution.
        RunError: If the network cannot be exported, a probability differs by more than ``parity.tolerance``, or the
            packages cannot be had. No file is then written.
    """
    for name, value in (("target", network.config.target), ("data.scale", network.scale)):
        if value is not None:
            raise ConfigError(
                f"run {network.run_id} was trained with {name}, which a page does not support",
                hint="use `unet-repro predict`, or export to .zip",
            )
    parts, licence = read_runtime(packages)
    weights, difference = tile_graph(network)
    write_atomically(path, render(network, {"weights": weights, **parts}, licence, checkpoint))
    return difference


def render(network: Network, parts: Mapping[str, bytes], licence: str, checkpoint: Checkpoint) -> str:
    """The complete document.

    Args:
        network: A run's network.
        parts: The network's ONNX graph, ``weights``, and the files of ``read_runtime``.
        licence: The TIFF reader's licence.
        checkpoint: The run's checkpoint that the network was opened with.
    """
    chosen = read_choice(network.folder, checkpoint)
    written = json.dumps(describe(network, chosen or InstanceSettings()), allow_nan=False).replace("<", "\\u003c")
    contents = {
        "<!-- title -->": title_of(network),
        "<!-- lead -->": lead_of(network, checkpoint),
        "<!-- settings -->": _of_settings(chosen),
        "<!-- about -->": about(network, checkpoint),
        "<!-- software -->": f"{ONNX_RUNTIME.name} {ONNX_RUNTIME.version} and {GEOTIFF.name} {GEOTIFF.version}",
        "<!-- licence -->": escape(licence),
        "/* styles */": _source("page.css"),
        "/* worker */": joined(WORKER),
        "/* scripts */": joined(PAGE),
        "/* model */": written,
        "<!-- parts -->": "\n".join(
            f'<script type="application/gzip" id="{name}">{_packed(content)}</script>'
            for name, content in parts.items()
        ),
    }
    places = re.compile("|".join(map(re.escape, contents)))
    return places.sub(lambda place: contents[place[0]], _source("page.html"))


def describe(network: Network, settings: InstanceSettings) -> dict[str, Any]:
    """What the scripts need to know of the network and its run."""
    data, geometry = network.config.data, network.geometry
    channels = data.get("channels")
    return {
        "mean": list(network.normalisation.mean),
        "std": list(network.normalisation.std),
        "classes": list(network.class_names),
        "colours": [list(colour) for colour in class_palette(len(network.class_names))],
        "channels": None if channels is None else list(channels) if isinstance(channels, list) else [channels],
        "raw": bool(data.get("raw", False)),
        "geometry": {
            "smallest_px": geometry.smallest_px,
            "step_px": geometry.step_px,
            "halo_px": geometry.halo_px,
        },
        "mostTilePixels": most_tile_pixels(network),
        "dependsOnTile": normalises_tiles(network.net),
        "settings": {"threshold": settings.threshold, "minSize": settings.min_size_px},
    }


def most_tile_pixels(network: Network) -> int:
    """The most input pixels of a tile in a browser."""
    shape = shape_of(network.net, network.in_channels, len(network.class_names))
    side = network.geometry.covering(round(MOST_TILE_PIXELS**0.5))
    within_memory = int(MOST_TILE_BYTES / tile_bytes((side, side), shape) * side**2)
    return min(MOST_PIXELS_AT_ONCE if normalises_tiles(network.net) else MOST_TILE_PIXELS, within_memory)


def joined(names: tuple[str, ...]) -> str:
    """Scripts that import each other, as one script."""
    return "\n".join(
        re.sub(r"^(import .* from .*|export (?=\w))", "", _source(f"{name}.js"), flags=re.MULTILINE) for name in names
    )


def _of_settings(chosen: InstanceSettings | None) -> str:
    if chosen is None:
        return "Default values: the run was not evaluated, which chooses them on its validation images."
    if chosen.method == "watershed":
        return (
            "Chosen on the run's validation images, with a watershed that separates touching objects. This page does "
            "not separate them; <code>unet-repro predict</code> does."
        )
    return "Chosen on the run's validation images."


def _source(name: str) -> str:
    return (files("unet_repro.export") / "page" / name).read_text(encoding="utf-8")


def _packed(content: bytes) -> str:
    return base64.b64encode(gzip.compress(content, mtime=0)).decode()
