"""Predicts images of many formats and any size with a trained run, file by file; resumable."""

import functools
import hashlib
from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from unet_repro.data.appearance import SIDE_PX
from unet_repro.errors import ConfigError, UserError
from unet_repro.evaluation.trained_run import trained_network
from unet_repro.inference.file import Predictor, predict_file
from unet_repro.inference.instance_settings import InstanceOverrides
from unet_repro.inference.journal import Journal, Position
from unet_repro.inference.overlap_tile import TilePlan, plan_with
from unet_repro.inference.planner import NetworkShape, OtherNetwork, describe, free_bytes, plan_within, shape_of
from unet_repro.inference.result import Result, Scale
from unet_repro.inference.volume import Stitching, TileViews
from unet_repro.machine import autocast, memory_order, multiplies_bf16, use_machine
from unet_repro.models.protocol import first_width
from unet_repro.objects.write import Extra
from unet_repro.predicted_objects import (
    AnyKind,
    check_new,
    chosen_kind,
    extras_of,
    object_settings,
    page_of,
    write_page,
)
from unet_repro.runs.network import Checkpoint, Network
from unet_repro.runs.package import run_of
from unet_repro.stacks.choice import Channels, Choice, Series
from unet_repro.stacks.names import find_inputs, left_out, name_targets, written_suffix
from unet_repro.stacks.reading import open_stack
from unet_repro.stacks.stack import Stack

Format = Literal["auto", "tif", "ome.tif", "zarr", "npy", "png"]

STRANGE_MEAN, STRANGE_SPREAD = 4.0, 0.1  # in standard deviations of the training images; for runs without appearance
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


@dataclass
class Outcome:
    """The outcome of a batch.

    Attributes:
        written: Outputs that now exist.
        failures: One message for each image that could not be predicted.
        notes: Notes for the user.
    """

    written: list[Path] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class _Job:
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


def predict(settings: PredictSettings) -> Outcome:
    """Predicts every image of the input.

    Args:
        settings: Run, input, output and options.

    Returns:
        What was written, and which images failed.

    Raises:
        UserError: If the run, the input as a whole or a setting is invalid. Errors of single images are listed in the
            outcome, and the others are predicted.
    """
    network = trained_network(_run(settings), settings.checkpoint)
    kind, notes = chosen_kind(settings.kind, network)
    objects, of_objects = object_settings(settings.instances, network, settings.checkpoint, kind)
    result = Result(
        kind=kind,
        dtype=settings.dtype,
        instances=objects,
        extras=extras_of(kind, settings.objects),
        class_name=network.class_names[1] if len(network.class_names) == 2 else None,
    )
    device = _device(settings)
    predictor, shape = _predictor(network, settings, result, device), _shape(network)
    inputs = find_inputs(settings.input)
    targets = name_targets(inputs, settings.output, functools.partial(_suffix, settings, result))
    outcome, jobs = Outcome(notes=[*_first_notes(settings, result, network, targets), *notes, *of_objects]), []
    page = page_of(settings.output, targets, result.extras, wanted=settings.page)
    known = {path.resolve() for path in inputs}
    for path, target in zip(inputs, targets, strict=True):
        try:
            if target.resolve() in known:
                raise ConfigError(f"the output {target} is also an input", hint="choose another output")
            jobs.append(_plan(path, target, predictor, network, settings, shape=shape))
        except UserError as error:
            outcome.failures.append(f"{path}: {error}")
    for plan in list(dict.fromkeys(job.plan for job in jobs))[:3]:
        tqdm.write(f"{plan.image_hw[0]} x {plan.image_hw[1]} pixels: {describe(plan, shape)}")
    if settings.precision == "auto":
        tqdm.write(f"precision: {_precision(settings, device)}")
    with tqdm(total=sum(job.tiles_left for job in jobs), desc="predict", unit="tile", smoothing=0.1) as bar:
        for job in jobs:
            try:
                if not job.is_done:
                    _predict(job, predictor, network, outcome, bar)
            except UserError as error:
                outcome.failures.append(f"{job.path}: {error}")
            else:
                outcome.written.append(job.target)
    if page is not None and outcome.written:
        written = set(outcome.written)
        finished = ((job.path.name, job.target, job.journal) for job in jobs if job.target in written)
        write_page(page, finished, result.extras, title=f"Objects found by {network.run_id}", notes=outcome.notes)
    if not outcome.failures:  # after failures the records are kept, so that the same command skips finished images
        for job in jobs:
            job.journal.forget()
    return outcome


def _run(settings: PredictSettings) -> Path:
    """The folder of the run, or of the run inside the model.

    Raises:
        ConfigError: If neither or both are named.
    """
    if settings.run is not None and settings.network is None:
        return settings.run
    if settings.network is None or settings.run is not None:
        raise ConfigError("exactly one of run and model is required", hint="add run=runs/<run_id> or model=NAME")
    return run_of(settings.network)


def _predict(job: _Job, predictor: Predictor, network: Network, outcome: Outcome, bar: "tqdm[Any]") -> None:
    with open_stack(job.path, channels=network.in_channels, choice=job.choice) as stack:
        if (unlike := _strange_grey_values(stack, network)) is not None:
            outcome.notes.append(unlike)
        predict_file(
            predictor,
            stack,
            job.target,
            plan=job.plan,
            journal=job.journal,
            start=job.start,
            unlike=unlike,
            tiles_done=bar.update,
        )


