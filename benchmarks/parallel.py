"""Seconds for a sweep of 12 real trainings: side by side with one thread each, against one by one with all threads.

Both are `hydra/launcher=local`, whole commands with start and planning; in turn, the first of a round changing, so that
a busy machine slows them alike: python benchmarks/parallel.py
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path


def sweep(runs_dir: Path, num_runs: int, steps: int, jobs: int, threads: int) -> float:
    """Seconds of one command."""
    settings = [
        "data=synthetic", "data.num_slices=6", "model.width=8", "tiles.size=572", "tiles.budget=1x572",
        f"trainer.max_steps={steps}", f"trainer.val_every={steps}", "trainer.max_val_images=1", "logger.mode=disabled",
    ]  # fmt: skip
    command = [
        sys.executable, "-m", "unet_repro", "train", "-m", *settings, f"seed=range({num_runs})", f"runs_dir={runs_dir}",
        "hydra/launcher=local", f"hydra.launcher.jobs={jobs}", f"hydra.launcher.threads={threads}",
        f"trainer.threads={threads}",
    ]  # fmt: skip
    start = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    seconds = time.perf_counter() - start
    if done.returncode or len(list(runs_dir.glob("*/result.json"))) != num_runs:
        raise SystemExit(f"{' '.join(command)}\nended with status {done.returncode}:\n{done.stderr}")
    return seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=2, help="runs side by side, and threads of the single one")
    parser.add_argument("--runs", type=int, default=12)
    parser.add_argument("--steps", type=int, default=20, help="of each run")
    parser.add_argument("--rounds", type=int, default=1)
    asked = parser.parse_args()
    settings = {
        f"JOBS=1, {asked.jobs} threads": {"jobs": 1, "threads": asked.jobs},
        f"JOBS={asked.jobs}, one thread each": {"jobs": asked.jobs, "threads": 1},
    }
    times: dict[str, list[float]] = {name: [] for name in settings}
    for number in range(asked.rounds):
        for name in list(settings)[:: 1 if number % 2 == 0 else -1]:
            with tempfile.TemporaryDirectory() as folder:
                times[name].append(sweep(Path(folder), asked.runs, asked.steps, **settings[name]))
    first = statistics.median(next(iter(times.values())))
    print(f"| {asked.runs} runs of {asked.steps} steps | median s | fastest s | times faster |\n|---|---|---|---|")
    for name, values in times.items():
        median = statistics.median(values)
        print(f"| {name} | {median:.1f} | {min(values):.1f} | {first / median:.2f} |")


if __name__ == "__main__":
    main()
