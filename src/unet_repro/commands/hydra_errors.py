"""Errors of Hydra and OmegaConf in this project's form: what is wrong, where, and how to fix it."""

import difflib
import re
import traceback
from collections.abc import Iterable, Sequence
from pathlib import Path

import yaml
from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from omegaconf.errors import OmegaConfBaseException

from unet_repro import conf_files
from unet_repro.commands.arguments import choices_of, config_dirs
from unet_repro.commands.verbs import HYDRA_FLAGS, VERBS
from unet_repro.errors import ConfigError

_BRACKETS = ("()", "[]", "{}")
# What a wrong override or file may raise. Hydra raises a bare ValueError or TypeError for an option that is not a name.
OVERRIDE_ERRORS = (HydraException, OmegaConfBaseException, yaml.YAMLError, ValueError, TypeError)
_NOT_A_NAME = "Config group override must be a string"
_SWITCHES = {"-m", "--multirun", "--resolve", "-r", "--run", "--hydra-help", "--version"}
_KINDS = ("job", "hydra", "all")
# Flags with a value -> those that it can have; empty for any.
_VALUED = {
    **dict.fromkeys(["-c", "--cfg"], _KINDS),
    **dict.fromkeys(["-i", "--info"], ("all", "config", "defaults", "defaults-tree", "plugins", "searchpath")),
    **dict.fromkeys(["-p", "--package", "-cd", "--config-dir"], ()),
}
_LONG = {"-c": "--cfg", "-i": "--info", "-p": "--package", "-cd": "--config-dir"}


def flags_first(verb: str, arguments: Sequence[str]) -> list[str]:
    """The arguments with Hydra's flags before the settings, since Hydra takes no settings on both sides of a flag.

    Raises:
        ConfigError: For a flag that Hydra does not have, or without a valid value.

    >>> flags_first("train", ["seed=0", "-c", "job", "model.width=8"])
    ['--cfg=job', 'seed=0', 'model.width=8']
    """
    flags, settings, rest = list[str](), list[str](), iter(arguments)
    for argument in rest:
        flag, equals, value = argument.partition("=")
        if not flag.startswith("-"):
            settings.append(argument)
        elif flag in _SWITCHES and not equals:
            flags.append(flag)
        elif flag in _VALUED:
            flags.append(f"{_LONG.get(flag, flag)}={_value(flag, value if equals else next(rest, ''))}")
        else:
            raise _no_flag(verb, flag)
    return [*flags, *settings]


def refuse_ignored(verb: str, arguments: Sequence[str]) -> None:
    """Refuses settings of sweeps for a single training, which Hydra would ignore.

    Args:
        verb: The verb.
        arguments: From ``flags_first``.

    Raises:
        ConfigError: For the first such setting.
    """
    sweeps_or_shows = ("-m", "--multirun", "hydra.mode=", "--cfg", "--info", "--hydra-help", "--version")
    if verb != "train" or any(argument.startswith(sweeps_or_shows) for argument in arguments):
        return
    for argument in arguments:
        if argument.lstrip("+").startswith(("hydra/launcher=", "hydra.launcher.", "hydra.sweeper.")):
            raise ConfigError(f"{argument} is only for sweeps", hint="add -m; a sweep may be a single training")


def _value(flag: str, value: str) -> str:
    possible = _VALUED[flag]
    if not value or (possible and value not in possible):
        raise ConfigError(
            f"{value!r} is not a value of {flag}" if value else f"{flag} has no value",
            hint=f"use one of {', '.join(possible)}" if possible else f"write {flag} VALUE",
        )
    return value


def _no_flag(verb: str, flag: str) -> ConfigError:
    keys = {key.rpartition(".")[2]: key for key in conf_files.composed(_config(verb), {})}
    near = _near(flag.lstrip("-").replace("-", "_"), keys)
    hint = f"did you mean {keys[near]}=...?" if near else f"settings are KEY=VALUE; flags are {'; '.join(HYDRA_FLAGS)}"
    return ConfigError(f"there is no option {flag}", hint=hint)


def explained(error: Exception, verb: str, arguments: Sequence[str]) -> ConfigError | None:
    """The error in this project's form; ``None`` for one that neither an override nor a file caused."""
    if isinstance(error, yaml.YAMLError):
        return _no_yaml(error)
    if isinstance(error, UnicodeDecodeError):
        return _no_utf8(arguments)
    if isinstance(error, MissingConfigException):
        return _no_option(error, verb)
    if isinstance(error, OverrideParseException):
        return _unreadable(error)
    text = str(error)
    help_hint = f"`unet-repro {verb} --help` lists groups and settings"
    what, hint = text.splitlines()[0] if text else type(error).__name__, help_hint
    if found := re.match(r"Could not (?:override|delete from config\.) '([^']*)'", text):
        what, hint = f"there is no setting {found[1]}", _similar(found[1], verb, arguments) or help_hint
    elif found := re.match(r"(?:Ambiguous value for argument|Sweep parameters) '([^=]*)=(.*)'", text):
        what = f"{found[1]}={found[2]} has several values"
        hint = f"add -m to train each of them; a list is written {found[1]}=[{found[2]}]"
    elif found := re.match(r"Could not append to config\. An item is already at '([^']*)'", text):
        what, hint = f"{found[1]} already has a value", f"write {found[1]}=..., without +"
    elif text.startswith(_NOT_A_NAME) or (isinstance(error, TypeError) and _is_from_hydra(error)):
        what = "a group's option must be a name, not a number or null"
    elif isinstance(error, OmegaConfBaseException) and error.full_key:
        what, hint = f"{error.full_key}: {what}", f"give {error.full_key} another value"
    elif not isinstance(error, HydraException | OmegaConfBaseException):
        return None
    return ConfigError(what, hint=hint)


