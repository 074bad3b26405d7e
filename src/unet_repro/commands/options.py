"""The options of the verbs that do not use Hydra. Imports nothing slow, for help and completion."""

import argparse
import os
from collections.abc import Callable
from pathlib import Path

from unet_repro import conf_files
from unet_repro.commands.argument_parser import Parser
from unet_repro.commands.verbs import VERBS
from unet_repro.report import REPORT_DIR

SHELLS = ("bash", "zsh", "fish")


def parser(verb: str) -> argparse.ArgumentParser:
    """The parser of a verb's arguments, whose help ends with its examples."""
    found = VERBS[verb]
    made = Parser(
        prog=f"unet-repro {verb}",
        description=". ".join(filter(None, [found.purpose[0].upper() + found.purpose[1:], found.about])),
        epilog="\n".join(["examples:", *(f"  unet-repro {verb} {example}".rstrip() for example in found.examples)]),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    _ADD[verb](made)
    return made


def _reproduce(made: argparse.ArgumentParser) -> None:
    core, everything = (", ".join(conf_files.suite(kind)) for kind in ("core", "all"))
    made.add_argument("--scale", choices=conf_files.options("scale"), default="cpu", help="smoke: a quick check; cpu: "
                      "half an hour on two cores; laptop: the trial, with networks of width 8; paper: the "
                      "trial with the paper's network, on GPUs (default cpu)")  # fmt: skip
    made.add_argument("--data", default="auto", help="a data set of conf/data; auto: isbi2012 if present or quick "
                      "to download, else synthetic (default)")  # fmt: skip
    made.add_argument("--seeds", type=int, help="number of seeds, from 0 (default: cpu 3, smoke 2; other scales: as "
                      "many replicates as the trial needs to decide, docs/science/trial.md)")  # fmt: skip
    made.add_argument("--hours", type=float, help="sequential trial only (laptop and paper without --seeds): stop "
                      "after so many hours; checkpoints are kept")  # fmt: skip
    made.add_argument("--record", action="store_true", help="sequential trial only: also count the runs of "
                      "experiments/record, and add the new ones to it")  # fmt: skip
    made.add_argument("--experiments", default="core", help=f"comma-separated names; core: {core} "
                      "(default; for laptop and paper without --seeds: all comparisons of the trial); all: "
                      f"{everything}")  # fmt: skip
    made.add_argument("--launcher", choices=("local", "joblib", "slurm"), default="local", help="local: parallel "
                      "processes on this machine (default); slurm: a cluster, docs/how-to/clusters.md")  # fmt: skip
    made.add_argument("--no-wait", action="store_true", help="with --launcher slurm: end when the jobs are submitted; "
                      "the same command without it waits for them, and writes the report")  # fmt: skip
    made.add_argument("--jobs", type=int, default=None, help="parallel runs (default: one for each core or GPU; "
                      "slurm: as many as it allows)")  # fmt: skip
    made.add_argument("--device", choices=("auto", "cpu", "gpu"), default="auto", help="auto: gpu for scale paper "
                      "if there is one, or on a cluster; else cpu")  # fmt: skip
    made.add_argument("--dry-run", action="store_true", help="only print the runs, their progress, and the estimated "
                      "time left")  # fmt: skip
    made.add_argument("overrides", nargs="*", help="further settings of every run, as for train")


def _report(made: argparse.ArgumentParser) -> None:
    made.add_argument("experiments", nargs="*", help="which comparisons (default: all that were started); a "
                        "page of some does not replace that of all")  # fmt: skip
    _runs_dir(made)
    made.add_argument("--out", type=Path, help=f"folder to write to (default {REPORT_DIR}; for some comparisons a "
                        "folder of their own in it)")  # fmt: skip
    made.add_argument("--record", action="store_true", help="make page, verdicts, figures and the READMEs' tables of "
                        "this checkout from experiments/record instead; needs no runs")  # fmt: skip
    made.add_argument("--add-to-record", metavar="SCALE", help="first add this scale's finished runs to "
                        "experiments/record")  # fmt: skip
    made.add_argument("--checkout", type=Path, default=conf_files.conf_dir().parent, help="the checkout with "
                      "experiments/record and READMEs (default: this one)")  # fmt: skip
    made.add_argument("--watch", action="store_true", help="rewrite the page whenever a run has made progress, "
                        "until all are done")  # fmt: skip
    made.add_argument("--every", type=float, default=30.0, metavar="SECONDS", help="polling interval of --watch "
                        "(default 30)")  # fmt: skip


def _verify(made: argparse.ArgumentParser) -> None:
    made.add_argument("overrides", nargs="*", help="settings of the data, as for train, e.g. data.root=...")
    made.add_argument("--scale", help="scale of the run to train again (default: the record's smallest)")
    made.add_argument("--run", metavar="ID", help="the run to train again (default: one chosen at random)")
    made.add_argument("--seed", type=int, help="seed of that choice (default: random; it is printed)")
    made.add_argument("--skip-training", action="store_true", help="only check that README and page agree with it")
    made.add_argument("--checkout", type=Path, default=conf_files.conf_dir().parent, help="the checkout with "
                      "experiments/record and READMEs (default: this one)")  # fmt: skip


def _runs(made: argparse.ArgumentParser) -> None:
    made.add_argument("folder", nargs="?", type=Path, default=Path("runs"), metavar="DIR", help="default: runs")
    made.add_argument("--state", choices=("new", "running", "partial", "failed", "done"), help="only those")
    made.add_argument("--sort", choices=("when", "score"), default="when", help="latest or best first (default when)")


def _tiles(made: argparse.ArgumentParser) -> None:
    made.add_argument("size", nargs="?", type=int, help="input size to check (default: list sizes up to 1024)")
    made.add_argument("--check", action="store_true", help="for scripts: exit with status 2 if the size is not legal")
    made.add_argument("--depth", type=int, default=4, help="max-pools of the network (default 4)")
    made.add_argument("--width", type=int, default=64, help="channels of the first level (default 64)")
    made.add_argument("--channels", type=int, default=1, help="channels of the image (default 1)")


def _inspect(made: argparse.ArgumentParser) -> None:
    made.add_argument("overrides", nargs="*", help="as for train, e.g. data=folder data.root=mine")
    made.add_argument("--out", type=Path, default=Path("reports/inspection.html"), help="default: %(default)s")
    made.add_argument("--images", type=int, default=6, help="images on the page (default %(default)s)")
    made.add_argument("--no-timing", action="store_true", help="do not time any steps")


def _weights(made: argparse.ArgumentParser) -> None:
    made.add_argument("overrides", nargs="*", help="as for train, e.g. data=isbi2012")
    made.add_argument("--key", help="key of the sample, such as train/00 (default: the first training sample)")
    made.add_argument("--out", type=Path, default=Path("reports/weights.png"), help="default: %(default)s")
    made.add_argument("--crop", type=int, default=256, help="side of the crop to draw, in pixels (default 256)")


def _sweep_status(made: argparse.ArgumentParser) -> None:
    made.add_argument("experiments", nargs="*", help="which comparisons (default: all that were started)")
    _runs_dir(made)
    made.add_argument("--watch", action="store_true", help="refresh every 2 s until all are done")


def _wandb_sync(made: argparse.ArgumentParser) -> None:
    made.add_argument("experiments", nargs="*", help="which comparisons (default: all runs)")
    _runs_dir(made)
    made.add_argument("--entity", default=os.environ.get("WANDB_ENTITY"), help="user or team to upload to (default: "
                      "WANDB_ENTITY, or your W&B default)")  # fmt: skip
    made.add_argument("--force", action="store_true", help="also upload runs that W&B already has")


def _wandb_dashboard(made: argparse.ArgumentParser) -> None:
    made.add_argument("experiments", nargs="*", help="which comparisons (default: all)")
    _runs_dir(made)
    made.add_argument("--verdicts", type=Path, default=REPORT_DIR / "verdicts.json", help="what `unet-repro report` "
                      "wrote (default %(default)s)")  # fmt: skip
    made.add_argument("--entity", default=os.environ.get("WANDB_ENTITY"), help="user or team (default: WANDB_ENTITY, "
                      "or your W&B default)")  # fmt: skip
    made.add_argument("--project", help="W&B project (default: the runs' project)")
    made.add_argument("--dry-run", action="store_true", help="print what would be built, as JSON; needs no network")


def _fetch(made: argparse.ArgumentParser) -> None:
    made.add_argument("name", help="isbi2012, hela or u373")
    made.add_argument("--root", type=Path, help="target folder (default: $UNET_REPRO_DATA, else ./data)")
    made.add_argument("--base-url", help="address of a mirror with the same layout")


def _completion(made: argparse.ArgumentParser) -> None:
    made.add_argument("shell", nargs="?", choices=SHELLS, help="the shell")
    made.add_argument("--line", help=argparse.SUPPRESS)  # used by the scripts: a command line to complete


def _runs_dir(made: argparse.ArgumentParser) -> None:
    made.add_argument("--runs-dir", type=Path, default=Path("runs"), help="folder of the runs (default runs)")


_ADD: dict[str, Callable[[argparse.ArgumentParser], None]] = {
    "reproduce": _reproduce,
    "report": _report,
    "verify": _verify,
    "runs": _runs,
    "tiles": _tiles,
    "inspect": _inspect,
    "weights": _weights,
    "sweep-status": _sweep_status,
    "wandb-sync": _wandb_sync,
    "wandb-dashboard": _wandb_dashboard,
    "fetch": _fetch,
    "completion": _completion,
}
