"""``unet-repro VERB ...``. The modules of a verb are imported only when it runs, so that help is fast."""

import argparse
import difflib
import os
import signal
import sys
from collections.abc import Callable, Sequence

from unet_repro.commands.verbs import VERBS
from unet_repro.console import DEBUG_VARIABLE, report_user_errors
from unet_repro.errors import ConfigError, Stopped
from unet_repro.imports import import_uncollected
from unet_repro.version import VERSION

_RESUMED = ("train", "search", "reproduce", "predict")  # verbs that resume what was stopped


def main(arguments: Sequence[str] | None = None) -> None:
    """The console script."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    if "--debug" in arguments:
        arguments.remove("--debug")
        os.environ[DEBUG_VARIABLE] = "1"
    try:
        _run(arguments)
    except BrokenPipeError:  # the reader, such as `head`, has read enough; Python would print an error when it ends
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(128 + signal.SIGPIPE) from None
    except (KeyboardInterrupt, Stopped) as error:
        resumes = bool(arguments) and arguments[0] in _RESUMED
        sys.stderr.write(f"\nstopped{'; the same command resumes' if resumes else ''}\n")
        raise SystemExit(128 + (error.signum if isinstance(error, Stopped) else 2)) from None


def _run(arguments: Sequence[str]) -> None:
    try:
        with report_user_errors():
            verb, rest = _verb(arguments[:1]), list(arguments[1:])
            if {"-h", "--help"} & set(rest):
                from unet_repro.commands import help  # noqa: A004, PLC0415  (only where it is needed)

                print(help.text(verb, rest))
                return
            command: Callable[[list[str]], None] = import_uncollected(module_of(verb)).main
            command(rest)
    finally:
        sys.stdout.flush()


def module_of(verb: str) -> str:
    """Name of the module of a verb."""
    return f"unet_repro.commands.{verb.replace('-', '_')}"


def _verb(arguments: Sequence[str]) -> str:
    """The verb; prints help or the version and exits if asked.

    Raises:
        ConfigError: If there is no such verb.
    """
    if {"-h", "--help", "--version"} & set(arguments):
        _parser().parse_args(arguments)
    if arguments and arguments[0] in VERBS:
        return arguments[0]
    near = difflib.get_close_matches(arguments[0], VERBS, n=1) if arguments else []
    raise ConfigError(
        f"there is no verb {arguments[0]}" if arguments else "a verb is required",
        hint=f"did you mean {near[0]}?" if near else "`unet-repro --help` lists the verbs",
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="unet-repro",
        description="An exact reproduction of the 2015 U-Net, with statistical tests of its claims.",
        epilog="Run `unet-repro VERB --help` for the settings or options of a verb, with examples. --debug shows the "
        "traceback of an error.",
    )
    parser.add_argument("--version", action="version", version=f"unet-repro {VERSION}")
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    for name, verb in VERBS.items():
        verbs.add_parser(name, help=verb.purpose, add_help=False)
    return parser