def _is_from_hydra(error: Exception) -> bool:
    *_, (frame, _) = traceback.walk_tb(error.__traceback__)
    return str(frame.f_globals["__name__"]).startswith("hydra.")


def _no_option(error: MissingConfigException, verb: str) -> ConfigError:
    missing = error.missing_cfg_file or ""
    is_data = missing.startswith("data/")  # its option may be a path
    group, _, option = missing.partition("/") if is_data else missing.rpartition("/")
    if is_data and Path(option).is_dir():
        return ConfigError(f"data={option} is a folder", hint=f"write data=folder data.root={option}")
    known = list(error.options or [])
    where = re.match(r"In '([^']*)'", str(error))
    inside = f", which {where[1]}.yaml names" if where and where[1] not in (_config(verb), "hydra/config") else ""
    near = _near(option, known)
    hint = f"use one of {', '.join(known)}" if known else f"see the files of conf/{group}"
    return ConfigError(f"there is no {group}={option}{inside}", hint=f"did you mean {near}? {hint}" if near else hint)


def _no_yaml(error: yaml.YAMLError) -> ConfigError:
    mark, problem = getattr(error, "problem_mark", None), getattr(error, "problem", None)
    where = f"{mark.name}, line {mark.line + 1}, column {mark.column + 1}" if mark else "a file of settings"
    hint = "correct the file; YAML is indented with spaces, a key occurs once, and an alias follows its anchor"
    return ConfigError(f"{where}: {problem or ' '.join(str(error).split())}", hint=hint)


def _no_utf8(arguments: Sequence[str]) -> ConfigError | None:
    """The user's file that is not UTF-8, if there is one."""
    for path in sorted(path for folder in config_dirs(arguments) for path in folder.rglob("*.yaml")):
        try:
            path.read_text("utf-8")
        except UnicodeDecodeError:
            return ConfigError(f"{path} is not encoded as UTF-8", hint="save it as UTF-8")
    return None


def _unreadable(error: OverrideParseException) -> ConfigError:
    lines = [line.strip() for line in str(error).splitlines()]
    text = error.override or ""
    if any("missing EQUAL" in line for line in lines) or "=" not in text:
        reason = '"=" is missing'
    elif any(text.count(mark) % 2 for mark in "'\"") or any(
        text.count(pair[0]) != text.count(pair[1]) for pair in _BRACKETS
    ):
        reason = "a quote or bracket is not closed"
    else:
        reason = "characters in it have a special meaning"
    return ConfigError(
        f"cannot read {error.override!r}: {reason}",
        hint="write KEY=VALUE; quote lists and special characters: 'key=[1,2]', 'key=\"a=b, c\"'",
    )


def _similar(key: str, verb: str, arguments: Sequence[str]) -> str | None:
    """A hint at settings and groups whose names are similar."""
    folders = config_dirs(arguments)
    choices = conf_files.chosen(_config(verb), choices_of(verb, arguments), folders)
    if "/" not in key and "." not in key and (group := _near(key, choices)):
        return f"did you mean {group}=...?"
    if having := _options_with(key, folders):
        return f"{key} is a setting of {', '.join(having)}: add {'one of them' if len(having) > 1 else having[0]}"
    settings = conf_files.composed(_config(verb), choices, folders)
    node, _, name = key.rpartition(".")
    beside = {one.rpartition(".")[2]: one for one in settings if one.rpartition(".")[0] == node}
    if near := _near(name, beside):
        return f"did you mean {beside[near]}?"
    if node and beside:
        return f"known there: {', '.join(beside.values())}"
    return f"did you mean {near}?" if (near := _near(key, settings)) else None


def _options_with(key: str, folders: Sequence[Path]) -> list[str]:
    """The options of the key's group that have this setting."""
    group = key.partition(".")[0]
    return [
        f"{group}={option}"
        for option in conf_files.options(group, folders)
        if any(one.key == key for one in conf_files.settings(group, option, folders))
    ]


def _near(name: str, known: Iterable[str]) -> str | None:
    return next(iter(difflib.get_close_matches(name, list(known), n=1)), None)


def _config(verb: str) -> str:
    return VERBS[verb].config or "train"
