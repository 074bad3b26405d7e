"""The setting of a run in words: what differs from the defaults, as one would write it on the command line."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

import yaml

from unet_repro import conf_files
from unet_repro.conf_files import PLACEMENT

_REFERENCE = re.compile(r"\$\{([\w.]+)\}")
# Not part of the words: columns of their own, or without effect on numbers.
_ASIDE = {"data", "experiment", "logger", "scale", "seed", "arm", "runs_dir"}
_LETTERS = 60  # of a run's name, after which the remaining overrides are only counted
_ALONE = {"data_scale": "data.scale", "init": "init"}  # settings outside of groups, and how they are written


def in_words(settings: Mapping[str, Any]) -> str:
    """The overrides that give this setting at its scale; ``default`` if there are none.

    Args:
        settings: A run's resolved configuration, as plain containers.
    """
    return " ".join(_overrides(settings)) or "default"


def shortened(settings: Mapping[str, Any]) -> str:
    """The same for a run's name: without the groups of the settings, where that is clear, and not much too long.

    Args:
        settings: A run's resolved configuration, as plain containers.
    """
    overrides = _overrides(settings)
    names = Counter(map(_last_part, overrides))
    words = [one if names[_last_part(one)] > 1 else f"{_last_part(one)}={one.partition('=')[2]}" for one in overrides]
    kept = [word for number, word in enumerate(words, 1) if number == 1 or len(", ".join(words[:number])) <= _LETTERS]
    more = [f"{len(words) - len(kept)} more"] if len(kept) < len(words) else []
    return ", ".join([*kept, *more]) or "default"


def _overrides(settings: Mapping[str, Any]) -> list[str]:
    scale = str(settings.get("scale"))
    given = {group: scale for group in ("scale", "experiment") if scale in conf_files.options(group)}
    words = [f"experiment={scale}"] if "experiment" in given else []  # such a file sets its name as the scale
    scaled = _composed(tuple(given.items()))
    for group, default in _groups(tuple(given.items())).items():
        node = settings.get(group)
        if not isinstance(node, dict):
            continue
        option = default if group == "trainer" else _nearest(group, node, default)
        if option is None:
            words.append(f"{group}={node.get('_target_', '?')}")
            continue
        if option != default:
            words.append(f"{group}={option}")
        expected = _values(group, option) | (
            {key: value for key, value in scaled.items() if key.startswith(f"{group}.")} if option == default else {}
        )
        others = scaled | dict(_leaves("", settings))
        words += [f"{key}={_text(value)}" for key, value in _differing(group, node, expected, others)]
    return words + [f"{key}={_text(settings[name])}" for name, key in _ALONE.items() if settings.get(name) is not None]


def _last_part(override: str) -> str:
    """The last part of an override's key.

    >>> _last_part("optimizer.lr=0.01"), _last_part("augment=elastic")
    ('lr', 'augment')
    """
    return override.partition("=")[0].rpartition(".")[2]


@cache
def _groups(given: tuple[tuple[str, str], ...]) -> dict[str, str]:
    """The groups that words describe, with their defaults."""
    chosen = conf_files.chosen("train", dict(given))
    return {group: option for group, option in chosen.items() if "/" not in group and group not in _ASIDE}


def _nearest(group: str, node: Mapping[str, Any], default: str) -> str | None:
    """The option with the node's target whose settings differ least; ``None`` if no option has its target."""
    options = [name for name in conf_files.options(group) if _target(group, name) == node.get("_target_")]
    distances = {name: sum(1 for _ in _differing(group, node, _values(group, name), {})) for name in options}
    return min(options, key=lambda name: (distances[name], name != default), default=None)


def _differing(
    group: str, node: Mapping[str, Any], expected: Mapping[str, Any], others: Mapping[str, Any]
) -> Iterator[tuple[str, Any]]:
    """Key and value of the node's settings that are not as expected; what follows from others by a formula is skipped.

    Args:
        group: Name of the node.
        node: The node, with resolved values.
        expected: Values by key, as written in the files.
        others: Values of other settings, to which those may refer.
    """
    for key, value in _leaves(f"{group}.", node):
        name = key.rpartition(".")[2]
        wanted = expected.get(key)
        if reference := _REFERENCE.fullmatch(str(wanted)):
            wanted = others.get(reference[1], wanted)
        if name.startswith("_") or (group == "trainer" and name in PLACEMENT) or "${" in str(wanted):
            continue
        if wanted == "auto":  # it was resolved before the run was recorded
            continue
        if not _same(value, wanted):
            yield key, value


def _leaves(prefix: str, node: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for key, value in node.items():
        if isinstance(value, dict) and value:
            yield from _leaves(f"{prefix}{key}.", value)
        else:
            yield f"{prefix}{key}", list(value) if isinstance(value, tuple) else value


def _same(value: Any, wanted: Any) -> bool:
    try:
        return bool(value == wanted) or float(value) == float(wanted)
    except (TypeError, ValueError):
        return False


@cache
def _values(group: str, option: str) -> dict[str, Any]:
    return {one.key: yaml.safe_load(one.value or "null") for one in conf_files.settings(group, option)}


@cache
def _composed(given: tuple[tuple[str, str], ...]) -> dict[str, Any]:
    return {key: yaml.safe_load(one.value or "null") for key, one in conf_files.composed("train", dict(given)).items()}


@cache
def _target(group: str, option: str) -> str | None:
    target = conf_files.load(conf_files.conf_dir() / group / f"{option}.yaml").get("_target_")
    return None if target is None else str(target)


def _text(value: Any) -> str:
    """A value as an override.

    >>> _text(True), _text(None), _text([1, 2]), _text(0.001)
    ('true', 'null', '[1,2]', '0.001')
    """
    if value is None or isinstance(value, bool):
        return str(value).lower().replace("none", "null")
    if isinstance(value, list):
        return f"[{','.join(map(_text, value))}]"
    return f"{value:g}" if isinstance(value, float) else str(value)
