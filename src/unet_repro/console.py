"""Errors and notes of the command line."""

import contextlib
import os
import sys
from collections.abc import Iterator

from unet_repro.errors import UserError

DEBUG_VARIABLE = "UNET_REPRO_DEBUG"  # set by `--debug`
SAID_VARIABLE = "UNET_REPRO_SAID"  # set for the jobs of a sweep, which has said what there is to say about the data


def say(text: str) -> None:
    """Writes a line about the data to standard error; a job of a sweep does not repeat what the sweep has said."""
    if SAID_VARIABLE not in os.environ:
        sys.stderr.write(f"{text}\n")


@contextlib.contextmanager
def all_said() -> Iterator[None]:
    """While jobs of a sweep run, here or in other processes: ``say`` writes nothing."""
    os.environ[SAID_VARIABLE] = "1"
    try:
        yield
    finally:
        del os.environ[SAID_VARIABLE]


@contextlib.contextmanager
def report_user_errors() -> Iterator[None]:
    """Prints a ``UserError`` without a traceback and exits with status 2; with ``--debug`` re-raises it."""
    try:
        yield
    except UserError as error:
        if os.environ.get(DEBUG_VARIABLE) == "1":
            raise
        sys.stdout.flush()
        from rich.console import Console  # noqa: PLC0415  (slow, and only errors need it)

        Console(stderr=True, soft_wrap=True, highlight=False).print("[bold red]error:[/]", end=" ")
        sys.stderr.write(f"{error}\n")
        raise SystemExit(2) from None
