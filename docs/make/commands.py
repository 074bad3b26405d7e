"""The reference of the command line, from its parsers and the configurations of its verbs."""

import argparse
from collections.abc import Iterator

from settings import HIDDEN, code, explained, page_of, pasteable, table

from unet_repro import conf_files
from unet_repro.commands.options import parser
from unet_repro.commands.verbs import HYDRA_FLAGS, VERBS, Verb


def command_line() -> str:
    """The page of all verbs."""
    lines = [
        "# The command line",
        "",
        "Generated from the program; `unet-repro VERB --help` prints the same. "
        "[The command line](../how-to/command-line.md) explains data, sweeps and completion.",
        "",
        "| verb | what it does |",
        "|---|---|",
        *(f"| [`{name}`](#{name}) | {verb.purpose} |" for name, verb in VERBS.items()),
    ]
    for name, verb in VERBS.items():
        lines += ["", f"## {name}", "", f"{verb.purpose[0].upper()}{verb.purpose[1:]}. {verb.about}".strip()]
        lines += [
            "",
            "```bash",
            *(pasteable(f"unet-repro {name} {example}".rstrip()) for example in verb.examples),
            "```",
        ]
        lines += _settings(verb) if verb.config else _options(name)
    lines += ["", "## Flags of the verbs with settings", "", "| flag | what it does |", "|---|---|"]
    lines += [f"| {code(flag)} | {explained(does)} |" for flag, does in HYDRA_FLAGS.items()]
    lines += ["", "All verbs have `--help`, and `--debug`, which shows the traceback of an error.", ""]
    return "\n".join(lines)


def _settings(verb: Verb) -> Iterator[str]:
    assert verb.config is not None
    groups = [name for name in conf_files.chosen(verb.config, {}) if name not in HIDDEN]
    if groups:
        shown = ", ".join(f"[`{name}`](settings/{page_of(name)})" for name in groups)
        yield from ("", f"Its settings are those of a [training](settings/index.md), in the groups {shown}.")
    else:
        yield from table(conf_files.own_settings(verb.config), up="..")


def _options(name: str) -> Iterator[str]:
    made = parser(name)
    shown = [one for one in made._actions if one.help not in (None, argparse.SUPPRESS) and one.dest != "help"]
    if not shown:
        return
    yield from ("", "| option | what it does |", "|---|---|")
    formatter = argparse.HelpFormatter(prog=f"unet-repro {name}")
    for action in shown:
        written = ", ".join(action.option_strings) or action.dest
        if action.option_strings and action.nargs != 0:
            written += f" {_value(action)}"
        yield f"| {code(written)} | {explained(formatter._expand_help(action), up='..')} |"


def _value(action: argparse.Action) -> str:
    if action.choices is not None:
        return "|".join(map(str, action.choices))
    return str(action.metavar or action.dest.upper())
