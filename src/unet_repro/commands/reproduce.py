"""``unet-repro reproduce``: the suite of ablations as one Hydra multirun, then the report."""

import argparse
from pathlib import Path

import joblib
import torch
from omegaconf import OmegaConf

from unet_repro.commands import hydra_app
from unet_repro.commands.report import report
from unet_repro.commands.train import task
from unet_repro.config import conf_dir
from unet_repro.data.sources import registry as sources
from unet_repro.errors import ConfigError, SweepFailed

EXPERIMENTS = ("tile_size", "weight_map", "optimizer", "lr_schedule")
ALL = (*EXPERIMENTS, "few_images", "augmentation", "overlap_tile", "rotations", "split", "normalisation", "seed_runs")
SCALES = ("smoke", "cpu", "paper")
DEFAULT_SEEDS = {"smoke": 2, "cpu": 3, "paper": 3}
LAUNCHERS = ("local", "joblib", "slurm")
RUNS_DIR = Path("runs")


def main(arguments: list[str]) -> None:
    """Trains the missing runs, seed by seed over all arms, and writes the report."""
    parser = argparse.ArgumentParser(
        prog="unet-repro reproduce",
        description="Trains the ablations and writes reports/ablations/. The same command resumes a stopped suite.",
    )
    parser.add_argument("--scale", choices=SCALES, default="cpu", help="smoke: a quick check; cpu: half an hour on two "
                        "cores; paper: one GPU (default cpu)")  # fmt: skip
    parser.add_argument("--data", default="auto", help="a data set of conf/data; auto: isbi2012 if present or quick "
                        "to download, else synthetic (default)")  # fmt: skip
    parser.add_argument("--seeds", type=int, help="number of seeds (default 3; smoke 2)")
    parser.add_argument("--experiments", default=",".join(EXPERIMENTS), help="comma-separated names, or all: the ten "
                        "claims and the 13 seed runs (default: the four core experiments)")  # fmt: skip
    parser.add_argument("--launcher", choices=LAUNCHERS, default="local", help="local: parallel processes on this "
                        "machine (default); slurm: jobs of a cluster, see docs/clusters.md")  # fmt: skip
    parser.add_argument("--jobs", type=int, default=None, help="parallel runs (default: one for each core or "
                        "GPU; slurm: as many as it allows)")  # fmt: skip
    parser.add_argument("--device", choices=("auto", "cpu", "gpu"), default="auto", help="auto: gpu for scale paper "
                        "if there is one, or on a cluster; else cpu")  # fmt: skip
    parser.add_argument("--dry-run", action="store_true", help="only print the runs, their progress, and the "
                        "estimated time left")  # fmt: skip
    parser.add_argument("overrides", nargs="*", help="further Hydra overrides for every run")
    asked = parser.parse_args(arguments)

    seeds = asked.seeds if asked.seeds is not None else DEFAULT_SEEDS[asked.scale]
    experiments = [name.strip() for name in asked.experiments.split(",") if name.strip()]
    wants_all = experiments == ["all"]
    _check(seeds, asked.jobs, list(ALL) if wants_all else experiments)
    data = _choose_data(asked.data)
    if wants_all:
        experiments = _all_on(data)
    sweep = [
        "-m",
        f"experiment={','.join(experiments)}",
        f"seed={','.join(map(str, range(seeds)))}",
        f"scale={asked.scale}",
        f"data={data}",
        f"runs_dir={RUNS_DIR}",
        *_placed(asked.launcher, asked.jobs, on_gpu=_on_gpu(asked.device, asked.scale, asked.launcher)),
        *(["hydra.sweeper.dry_run=true"] if asked.dry_run else []),
        *asked.overrides,
    ]
    print(f"unet-repro train {' '.join(sweep)}", flush=True)
    try:
        hydra_app.run(task, name="train", arguments=sweep)
    except SweepFailed:  # report the finished runs before the list of failures
        report(RUNS_DIR, experiments)
        raise
    if not asked.dry_run:
        report(RUNS_DIR, experiments)


def _on_gpu(device: str, scale: str, launcher: str) -> bool:
    if device == "auto":
        return scale == "paper" and (launcher == "slurm" or torch.cuda.is_available())
    return device == "gpu"


def _placed(launcher: str, jobs: int | None, *, on_gpu: bool) -> list[str]:
    """Overrides that set where the runs are trained; none of them changes a run's numbers."""
    cores = joblib.cpu_count()  # the cores that this process may use
    placed = [f"hydra/launcher={launcher}", "trainer=gpu" if on_gpu else "trainer=cpu"]
    if launcher == "slurm":
        threads = None  # set by hydra.launcher.cpus_per_task
        placed += [f"hydra.launcher.array_parallelism={jobs}"] if jobs else []
    elif on_gpu:
        threads = None
        placed += [f"hydra.launcher.{'jobs' if launcher == 'local' else 'n_jobs'}={jobs}"] if jobs else []
    else:
        jobs = jobs or cores
        threads = max(1, cores // jobs)
        placed.append(f"hydra.launcher.{'jobs' if launcher == 'local' else 'n_jobs'}={jobs}")
    return placed + ([f"trainer.threads={threads}"] if threads else [])


def _check(seeds: int, jobs: int | None, experiments: list[str]) -> None:
    for name, number in (("seeds", seeds), ("jobs", jobs)):
        if number is not None and number < 1:
            raise ConfigError(f"--{name} {number}: must be at least 1", hint="use 1 or more")
    known = sorted(
        path.stem
        for path in (conf_dir() / "experiment").glob("*.yaml")
        if not OmegaConf.select(OmegaConf.load(path), "experiment.searched")  # those are for `unet-repro search`
    )
    for name in experiments or [""]:
        if name not in known:
            raise ConfigError(f"there is no experiment {name!r}", hint=f"use one of {', '.join(known)}")


def _all_on(data: str) -> list[str]:
    """Every experiment; the seed runs have their own data and are left out if those are missing."""
    missing = [name for name in ("hela", "u373") if not sources.available(name)]
    if data != "isbi2012" or missing:
        why = f"they need real data, not {data}" if data != "isbi2012" else f"fetch {' and '.join(missing)} first"
        print(f"EXPERIMENTS=all leaves out seed_runs: {why}", flush=True)
        return [name for name in ALL if name != "seed_runs"]
    return list(ALL)


def _choose_data(wanted: str) -> str:
    if wanted != "auto":
        return wanted
    name, why = sources.auto()
    print(f"DATA=auto uses {name!r}: {why}", flush=True)
    return name
