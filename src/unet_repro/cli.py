"""``unet-repro VERB ...``. The modules of a verb are imported only when it runs, so that the help is fast."""

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from importlib import import_module

from unet_repro import __version__
from unet_repro.console import DEBUG_VARIABLE, report_user_errors
from unet_repro.errors import Stopped

# Verb -> purpose. The module of that name in ``unet_repro.commands`` has a ``main`` that takes the other arguments.
VERBS = {
    "train": "train one network, or a sweep with -m; Hydra overrides, e.g. data=isbi2012 optimizer=adam",
    "evaluate": "measure a finished run on its validation or test images: run=runs/<run_id>",
    "predict": "segment images of any kind and size with a run: run=runs/<run_id> input=images/ output=predicted/",
    "export": "export a run as ONNX file or BioImage.IO package: run=runs/<run_id> output=model.zip",
    "submit-isbi": "write the 30 test slices' probabilities for the ISBI 2012 challenge: run=runs/<run_id>",
    "reproduce": "run the suite: train the ablations, then write verdicts, page, tables and figures",
    "report": "write verdicts, page, tables and figures of the runs trained so far",
    "tiles": "list legal tile sizes, or check one",
    "weights": "draw an image, its labels and every weight map to a PNG",
    "sweep-status": "show the progress of every run of a comparison",
    "search": "tune settings with Optuna; resumable",
    "wandb-sync": "upload the finished runs' offline W&B files",
    "wandb-dashboard": "build the comparison in W&B: workspace, report, verdict table",
    "fetch": "download a data set and check it",
}


def main(arguments: Sequence[str] | None = None) -> None:
    """The console script."""
    os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")  # else it checks online for a newer version
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    if "--debug" in arguments:
        arguments.remove("--debug")
        os.environ[DEBUG_VARIABLE] = "1"
    parser = argparse.ArgumentParser(
        prog="unet-repro",
        description="An exact reproduction of the 2015 U-Net, with statistical tests of its claims.",
        epilog="Run `unet-repro VERB --help` for the options of a verb. --debug shows the traceback of an error.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"unet-repro {__version__}")
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    for name, purpose in VERBS.items():
        verbs.add_parser(name, help=purpose, add_help=False)
    verb = parser.parse_args(arguments[:1]).verb
    command: Callable[[list[str]], None] = import_module(f"unet_repro.commands.{verb.replace('-', '_')}").main
    try:
        with report_user_errors():
            command(arguments[1:])
    except (KeyboardInterrupt, Stopped) as error:
        sys.stderr.write("\nstopped; the same command resumes from the last checkpoint\n")
        raise SystemExit(128 + (error.signum if isinstance(error, Stopped) else 2)) from None
