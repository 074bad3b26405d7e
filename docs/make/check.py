"""Checks a built site without a network: `python docs/make/check.py FOLDER`.

Each link leads to a file and an anchor that exist, no page loads anything from elsewhere, and no docstring of the
reference is torn apart, which leaves its quotes.
"""

import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urldefrag

from links import is_local

LOADING = {"script": "src", "img": "src", "iframe": "src", "link": "href", "source": "src"}


class Page(HTMLParser):
    """Anchors and links of one page, and the addresses of what it loads."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.anchors: set[str] = set()
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Called for each opening tag."""
        given = {key: value for key, value in attrs if value is not None}
        self.anchors |= {given[key] for key in ("id", "name") if key in given}
        if tag == "a" and "href" in given:
            self.links.append(given["href"])
        if tag in LOADING and LOADING[tag] in given:
            self.loaded.append(given[LOADING[tag]])


def problems(site: Path) -> Iterator[str]:
    """What is wrong, one line each."""
    texts = {path.resolve(): path.read_text() for path in site.rglob("*.html")}
    yield from (f"{path}: has ``" for path in texts if path.parent.name == "python" and "``" in texts[path])
    pages = {path: Page(text) for path, text in texts.items()}
    for path, page in pages.items():
        for target in (*page.links, *page.loaded):
            if target.startswith("data:"):
                continue
            if not is_local(target) or target.startswith("//"):
                if target in page.loaded:
                    yield f"{path}: loads {target}"
                continue
            name, anchor = urldefrag(target)
            folder = site if name.startswith("/") else path.parent  # of the root: only the page for missing ones
            found = (folder / unquote(name).lstrip("/")).resolve() if name else path
            found = found / "index.html" if found.is_dir() else found
            if not found.exists():
                yield f"{path}: {target} does not exist"
            elif anchor and found in pages and unquote(anchor) not in pages[found].anchors:
                yield f"{path}: {target} has no such anchor"


if __name__ == "__main__":
    found = sorted(set(problems(Path(sys.argv[1]))))
    sys.exit("\n".join(found) if found else 0)