def _first_notes(settings: PredictSettings, result: Result, network: Network, targets: list[Path]) -> list[str]:
    """What a user should know of the whole batch."""
    notes = []
    if others := left_out(Path(settings.input)):
        listed = ", ".join(others[:5]) + (" ..." if len(others) > 5 else "")
        notes.append(f"{settings.input} has files that are not taken: {listed}")
    if result.kind == "classes" and any(target.suffix.lower() == ".png" for target in targets):
        names = ", ".join(f"{number} {name}" for number, name in enumerate(network.class_names))
        notes.append(f"the values of PNG outputs are class numbers ({names}); a palette shows them in colours")
    return notes


def _device(settings: PredictSettings) -> torch.device:
    if settings.device == "gpu" and not torch.cuda.is_available():
        raise ConfigError("device=gpu, but torch finds no CUDA device", hint="use device=cpu or auto")
    return torch.device("cuda" if settings.device != "cpu" and torch.cuda.is_available() else "cpu")


def _predictor(network: Network, settings: PredictSettings, result: Result, device: torch.device) -> Predictor:
    use_machine(settings.threads)
    order = memory_order(device.type, first_width(network.net), training=False)
    net = network.net.to(device, memory_format=order)  # type: ignore[call-overload]  # torch's stubs lack it
    precision = _precision(settings, device)

    def scores(x_BCHW: Tensor) -> Tensor:
        with autocast(device, precision):
            return network.head.read(net(x_BCHW))

    return Predictor(
        network=scores,
        head=network.head,
        scale=network.scale,
        normalisation=network.normalisation,
        device=device,
        views=settings.views,
        stitching=settings.stitching,
        result=result,
    )


def _precision(settings: PredictSettings, device: torch.device) -> Literal[32, "bf16"]:
    if settings.precision != "auto":
        return settings.precision
    return "bf16" if multiplies_bf16(device.type) else 32


def _shape(network: Network) -> NetworkShape | OtherNetwork:
    return shape_of(network.net, network.in_channels, network.head.num_outputs)


def _suffix(settings: PredictSettings, result: Result, path: Path) -> str:
    """The suffix of the output; ``auto``: the image's format, or TIFF if that cannot store the result exactly."""
    if settings.format != "auto":
        return f".{settings.format}"
    like = written_suffix(path) or ".tif"
    holds_png = result.kind == "classes" or (result.kind == "probabilities" and settings.dtype != "float32")
    return like if like != ".png" or holds_png else ".tif"


def _plan(
    path: Path,
    target: Path,
    predictor: Predictor,
    network: Network,
    settings: PredictSettings,
    *,
    shape: NetworkShape | OtherNetwork,
) -> _Job:
    """Plans the prediction of an image, taking an existing partial output into account."""
    choice = _choice(network, settings)
    with open_stack(path, channels=network.in_channels, choice=choice) as stack:
        sizes, num_planes = predictor.sizes(stack), stack.num_planes
    journal = Journal(target, _signature(path, network, settings, predictor))
    start = journal.read()
    if target.exists() and not (start is not None and start.done) and not settings.overwrite:
        raise ConfigError(f"the output {target} already exists", hint="add overwrite=true, or choose another output")
    if start is not None and start.done and not target.exists():
        start = None
    if start is None and not settings.overwrite:
        check_new(target, predictor.result.extras)
    if predictor.result.kind == "instances" and predictor.result.instances.method != "components":
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
    return _Job(path, target, choice, plan, num_planes, journal, start)


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
    stat = path.stat()
    return {
        "version": 3,
        "run": network.run_id,
        "weights": _file_hash(weights, weights.stat().st_mtime_ns),
        "input": [str(path.resolve()), stat.st_size, stat.st_mtime_ns],
        "choice": asdict(_choice(network, settings)),
        "kind": predictor.result.kind,
        "dtype": settings.dtype,
        "instances": asdict(predictor.result.instances),
        "extras": sorted(predictor.result.extras),
        "views": settings.views,
        "precision": _precision(settings, predictor.device),
        "stitching": settings.stitching,
    }


@functools.lru_cache(maxsize=2)
def _file_hash(path: Path, _changed: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _strange_grey_values(stack: Stack, network: Network) -> str | None:
    """A warning if the middle of an image looks unlike the training images."""
    height, width = min(stack.height, SIDE_PX), min(stack.width, SIDE_PX)
    region = stack.read(stack.num_planes // 2, (stack.height - height) // 2, (stack.width - width) // 2, height, width)
    if region.dtype.kind == "f" and not np.isfinite(region).all():
        return None  # reported as an error during prediction
    z_CHW = network.normalisation.apply(region)
    if network.appearance is None:
        mean, spread = float(np.abs(z_CHW.mean((1, 2))).max()), float(z_CHW.std((1, 2)).max())
        is_like = mean < STRANGE_MEAN and STRANGE_SPREAD < spread < 1 / STRANGE_SPREAD
        differs: tuple[str, ...] = () if is_like else ("grey values",)
    else:
        differs = network.appearance.unlike(z_CHW)
    if not differs:
        return None
    hints = {
        "grey values": f"grey values (mean {region.mean():.3g}; of the training images "
        f"{', '.join(f'{value:.3g}' for value in network.normalisation.mean)})",
        "detail": "detail (blur, noise or magnification)",
    }
    named = " and ".join(hints[each] for each in differs)
    return f"{stack.path} is unlike the training images in {named}: check its result"
