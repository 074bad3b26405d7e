"""The training that suits a data set: working resolution, depth, width, tile, batch, steps, each with its reason."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

from unet_repro.data.resample import sizes_at
from unet_repro.data.tiles import Tiles
from unet_repro.errors import GeometryError
from unet_repro.geometry import batch_for_budget, geometry_of, halo, nearest_legal, output_size, smallest, tile_cost
from unet_repro.inspection.facts import Facts

DEPTH, DEEPER = 3, 4  # 3: measured best on EM at equal training time (benchmarks/quality.py); 4: the paper's
WIDTH, GPU_WIDTH = 16, 32  # 16: measured with depth 3; 32 assumed: a GPU has the time for more
TILES = {4: 572, 3: 396, 2: 396, 1: 396}  # largest tiles; 572 is the paper's, 396 measured with depth 3
BUDGET_PX = 396**2  # input pixels of a step
GPU_TIMES = 4  # assumed: so many times those pixels on a GPU
STEPS, MOST_STEPS = 2000, 10_000
PASSES = 10  # assumed: every training pixel is seen at least so often, within these steps
STEP_ROUNDING = 100  # steps between two validations
# Measured peak of a training step in float32 over its convolutions' outputs (3.9 at depth 3): normalised and rectified
# copies, and gradients; 2.6 in bfloat16.
TRAINING_MEMORY_FACTOR = 4.0
SHARE_OF_MEMORY = 0.5
LEAST_SCALE = 0.125
TOUCHING_SHARE = 0.25  # assumed: from this share of touching objects on, ``experiment=own_objects`` is recommended
AS_SET = "as set"  # the reason of a value that the user has set


@dataclass(frozen=True)
class Plan:
    """A planned training.

    Attributes:
        scale: Working resolution as a share of the images'; 1 for the images' own.
        depth: Max-pools of the network.
        width: Channels of its first level.
        tile: Input size of a tile in pixels.
        batch: Tiles of a step.
        steps: Steps.
        memory_gb: Estimated peak memory of a step beside the program and the images, in 1e9 bytes.
        reasons: Why, by the names above.
    """

    scale: float
    depth: int
    width: int
    tile: int
    batch: int
    steps: int
    memory_gb: float
    reasons: dict[str, str]


@dataclass(frozen=True)
class Conditions:
    """What a plan depends on beside the data.

    Attributes:
        divides_images: Whether blocks of images validate (``split_within``), so that less of an image trains.
        val_share: Share of such blocks.
        gap_px: Gap between the blocks; ``None`` for the receptive field.
        budget: Tiles with the budget that the user has set; ``None`` to choose it.
        on_gpu: Whether a GPU trains.
        finds_objects: Whether the network has a target for touching objects.
        memory_bytes: Memory of the device. Not the free memory: the plan, and with it the run's id, must not change.
    """

    divides_images: bool = False
    val_share: float = 0.2
    gap_px: int | None = None
    budget: Tiles | None = None
    on_gpu: bool = False
    finds_objects: bool = False
    memory_bytes: float = math.inf


def plan_of(facts: Facts, conditions: Conditions, given: Mapping[str, float]) -> Plan:
    """Plans a training.

    Args:
        facts: The data.
        conditions: Split and machine.
        given: Values of ``scale``, ``depth``, ``width``, ``tile`` or ``steps`` that the user has set; the others suit
            them.

    Raises:
        GeometryError: If the images are too small for any U-Net.
    """
    reasons = dict.fromkeys(given, AS_SET)
    scale = given.get("scale") or _scale(facts, conditions, reasons)
    facts = _at_scale(facts, scale)
    depth = int(given.get("depth") or _depth(facts, conditions, reasons))
    width = int(given.get("width") or _width(conditions, reasons))
    tile = int(given.get("tile") or _tile(facts, conditions, depth, width, reasons))
    batch = _batch(tile, depth, conditions, reasons)
    steps = int(given.get("steps") or _steps(facts, batch * output_size(tile, depth) ** 2, reasons))
    return Plan(scale, depth, width, tile, batch, steps, memory_gb(tile, batch, depth, width), reasons)


def _scale(facts: Facts, conditions: Conditions, reasons: dict[str, str]) -> float:
    """The largest of 1, 1/2, 1/4 ... at which the receptive field covers an object.

    With a target for objects the field is that of the usual depth, since their outlines bear to be coarser by a pixel
    and a step costs a quarter; else that of the deeper network, which keeps thin structures.
    """
    depth = DEPTH if conditions.finds_objects else DEEPER
    field, scale = _field(depth), 1.0
    while facts.diameter_px * scale > field and scale > LEAST_SCALE:
        scale /= 2
    if scale < 1:
        reasons["scale"] = (
            f"objects of {facts.diameter_px:.0f} pixels (median diameter) exceed the receptive field of depth {depth}, "
            f"{field}; reduced they have {facts.diameter_px * scale:.0f}"
        )
    return scale


def _at_scale(facts: Facts, scale: float) -> Facts:
    """The facts at the working resolution, as far as a plan depends on them."""
    return replace(
        facts,
        diameters_px=facts.diameters_px * scale,
        image_hw=sizes_at(facts.image_hw, scale).working_hw,
        pixels=round(facts.pixels * scale**2),
    )


def trained_side_px(facts: Facts, conditions: Conditions, depth: int) -> int:
    """Shorter side of the smallest area that trains, in pixels: of an image, or of its block with ``split=within``."""
    short, long = sorted(facts.image_hw)
    if not conditions.divides_images:
        return short
    gap_px = 2 * halo(depth) if conditions.gap_px is None else conditions.gap_px
    return min(short, long - max(1, round(conditions.val_share * long)) - gap_px)


def memory_gb(tile: int, batch: int, depth: int, width: int) -> float:
    """Estimated peak memory of a training step in 1e9 bytes."""
    return round(TRAINING_MEMORY_FACTOR * batch * tile_cost(tile, depth, width=width).activation_mb / 1e3, 3)


def _depth(facts: Facts, conditions: Conditions, reasons: dict[str, str]) -> int:
    """The depth whose receptive field covers an object, or the largest that the images allow."""
    diameter, field = facts.diameter_px, _field(DEPTH)
    wanted = DEEPER if diameter > field else DEPTH
    fit = [depth for depth in range(wanted, 0, -1) if 2 * halo(depth) <= trained_side_px(facts, conditions, depth)]
    fit += [depth for depth in range(wanted, 0, -1) if smallest(depth) <= _limit(facts, conditions, depth)]
    if not fit:
        height, width = facts.image_hw
        raise GeometryError(
            f"images of {height} x {width} pixels, such as {facts.smallest}, are too small to train on",
            hint="leave them out, use larger images, or enlarge all",
        )
    depth = fit[0]
    receives = f"the receptive field of {_field(depth)} pixels"
    if depth < wanted:
        side, area = trained_side_px(facts, conditions, depth), "block" if conditions.divides_images else "image"
        reasons["depth"] = (
            f"{receives} suits the smallest training {area}, {side} pixels wide; at depth {depth + 1} a tile would be "
            f"mostly mirrored ({halo(depth + 1)} pixels on each side)"
        )
    elif wanted == DEEPER:
        reasons["depth"] = f"objects of {diameter:.0f} pixels exceed the receptive field of depth {DEPTH}, {field}"
    else:
        reasons["depth"] = f"{receives} covers objects of {diameter:.0f} pixels (median diameter)"
    return depth


def _width(conditions: Conditions, reasons: dict[str, str]) -> int:
    reasons["width"] = (
        "twice that of a CPU" if conditions.on_gpu else "the best on EM at equal training time on two CPU cores"
    )
    return GPU_WIDTH if conditions.on_gpu else WIDTH


def _tile(facts: Facts, conditions: Conditions, depth: int, width: int, reasons: dict[str, str]) -> int:
    """The tile that covers an image, at most that of ``TILES``, within what mirroring and memory allow."""
    side, geometry = trained_side_px(facts, conditions, depth), geometry_of(depth)
    most, covering = nearest_legal(TILES.get(depth, TILES[DEEPER]), depth)[0], geometry.covering(max(side, 1))
    tile = min(most, covering, nearest_legal(max(_limit(facts, conditions, depth), 0), depth)[0])
    shown = f"{tile} -> {output_size(tile, depth)}"
    if tile == most:
        reasons["tile"] = f"{shown}: the measured best size; a larger one gains little"
    elif tile == covering:
        reasons["tile"] = f"{shown}: one tile covers the {side} pixels that train"
    else:
        reasons["tile"] = f"{shown}: the largest that {side} pixels allow, mirrored once at each border"
    allowed = SHARE_OF_MEMORY * conditions.memory_bytes / 1e9
    while tile > geometry.smallest_px and memory_gb(tile, 1, depth, width) > allowed:
        tile -= geometry.step_px
        reasons["tile"] = f"{tile} -> {output_size(tile, depth)}: the largest within half of the memory"
    return tile


def _batch(tile: int, depth: int, conditions: Conditions, reasons: dict[str, str]) -> int:
    if conditions.budget is not None:
        reasons["batch"] = f"of tiles.budget={conditions.budget.budget}"
        return replace(conditions.budget, size=tile).batch(depth).num_tiles
    times = GPU_TIMES if conditions.on_gpu else 1
    batch = batch_for_budget(tile, times * BUDGET_PX, "input", depth).num_tiles
    reasons["batch"] = f"about as many pixels a step as {times} {'tile' if times == 1 else 'tiles'} of 396"
    return batch


def _steps(facts: Facts, output_pixels: int, reasons: dict[str, str]) -> int:
    needed = PASSES * facts.pixels / output_pixels
    steps = min(max(STEPS, math.ceil(needed / STEP_ROUNDING) * STEP_ROUNDING), MOST_STEPS)
    passes = steps * output_pixels / facts.pixels
    reasons["steps"] = f"every labelled pixel is seen about {passes:,.0f} times"
    if steps == MOST_STEPS and needed > steps:
        reasons["steps"] += "; more steps may improve the result"
    return steps


def _field(depth: int) -> int:
    return 2 * halo(depth) + 1


def _limit(facts: Facts, conditions: Conditions, depth: int) -> int:
    """Largest tile on the smallest training image, mirrored once at each border (``Tiles.check_fits``)."""
    return 3 * trained_side_px(facts, conditions, depth) - 2
