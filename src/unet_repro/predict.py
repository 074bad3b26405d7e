"""Predicts images of many formats and any size with a trained run, file by file; resumable."""

import functools
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from unet_repro.data.appearance import SIDE_PX, Difference
from unet_repro.data.normalise import Normalisation
from unet_repro.errors import ConfigError, UserError
from unet_repro.inference.file import Predictor, predict_file
from unet_repro.inference.planner import NetworkShape, OtherNetwork, describe, shape_of
from unet_repro.inference.result import Result
from unet_repro.machine import autocast, memory_order, precision_of, use_machine
from unet_repro.models.protocol import first_width, normalises_tiles
from unet_repro.prediction.jobs import Job, PredictSettings, plan_job, suffix_of
from unet_repro.prediction.objects import chosen_kind, extras_of, object_settings, overview_of, write_overview
from unet_repro.runs.network import Network, open_network
from unet_repro.runs.package import named
from unet_repro.stacks.names import find_inputs, left_out, name_targets
from unet_repro.stacks.reading import open_stack
from unet_repro.stacks.stack import Stack

STRANGE_MEAN, STRANGE_SPREAD = 4.0, 0.1  # in standard deviations of the training images; for runs without appearance


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


def predict(settings: PredictSettings) -> Outcome:
    """Predicts every image of the input.

    Returns:
        What was written, and which images failed.

    Raises:
        UserError: If the run, the input as a whole or a setting is invalid. Errors of single images are listed in the
            outcome, and the others are predicted.
    """
    network = open_network(named(settings.run, settings.network), settings.checkpoint)
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
    suffix = functools.partial(suffix_of, settings, result, len(network.class_names))
    targets = name_targets(inputs, settings.output, suffix)
    outcome, jobs = Outcome(notes=[*_first_notes(settings, result, network, targets), *notes, *of_objects]), []
    overview = overview_of(settings.output, targets, result.extras, wanted=settings.page)
    known = {path.resolve() for path in inputs}
    for path, target in zip(inputs, targets, strict=True):
        try:
            if target.resolve() in known:
                raise ConfigError(f"the output {target} is also an input", hint="choose another output")
            jobs.append(plan_job(path, target, predictor, network, settings, shape=shape))
        except UserError as error:
            outcome.failures.append(f"{path}: {error}")
    if jobs and not settings.overwrite:
        overview.check_new(resumes=any(job.start is not None for job in jobs))
    outcome.notes += _dependence_on_tiles(settings, network, jobs)
    _say_plans(jobs, shape)
    if settings.precision == "auto":
        tqdm.write(f"precision: {precision_of(settings.precision, device.type)}")
    with tqdm(total=sum(job.tiles_left for job in jobs), desc="predict", unit="tile", smoothing=0.1) as bar:
        for job in jobs:
            try:
                if not job.is_done:
                    _predict(job, predictor, network, outcome, bar)
            except UserError as error:
                outcome.failures.append(f"{job.path}: {error}")
            else:
                outcome.written.append(job.target)
    if outcome.written:
        written = set(outcome.written)
        finished = ((job.path.name, job.target, job.journal) for job in jobs if job.target in written)
        name = Path(settings.network).name if settings.network else network.run_id
        write_overview(overview, finished, result.extras, title=f"Objects found by {name}", notes=outcome.notes)
    if not outcome.failures:  # after failures the records are kept, so that the same command skips finished images
        for job in jobs:
            job.journal.forget()
    return outcome


def _say_plans(jobs: list[Job], shape: NetworkShape | OtherNetwork) -> None:
    for plan in list(dict.fromkeys(job.plan for job in jobs))[:3]:
        tqdm.write(f"{plan.image_hw[0]} x {plan.image_hw[1]} pixels: {describe(plan, shape)}")


def _predict(job: Job, predictor: Predictor, network: Network, outcome: Outcome, bar: "tqdm[Any]") -> None:
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
        notes.append(f"skipped files in {settings.input}: {listed}")
    if result.kind == "classes" and any(target.suffix.lower() == ".png" for target in targets):
        names = ", ".join(f"{number} {name}" for number, name in enumerate(network.class_names))
        notes.append(f"the values of PNG outputs are class numbers ({names}); a palette shows them in colours")
    return notes


def _dependence_on_tiles(settings: PredictSettings, network: Network, jobs: list[Job]) -> list[str]:
    tiled = any(len(job.plan.offsets) > 1 for job in jobs)
    if (
        not tiled
        or settings.memory_gb != "auto"
        or settings.stitching == "average"
        or not normalises_tiles(network.net)
    ):
        return []
    return [
        "the network normalises each tile (instance or group norm), so the result depends on the tile, which was "
        "chosen for the free memory; give memory_gb= for the same tile on every machine, or stitching=average to hide "
        "seams"
    ]


def _device(settings: PredictSettings) -> torch.device:
    if settings.device == "gpu" and not torch.cuda.is_available():
        raise ConfigError("device=gpu, but torch finds no CUDA device", hint="use device=cpu or auto")
    return torch.device("cuda" if settings.device != "cpu" and torch.cuda.is_available() else "cpu")


def _predictor(network: Network, settings: PredictSettings, result: Result, device: torch.device) -> Predictor:
    use_machine(settings.threads)
    order = memory_order(device.type, first_width(network.net), training=False)
    net = network.net.to(device, memory_format=order)  # type: ignore[call-overload]  # torch's stubs lack it
    precision = precision_of(settings.precision, device.type)

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


def _shape(network: Network) -> NetworkShape | OtherNetwork:
    return shape_of(network.net, network.in_channels, network.head.num_outputs)


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
        trained = ", ".join(f"{value:.3g}" for value in network.normalisation.mean)
        named = "" if is_like else f"grey values (mean {region.mean():.3g}; of the training images {trained})"
    else:
        named = " and ".join(_in_words(one, network.normalisation) for one in network.appearance.unlike(z_CHW))
    return f"{stack.path} is unlike the training images in {named}: check its result" if named else None


def _in_words(difference: Difference, normalisation: Normalisation) -> str:
    if not difference.percentile:
        return "detail (blur, noise or magnification)"
    mean, std = normalisation.mean[difference.channel], normalisation.std[difference.channel]
    found, low, high = (f"{mean + std * each:.3g}" for each in (difference.found, difference.low, difference.high))
    channel = f" of channel {difference.channel}" if len(normalisation.mean) > 1 else ""
    of_training = f"{low} to {high}" if low != high else low
    return f"grey values ({difference.percentile}{channel} {found}; of the training images {of_training})"
