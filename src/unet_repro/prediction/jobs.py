"""The files of a prediction: its settings, and for each image the output, the tiles, and where it resumes."""

import functools
import hashlib
from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np

from unet_repro.errors import ConfigError
from unet_repro.inference.file import Predictor, scratch_of
from unet_repro.inference.instance_settings import InstanceOverrides
from unet_repro.inference.journal import Journal, Position
from unet_repro.inference.overlap_tile import TilePlan, plan_with
from unet_repro.inference.planner import NetworkShape, OtherNetwork, free_bytes, plan_within
from unet_repro.inference.result import Result, Scale
from unet_repro.inference.volume import Stitching, TileViews
from unet_repro.machine import precision_of
from unet_repro.objects.write import Extra
from unet_repro.prediction.objects import AnyKind, check_new
from unet_repro.runs.network import Checkpoint, Network
from unet_repro.stacks.choice import Channels, Choice, Series
from unet_repro.stacks.names import written_suffix
from unet_repro.stacks.reading import open_stack
from unet_repro.stacks.writer import partial_of, remove

Format = Literal["auto", "tif", "ome.tif", "zarr", "npy", "png"]

WATERSHED_BYTES_PER_PIXEL = 60  # mask, distances, seeds, queue and labels of scikit-image's watershed


@dataclass(frozen=True)
class PredictSettings:
    """Settings of `unet-repro predict`; see ``conf/predict.yaml``."""

    run: Path | None
    input: str
    output: Path
    network: str | None = None
    checkpoint: Checkpoint = "best"
    channels: Channels = None
    series: Series = None
    format: Format = "auto"
    kind: AnyKind = "auto"
    dtype: Scale = "float32"
    instances: InstanceOverrides = field(default_factory=InstanceOverrides)
    objects: bool | list[Extra] = True
    page: bool = True
    views: TileViews = 1
    stitching: Stitching = "exact"
    precision: Literal[32, "bf16", "auto"] = 32
    memory_gb: float | Literal["auto"] = "auto"
    device: Literal["auto", "cpu", "gpu"] = "auto"
    threads: int | None = None
    overwrite: bool = False


@dataclass(frozen=True)
class Job:
    """One file to predict."""

    path: Path
    target: Path
    choice: Choice
    plan: TilePlan
    num_planes: int
    journal: Journal
    start: Position | None

    @property
    def is_done(self) -> bool:
        """Whether an earlier process finished it."""
        return self.start is not None and self.start.done

    @property
    def tiles_left(self) -> int:
        """Tiles that are still to be predicted."""
        if self.is_done:
            return 0
        begun = self.start or Position(self.plan.tile_hw)
        rows = Counter(top for top, _ in self.plan.offsets)
        per_row = len(self.plan.offsets) // len(rows)
        return (self.num_planes - begun.plane) * len(self.plan.offsets) - begun.row * per_row


def plan_job(
    path: Path,
    target: Path,
    predictor: Predictor,
    network: Network,
    settings: PredictSettings,
    *,
    shape: NetworkShape | OtherNetwork,
) -> Job:
    """Plans the prediction of an image, taking an existing partial output into account."""
    choice = _choice(network, settings)
    with open_stack(path, channels=network.in_channels, choice=choice) as stack:
        sizes, num_planes = predictor.sizes(stack), stack.num_planes
    journal = Journal(target, _signature(path, network, settings, predictor))
    start = journal.read()
    if start is not None and start.complete and target.exists() and not partial_of(target).exists():
        start.done = True  # killed after its output had its name
        for scratch in scratch_of(target):
            remove(partial_of(scratch))
        journal.write(start)
    if target.exists() and not (start is not None and start.done) and not settings.overwrite:
        raise ConfigError(f"the output {target} already exists", hint="add overwrite=true, or choose another output")
    if start is not None and start.done and not target.exists():
        start = None
    if start is None and not settings.overwrite:
        check_new(target, predictor.result.extras)
    is_done = start is not None and start.done
    if predictor.result.kind == "instances" and predictor.result.instances.method != "components" and not is_done:
        height, width = sizes.full_hw
        needed = WATERSHED_BYTES_PER_PIXEL * height * width
        if needed > free_bytes():
            raise ConfigError(
                f"a watershed of {height} x {width} pixels needs about {needed / 1e9:.1f} GB of memory",
                hint="use instances.method=components, which processes bands of rows",
            )
    if start is not None:
        tile_hw = start.tile_hw
    else:
        memory_gb = None if settings.memory_gb == "auto" else settings.memory_gb
        tile_hw = plan_within(sizes.working_hw, shape, memory_gb=memory_gb, device=predictor.device).tile_hw
    plan = plan_with(sizes.working_hw, tile_hw, shape.geometry, overlap=settings.stitching == "average")
    return Job(path, target, choice, plan, num_planes, journal, start)


def suffix_of(settings: PredictSettings, result: Result, num_classes: int, path: Path) -> str:
    """The suffix of the output; ``auto``: the image's format, or TIFF if that cannot store the result exactly."""
    if settings.format != "auto":
        return f".{settings.format}"
    like = written_suffix(path) or ".tif"
    holds_png = result.kind != "instances" and result.stored_as != np.float32 and result.channels(num_classes) in (1, 3)
    return like if like != ".png" or holds_png else ".tif"


def _choice(network: Network, settings: PredictSettings) -> Choice:
    """The image and channels of a file that are predicted: the settings', else those that the run was trained on."""
    trained = network.config.data
    return Choice(
        channels=trained.get("channels") if settings.channels is None else settings.channels,
        series=trained.get("series") if settings.series is None else settings.series,
        raw=trained.get("raw", False),
    )


def _signature(path: Path, network: Network, settings: PredictSettings, predictor: Predictor) -> dict[str, Any]:
    """Everything that an output's content depends on."""
    weights = network.folder.best if settings.checkpoint == "best" else network.folder.last
    files = [each.stat() for each in (path.rglob("*") if path.is_dir() else [path])]  # a Zarr is a folder
    return {
        "version": 3,
        "run": network.run_id,
        "weights": _file_hash(weights, weights.stat().st_mtime_ns),
        "input": [
            str(path.resolve()),
            sum(each.st_size for each in files),
            max(each.st_mtime_ns for each in files),
        ],
        "choice": asdict(_choice(network, settings)),
        "kind": predictor.result.kind,
        "dtype": settings.dtype,
        "instances": asdict(predictor.result.instances),
        "extras": sorted(predictor.result.extras),
        "views": settings.views,
        "precision": precision_of(settings.precision, predictor.device.type),
        "stitching": settings.stitching,
        "memory_gb": settings.memory_gb,
    }


@functools.lru_cache(maxsize=2)
def _file_hash(path: Path, _changed: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
