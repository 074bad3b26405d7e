"""Links and anchors of Markdown files, and where a file of the repository is on the site."""

import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
_CODE = re.compile(r"^(```|~~~).*?^\1[^\n]*$|(`+)[^`\n]+\2", re.M | re.S)
_LINK = re.compile(r"(!?)\[((?:[^\[\]]|\[[^\]]*\])*)\]\(([^()\s]+)\)")
_HEADING = re.compile(r"^#{1,6} (.+?)(?: \{#([\w.-]+)\})?$", re.M)
_HTML_ANCHOR = re.compile(r"<[^>]+\b(?:id|name)=\"([^\"]+)\"")
_MOVED = {"README.md": "index.md", "CHANGELOG.md": "changelog.md", "CONTRIBUTING.md": "contributing.md"}


def links(text: str) -> Iterator[re.Match[str]]:
    """Links and images outside of code; group 3 is the target.

    >>> [link[3] for link in links("[a](b.md#c), `[d](e)` and ![f](g.png)")]
    ['b.md#c', 'g.png']
    """
    code = [match.span() for match in _CODE.finditer(text)]
    for match in _LINK.finditer(text):
        if not any(start <= match.start() < end for start, end in code):
            yield match


def is_local(target: str) -> bool:
    """Whether a link leads to a file of the repository, or into the same page."""
    return not re.match(r"[a-z][a-z0-9+.-]*:", target)


def anchors(text: str) -> set[str]:
    r"""Anchors of a Markdown file, as GitHub and the site make them from its headings.

    >>> sorted(anchors("# A `b` & c\n## d\n## d"))
    ['a-b--c', 'd', 'd_1']
    """
    found = set(_HTML_ANCHOR.findall(text))
    for title, explicit in _HEADING.findall(re.sub(r"^(```|~~~).*?^\1[^\n]*$", "", text, flags=re.M | re.S)):
        name = explicit or slug(title)
        found.add(next(one for number in range(100) if (one := f"{name}_{number}" if number else name) not in found))
    return found


def slug(title: str) -> str:
    """The anchor of a heading.

    >>> slug("The `cpu` scale: [width](x.md) 8!")
    'the-cpu-scale-width-8'
    """
    shown = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", title)
    return re.sub(r"[^\w\- ]", "", shown.lower()).strip().replace(" ", "-")


def place(path: Path) -> Path | None:
    """Where a file of the repository is on the site, relative to its root; ``None`` if it is not part of it."""
    relative = path.relative_to(ROOT)
    if relative.as_posix() in _MOVED:
        return Path(_MOVED[relative.as_posix()])
    if relative.suffix == ".ipynb":
        return Path("tutorials", relative.name).with_suffix(".md")
    if relative.suffix not in {".md", ".png", ".jpg", ".svg", ".html"}:
        return None
    return relative.relative_to("docs") if relative.parts[0] == "docs" else relative


def relocated(text: str, source: Path, use: Callable[[Path], None]) -> str:
    """The text of a page with its links to files of the repository as links within the site.

    Args:
        text: Markdown.
        source: The file that it is from.
        use: Called with each file that it links to or shows.
    """
    here = place(source)
    assert here is not None

    def moved(match: re.Match[str]) -> str:
        shown, (target, _, anchor) = match[2], match[3].partition("#")
        if not is_local(match[3]) or not target:
            return match[0]
        path = (source.parent / target).resolve()
        path = path / "README.md" if path.is_dir() else path
        if not path.exists():  # a picture of a notebook; a broken link is reported by MkDocs
            return match[0]
        there = place(path)
        if there is None:  # code, configuration or numbers: readable in the repository only
            return shown
        use(path)
        return f"{match[1]}[{shown}]({os.path.relpath(there, here.parent)}{f'#{anchor}' if anchor else ''})"

    pieces, end = [], 0
    for match in links(text):
        pieces += [text[end : match.start()], moved(match)]
        end = match.end()
    return "".join([*pieces, text[end:]])
