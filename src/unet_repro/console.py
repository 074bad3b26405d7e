"""Error messages of the command line."""

import contextlib
import os
import sys
from collections.abc import Iterator

from unet_repro.errors import UserError

DEBUG_VARIABLE = "UNET_REPRO_DEBUG"  # set by `--debug`


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
