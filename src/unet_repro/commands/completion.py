"""``unet-repro completion``: scripts for shells, and the words that they offer. Imports nothing slow."""

import argparse
import shlex
import sys
from collections.abc import Iterable, Sequence
from itertools import pairwise
from pathlib import Path

from unet_repro import conf_files
from unet_repro.commands import options
from unet_repro.commands.arguments import choices_of, config_dirs
from unet_repro.commands.verbs import HYDRA_FLAGS, VERBS
from unet_repro.errors import ConfigError

# Each script passes the line up to the cursor to `completion --line`, which prints one candidate per line; a finished
# one ends with a space. Bash replaces only what follows the last of its word breaks, = and :.
SCRIPTS = {
    "bash": r"""_unet_repro() {
  local line="${COMP_LINE:0:COMP_POINT}" IFS=$'\n' word prefix=""
  word="${line##*[[:space:]]}"
  [[ $word == *[=:]* ]] && prefix="${word%"${word##*[=:]}"}"
  COMPREPLY=($("$1" completion --line "$line" 2>/dev/null))
  COMPREPLY=("${COMPREPLY[@]#"$prefix"}")
}
complete -o nospace -F _unet_repro unet-repro
""",
    "zsh": r"""#compdef unet-repro
_unet_repro() {
  local -a found
  found=("${(@f)$(${words[1]} completion --line "${(j: :)words[1,CURRENT-1]} $PREFIX" 2>/dev/null)}")
  [[ -n "$found" ]] && compadd -Q -S '' -- "${found[@]}"
}
if [[ "${funcstack[1]}" == _unet_repro ]]; then _unet_repro "$@"; else compdef _unet_repro unet-repro; fi
""",
    "fish": r"""function __unet_repro_complete
  set -l words (commandline -opc)
  $words[1] completion --line (commandline -cp | string collect) 2>/dev/null | string trim -r
end
complete -c unet-repro -f -a '(__unet_repro_complete)'
""",
}
_FILES = {
    "input", "output", "network", "init", "record", "packages", "data.root",
    "--root", "--out", "--verdicts", "--publish", "--config-dir", "-cd",
}  # fmt: skip
_FOLDERS = {"runs_dir", "--runs-dir"}


def main(arguments: list[str]) -> None:
    """Prints a script, or, for the scripts, the candidates of a line.

    Raises:
        ConfigError: Without a shell.
    """
    asked = options.parser("completion").parse_args(arguments)
    if asked.line is not None:
        sys.stdout.write("".join(f"{word}\n" for word in candidates(asked.line)))
    elif asked.shell is None:
        raise ConfigError("a shell is required", hint=f"use one of {', '.join(options.SHELLS)}")
    else:
        sys.stdout.write(SCRIPTS[asked.shell])


def candidates(line: str) -> list[str]:
    """Words that complete the last word of a command line; one that can be continued does not end with a space.

    >>> candidates("unet-repro sub"), candidates("unet-repro train optimizer=adam")
    (['submit-isbi '], ['optimizer=adam ', 'optimizer=adamw '])
    """
    try:
        words = shlex.split(line)
    except ValueError:  # an open quote
        return []
    if not words or line[-1:].isspace():
        words.append("")
    *before, word = words[1:] or [""]
    before = [one for one in before if one != "--debug"]
    if not before:
        return _starting(word, (f"{name} " for name in (*VERBS, "--help", "--version", "--debug")))
    verb, *arguments = before
    if verb not in VERBS:
        return []
    if VERBS[verb].config is None:
        return _of_parser(verb, arguments, word)
    return _of_settings(verb, arguments, word)


