"""The files of ``conf/`` read as plain YAML, without Hydra: for help, completion and lists, which must be fast.

Only Hydra composes the configuration of a run. This module answers which groups and options there are, and which
settings a file has, with their comments.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from unet_repro.errors import ConfigError

_LINE = re.compile(
    r"""(?P<indent>\s*)(?P<key>[\w.-]+|"[^"]*"):(?:\s+(?P<value>[^#\s](?:[^#]|(?<!\s)\#)*))?\s*(?:\#\s*(?P<comment>.*))?"""
)
_PACKAGE = re.compile(r"#\s*@package\s+(\S+)")
# Settings of conf/trainer that say how a run uses its machine, and do not affect its numbers.
PLACEMENT = {"accelerator", "devices", "deterministic", "threads", "num_workers", "save_every_s", "progress"}
_NOT_SETTINGS = {"defaults", "hydra", "experiment", "_target_", "_partial_"}


@dataclass(frozen=True)
class Setting:
    """One setting of a file.

    Attributes:
        key: Its complete key, such as ``model.width``.
        value: Its value, as written in the file.
        comment: The comment behind it, or ``""``.
    """

    key: str
    value: str
    comment: str


def conf_dir() -> Path:
    """The folder of the configuration: inside an installed wheel, beside ``src`` in a checkout."""
    package = Path(__file__).parent
    installed = package / "conf"
    return installed if installed.is_dir() else package.parents[1] / "conf"


def options(group: str, folders: Sequence[Path] = ()) -> list[str]:
    """Names of a group's options, sorted.

    Args:
        group: Such as ``optimizer`` or ``hydra/launcher``.
        folders: Further folders of configuration, as of ``--config-dir``.

    >>> options("optimizer")
    ['adam', 'adamw', 'sgd']
    """
    return sorted({path.stem for folder in (*folders, conf_dir()) for path in (folder / group).glob("*.yaml")})


@cache
def load(path: Path) -> dict[str, Any]:
    """The content of a file; interpolations are not resolved.

    Raises:
        ConfigError: If it cannot be read or is not a mapping.
    """
    try:
        content = yaml.safe_load(path.read_text())
    except (OSError, ValueError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split())
        raise ConfigError(f"{path} cannot be read: {reason}", hint="correct the file") from error
    if not isinstance(content, dict | None):
        raise ConfigError(f"{path} is not a mapping of settings", hint="write KEY: VALUE lines")
    return content or {}


def purpose(path: Path) -> str:
    """The comment at the top of a file, as one line; ``""`` if there is none.

    >>> purpose(conf_dir() / "tiles/drawn.yaml")
    'Tiles at random positions of the mirrored image.'
    """
    lines = []
    for line in path.read_text().splitlines():
        if not line.startswith("#"):
            break
        if not _PACKAGE.match(line):
            lines.append(line.removeprefix("#").strip())
    return " ".join(lines)


def chosen(name: str, given: Mapping[str, str], folders: Sequence[Path] = ()) -> dict[str, str]:
    """The option of each group of a configuration.

    Args:
        name: The configuration, such as ``train``.
        given: Options that the user chooses, by group.
        folders: Further folders of configuration.

    Returns:
        Option by group, in the order of the defaults list. An experiment's own choices count unless the user's differ.
    """
    choices = _choices(load(conf_dir() / f"{name}.yaml")) | dict(given)
    own = _choices_within("experiment", choices.get("experiment", "null"), folders)
    return choices | {group: option for group, option in own.items() if group not in given}


def settings(group: str, option: str, folders: Sequence[Path] = ()) -> list[Setting]:
    """The settings of one option of a group, including those of other options that it is based on.

    >>> settings("weight_map", "paper")[1]
    Setting(key='weight_map.sigma_px', value='5.0', comment='paper: about 5 pixels')
    """
    path = _file(group, option, folders)
    if path is None:
        return []
    found: dict[str, Setting] = {}
    for base in load(path).get("defaults", []):
        if isinstance(base, str) and base != "_self_":
            found |= {setting.key: setting for setting in settings(group, base, folders)}
    text = path.read_text()
    package = found_package.group(1) if (found_package := _PACKAGE.search(text)) else group.replace("/", ".")
    return list((found | {one.key: one for one in _parsed(text, "" if package == "_global_" else package)}).values())


def own_settings(name: str) -> list[Setting]:
    """The settings of a configuration that are in no group.

    >>> [setting.key for setting in own_settings("export")][:3]
    ['run', 'network', 'output']
    """
    groups = chosen(name, {})
    text = (conf_dir() / f"{name}.yaml").read_text()
    return [one for one in _parsed(text, "") if one.key.partition(".")[0] not in groups]


