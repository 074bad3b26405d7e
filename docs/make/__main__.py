"""Assembles the pages of the documentation site: `python docs/make FOLDER`, which `make docs` does before MkDocs.

Pages are those of `docs/`, the README files that they link to, the changelog, the notebook, and what is generated from
the code: the reference of the command line and of the settings. Links between files of the repository become links of
the site.
"""

import shutil
import sys
from pathlib import Path

from commands import command_line
from links import ROOT, place, relocated
from notebook import markdown_of
from settings import settings_pages

ENTRIES = ["CHANGELOG.md", "CONTRIBUTING.md", "experiments/README.md", "examples/quickstart.ipynb"]


def main(target: Path) -> None:
    """Writes all pages below a folder, which is emptied before."""
    shutil.rmtree(target, ignore_errors=True)
    waiting = [path for path in (ROOT / "docs").rglob("*") if path.is_file() and "make" not in path.parts]
    waiting += [ROOT / name for name in ENTRIES]
    known = {*waiting, ROOT / "README.md"}  # whose place is taken by docs/index.md

    def use(path: Path) -> None:
        if path not in known:
            known.add(path)
            waiting.append(path)

    while waiting:
        source = waiting.pop()
        there = target / (place(source) or source.relative_to(ROOT / "docs"))
        there.parent.mkdir(parents=True, exist_ok=True)
        if source.suffix == ".ipynb":
            there.write_text(relocated(markdown_of(source, there.parent), source, use))
        elif source.suffix == ".md":
            there.write_text(relocated(source.read_text(), source, use))
        else:
            shutil.copyfile(source, there)
    for name, text in {"reference/command-line.md": command_line(), **settings_pages()}.items():
        page = target / name
        page.parent.mkdir(parents=True, exist_ok=True)
        page.write_text(text)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
