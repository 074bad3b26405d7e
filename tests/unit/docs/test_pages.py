"""The generated pages of the site: complete, readable as Markdown, and checked when built."""

import argparse
import base64
import json
import re
import shlex

import check
import commands
import notebook
import pytest
import settings
from links import ROOT

import unet_repro
from unet_repro import conf_files
from unet_repro.commands.options import parser
from unet_repro.commands.verbs import VERBS


def cells(line):
    return len(re.findall(r"(?<!\\)\|", re.sub("`[^`]*`", "", line))) - 1


def test_each_group_has_a_page_with_all_its_options_and_settings():
    pages = settings.settings_pages()
    folders = {
        path.parent.relative_to(conf_files.conf_dir()).as_posix() for path in conf_files.conf_dir().rglob("*.yaml")
    }
    groups = folders - {".", "experiment/base"}
    assert {f"{settings.FOLDER}/{settings.page_of(group)}" for group in groups} | {
        f"{settings.FOLDER}/index.md"
    } == set(pages)
    for group in groups:
        page = pages[f"{settings.FOLDER}/{settings.page_of(group)}"]
        for option in conf_files.options(group):
            assert f"\n## {option}\n" in page
            for one in conf_files.settings(group, option):
                assert f"| `{one.key}` |" in page


def test_the_page_of_the_command_line_has_each_verb_and_option():
    page = commands.command_line()
    for name, verb in VERBS.items():
        section = page.split(f"\n## {name}\n")[1].split("\n## ")[0].replace(" \\\n  ", " ")
        assert all(f"unet-repro {name} {example}".rstrip() in section for example in verb.examples)
        if verb.config is None:
            shown = [one for one in parser(name)._actions if one.option_strings and one.help != argparse.SUPPRESS]
            assert all(f"`{one.option_strings[0]}" in section for one in shown if one.dest != "help")


def test_long_commands_are_broken_so_that_they_can_be_pasted():
    command = "unet-repro search " + " ".join(f"'key{number}=tag(log, interval(1, 2))'" for number in range(6))
    shown = settings.pasteable(command)
    assert max(map(len, shown.splitlines())) <= settings.WIDTH
    assert shlex.split(shown.replace("\\\n", "")) == shlex.split(command)
    assert settings.pasteable("unet-repro tiles 572") == "unet-repro tiles 572"


def test_tables_are_regular():
    for text in (commands.command_line(), *settings.settings_pages().values()):
        for block in re.findall(r"(?:^\|.*\n)+", text, re.M):
            assert len({cells(line) for line in block.splitlines()}) == 1, block


def test_marks_of_the_configuration_are_bold_and_its_documents_are_links():
    assert settings.explained("paper: equation 2") == "**paper**: equation 2"
    assert settings.explained("572 (assumed: 10; deviation: 3)") == "572 (**assumed**: 10; **deviation**: 3)"
    assert settings.explained("Not in the paper; as in method.paper: x") == "Not in the paper; as in method.paper: x"
    assert settings.explained("`a|b` and <c>", up="..") == r"`a|b` and \<c\>"
    assert settings.explained("see docs/how-to/own-data.md", up="..") == (
        "see [docs/how-to/own-data.md](../how-to/own-data.md)"
    )


@pytest.mark.parametrize("name", unet_repro.__all__)
def test_each_public_name_is_in_the_reference_of_python_once(name):
    text = "".join(path.read_text() for path in (ROOT / "docs/reference/python").glob("*.md"))
    titles = re.findall(r"^::: (unet_repro\.\w+)$|^ +heading: (\S+)$", text, re.M)
    assert ["".join(title) for title in titles].count(f"unet_repro.{name}") == 1


def test_a_notebook_is_a_page_with_its_outputs(tmp_path):
    picture = base64.b64encode(b"png").decode()
    made = {"cells": [
        {"cell_type": "markdown", "source": ["# A\n", "b"]},
        {"cell_type": "code", "source": ["print(1)"], "outputs": [
            {"output_type": "stream", "text": ["1\n"]},
            {"output_type": "display_data", "data": {"image/png": picture}}]},
    ]}  # fmt: skip
    path = tmp_path / "a.ipynb"
    path.write_text(json.dumps(made))
    text = notebook.markdown_of(path, tmp_path / "site")
    assert text.startswith("# A\nb\n\n```python\nprint(1)\n```\n\n![")
    assert text.endswith("```text\n1\n```\n")
    assert (tmp_path / "site" / re.search(r"!\[.*\]\((.+)\)", text)[1]).read_bytes() == b"png"


def test_a_built_site_with_broken_links_or_foreign_files_is_reported(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "index.html").write_text('<h1 id="x">x</h1><a href="a/b.html#y">b</a><a href="https://e.org">e</a>')
    (tmp_path / "a/b.html").write_text('<h1 id="y">y</h1><a href="../index.html#x">x</a><img src="data:,">')
    assert not list(check.problems(tmp_path))
    (tmp_path / "a/b.html").write_text(
        '<a href="../index.html#z"></a><a href="c.html"></a><script src="//e.org/a.js"></script><img src="d.png">'
    )
    found = "\n".join(sorted(check.problems(tmp_path)))
    for text in (
        "#z has no such anchor",
        "c.html does not exist",
        "loads //e.org/a.js",
        "d.png does not exist",
        "#y has no",
    ):
        assert text in found


def test_a_docstring_whose_quotes_are_left_is_reported(tmp_path):
    (tmp_path / "python").mkdir()
    for folder, number in (("python", 1), (".", 0)):
        page = tmp_path / folder / "a.html"
        page.write_text("<p>``(H, W)`` int32</p>")
        assert len(list(check.problems(tmp_path))) == number
        page.unlink()
