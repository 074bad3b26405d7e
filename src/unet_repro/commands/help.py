"""``unet-repro VERB --help``; the settings of the verbs that use Hydra are read from ``conf/`` without Hydra."""

import shutil
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from unet_repro import conf_files
from unet_repro.commands import options
from unet_repro.commands.arguments import choices_of, config_dirs
from unet_repro.commands.verbs import HYDRA_FLAGS, VERBS
from unet_repro.conf_files import Setting

_HIDDEN_GROUPS = ("hydra/hydra_logging", "hydra/job_logging")
_COLUMN = 36  # where comments begin


def text(verb: str, arguments: Sequence[str], *, width: int | None = None) -> str:
    """The help of a verb.

    Args:
        verb: The verb.
        arguments: Its other arguments; the settings of the options that they choose are shown.
        width: Columns; ``None``: the terminal's.
    """
    found = VERBS[verb]
    if found.config is None:
        return options.parser(verb).format_help()
    width = width or max(60, min(shutil.get_terminal_size().columns, 130))
    folders = config_dirs(arguments)
    choices = conf_files.chosen(found.config, choices_of(verb, arguments), folders)
    groups = {name: option for name, option in choices.items() if name not in _HIDDEN_GROUPS}
    lines = [f"usage: unet-repro {verb} {'[-m] ' if verb == 'train' else ''}[SETTING=VALUE ...]", ""]
    lines += textwrap.wrap(f"{found.purpose[0].upper()}{found.purpose[1:]}. {found.about}".strip(), width)
    lines += ["", "examples:", *(f"  unet-repro {verb} {example}" for example in found.examples)]
    lines += ["", "settings and their defaults (???: required):"]
    lines += _settings(conf_files.own_settings(found.config), width)
    if len(groups) > 1:
        lines += ["", "groups: GROUP=OPTION chooses the settings of a group, KEY=VALUE changes one of them"]
        settings = conf_files.composed(found.config, choices, folders)
        for group, option in groups.items():
            names = _names(group, option, settings, folders)
            shown = (one for one in settings.values() if one.key in names)
            lines += ["", *_heading(group, option, folders, width), *_settings(shown, width)]
    lines += ["", "flags:"]
    flags = HYDRA_FLAGS if verb == "train" else {flag: does for flag, does in HYDRA_FLAGS.items() if flag[1] != "m"}
    lines += _pairs(flags.items(), width)
    lines += _pairs(
        [("--help", "this help; after GROUP=OPTION, with its settings"), ("--debug", "show tracebacks")], width
    )
    return "\n".join(lines)


def _heading(group: str, option: str, folders: Sequence[Path], width: int) -> list[str]:
    chosen = [] if option == "null" else option.split(",")
    known = ", ".join(dict.fromkeys([*conf_files.options(group, folders), *chosen]))
    return textwrap.wrap(f"{group}={option}   ({known})", width, subsequent_indent=" " * 4)


def _names(group: str, option: str, known: Iterable[str], folders: Sequence[Path]) -> set[str]:
    """Keys below a group, and other keys that its option alone sets, such as ``rates.adam`` by a scale."""
    inside = {key for key in known if key.startswith(f"{group.replace('/', '.')}.")}
    own = {one.key for name in option.split(",") for one in conf_files.settings(group, name, folders)}
    groups = {key.partition(".")[0] for key in known} & {path.name for path in conf_files.conf_dir().iterdir()}
    return inside | {key for key in own if key.partition(".")[0] not in groups | {group}}


def _settings(settings: Iterable[Setting], width: int) -> Iterator[str]:
    return _pairs(((f"{one.key}={one.value}", one.comment) for one in settings), width)


def _pairs(pairs: Iterable[tuple[str, str]], width: int) -> Iterator[str]:
    """Names with explanations in a second column."""
    for name, comment in pairs:
        wrapped = textwrap.wrap(comment, width - _COLUMN) or [""]
        if len(name) + 4 > _COLUMN:
            yield f"  {name}"
        else:
            yield f"  {name:{_COLUMN - 2}}{wrapped.pop(0)}".rstrip()
        yield from (" " * _COLUMN + line for line in wrapped if line)
