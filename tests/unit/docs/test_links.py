"""Links of all Markdown files in the repository, and how they become links of the site. No network is used."""

import doctest
import re
import subprocess
from pathlib import Path

import links
import pytest
from links import ROOT, anchors, is_local, place, relocated


def documents():
    """The Markdown files of the repository: those under version control, or all of an unpacked sdist."""
    listed = subprocess.run(["git", "ls-files", "*.md"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode == 0 and listed.stdout:
        return [ROOT / line for line in listed.stdout.splitlines()]
    return [
        *ROOT.glob("*.md"),
        *(path for name in ("docs", "experiments", "benchmarks") for path in (ROOT / name).rglob("*.md")),
    ]


def test_all_documents_are_found():
    assert {ROOT / "README.md", ROOT / "docs/science/trial.md", ROOT / "experiments/README.md"} <= set(documents())


def test_every_link_within_the_repository_has_its_file_and_anchor():
    broken = []
    for document in documents():
        for match in links.links(document.read_text()):
            target, _, anchor = match[3].partition("#")
            if not is_local(match[3]):
                continue
            path = (document.parent / target).resolve() if target else document
            if not path.exists() or (anchor and path.suffix == ".md" and anchor not in anchors(path.read_text())):
                broken.append(f"{document.relative_to(ROOT)}: {match[3]}")
    assert not broken


def test_documents_named_in_code_and_configuration_exist():
    files = [
        path for name in ("src", "conf", "benchmarks") for path in (ROOT / name).rglob("*.[py]*") if path.is_file()
    ]
    named = {(path, name) for path in files if path.suffix in {".py", ".yaml"}
             for name in re.findall(r"\bdocs/[\w/-]+\.(?:md|html)", path.read_text())}  # fmt: skip
    assert named
    assert not [(str(path), name) for path, name in named if not (ROOT / name).is_file()]


def test_doctests():
    assert doctest.testmod(links).attempted > 0
    assert doctest.testmod(links).failed == 0


@pytest.mark.parametrize(
    ("source", "text", "expected"),
    [
        ("docs/how-to/faults.md", "[a](../../experiments/README.md#stress)", "[a](../experiments/README.md#stress)"),
        ("experiments/split/README.md", "[a](../../docs/science/trial.md)", "[a](../../science/trial.md)"),
        ("docs/index.md", "![a](page/gone.png)", "![a](page/gone.png)"),
        (
            "docs/index.md",
            "[a](../README.md), [b](#c), [d](https://e.org)",
            "[a](index.md), [b](#c), [d](https://e.org)",
        ),
        (
            "docs/index.md",
            "![a](../experiments/record/laptop/figures/split.png)",
            "![a](experiments/record/laptop/figures/split.png)",
        ),
        ("CONTRIBUTING.md", "[code](src/unet_repro/cli.py)", "code"),
        ("docs/index.md", "[quick](../examples/quickstart.ipynb)", "[quick](tutorials/quickstart.md)"),
        ("docs/index.md", "`[a](../b.md)`\n```\n[a](../b.md)\n```", "`[a](../b.md)`\n```\n[a](../b.md)\n```"),
    ],
)
def test_links_of_the_repository_become_links_of_the_site(source, text, expected):
    used = []
    assert relocated(text, ROOT / source, used.append) == expected
    assert all(place(path) is not None for path in used)


def test_a_repeated_heading_and_a_heading_with_a_link_have_anchors_of_their_own():
    assert anchors("## [A](b.md), `c`\n## d\n## d\n```\n# no\n```\n") == {"a-c", "d", "d_1"}


def test_files_of_the_site_have_one_place_each():
    places = [place(path) for path in documents() if path != ROOT / "README.md"]  # docs/index.md is in its place
    assert len(places) == len(set(places))
    assert place(Path(ROOT, "src/unet_repro/cli.py")) is None
