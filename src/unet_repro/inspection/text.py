"""An inspection as text."""

import numpy as np

from unet_repro.config import TrainConfig
from unet_repro.console import say
from unet_repro.data.sources.folder import Folder
from unet_repro.inspection.facts import Facts, facts_of
from unet_repro.inspection.training_plan import AS_SET, TOUCHING_SHARE
from unet_repro.inspection.warnings import warnings_of
from unet_repro.training.build import Data, DataReader

_KINDS = {1: "grey", 3: "3 channels (RGB)"}
_SIZES = 4  # sizes of images that a line names


def facts_lines(facts: Facts, class_names: tuple[str, ...], pixel_size: str) -> list[str]:
    """What the data contain, one line each for images, labels and objects.

    Args:
        facts: The facts.
        class_names: Names of the classes.
        pixel_size: The size of a pixel in words.
    """
    sizes = [f"{number} of {height} x {width}" for (height, width), number in facts.sizes]
    kind = _KINDS.get(facts.channels, f"{facts.channels} channels")
    low, high = facts.values
    lines = [
        f"images   {', '.join(sizes[:_SIZES])}{' ...' if len(sizes) > _SIZES else ''} pixels, {kind}, {facts.dtype}, "
        f"values {low:g} to {high:g}; pixel size {pixel_size}",
        f"labels   {len(facts.labelled)} images labelled, {len(facts.unlabelled)} not, {len(facts.tested)} for tests; "
        f"classes {', '.join(class_names)}; foreground {_range(np.array(facts.foreground) * 100)} % of an image"
        + (f"; {facts.ignored:.0%} of the pixels ignored" if facts.ignored else ""),
    ]
    if len(facts.diameters_px):
        small, large = np.percentile(facts.diameters_px, (5, 95))
        lines.append(
            f"objects  {len(facts.diameters_px):,}, {_range(np.array(facts.objects))} in an image; diameter "
            f"{facts.diameter_px:.0f} pixels (median; 90 % within {small:.0f} to {large:.0f}); {facts.touching:.0%} "
            "touch another"
        )
    return lines


def split_line(data: Data) -> str:
    """How many images are in each part."""
    split = data.split
    return f"split    {len(split.train)} train, {len(split.val)} validate, {len(split.test)} test"


def plan_lines(config: TrainConfig, minutes: float | None) -> list[str]:
    """The plan with its reasons, one line for each value; empty without a plan.

    Args:
        config: The configuration with its plan.
        minutes: Estimated minutes of the training; ``None`` if unknown.
    """
    if not config.plan:
        return []
    plan, reasons = config.plan, config.plan["reasons"]
    lines = ["plan"]
    lines += [f"  {name:7}{plan[name]:<7}{reason}" for name, reason in reasons.items()]
    memory = f"{plan['memory_gb']:.1f} GB"
    lines.append(f"  memory {memory:<7}of a step, estimated from the network's outputs")
    if minutes is not None:
        lines.append(f"  time   {f'{minutes:.0f} min':<7}on this machine, from timing a few steps and a validation")
    return lines


def advice(facts: Facts, config: TrainConfig, *, numbers_objects: bool) -> list[str]:
    """The experiment for touching objects, where the labels number objects of which a quarter or more touch another."""
    if not numbers_objects or facts.touching < TOUCHING_SHARE or config.target is not None:
        return []
    return [
        f"advice   experiment=own_objects instead: {facts.touching:.0%} of the numbered objects touch another "
        f"(at least {TOUCHING_SHARE:.0%}), and a network of classes alone cannot tell them apart"
    ]


def shortened(facts: Facts, data: Data, config: TrainConfig) -> str:
    """The inspection in a few lines, for the start of a training.

    Args:
        facts: Facts of the data before their split.
        data: The data.
        config: The configuration, with its plan if it has one.
    """
    plan = config.plan
    lines = [
        f"inspected: {len(facts.labelled)} labelled images, {len(facts.diameters_px):,} objects of about "
        f"{facts.diameter_px:.0f} pixels; {split_line(data).removeprefix('split').strip()}",
        *(f"warning: {each}" for each in warnings_of(facts, data)),
        *advice(facts, config, numbers_objects=data.numbers_objects),
    ]
    if plan:
        tiles = "1 tile" if plan["batch"] == 1 else f"{plan['batch']} tiles"
        reasons = "; ".join(f"{name}: {reason}" for name, reason in plan["reasons"].items() if reason != AS_SET)
        scale = "" if plan["scale"] == 1 else f"scale {plan['scale']:g}, "
        lines.append(
            f"plan: {scale}depth {plan['depth']}, width {plan['width']}, {tiles} of {plan['tile']}, "
            f"{plan['steps']} steps ({reasons})"
        )
    return "\n".join(lines)


def say_inspected(read: DataReader, config: TrainConfig) -> None:
    """Writes ``shortened`` about own data to standard error."""
    data = read(config)
    if data.name == Folder.name:
        say(shortened(facts_of(read.whole(config).samples), data, config))


def _range(values: np.ndarray[tuple[int, ...], np.dtype[np.generic]]) -> str:
    """Lowest to highest value, rounded; one number if they are equal."""
    low, high = f"{values.min():.0f}", f"{values.max():.0f}"
    return low if low == high else f"{low} to {high}"
