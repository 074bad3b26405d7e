"""``unet-repro VERB ...``. Imports what a verb needs when it is asked for: the help must not wait for torch."""

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from importlib import import_module

from unet_repro import __version__
from unet_repro.console import DEBUG_VARIABLE, told_to_user
from unet_repro.errors import Stopped

# Verb -> module below ``unet_repro.commands`` (its ``main`` takes the remaining arguments), and what it is for.
VERBS = {
    "train": "train one network, or a sweep with -m; Hydra overrides, e.g. data=isbi2012 optimizer=adam",
    "evaluate": "measure a finished run on its validation or test images: run=runs/<run_id>",
    "predict": "segment images of any kind and size with a run: run=runs/<run_id> input=images/ output=predicted/",
    "export": "a run as ONNX file or BioImage.IO package: run=runs/<run_id> output=model.zip",
    "submit-isbi": "the 30 test slices' probabilities as the ISBI 2012 challenge wants them: run=runs/<run_id>",
    "reproduce": "the suite: train the ablations, then write verdicts, page, tables and figures",
    "report": "write verdicts, page, tables and figures of what is trained by now",
    "tiles": "list legal tile sizes, or judge one",
    "weights": "draw an image, its labels and every weight map to a PNG",
    "sweep-status": "how far every run of a comparison is",
    "search": "search settings with Optuna; resumable",
    "wandb-sync": "upload the finished runs' offline W&B files",
    "wandb-dashboard": "build the comparison in W&B: workspace, report, verdict table",
    "fetch": "download a data set and check it",
}


def main(arguments: Sequence[str] | None = None) -> None:
    """The console script."""
    os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")  # it would ask the network for its newest version
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    if "--debug" in arguments:
        arguments.remove("--debug")
        os.environ[DEBUG_VARIABLE] = "1"
    parser = argparse.ArgumentParser(
        prog="unet-repro",
        description="The 2015 U-Net, reproduced exactly, and its claims put on trial.",
        epilog="`unet-repro VERB --help` says more. --debug shows the traceback of an error.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"unet-repro {__version__}")
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    for name, purpose in VERBS.items():
        verbs.add_parser(name, help=purpose, add_help=False)
    verb = parser.parse_args(arguments[:1]).verb
    command: Callable[[list[str]], None] = import_module(f"unet_repro.commands.{verb.replace('-', '_')}").main
    try:
        with told_to_user():
            command(arguments[1:])
    except (KeyboardInterrupt, Stopped) as error:
        sys.stderr.write("\nstopped; the same command goes on from the last checkpoint\n")
        raise SystemExit(128 + (error.signum if isinstance(error, Stopped) else 2)) from None
