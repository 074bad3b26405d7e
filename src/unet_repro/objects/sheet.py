"""A web page with a card for each image of a batch: outlines, number and sizes of objects. It needs no other files."""

import base64
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import BinaryIO
from urllib.parse import quote

import cv2
import numpy as np

from unet_repro.errors import ConfigError
from unet_repro.files import counted, replacing, writing
from unet_repro.objects.summary import BINS_PER_DOUBLING, Summary, add_counts

MOST_PICTURES = 1000  # further cards link to their picture: a page of more megabytes opens slowly
PICTURE_PX = 320
_MARK = '<meta name="generator" content="unet-repro predict">'

_STYLE = """
body{font:15px/1.45 system-ui,sans-serif;margin:2rem auto;max-width:75rem;padding:0 1rem;color:#1b1b1b;background:#fff}
main{display:grid;grid-template-columns:repeat(auto-fill,minmax(17rem,1fr));gap:1rem}
article{border:1px solid #ccc;border-radius:.4rem;padding:.7rem;content-visibility:auto}
article{contain-intrinsic-size:17rem 28rem}
article.unlike{border:2px solid #b45309}
img{width:100%;display:block;image-rendering:auto}
h2{font-size:1rem;margin:.5rem 0 .2rem;overflow-wrap:anywhere}
p{margin:.2rem 0}.unlike p.flag{color:#8a3b00;font-weight:600}
svg{width:100%;height:5rem;display:block}rect{fill:#2563a8}text{font-size:9px;fill:#444}
"""


@dataclass(frozen=True)
class Card:
    """An image of the page.

    Attributes:
        name: Its name.
        summary: Its objects.
        unlike: Why it is unlike the training images; ``None`` if it is not.
        overlay: Its picture, if there is one.
        table: Its table of objects, if there is one.
        links: All of its files.
    """

    name: str
    summary: Summary
    unlike: str | None
    overlay: Path | None
    table: Path | None
    links: Sequence[Path]


def check_own(path: Path) -> None:
    """Checks that the page would not replace somebody else's file.

    Raises:
        ConfigError: If it would.
    """
    if not path.exists():
        return
    with path.open(encoding="utf-8", errors="replace") as file:
        is_own = _MARK in file.read(1000)
    if not is_own:
        raise ConfigError(
            f"the output {path} already exists and is not a page of this program",
            hint="choose another output, or add page=false",
        )


def write_sheet(path: Path, cards: Iterable[Card], *, title: str, notes: Sequence[str]) -> None:
    """Writes the page card by card; memory does not grow with their number.

    Raises:
        RunError: If it cannot be written.
    """
    with writing(path), replacing(path) as file:
        _write(file, path.parent, cards, title=title, notes=notes)


def _write(file: BinaryIO, folder: Path, cards: Iterable[Card], *, title: str, notes: Sequence[str]) -> None:
    def line(text: str) -> None:
        file.write(f"{text}\n".encode())

    line(f'<!doctype html><html lang="en"><head><meta charset="utf-8">{_MARK}')
    line(f'<meta name="viewport" content="width=device-width"><title>{escape(title)}</title>')
    line(f"<style>{_STYLE}</style></head><body><h1>{escape(title)}</h1>")
    for note in notes:
        line(f"<p>{escape(note)}</p>")
    line("<main>")
    images = objects = unlike = 0
    sizes: list[int] = []
    for card in cards:
        _write_card(file, folder, card, with_picture=images < MOST_PICTURES)
        images, objects, unlike = images + 1, objects + card.summary.objects, unlike + (card.unlike is not None)
        sizes = add_counts(sizes, card.summary.sizes)
    line("</main><h2>All images</h2>")
    flagged = f"; {unlike} unlike the training images" if unlike else ""
    line(f"<p>{objects} objects in {counted(images, 'image')}{flagged}</p>{_histogram(sizes)}")
    line("</body></html>")


def _write_card(file: BinaryIO, folder: Path, card: Card, *, with_picture: bool) -> None:
    summary = card.summary
    lines = [f"<article{'' if card.unlike is None else ' class=unlike'}>"]
    if card.overlay is not None and with_picture:
        picture = f"data:image/jpeg;base64,{_jpeg(card.overlay)}"
        lines.append(f'<img alt="{escape(card.name)} with outlines" src="{picture}">')
    facts = f"<strong>{summary.objects}</strong> object{'s' if summary.objects != 1 else ''}"
    if summary.mean_area_px is not None:
        facts += f", mean {summary.mean_area_px:.0f} px; {summary.at_border} at the border"
    lines += [f"<h2>{escape(card.name)}</h2>", f"<p>{facts}</p>"]
    if summary.confidence is not None:
        lines.append(f"<p>confidence {summary.confidence:.3f}</p>")
    if card.unlike is not None:
        lines.append(f'<p class="flag">{escape(card.unlike)}</p>')
    linked = (f'<a href="{quote(str(path.relative_to(folder)))}">{escape(path.name)}</a>' for path in card.links)
    lines += [_histogram(summary.sizes), f"<p>{', '.join(linked)}</p>", "</article>"]
    file.write("\n".join(lines).encode() + b"\n")


def _jpeg(overlay: Path) -> str:
    """A small picture, in base 64."""
    picture = cv2.imdecode(np.frombuffer(overlay.read_bytes(), np.uint8), cv2.IMREAD_COLOR)
    assert picture is not None, "the overlay is a PNG of this program"
    scale = min(1.0, PICTURE_PX / max(picture.shape[:2]))
    height, width = (max(1, round(side * scale)) for side in picture.shape[:2])
    small = cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA)
    return base64.b64encode(cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, 80])[1].tobytes()).decode()


def _histogram(sizes: Sequence[int]) -> str:
    """Bars of the number of objects by area, on a logarithmic axis; empty without objects."""
    filled = [index for index, count in enumerate(sizes) if count]
    if not filled:
        return ""
    first, last, most = filled[0], filled[-1], max(sizes)
    width = 200 / (last - first + 1)
    bars = [
        f'<rect x="{(index - first) * width:.1f}" y="{60 - 58 * sizes[index] / most:.1f}" width="{width * 0.9:.1f}" '
        f'height="{58 * sizes[index] / most:.1f}"><title>{_edge(index):.0f} to {_edge(index + 1):.0f} px: '
        f"{sizes[index]}</title></rect>"
        for index in filled
    ]
    ends = f'<text x="0" y="71">{_edge(first):.0f} px</text><text x="200" y="71" text-anchor="end">'
    ends += f"{_edge(last + 1):.0f} px</text>"
    place = 'viewBox="0 0 200 74" preserveAspectRatio="xMinYMid"'  # at the left of a wide page
    return f'<svg {place} role="img" aria-label="sizes of objects">{"".join(bars)}{ends}</svg>'


def _edge(index: int) -> float:
    return float(2 ** (index / BINS_PER_DOUBLING))
