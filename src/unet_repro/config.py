"""The schema of the composed configuration: a misspelt or missing key, or a wrong type, fails before any work.

The top level is the dataclass below. A node with ``_target_`` must match the signature of its target: the annotations
of a constructor are the schema of its configuration, so the two cannot diverge.
"""

import difflib
import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import MISSING, dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal, TypeVar, get_type_hints

from hydra.errors import InstantiationException
from hydra.utils import get_object, instantiate
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from pydantic import ConfigDict, PydanticSchemaGenerationError, TypeAdapter, ValidationError

from unet_repro.errors import ConfigError, UserError

Plain = dict[str, Any]
Mode = Literal["online", "offline", "disabled"]
Settings = TypeVar("Settings")

# ``${fraction:0.1,${trainer.max_steps}}``: a share of a number of steps, at least one step.
OmegaConf.register_new_resolver("fraction", lambda share, whole: max(1, round(share * whole)), replace=True)


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


@dataclass(frozen=True)
class LoggerSettings:
    """What is logged to W&B; see ``conf/logger``."""

    mode: Mode
    project: str
    panel_images: int


@dataclass(frozen=True)
class ExperimentSettings:
    """A comparison: its arms as lists of overrides, and the evaluations of their runs; see ``conf/experiment``."""

    name: str
    question: str
    claim: str
    arms: dict[str, list[str]]
    evaluations: tuple[str, ...] = ("val",)
    searched: bool = False  # its arms' settings are chosen by `unet-repro search`


@dataclass(frozen=True)
class TrainConfig:
    """The complete settings of a training. Nodes with ``_target_`` are checked against their target's signature."""

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


_SECTIONS = {"trainer": TrainerSettings, "logger": LoggerSettings, "experiment": ExperimentSettings}

# Arguments that the code supplies on instantiation: see ``training.build``.
_SUPPLIED = {
    "split": {"samples"},
    "weight_map": {"instances", "class_counts"},
    "optimizer": {"params"},
    "schedule": {"optimizer"},
    "model": {"in_channels", "num_classes"},
}


def conf_dir() -> Path:
    """The folder of the configuration: inside an installed wheel, beside ``src`` in a checkout."""
    package = Path(__file__).parent
    installed = package / "conf"
    return installed if installed.is_dir() else package.parents[1] / "conf"


def check(config: DictConfig) -> TrainConfig:
    """Resolves and checks a composed configuration.

    Returns:
        Typed settings; plain nodes are resolved containers, and ``trainer.precision`` is never ``auto``.

    Raises:
        ConfigError: For an unknown or missing key, a value of the wrong type, or an interpolation without a target.
    """
    try:
        plain = OmegaConf.to_container(config, resolve=True, throw_on_missing=True)
    except OmegaConfBaseException as error:
        raise ConfigError(
            f"the configuration cannot be resolved: {str(error).splitlines()[0]}", hint="give the key a value"
        ) from error
    assert isinstance(plain, dict), "a configuration is a mapping"
    settings = {str(key): value for key, value in plain.items()}
    known = {field.name for field in fields(TrainConfig)}
    _check_names("", settings, known, known)
    for node, schema in _SECTIONS.items():
        if isinstance(settings[node], dict):
            names = [field.name for field in fields(schema)]
            needed = [field.name for field in fields(schema) if field.default is MISSING]
            _check_names(f"{node}.", settings[node], names, needed)
    for node in known:
        if isinstance(settings[node], dict) and "_target_" in settings[node]:
            settings[node] = _check_node(node, settings[node], _SUPPLIED.get(node, set()))
    checked: TrainConfig = _validated("", TypeAdapter(TrainConfig), settings)
    if not 0 <= checked.seed < 2**32:
        raise ConfigError(f"seed={checked.seed} is not valid", hint="use 0 to 4294967295")
    trainer = checked.trainer
    if trainer.save_every_s < 0 or trainer.devices < 1:
        raise ConfigError(
            f"trainer.save_every_s={trainer.save_every_s} or trainer.devices={trainer.devices} is too small",
            hint="use save_every_s of 0 or more seconds, and 1 device or more",
        )
    if trainer.max_val_images is not None and trainer.max_val_images < 1:
        raise ConfigError(f"trainer.max_val_images={trainer.max_val_images} must be at least 1", hint="use 1 or null")
    if not 0 < trainer.val_every <= trainer.max_steps or trainer.max_steps % trainer.val_every:
        raise ConfigError(
            f"trainer.max_steps={trainer.max_steps} is not a multiple of trainer.val_every={trainer.val_every}",
            hint="choose values for which the last step is validated",
        )
    if trainer.precision == "auto":  # the resolved value is part of a run's identity
        from unet_repro.machine import multiplies_bf16  # noqa: PLC0415  (imports torch, which is slow)

        is_native = multiplies_bf16("cuda" if trainer.accelerator == "gpu" else "cpu")
        return replace(checked, trainer=replace(trainer, precision="bf16-mixed" if is_native else "32-true"))
    return checked


