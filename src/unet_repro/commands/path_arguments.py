"""Paths among Hydra's arguments, taken as they are: commas, brackets, quotes, blanks and ``~`` need no quoting."""

import os
import re
from collections.abc import Sequence
from pathlib import Path

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Quote, QuotedString
from hydra.errors import HydraException

# Settings that are paths.
KEYS = {
    "run", "runs_dir", "input", "output", "network", "init", "record", "packages", "data.root", "hydra.run.dir",
}  # fmt: skip
_LISTS = {"run"}  # of these, those that may be lists
_NEVER_SWEPT = {"runs_dir", "output", "hydra.run.dir"}
_EMPTY = {"", "null", "???"}
_SWEEP = re.compile(r"(choice|glob|range|interval|shuffle|sort|tag)\(.*\)")


def quoted(arguments: Sequence[str]) -> list[str]:
    """Quotes paths for Hydra's grammar, and replaces a leading ``~`` by the home folder.

    Lists of runs, values that the user has quoted, and with ``-m`` the values of a sweep stay as they are, unless a
    file or folder has that very name.

    >>> quoted(["input=T=37,0", "output=out", "tiles.size=188"])
    ["input='T=37,0'", 'output=out', 'tiles.size=188']
    """
    sweeps = bool({"-m", "--multirun"} & set(arguments))
    return [_quoted(argument, sweeps=sweeps) for argument in arguments]


def _quoted(argument: str, *, sweeps: bool) -> str:
    key, equals, value = argument.partition("=")
    if key.lstrip("+") not in KEYS or value in _EMPTY:
        return argument
    text = os.path.expanduser(value)  # noqa: PTH111  # Path.expanduser raises for a user that does not exist
    exists = _exists(text)
    if not exists and _is_meant_for_hydra(key.lstrip("+"), value, sweeps=sweeps):
        return argument
    if exists:
        text = text.replace("${", "\\${")  # not an interpolation
    return argument if _reads_as(text) == value else f"{key}{equals}{QuotedString(text, Quote.single).with_quotes()}"


def _is_meant_for_hydra(key: str, value: str, *, sweeps: bool) -> bool:
    """Whether a value is a list, a quoted text or a sweep in Hydra's grammar."""
    ends = value[0] + value[-1]
    if ends in ("''", '""') and len(value) > 1:
        return isinstance(_parsed(value), QuotedString)
    is_swept = sweeps and key not in _NEVER_SWEPT and ("," in value or _SWEEP.fullmatch(value) is not None)
    return (ends == "[]" and key in _LISTS) or is_swept


def _exists(text: str) -> bool:
    try:
        return Path(text).exists()
    except (OSError, ValueError):  # too long, or with a zero byte
        return False


def _parsed(value: str) -> object:
    try:
        return OverridesParser.create().parse_override(f"key={value}")._value
    except HydraException:
        return None


def _reads_as(value: str) -> object:
    """What Hydra makes of a value that is not quoted; a text only if it stays the same."""
    parsed = _parsed(value)
    return parsed if isinstance(parsed, str) else None
