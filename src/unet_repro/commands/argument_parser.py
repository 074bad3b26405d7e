"""An ``argparse`` parser whose errors have this project's form. Imports nothing slow, for help and completion."""

import argparse
from collections.abc import Sequence
from typing import Any, NoReturn

from unet_repro.errors import ConfigError


class Parser(argparse.ArgumentParser):
    """A parser that takes options before, between and after other arguments."""

    def parse_args(self, args: Sequence[str] | None = None, namespace: Any = None) -> Any:  # type: ignore[override]
        """As ``argparse``.

        Raises:
            ConfigError: If an argument is unknown, missing or has an invalid value.
        """
        return self.parse_intermixed_args(args, namespace)

    def error(self, message: str) -> NoReturn:
        """Raises what ``argparse`` would print."""
        hint = f"`{self.prog} --help` lists its options"
        if "expected one argument" in message:
            hint += "; a value that starts with - is written --OPTION=-VALUE"
        raise ConfigError(message, hint=hint)
