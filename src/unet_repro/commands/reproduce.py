"""``unet-repro reproduce``: the suite of ablations as one Hydra multirun, then the report."""

import argparse
from pathlib import Path

import joblib
import torch

from unet_repro.commands import hydra_app
from unet_repro.commands.report import report
from unet_repro.commands.train import task
from unet_repro.data import sources
from unet_repro.errors import ConfigError, SweepFailed

EXPERIMENTS = ("tile_size", "weight_map", "optimizer", "lr_schedule")
SCALES = ("smoke", "cpu", "paper")
DEFAULT_SEEDS = {"smoke": 2, "cpu": 3, "paper": 3}
RUNS_DIR = Path("runs")


def main(arguments: list[str]) -> None:
    """Trains what is missing, seed by seed over all arms, and writes the report."""
    parser = argparse.ArgumentParser(
        prog="unet-repro reproduce",
        description="Trains the ablations and writes reports/ablations/. Stopped, it goes on where it was.",
    )
    parser.add_argument("--scale", choices=SCALES, default="cpu", help="smoke: does it run; cpu: half an hour on two "
                        "cores; paper: one GPU (default cpu)")  # fmt: skip
    parser.add_argument("--data", default="auto", help="a data set of conf/data; auto: isbi2012 if there or to be had "
                        "quickly, else synthetic (default)")  # fmt: skip
    parser.add_argument("--seeds", type=int, help="how many seeds (default 3; smoke 2)")
    parser.add_argument("--experiments", default=",".join(EXPERIMENTS), help="which, with commas (default: all four)")
    parser.add_argument("--jobs", type=int, default=None, help="runs side by side (default: the number of cores; "
                        "1 on a GPU)")  # fmt: skip
    parser.add_argument("overrides", nargs="*", help="further Hydra overrides for every run")
    asked = parser.parse_args(arguments)

    on_gpu = asked.scale == "paper" and torch.cuda.is_available()
    cores = joblib.cpu_count()  # those that this process may use
    jobs = asked.jobs if asked.jobs is not None else (1 if on_gpu else cores)
    seeds = asked.seeds if asked.seeds is not None else DEFAULT_SEEDS[asked.scale]
    experiments = [name.strip() for name in asked.experiments.split(",") if name.strip()]
    _check(seeds, jobs, experiments)
    data = _choose_data(asked.data)
    sweep = [
        "-m",
        f"experiment={','.join(experiments)}",
        f"seed={','.join(map(str, range(seeds)))}",
        f"scale={asked.scale}",
        f"data={data}",
        f"runs_dir={RUNS_DIR}",
        "trainer=gpu" if on_gpu else "trainer=cpu",
        *([] if on_gpu else [f"trainer.threads={max(1, cores // jobs)}"]),
        *(
            ["hydra/launcher=joblib", f"hydra.launcher.n_jobs={jobs}", "hydra.launcher.batch_size=1"]
            if jobs > 1
            else []
        ),
        *asked.overrides,
    ]
    print(f"unet-repro train {' '.join(sweep)}", flush=True)
    try:
        hydra_app.run(task, name="train", arguments=sweep)
    except SweepFailed:  # what did finish is worth a table, above the list of failures
        report(RUNS_DIR, experiments)
        raise
    report(RUNS_DIR, experiments)


def _check(seeds: int, jobs: int, experiments: list[str]) -> None:
    for name, number in (("seeds", seeds), ("jobs", jobs)):
        if number < 1:
            raise ConfigError(f"--{name} {number} is not positive", mend="use 1 or more")
    known = sorted(path.stem for path in (hydra_app.conf_dir() / "experiment").glob("*.yaml") if path.stem != "none")
    for name in experiments or [""]:
        if name not in known:
            raise ConfigError(f"there is no experiment {name!r}", mend=f"choose among {', '.join(known)}")


def _choose_data(wanted: str) -> str:
    if wanted != "auto":
        return wanted
    name, why = sources.auto()
    print(f"DATA=auto takes {name!r}: {why}", flush=True)
    return name