def composed(name: str, given: Mapping[str, str], folders: Sequence[Path] = ()) -> dict[str, Setting]:
    """All settings of a configuration by key, in the order of its groups; a later group's value replaces an earlier's.

    >>> composed("train", {})["model.width"].value, composed("train", {"scale": "paper"})["model.width"].value
    ('8', '64')
    """
    found = {one.key: one for one in own_settings(name)}
    for group, names in chosen(name, given, folders).items():
        for one in (one for option in names.split(",") for one in settings(group, option, folders)):
            known = found.get(one.key, one)
            found[one.key] = Setting(one.key, one.value, one.comment or known.comment)
    return found


def comparison(name: str) -> dict[str, Any]:
    """What an experiment file says of its comparison: ``name``, ``question``, ``arms``; empty without one.

    >>> comparison("weight_map")["claim"], comparison("own_data")
    ('C2', {})
    >>> comparison("kfold")["arms"]["SGD, no map, fold 3"]
    ['split=kfold', 'weight_map=none', 'split.fold=3']
    """
    found = load(conf_dir() / "experiment" / f"{name}.yaml").get("experiment")
    if not found:
        return {}
    return {**found, "arms": {arm: joined(overrides) for arm, overrides in (found.get("arms") or {}).items()}}


def joined(overrides: Any) -> Any:
    """The overrides of an arm as one list, of a list that contains lists, as YAML's aliases insert them.

    >>> joined(["a=1", ["b=2", ["c=3"]]])
    ['a=1', 'b=2', 'c=3']
    """
    if not isinstance(overrides, list):
        return overrides
    return [one for item in overrides for one in (joined(item) if isinstance(item, list) else [item])]


def title(name: str) -> str:
    """A comparison's name as a heading; of an ad-hoc sweep, which has no file, its name as it is.

    >>> title("lr_schedule"), title("weight_map"), title("model.norm")
    ('Learning-rate schedule', 'Weight map', 'model.norm')
    """
    known = comparison(name) if name in options("experiment") else {}
    return str(known.get("title") or name.replace("_", " ").capitalize()) if known else name


def suite(kind: str) -> list[str]:
    """Names of the comparisons that belong to the suite, in the order of their claims.

    Args:
        kind: ``core``, or ``all``.
    """
    found = []
    for name in options("experiment"):
        experiment = comparison(name)
        if experiment.get("suite") in ({"core"} if kind == "core" else {"core", "all"}):
            digits = re.sub(r"\D", "", str(experiment.get("claim") or ""))
            found.append((experiment["suite"] != "core", int(digits or 999), name))
    return [name for *_, name in sorted(found)]


def _file(group: str, option: str, folders: Sequence[Path]) -> Path | None:
    paths = (folder / group / f"{option}.yaml" for folder in (*folders, conf_dir()))
    return next((path for path in paths if path.is_file()), None)


def _choices(content: Mapping[str, Any]) -> dict[str, str]:
    """Option by group in a defaults list; ``null`` for a group without one; several are joined by commas."""
    found = {}
    for item in content.get("defaults", []):
        if isinstance(item, dict):
            ((group, option),) = item.items()
            names = option if isinstance(option, list) else [option]
            found[group.removeprefix("override ").lstrip("/")] = ",".join(
                "null" if name is None else name for name in names
            )
    return found


def _choices_within(group: str, option: str, folders: Sequence[Path]) -> dict[str, str]:
    """What the defaults list of an option chooses, after those of the options that it is based on."""
    path = _file(group, option, folders)
    if path is None:
        return {}
    content, found = load(path), dict[str, str]()
    for base in content.get("defaults", []):
        if isinstance(base, str) and base != "_self_":
            found |= _choices_within(group, base, folders)
    return found | _choices(content)


def _parsed(text: str, package: str) -> list[Setting]:
    """The settings of a file, in order; values that go over several lines are joined."""
    found: list[Setting] = []
    above: list[tuple[int, str]] = []  # indentation and key of the mappings around the line
    for line in text.splitlines():
        match = _LINE.fullmatch(line)
        if match is None:
            item = line.partition(" #")[0].strip()
            if item.startswith("- ") and found and above and above[-1][1] not in _NOT_SETTINGS:
                last = found[-1]
                items = [*filter(None, [last.value.strip("[]")]), item.removeprefix("- ")]
                found[-1] = Setting(last.key, f"[{', '.join(items)}]", last.comment)
            continue
        indent = len(match["indent"])
        while above and above[-1][0] >= indent:
            above.pop()
        above.append((indent, match["key"]))
        keys = [key for _, key in above]
        if not _NOT_SETTINGS.isdisjoint(keys):
            continue
        key = ".".join(filter(None, [package, *keys]))
        if found and key.startswith(f"{found[-1].key}.") and not found[-1].value:
            found.pop()  # a mapping, not a value
        found.append(Setting(key, (match["value"] or "").strip(), (match["comment"] or "").strip()))
    return found