def _check_node(path: str, node: Mapping[str, Any], supplied: set[str]) -> Plain:
    """The node with its values converted to the types in its target's signature, recursively."""
    target = _target(path, str(node["_target_"]))
    arguments = {key: value for key, value in node.items() if key not in ("_target_", "_partial_")}
    parameters = {
        name: parameter
        for name, parameter in inspect.signature(target).parameters.items()
        if name not in supplied and name != "self"
    }
    needed = {name for name, parameter in parameters.items() if parameter.default is inspect.Parameter.empty}
    _check_names(f"{path}.", arguments, parameters, needed)
    hints = _hints(target)
    checked = dict(node)
    for name, value in arguments.items():
        if isinstance(value, dict) and "_target_" in value:
            checked[name] = _check_node(f"{path}.{name}", value, _SUPPLIED.get(path, set()))
        elif name in hints:
            checked[name] = _check_value(f"{path}.{name}", hints[name], value)
    return checked


def _target(path: str, dotted: str) -> Callable[..., Any]:
    try:
        return get_object(dotted)  # type: ignore[no-any-return]
    except (InstantiationException, ImportError, AttributeError, ValueError) as error:
        raise ConfigError(f"{path}._target_={dotted} cannot be imported", hint="name an importable object") from error


def _hints(target: Callable[..., Any]) -> dict[str, Any]:
    """Annotations of the parameters; empty if they use names that a library imports for type checking only."""
    try:
        return get_type_hints(target.__init__ if inspect.isclass(target) else target)
    except NameError:
        return {}


def _check_names(path: str, given: Mapping[str, Any], known: Iterable[str], needed: Iterable[str]) -> None:
    known = list(known)
    for name in given:
        if name not in known:
            near = difflib.get_close_matches(str(name), known, n=1)
            hint = f"did you mean {path}{near[0]}?" if near else f"known here: {', '.join(sorted(known)) or 'nothing'}"
            raise ConfigError(f"unknown configuration key {path}{name}", hint=hint)
    for name in needed:
        if name not in given:
            raise ConfigError(f"missing configuration key {path}{name}", hint=f"set {path}{name}=...")


def _check_value(path: str, hint: Any, value: Any) -> Any:
    try:
        adapter = TypeAdapter(hint, config=ConfigDict(arbitrary_types_allowed=True))
    except PydanticSchemaGenerationError:
        return value  # a type without a pydantic schema: its constructor checks it
    return _validated(path, adapter, value)


def _validated(path: str, adapter: TypeAdapter[Any], value: Any) -> Any:
    try:
        return adapter.validate_python(value)
    except ValidationError as error:
        first = error.errors()[0]
        # Inside a node pydantic also lists the members of a union, which would confuse the user.
        loc = [part for part in first["loc"] if not path or isinstance(part, int)]
        where = ".".join([path, *map(str, loc)]).strip(".")
        raise ConfigError(
            f"{where}={first['input']!r} is not valid: {first['msg'].lower()}", hint=f"change {where}"
        ) from error


def typed(schema: type[Settings], config: DictConfig) -> Settings:
    """Converts a composed configuration, without its ``hydra`` node, to a dataclass.

    Args:
        schema: A dataclass whose fields are the configuration's keys.
        config: The configuration.

    Raises:
        ConfigError: For an unknown key, a key without a value, or a value of the wrong type.
    """
    for name in map(str, config):
        if OmegaConf.is_missing(config, name):
            raise ConfigError(f"{name} is required", hint=f"add {name}=...")
    plain: Any = OmegaConf.to_container(config, resolve=True)
    return _validated("", TypeAdapter(schema), plain)  # type: ignore[no-any-return]


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
        return instantiate(node, **supplied)
    except InstantiationException as error:
        cause = error.__cause__
        if isinstance(cause, UserError):
            raise cause from None
        raise ConfigError(f"{path} cannot be built: {cause or error}", hint=f"change {path}.*") from error