def _of_parser(verb: str, arguments: Sequence[str], word: str) -> list[str]:
    """Options of a verb without Hydra, their values, and its positional arguments."""
    actions = options.parser(verb)._actions
    previous = arguments[-1] if arguments else ""
    taking = next((one for one in actions if previous in one.option_strings and one.nargs != 0), None)
    runs_dir = _after(arguments, "--runs-dir") or "runs"
    if taking is not None:
        return _starting(word, _values_of(taking, previous, runs_dir, word))
    if word.startswith("-"):
        shown = (one for one in actions if one.help != argparse.SUPPRESS)
        return _starting(word, (f"{flag} " for one in shown for flag in one.option_strings if flag.startswith("--")))
    found: list[str] = []
    for action in (one for one in actions if not one.option_strings):
        if action.dest == "overrides":
            return _of_settings("train", arguments, word)
        found += _values_of(action, action.dest, runs_dir, word)
    return _starting(word, found)


def _values_of(action: argparse.Action, name: str, runs_dir: str, word: str) -> list[str]:
    """Values of an option or a positional argument."""
    if action.choices:
        return [f"{choice} " for choice in action.choices]
    if name == "--experiments":
        return _listed(word, ["core", "all", *conf_files.options("experiment")])
    if name == "--data":
        return [f"{option} " for option in conf_files.options("data")]
    if action.dest == "experiments":
        return [f"{path.stem} " for path in sorted(Path(runs_dir, "ledger").glob("*.json"))]
    if action.dest == "name":
        return ["isbi2012 ", "hela ", "u373 "]
    return _paths(word) if name in _FILES | _FOLDERS | {"folder"} else []


def _of_settings(verb: str, arguments: Sequence[str], word: str) -> list[str]:
    """Groups, settings, options and flags of a verb with Hydra."""
    config = VERBS[verb].config or "train"
    folders = config_dirs(arguments)
    if arguments and arguments[-1] in ("--config-dir", "-cd"):
        return _starting(word, _paths(word))
    if word.startswith("-"):
        flags = [flag for names in HYDRA_FLAGS for flag in names.replace(",", "").split() if flag.startswith("--")]
        return _starting(word, (f"{flag} " for flag in [*flags, "--help", "--debug"]))
    choices = conf_files.chosen(config, choices_of(verb, arguments), folders)
    settings = conf_files.composed(config, choices, folders)
    key, equals, value = word.partition("=")
    plain = key.lstrip("+~")
    if not equals:
        marks = key[: len(key) - len(plain)]
        groups = [group for group in choices if conf_files.options(group, folders)]
        return _starting(word, (f"{marks}{name}=" for name in dict.fromkeys([*groups, *settings])))
    if conf_files.options(plain, folders):
        values = _listed(value, conf_files.options(plain, folders))
    elif plain == "run":
        values = [f"{path.parent} " for path in sorted(_runs_dir(arguments).glob("*/config.yaml"))]
    elif plain == "comparison":
        values = [f"{path.stem} " for path in sorted(_runs_dir(arguments).glob("ledger/*.json"))]
    elif plain in settings and settings[plain].value in ("true", "false"):
        values = ["true ", "false "]
    elif plain in _FILES | _FOLDERS:
        values = _paths(value)
    else:
        values = [f"{settings[plain].value} "] if plain in settings and "${" not in settings[plain].value else []
    return _starting(word, (f"{key}={one}" for one in values))


def _runs_dir(arguments: Sequence[str]) -> Path:
    return Path(next((one.partition("=")[2] for one in arguments if one.startswith("runs_dir=")), "runs"))


def _listed(word: str, names: Iterable[str]) -> list[str]:
    """Names for the last place of a comma-separated list, without those that it has."""
    *have, _ = word.split(",")
    return [",".join([*have, f"{name} "]) for name in names if name not in have]


def _paths(word: str) -> list[str]:
    """Files and folders whose path begins with the word; folders can be continued."""
    folder = Path(word) if word.endswith("/") else Path(word).parent
    try:
        paths = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    except OSError:
        return []
    return [f"{path}/" if path.is_dir() else f"{path} " for path in paths if str(path).startswith(word.rstrip("/"))]


def _after(arguments: Sequence[str], flag: str) -> str | None:
    return next((value for name, value in pairwise(arguments) if name == flag), None)


def _starting(word: str, names: Iterable[str]) -> list[str]:
    return [name for name in names if name.startswith(word)]
