"""Seconds of a sweep of 12 trainings: in parallel with one thread each, and one by one with all threads.

Both are `hydra/launcher=local`, whole commands with start and planning; they run in turn, in changing order, so that
a busy machine slows them equally: python benchmarks/parallel.py
"""

import tempfile
from pathlib import Path

from harness import UNET_REPRO, Record, in_turn, options, run


def sweep(runs_dir: Path, num_runs: int, steps: int, jobs: int, threads: int) -> None:
    settings = [
        "data=synthetic", "data.num_slices=6", "model.width=8", "tiles.size=572", "tiles.budget=1x572",
        f"trainer.max_steps={steps}", f"trainer.val_every={steps}", "trainer.max_val_images=1", "logger.mode=disabled",
    ]  # fmt: skip
    run(*UNET_REPRO, "train", "-m", *settings, f"seed=range({num_runs})", f"runs_dir={runs_dir}",
        "hydra/launcher=local", f"hydra.launcher.jobs={jobs}", f"hydra.launcher.threads={threads}",
        f"trainer.threads={threads}")  # fmt: skip
    if len(list(runs_dir.glob("*/result.json"))) != num_runs:
        raise SystemExit(f"not all of {num_runs} runs were trained")


def main() -> None:
    asked = options(__doc__, jobs=2, runs=12, steps=20, rounds=1)  # jobs: parallel runs, and threads of the single one
    settings = {
        f"JOBS=1, {asked.jobs} threads": {"jobs": 1, "threads": asked.jobs},
        f"JOBS={asked.jobs}, one thread each": {"jobs": asked.jobs, "threads": 1},
    }

    def once(jobs: int, threads: int) -> None:
        with tempfile.TemporaryDirectory() as folder:
            sweep(Path(folder), asked.runs, asked.steps, jobs, threads)

    times = in_turn({name: lambda s=s: once(**s) for name, s in settings.items()}, rounds=asked.rounds, warm_up=0)
    first = next(iter(times.values())).median
    record = Record("parallel", f"Sweep of {asked.runs} runs of {asked.steps} steps, width 8, tile 572, whole commands")
    for name, seconds in times.items():
        record.add(name, seconds, ratio=first / seconds.median, to="one by one, times faster")
    record.write()


if __name__ == "__main__":
    main()
