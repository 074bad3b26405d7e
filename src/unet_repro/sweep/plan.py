"""Plans a sweep: every experiment's arms, seed by seed, each run once."""

import difflib
import json
import re
from collections.abc import Callable, Collection, Sequence

from omegaconf import DictConfig, OmegaConf

from unet_repro.config import TrainConfig, make
from unet_repro.config_nodes import Plain
from unet_repro.data.datamodule import check_fits
from unet_repro.errors import ConfigError
from unet_repro.evaluation.evaluations import check_measurable, check_sections
from unet_repro.files import sha256
from unet_repro.inspection.planned import plan_overrides, planned
from unet_repro.inspection.text import say_inspected
from unet_repro.runs.identity import numbers_of
from unet_repro.runs.ledger import Entry
from unet_repro.sweep.swept import swept_arm, swept_keys, variant_of
from unet_repro.training.build import Data, DataReader, geometry_of_model, run_folder

Compose = Callable[[list[str]], DictConfig]
_REPLICATES = "unet_repro.data.replicates."  # splits whose fold follows the seed


def plan(
    compose: Compose, combinations: Sequence[Sequence[str]], *, only: Collection[str] | None = None
) -> list[Entry]:
    """Expands combinations of overrides by the arms of their experiments, seed by seed.

    Without an experiment, the swept values are the arms. Everything is composed, checked and identified before any run
    starts.

    Args:
        compose: Composes overrides to a configuration.
        combinations: Overrides of single values, one list for each point of the user's sweep.
        only: Arms to be trained, as ``"experiment: arm"``; ``None`` for all.

    Returns:
        Entries ordered by seed, then as given.

    Raises:
        UserError: If the configuration or data of any run are invalid, or ``only`` names an arm that is not there.
    """
    entries: list[Entry] = []
    known = set[str]()
    inspected: set[str] = set()
    read = DataReader()
    compose = once_for_all_seeds(compose)
    keys = swept_keys(combinations)
    for combination in combinations:
        base = planned(compose(list(combination)), read)
        arms = base.experiment.arms if base.experiment else {}
        if base.experiment and base.experiment.searched:
            name = base.experiment.name
            raise ConfigError(
                f"experiment={name} needs a search to choose its settings, and cannot be trained by a sweep",
                hint=f"use `unet-repro search experiment={name}`",
            )
        if not arms and (swept := swept_arm(keys, combination)):
            full = [*combination, *swept.overrides]
            config = planned(composed := compose(full), read)
            shared = {
                "given": sorted(variant_of(combination, keys).split()),
                **_unswept(composed, base, read(base), keys),
            }
            entries.append(entry_of(base, config, swept.arm, full, combination, read=read, keys=keys, shared=shared))
        elif not arms:
            entries.append(entry_of(base, base, "single", combination, combination, read=read))
        for arm, overrides in arms.items():
            name = f"{base.experiment.name}: {arm}" if base.experiment else arm
            known.add(name)
            if only is not None and name not in only:
                continue
            full = [*combination, *overrides, f"arm={json.dumps(arm)}"]
            entries.append(entry_of(base, planned(compose(full), read), arm, full, combination, read=read))
        if (digest := str(read(base).manifest["digest"])) not in inspected:
            inspected.add(digest)
            say_inspected(read, base)
    if unknown := [name for name in only or () if name not in known]:
        alike = [name for name in sorted(known) if name.endswith(f": {unknown[0]}")]
        near = alike or difflib.get_close_matches(unknown[0], known, n=1)
        raise ConfigError(
            f"hydra.sweeper.only: {unknown[0]!r} is no arm of this sweep",
            hint=f"did you mean {near[0]!r}?" if near else "arms are written as 'experiment: arm'",
        )
    return sorted(entries, key=lambda entry: entry.seed)


