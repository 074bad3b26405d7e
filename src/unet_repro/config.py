"""The schema of the composed configuration: a misspelt or missing key, or a wrong type, fails before any work.

The top level is the dataclass below; nodes with ``_target_`` are checked by ``config_nodes``.
"""

import re
from dataclasses import MISSING, dataclass, field, fields, is_dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from hydra.errors import InstantiationException
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import MissingMandatoryValue, OmegaConfBaseException
from pydantic import BeforeValidator, TypeAdapter

from unet_repro.conf_files import conf_dir as conf_dir  # noqa: PLC0414  # exported
from unet_repro.conf_files import joined
from unet_repro.config_nodes import OBSERVES, Plain, check_names, check_node, check_nodes
from unet_repro.config_values import validated
from unet_repro.errors import ConfigError, UserError

Mode = Literal["online", "offline", "disabled"]
Settings = TypeVar("Settings")

# ``${fraction:0.1,${trainer.max_steps}}``: a share of a number of steps, at least one step.
OmegaConf.register_new_resolver("fraction", lambda share, whole: max(1, round(share * whole)), replace=True)
# ``${quotient:${trainer.max_steps},${trainer.val_every}}``, ``${modulo:${seed},5}``: of whole numbers.
OmegaConf.register_new_resolver("quotient", lambda whole, part: whole // part, replace=True)
OmegaConf.register_new_resolver("modulo", lambda whole, part: whole % part, replace=True)


@dataclass(frozen=True)
class TrainerSettings:
    """How a training runs; see ``conf/trainer``."""

    max_steps: int
    val_every: int
    max_val_images: int | None
    precision: Literal["auto", "32-true", "64-true", "16-mixed", "bf16-mixed"]
    compile: bool
    accelerator: Literal["cpu", "gpu"]
    threads: int | None
    num_workers: int
    progress: bool
    devices: int = 1
    deterministic: bool = False
    save_every_s: float = 30.0
    threshold_images: int = 6
    gradient_clip_val: float | None = None
    gradient_clip_algorithm: Literal["norm", "value"] | None = None
    accumulate_grad_batches: int | None = None


@dataclass(frozen=True)
class LoggerSettings:
    """Where a run is mirrored; see ``conf/logger``.

    Attributes:
        mode: Whether W&B has the run, and whether it is sent at once.
        project: W&B project.
        panel_images: Validation images in W&B's panel.
        entity: W&B user or team; ``None`` for the user's default.
        dir: Folder of W&B's offline files; ``None`` for the run's folder.
        checkpoints: Whether W&B has the best and the last checkpoint as artifacts.
        others: Further loggers by name, each a node with ``_target_``. In YAML they stand beside ``mode``.
    """

    mode: Mode = "disabled"
    project: str = "unet-repro"
    panel_images: int = 0
    entity: str | None = None
    dir: str | None = None
    checkpoints: bool = False
    others: dict[str, Plain] | None = None


@dataclass(frozen=True)
class ExperimentSettings:
    """A comparison: its arms as lists of overrides, and the evaluations of their runs; see ``conf/experiment``.

    Attributes:
        name: The file's name, by which ``experiment=`` and ``comparison=`` find it.
        question: What the arms are compared for.
        arms: Overrides by the arm's name; lists within a list are joined.
        claim: Claim of the trial, such as ``C2``; ``""`` for none.
        title: For headings; otherwise made of the name.
        evaluations: Made at the end of each run.
        searched: Whether the settings of the arms are chosen by `unet-repro search`.
        suite: Whether `unet-repro reproduce` trains it by default, or with all.
        shared: Lists of overrides that several arms contain, where YAML's anchors can be set; not read.
    """

    name: str
    question: str
    arms: dict[str, Annotated[list[str], BeforeValidator(joined)]]
    claim: str = ""
    title: str | None = None
    evaluations: tuple[str, ...] = ("scores",)
    searched: bool = False
    suite: Literal["core", "all"] | None = None
    shared: Any = None


@dataclass(frozen=True)
class TrainConfig:
    """The complete settings of a training. Nodes with ``_target_`` are checked against their target's signature.

    An option that defaults to ``None`` is left out of ``plain`` while it is ``None``, and so out of a run's identity:
    adding such an option keeps the identities of existing runs.
    """

    data: Plain
    split: Plain
    tiles: Plain
    augment: Plain
    weight_map: Plain
    model: Plain
    optimizer: Plain
    schedule: Plain
    trainer: TrainerSettings
    logger: LoggerSettings
    experiment: ExperimentSettings | None
    arm: str | None
    scale: str
    seed: int
    runs_dir: str
    rates: dict[str, float] = field(default_factory=dict)  # the scale's learning rates, to which others refer
    callbacks: dict[str, Plain] | None = None
    init: str | None = None  # run, package or name of a network whose weights the training starts from
    target: Plain | None = None  # what is predicted beside classes; see ``data.targets``
    data_scale: float | None = None  # the working resolution as a share of the images': ``data.scale`` in YAML
    plan: Plain | None = None  # of inspection.training_plan, to which other settings refer; empty until it is made

    def plain(self) -> Plain:
        """The settings as plain containers, which ``check`` accepts again."""
        return _plain(self)


def _plain(settings: Any) -> Plain:
    values = {one.name: getattr(settings, one.name) for one in fields(settings)}
    unset = {one.name for one in fields(settings) if one.default is None and values[one.name] is None}
    return {
        name: _plain(value) if is_dataclass(value) else value for name, value in values.items() if name not in unset
    }


_SECTIONS = {"trainer": TrainerSettings, "logger": LoggerSettings, "experiment": ExperimentSettings}

# Arguments that the code supplies to a logger that accepts them, unless they are set: see ``tracking.loggers``.
_LOGGER_ARGUMENTS = ("save_dir", "run")
# Arguments that the code supplies on instantiation: see ``training.build``.
_SUPPLIED = {
    "split": {"samples"},
    "weight_map": {"instances", "class_counts", "classes"},
    "optimizer": {"params"},
    "schedule": {"optimizer"},
    "model": {"in_channels", "num_classes"},
}


def check(config: DictConfig) -> TrainConfig:
    """Resolves and checks a composed configuration.

    Returns:
        Typed settings; plain nodes are resolved containers, and ``trainer.precision`` is never ``auto``.

    Raises:
        ConfigError: For an unknown or missing key, a value of the wrong type, or an interpolation without a target.
    """
    settings = _resolved(config)
    check_names("", settings, *_names_of(TrainConfig))
    settings["data"], settings["data_scale"] = _check_scale(settings["data"], settings.get("data_scale"))
    settings["target"] = settings.get("target") or None  # target=none
    if isinstance(settings["target"], dict) and "_target_" not in settings["target"]:
        raise ConfigError("target has no _target_", hint="use target=border, target=distance or target=none")
    if isinstance(settings["experiment"], dict) and (inside := settings["experiment"].keys() & settings.keys()):
        raise ConfigError(
            f"experiment.{min(inside)} is a setting of another level: the file of the experiment has no package",
            hint="begin the file with the line: # @package _global_",
        )
    settings["logger"] = _check_loggers(settings["logger"])
    settings["callbacks"] = check_nodes("callbacks", settings.get("callbacks"))
    for node, schema in _SECTIONS.items():
        if isinstance(settings[node], dict):
            check_names(f"{node}.", settings[node], *_names_of(schema))
    for node, value in settings.items():
        if isinstance(value, dict) and "_target_" in value:
            settings[node] = check_node(node, value, supplied=_SUPPLIED.get(node, ()))
    checked: TrainConfig = validated("", TypeAdapter(TrainConfig), settings)
    if not 0 <= checked.seed < 2**32:
        raise ConfigError(f"seed={checked.seed} is not valid", hint="use 0 to 4294967295")
    return replace(checked, trainer=_check_trainer(checked.trainer))


def _check_scale(data: Any, known: Any) -> tuple[Any, float | None]:
    """Takes the working resolution out of the data node, since a source reads images as they are.

    The images' own resolution is ``None``, however it is written.
    """
    if not isinstance(data, dict):
        return data, known
    scale = data.get("scale", known)
    if scale is not None and (isinstance(scale, bool) or not isinstance(scale, int | float) or not 0 < scale <= 1):
        raise ConfigError(
            f"data.scale={scale} must be above 0 and at most 1", hint="use 0.5 for half resolution, or null"
        )
    node = {name: value for name, value in data.items() if name != "scale"}
    return node, None if scale is None or scale == 1 else float(scale)


def _check_loggers(logger: Any) -> Any:
    """Moves the loggers that stand beside ``mode`` to ``others``, and checks them."""
    if not isinstance(logger, dict):
        return logger
    beside = {name: node for name, node in logger.items() if isinstance(node, dict) and "_target_" in node}
    kept = {name: value for name, value in logger.items() if name not in beside}
    nodes = {**(kept.get("others") or {}), **beside}
    return {**kept, "others": check_nodes("logger", nodes, optional=_LOGGER_ARGUMENTS)}


def _check_trainer(trainer: TrainerSettings) -> TrainerSettings:
    """Checks the values, and resolves those that are part of a run's identity."""
    if trainer.save_every_s < 0 or trainer.devices < 1:
        raise ConfigError(
            f"trainer.save_every_s={trainer.save_every_s} or trainer.devices={trainer.devices} is too small",
            hint="use save_every_s of 0 or more seconds, and 1 device or more",
        )
    if trainer.threshold_images < 0:
        raise ConfigError(f"trainer.threshold_images={trainer.threshold_images} is negative", hint="use 0 for none")
    if trainer.max_val_images is not None and trainer.max_val_images < 1:
        raise ConfigError(f"trainer.max_val_images={trainer.max_val_images} must be at least 1", hint="use 1 or null")
    if not 0 < trainer.val_every <= trainer.max_steps or trainer.max_steps % trainer.val_every:
        raise ConfigError(
            f"trainer.max_steps={trainer.max_steps} is not a multiple of trainer.val_every={trainer.val_every}",
            hint="choose values for which the last step is validated",
        )
    clip, algorithm, batches = (
        trainer.gradient_clip_val,
        trainer.gradient_clip_algorithm,
        trainer.accumulate_grad_batches,
    )
    if clip is not None and clip <= 0:
        raise ConfigError(f"trainer.gradient_clip_val={clip} must be above 0", hint="use null for no clipping")
    if clip is None and algorithm is not None:
        raise ConfigError(
            f"trainer.gradient_clip_algorithm={algorithm} has no effect without trainer.gradient_clip_val",
            hint="set trainer.gradient_clip_val=1.0, for example",
        )
    if batches is not None and batches < 1:
        raise ConfigError(f"trainer.accumulate_grad_batches={batches} must be at least 1", hint="use 1 or null")
    # A default that is written out is the same setting as one that is not.
    trainer = replace(
        trainer,
        gradient_clip_algorithm=None if algorithm == "norm" else algorithm,
        accumulate_grad_batches=None if batches == 1 else batches,
    )
    if trainer.precision == "auto":  # the resolved value is part of a run's identity
        from unet_repro.machine import multiplies_bf16  # noqa: PLC0415  (imports torch, which is slow)

        is_native = multiplies_bf16("cuda" if trainer.accelerator == "gpu" else "cpu")
        return replace(trainer, precision="bf16-mixed" if is_native else "32-true")
    return trainer


def _names_of(schema: type[Any]) -> tuple[list[str], list[str]]:
    """The names of a dataclass's fields, and of those without a default."""
    needed = [one.name for one in fields(schema) if one.default is MISSING and one.default_factory is MISSING]
    return [one.name for one in fields(schema)], needed


@dataclass(frozen=True)
class DataFolder:
    """Where the data of a trained run are now, for verbs that read them: ``data.root``."""

    root: Path | None


def typed(schema: type[Settings], config: DictConfig) -> Settings:
    """Converts a composed configuration, without its ``hydra`` node, to a dataclass.

    Args:
        schema: A dataclass whose fields are the configuration's keys.
        config: The configuration.

    Raises:
        ConfigError: For an unknown key, a key without a value, or a value of the wrong type.
    """
    plain = _resolved(config)
    check_names("", plain, [one.name for one in fields(schema)], [])  # type: ignore[arg-type]
    return validated("", TypeAdapter(schema), plain)  # type: ignore[no-any-return]


def _resolved(config: DictConfig) -> Plain:
    """The configuration as plain containers, with the values that it refers to.

    Raises:
        ConfigError: For a value that is missing, or a reference that cannot be resolved.
    """
    try:
        plain = OmegaConf.to_container(config, resolve=True, throw_on_missing=True)
    except MissingMandatoryValue as error:
        raise ConfigError(f"{error.full_key} is required", hint=f"add {error.full_key}=...") from error
    except OmegaConfBaseException as error:
        raise unresolved(error) from error
    assert isinstance(plain, dict), "a configuration is a mapping"
    return {str(key): value for key, value in plain.items()}


def unresolved(error: OmegaConfBaseException) -> ConfigError:
    """The error for a value whose references to others, ``${...}``, cannot be resolved."""
    reason = str(error).splitlines()[0] if str(error) else type(error).__name__
    if found := re.match(r"Interpolation key '([^']*)' not found", reason):
        reason = f"there is no setting {found[1]}"
    elif found := re.match(r"Unsupported interpolation type (\S+)", reason):
        reason = f"there is no function {found[1]}"
    elif "Recursive interpolation" in reason:
        reason = "it refers to itself"
    return ConfigError(
        f"a reference ${{...}} in {error.full_key} cannot be resolved: {reason}",
        hint=f"correct {error.full_key}; a name with $ is written \\${{...}}",
    )


def make(path: str, node: Plain, **supplied: Any) -> Any:
    """Builds the object that a checked node describes.

    Args:
        path: The node's name in the configuration, for messages.
        node: A node with ``_target_``.
        supplied: Arguments that are not in the configuration.

    Raises:
        ConfigError: If the target rejects its arguments.
        UserError: Raised by the target itself.
    """
    try:
        return instantiate({key: value for key, value in node.items() if key != OBSERVES}, **supplied)
    except InstantiationException as error:
        cause = error.__cause__
        if isinstance(cause, UserError):
            raise cause from None
        raise ConfigError(f"{path} cannot be built: {cause or error}", hint=f"change {path}.*") from error
