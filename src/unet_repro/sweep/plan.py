"""Plans a sweep: every experiment's arms, seed by seed, each run once."""

import json
import re
from collections.abc import Callable, Iterable, Sequence

from omegaconf import DictConfig

from unet_repro.config import TrainConfig, check, make
from unet_repro.errors import ConfigError
from unet_repro.evaluation.evaluations import EVALUATIONS
from unet_repro.files import sha256
from unet_repro.runs.identity import PLACEMENT, numbers_of
from unet_repro.sweep.ledger import Entry
from unet_repro.training.build import read_data, run_folder

Compose = Callable[[list[str]], DictConfig]
# Overrides that are not shown as a variant: tables have columns for them, or they do not affect numbers.
_UNSPOKEN = {"experiment", "seed", "scale", "data", "trainer", "runs_dir", *(f"trainer.{name}" for name in PLACEMENT)}
_UNSPOKEN_GROUPS = {"hydra", "logger"}


def plan(compose: Compose, combinations: Iterable[Sequence[str]]) -> list[Entry]:
    """Expands combinations of overrides by the arms of their experiments, seed by seed.

    Everything is composed, checked and identified before any run starts.

    Args:
        compose: Composes overrides to a configuration.
        combinations: Overrides of single values, one list for each point of the user's sweep.

    Returns:
        Entries ordered by seed, then as given.

    Raises:
        UserError: If the configuration or data of any run are invalid.
    """
    entries: list[Entry] = []
    compose = once_for_all_seeds(compose)
    for combination in combinations:
        base = check(compose(list(combination)))
        arms = base.experiment.arms if base.experiment else {}
        if base.experiment and base.experiment.searched:
            name = base.experiment.name
            raise ConfigError(
                f"experiment={name} needs a search to choose its settings, and cannot be trained by a sweep",
                hint=f"use `unet-repro search experiment={name}`",
            )
        if not arms:
            entries.append(entry_of(base, base, "single", combination, combination))
        for arm, overrides in arms.items():
            full = [*combination, *overrides, f"arm={json.dumps(arm)}"]
            entries.append(entry_of(base, check(compose(full)), arm, full, combination))
    return sorted(entries, key=lambda entry: entry.seed)


def entry_of(
    base: TrainConfig,
    config: TrainConfig,
    arm: str,
    overrides: Sequence[str],
    given: Sequence[str],
    *,
    tuning_trials: int = 0,
) -> Entry:
    """One run as part of one comparison.

    Args:
        base: Configuration that all arms share.
        config: Configuration of the run.
        arm: Name of its arm.
        overrides: The overrides that it is composed from.
        given: The overrides that the user added.
        tuning_trials: Number of trials that chose the arm's settings.
    """
    shared = {**numbers_of(base), "seed": None, "data": read_data(base).manifest["digest"]}
    return Entry(
        experiment=config.experiment.name if config.experiment else "single",
        arm=arm,
        seed=config.seed,
        scale=config.scale,
        data=read_data(config).name,
        variant=" ".join(override for override in given if not _is_unspoken(override)),
        run_id=run_folder(config).run_id,
        overrides=(
            *overrides,
            f"trainer.precision={config.trainer.precision}",
        ),  # auto must not be resolved again on a node
        cost=float(make("tiles", config.tiles).batch(config.model["depth"]).input_pixels * config.trainer.max_steps),
        comparison=sha256(json.dumps(shared, sort_keys=True))[:12],
        speed_class=sha256(json.dumps(_speed(config), sort_keys=True))[:12],
        evaluations=_evaluations(config),
        tuning_trials=tuning_trials,
    )


def _evaluations(config: TrainConfig) -> tuple[str, ...]:
    """The evaluations of the run's experiment."""
    names = config.experiment.evaluations if config.experiment else ()
    for name in names:
        if name not in EVALUATIONS:
            known = ", ".join(EVALUATIONS)
            raise ConfigError(f"experiment.evaluations: there is no {name!r}", hint=f"use one of {known}")
    return names


def _speed(config: TrainConfig) -> dict[str, object]:
    """The settings that determine the time per pixel."""
    trainer = config.trainer
    placed = [trainer.accelerator, trainer.devices, trainer.threads, trainer.precision, trainer.compile]
    return {"model": {**config.model, "dropout": None}, "tile": config.tiles["size"], "trainer": placed}


def _is_unspoken(override: str) -> bool:
    key = override.lstrip("+~").split("=")[0]
    return key in _UNSPOKEN or key.replace("/", ".").split(".")[0] in _UNSPOKEN_GROUPS


def once_for_all_seeds(compose: Compose) -> Compose:
    """Composes configurations that differ only in the seed once, and then sets the seed, because composing is slow.

    The result is the same: ``seed`` is a plain value, on which no choice of a group can depend, and interpolations of
    it are resolved later.
    """
    composed: dict[tuple[str, ...], DictConfig] = {}

    def cheaply(overrides: list[str]) -> DictConfig:
        seeds = [override for override in overrides if re.match(r"[+~]*seed\b", override)]
        if len(seeds) != 1 or not re.fullmatch(r"seed=(0|[1-9]\d*)", seeds[0]):
            return compose(overrides)
        others = tuple(override for override in overrides if override != seeds[0])
        if others not in composed:
            composed[others] = compose(list(others))
        config = composed[others].copy()
        config.seed = int(seeds[0].removeprefix("seed="))
        return config

    return cheaply
