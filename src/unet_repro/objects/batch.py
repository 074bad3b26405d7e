"""The files of a batch: the page of all images, and one table of all objects."""

import shutil
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import BinaryIO

from unet_repro.files import replacing, writing
from unet_repro.objects.sheet import Card, write_sheet


def write_batch(
    page: Path | None, table: Path | None, cards: Iterable[Card], *, title: str, notes: Sequence[str]
) -> None:
    """Writes both, image by image; memory does not grow with their number.

    Args:
        page: The page, see ``sheet``, if one is wanted.
        table: The table of the objects of all images, if one is wanted.
        cards: The images.
        title: Title of the page.
        notes: Sentences below it.

    Raises:
        RunError: If a file cannot be written; an older file is then unchanged.
    """
    with writing(table), ExitStack() as opened:
        file = None if table is None else opened.enter_context(replacing(table))
        copied = cards if file is None else _copied(cards, file)
        if page is not None:
            write_sheet(page, copied, title=title, notes=notes)
        else:
            deque(copied, maxlen=0)


def _copied(cards: Iterable[Card], file: BinaryIO) -> Iterator[Card]:
    """The cards; the rows of their tables are appended to a file, below one header."""
    empty = True
    for card in cards:
        if card.table is not None:
            with card.table.open("rb") as own:
                header = own.readline()
                if empty:
                    file.write(header)
                    empty = False
                shutil.copyfileobj(own, file)
        yield card