def entry_of(
    base: TrainConfig,
    config: TrainConfig,
    arm: str,
    overrides: Sequence[str],
    given: Sequence[str],
    *,
    read: Callable[[TrainConfig], Data],
    keys: Sequence[str] = (),
    shared: Plain | None = None,
    tuning_trials: int = 0,
) -> Entry:
    """One run as part of one comparison.

    Args:
        base: Configuration that all arms share.
        config: Configuration of the run.
        arm: Name of its arm.
        overrides: The overrides that it is composed from.
        given: The overrides that the user added.
        read: Reads the data of a configuration.
        keys: Keys of these that are swept.
        shared: What all arms share, in place of the numbers of ``base`` and its data.
        tuning_trials: Number of trials that chose the arm's settings.

    Raises:
        DataError: If its evaluations do not apply to the data or the configuration.
        GeometryError: If an image is too small for its tiles.
    """
    data, tiles, geometry = read(config), make("tiles", config.tiles), geometry_of_model(config)
    train = set(data.split.train)
    check_fits(tiles, (one for one in data.samples if one.key in train), config.data_scale, geometry)
    if config.experiment is not None and config.experiment.evaluations:
        check_measurable(config, data.name, len(data.class_names))
    return Entry(
        experiment=config.experiment.name if config.experiment else "single",
        arm=arm,
        seed=config.seed,
        scale=config.scale,
        data=data.name,
        variant=variant_of(given, keys),
        run_id=run_folder(config, data).run_id,
        overrides=(
            *overrides,
            *plan_overrides(config.plan),
            f"trainer.precision={config.trainer.precision}",
        ),  # auto must not be resolved again on a node
        cost=float(tiles.batch(geometry).input_pixels * config.trainer.max_steps),
        comparison=sha256(json.dumps(shared or _shared(base, read(base)), sort_keys=True))[:12],
        speed_class=sha256(json.dumps(_speed(config), sort_keys=True))[:12],
        evaluations=check_sections(config.experiment.evaluations) if config.experiment else (),
        tuning_trials=tuning_trials,
    )


def _shared(base: TrainConfig, data: Data) -> dict[str, object]:
    """What all runs of a comparison share; where each seed has its own fold, the source's settings, not the content."""
    shared = {**numbers_of(base), "seed": None, "data": data.manifest["digest"]}
    if base.split["_target_"].startswith(_REPLICATES):
        shared["split"] = {key: value for key, value in base.split.items() if key not in ("fold", "draw_seed")}
        shared["data"] = base.data
    return shared


def _unswept(composed: DictConfig, base: TrainConfig, data: Data, keys: Sequence[str]) -> Plain:
    """What the arms of an ad-hoc sweep share: the settings without the swept ones and without what follows from these.

    Args:
        composed: Configuration of an arm; values that refer to others are kept as references.
        base: The same, checked.
        data: Its data.
        keys: The swept keys.
    """
    fixed = _shared(base, data)
    if {"split", "experiment"} & {key.partition(".")[0] for key in keys}:
        fixed["data"] = data.name
    if "experiment" in keys:  # its files may set anything
        return {"data": fixed["data"]}
    raw = OmegaConf.to_container(composed, resolve=False)
    assert isinstance(raw, dict), "a configuration is a mapping"
    shared: Plain = {key: raw.get(key) for key in numbers_of(base) if key != "seed"}
    shared["trainer"] = {key: raw["trainer"].get(key) for key in numbers_of(base)["trainer"]}
    for key in ("data_scale" if key == "data.scale" else key for key in keys):  # as ``config.check`` names it
        node, target = key.replace("/", ".").split("."), shared
        while len(node) > 1 and isinstance(target.get(node[0]), dict):
            target = target[node.pop(0)]
        target.pop(node[0], None)
    return {"data": fixed["data"], **shared}


def _speed(config: TrainConfig) -> dict[str, object]:
    """The settings that determine the time per pixel."""
    trainer = config.trainer
    devices = [trainer.accelerator, trainer.devices, trainer.threads, trainer.precision, trainer.compile]
    return {"model": {**config.model, "dropout": None}, "tile": config.tiles["size"], "trainer": devices}


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
