"""Arms of comparisons: the runs of each over its seeds, with measures, cost and settings."""

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from unet_repro.config import make
from unet_repro.geometry import layers
from unet_repro.report.arm_runs import METRICS, ArmRun
from unet_repro.report.made_with import arm_names

UNET = "unet_repro.models.unet.UNet"


@dataclass(frozen=True)
class Score:
    """A measure over seeds.

    Attributes:
        values: One value per finished seed, in the order of the seeds.
    """

    values: tuple[float, ...]

    @property
    def mean(self) -> float:
        """Mean over seeds."""
        return statistics.fmean(self.values)

    @property
    def spread(self) -> float:
        """Sample standard deviation over seeds; 0 for a single seed."""
        return statistics.stdev(self.values) if len(self.values) > 1 else 0.0


@dataclass(frozen=True)
class Cost:
    """What a training costs; unlike seconds, it is the same on every machine and beside any other work.

    Attributes:
        tiles: Tiles per step times their size.
        steps: Training steps.
        pixels_in: Input pixels of the training.
        pixels_out: Supervised pixels of the training.
        tflop: 1e12 floating-point operations, forward and backward (three times the forward pass);
            ``None`` for a network other than the U-Net.
    """

    tiles: str
    steps: int
    pixels_in: int
    pixels_out: int
    tflop: float | None


@dataclass(frozen=True)
class Arm:
    """One arm of one comparison.

    Attributes:
        runs: Its runs in the order of their seeds, finished or not; at least one.
    """

    runs: tuple[ArmRun, ...]

    @property
    def first(self) -> ArmRun:
        """The run of its first seed, for everything that all have in common."""
        return self.runs[0]

    @property
    def name(self) -> str:
        """Its name."""
        return self.first.arm

    @property
    def done(self) -> tuple[ArmRun, ...]:
        """Its finished runs."""
        return tuple(run for run in self.runs if run.state == "done")

    @property
    def scores(self) -> dict[str, Score]:
        """The measures that all finished runs have, by ``Metric.key``."""
        keys = [metric.key for metric in METRICS if self.done and all(metric.key in run.final for run in self.done)]
        return {key: Score(tuple(run.final[key] for run in self.done)) for key in keys}

    @property
    def cost(self) -> Cost | None:
        """The cost of each of its trainings; ``None`` before a run is finished."""
        return cost_of(self.done[0].settings) if self.done else None


def arms_of(runs: Iterable[ArmRun]) -> list[Arm]:
    """Groups runs to arms; those of one comparison are next to each other, in the order of its file."""
    comparisons: dict[str, dict[str, list[ArmRun]]] = {}
    for run in runs:
        comparisons.setdefault(run.place, {}).setdefault(run.arm, []).append(run)
    found = []
    for arms in comparisons.values():
        names = arm_names(next(iter(arms.values()))[0].experiment)
        in_order = sorted(arms, key=lambda name: names.index(name) if name in names else len(names))
        found += [Arm(tuple(sorted(arms[name], key=lambda run: run.seed))) for name in in_order]
    return found


def comparisons_of(arms: Iterable[Arm]) -> dict[str, list[Arm]]:
    """Arms by the id of their comparison."""
    found: dict[str, list[Arm]] = {}
    for arm in arms:
        found.setdefault(arm.first.place, []).append(arm)
    return found


def cost_of(settings: dict[str, Any]) -> Cost:
    """The cost of a training with these settings.

    >>> settings = {"tiles": {"_target_": "unet_repro.data.tiles.Tiles", "size": 572, "budget": "1x572"},
    ...             "model": {"_target_": UNET, "depth": 4, "width": 64}, "trainer": {"max_steps": 10}}
    >>> cost = cost_of(settings)
    >>> cost.tiles, cost.pixels_in, round(cost.tflop, 3)
    ('1 x 572', 3271840, 9.026)
    """
    model, steps = settings["model"], settings["trainer"]["max_steps"]
    batch = make("tiles", settings["tiles"]).batch(model["depth"])
    tflop = None
    if model["_target_"] == UNET:
        passed = layers((batch.tile_size, batch.tile_size), model["depth"], width=model["width"])
        tflop = 3 * sum(layer.flop for layer in passed) * batch.num_tiles * steps / 1e12
    return Cost(
        tiles=f"{batch.num_tiles} x {batch.tile_size}",
        steps=steps,
        pixels_in=batch.input_pixels * steps,
        pixels_out=batch.output_pixels * steps,
        tflop=tflop,
    )


def seeds_text(arm: Arm) -> str:
    """Finished seeds; of how many, if some are missing."""
    done, planned = len(arm.done), len(arm.runs)
    return str(done) if done == planned else f"{done}/{planned}"


def measured(arms: Sequence[Arm]) -> list[str]:
    """Keys of the measures that any of the arms has, in the order of ``METRICS``."""
    found = {key for arm in arms for key in arm.scores}
    return [metric.key for metric in METRICS if metric.key in found]
