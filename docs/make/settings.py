"""The reference of the settings, from the files of ``conf/``: a page for each group, and one that lists the groups."""

import re
import textwrap
from collections.abc import Iterable, Iterator
from inspect import getdoc
from pathlib import Path

from hydra.utils import get_object

from unet_repro import conf_files
from unet_repro.conf_files import Setting

FOLDER = "reference/settings"
WIDTH = 82  # characters of a line of code that the site shows beside its menus
HIDDEN = {"hydra/hydra_logging", "hydra/job_logging"}
_MARK = re.compile(r"(?:^|(?<=[.;] )|(?<=\())(paper|assumed|deviation|tuned)(?=[:;])")
_DOCUMENT = re.compile(r"docs/([\w/-]+\.md)")


def settings_pages() -> dict[str, str]:
    """Text by path of the page."""
    groups = {name: option for name, option in conf_files.chosen("train", {}).items() if name not in HIDDEN}
    pages = {f"{FOLDER}/{page_of(group)}": _group(group, option) for group, option in groups.items()}
    return {f"{FOLDER}/index.md": _index(groups), **pages}


def page_of(group: str) -> str:
    """File name of a group's page.

    >>> page_of("hydra/launcher")
    'launcher.md'
    """
    return f"{group.rpartition('/')[2]}.md"


def table(settings: Iterable[Setting], *, up: str = "../..") -> Iterator[str]:
    """A table of settings, as lines of Markdown; without the column of comments if there are none."""
    settings = list(settings)
    meaning = any(one.comment for one in settings)
    yield from ("", f"| setting | default |{' meaning |' * meaning}", f"|---|---|{'---|' * meaning}")
    for one in settings:
        yield f"| {code(one.key)} | {code(one.value)} |{f' {explained(one.comment, up=up)} |' * meaning}"


def code(text: str) -> str:
    """Code in a cell of a table; the tables of Python-Markdown take a ``|`` in code as it is."""
    return f"`{text}`" if text else ""


def explained(comment: str, *, up: str = "../..") -> str:
    """A comment of a configuration file in Markdown; ``up`` leads to the root of the site."""
    parts = comment.split("`")
    parts[::2] = [_MARK.sub(r"**\1**", re.sub(r"([<>*_|\[\]$])", r"\\\1", part)) for part in parts[::2]]
    return _DOCUMENT.sub(rf"[\g<0>]({up}/\1)", "`".join(parts))


def pasteable(command: str) -> str:
    r"""A long command in several lines, broken with backslashes between words; quoted words stay whole.

    >>> print(pasteable("unet-repro train " + " ".join(["optimizer=adam"] * 5)))
    unet-repro train optimizer=adam optimizer=adam optimizer=adam optimizer=adam \
      optimizer=adam
    """
    words = (word.replace(" ", "\0") for word in re.findall(r"(?:'[^']*'|[^\s'])+", command))
    lines = textwrap.wrap(
        " ".join(words), WIDTH - 2, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False
    )
    return " \\\n".join(lines).replace("\0", " ")


def _index(groups: dict[str, str]) -> str:
    lines = [
        "# Settings",
        "",
        "A training is composed of groups. `GROUP=OPTION` chooses an option, `KEY=VALUE` changes one setting:",
        "",
        "```bash",
        "unet-repro train optimizer=adam optimizer.lr=3e-4 model.width=16",
        "unet-repro train optimizer=adam --help     # the settings of these options",
        "unet-repro train optimizer=adam --cfg job  # the composed configuration",
        "```",
        "",
        "These pages are generated from the files of `conf/`. In the comments, **paper** marks what the paper states, "
        "**assumed** what it leaves open, and **deviation** what differs from it.",
        "",
        "| group | default | options |",
        "|---|---|---|",
    ]
    for group, option in groups.items():
        names = ", ".join(f"`{name}`" for name in dict.fromkeys([*conf_files.options(group), option]) if name != "null")
        lines.append(f"| [`{group}`]({page_of(group)}) | `{option}` | {names} |")
    lines += ["", "## Settings of a training that are in no group", *table(conf_files.own_settings("train"))]
    lines += ["", "The settings of other verbs (`evaluate`, `predict`, `export`, ...) are in the "
              "[reference of the command line](../command-line.md).", ""]  # fmt: skip
    return "\n".join(lines)


def _group(group: str, default: str) -> str:
    lines = [
        f"# {group}",
        "",
        f"`{group}=OPTION`; the default is {'none' if default == 'null' else f'`{default}`'}.",
        "",
    ]
    folder = conf_files.conf_dir() / group
    for option in conf_files.options(group):
        path = folder / f"{option}.yaml"
        purpose, _, command = conf_files.purpose(path).partition("Command: ")
        lines += ["", f"## {option}", "", explained(purpose.strip()), "", _built(path)]
        if command:
            lines += ["```bash", pasteable(command), "```"]
        if (found := conf_files.comparison(option) if group == "experiment" else {}) and found.get("arms"):
            lines += ["", "| arm | settings |", "|---|---|"]
            lines += [f"| {name} | {', '.join(map(code, arm))} |" for name, arm in found["arms"].items()]
        if settings := conf_files.settings(group, option):
            lines += table(settings)
    return "\n".join([*lines, ""])


def _built(path: Path) -> str:
    """What the file's own object is, in the words of its docstring; empty if it builds none."""
    target = conf_files.load(path).get("_target_")
    if target is None:
        return ""
    purpose = (getdoc(get_object(target)) or "").partition("\n")[0] if target.startswith("unet_repro.") else ""
    return f"Builds `{target}`. {purpose.replace('``', '`')}".rstrip()
