"""Kills a sweep's processes repeatedly at random moments, and compares its results with an undisturbed sweep's.

    python benchmarks/stress.py                      # 12 runs, at least 50 kills; `make stress`
    python benchmarks/stress.py --runs 4 --kills 6   # a shorter version, in the tests

Workers are killed with SIGKILL at random, and sometimes the whole sweep with all its workers; the same
command is then restarted. Kills are `--every-s` seconds apart on average; `--publish README` writes the result
between its markers there. Ends with status 1 unless every ``result.json``, ``history.csv`` and weight is equal.
"""

import contextlib
import os
import random
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import torch
from harness import options
from tqdm import tqdm

from unet_repro.files import sha256, write_between
from unet_repro.runs.checkpoint import weights_sha256
from unet_repro.runs.lease import read_holder
from unet_repro.runs.provenance import provenance

NETWORK = [
    "data=synthetic", "data.num_slices=6", "data.size_px=96", "model.width=4", "model.depth=2", "tiles.size=84",
    "tiles.budget=2x84", "trainer.threads=1", "logger.mode=disabled", "optimizer=adam", "schedule=cosine",
]  # fmt: skip
SUITE_SHARE = 0.1  # of the kills: the sweep with all its workers, not one worker
BEGIN, END = "<!-- stress: written by `make stress` -->", "<!-- end of stress -->"


def command(runs_dir: Path, *, runs: int, steps: int, jobs: int) -> list[str]:
    """The sweep, as a user would start it."""
    return [
        sys.executable, "-m", "unet_repro", "train", "-m", *NETWORK, f"seed={','.join(map(str, range(runs)))}",
        f"trainer.max_steps={steps}", f"trainer.val_every={steps // 10}", "trainer.save_every_s=0.1",
        "hydra/launcher=local", f"hydra.launcher.jobs={jobs}", f"runs_dir={runs_dir}",
    ]  # fmt: skip


def fingerprints(runs_dir: Path) -> dict[str, tuple[str, ...]]:
    """For each finished run: hashes of result, history, last and best weights."""
    found = {}
    for result in sorted(runs_dir.glob("*/result.json")):
        folder = result.parent
        weights = [
            weights_sha256(torch.load(folder / name, weights_only=True)["state_dict"])
            for name in ("last.ckpt", "best.ckpt")
        ]
        texts = [sha256((folder / name).read_text()) for name in ("result.json", "history.csv")]
        found[folder.name] = (*texts, *weights)
    return found


def workers(runs_dir: Path) -> list[int]:
    """Processes that are training a run."""
    holders = [read_holder(path.parent) for path in runs_dir.glob("*/worker.json")]
    return [holder.pid for holder in holders if holder is not None and holder.is_alive]


class Chaos:
    """Runs the sweep to its end while killing processes."""

    def __init__(self, arguments: list[str], runs_dir: Path, *, kills: int, every_s: float, seed: int) -> None:
        self.arguments, self.runs_dir, self.wanted, self.every_s = arguments, runs_dir, kills, every_s
        self.rng = random.Random(seed)
        self.worker_kills = self.suite_kills = self.starts = 0

    def run(self) -> None:
        """Restarts the command until it ends without a kill."""
        with tqdm(total=self.wanted, unit="kill", desc="kills") as bar:
            while not self._once(bar):
                pass

    def _once(self, bar: "tqdm[None]") -> bool:
        self.starts += 1
        log = (self.runs_dir.parent / "log.txt").open("ab")
        sweep = subprocess.Popen(self.arguments, stdout=log, stderr=log, start_new_session=True)
        try:
            while sweep.poll() is None:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    sweep.wait(self.rng.expovariate(1 / self.every_s))
                if self.worker_kills < self.wanted and sweep.poll() is None:
                    self._kill(sweep)
                    bar.update(self.worker_kills - bar.n)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(sweep.pid, signal.SIGKILL)
            log.close()
        return sweep.returncode == 0

    def _kill(self, sweep: "subprocess.Popen[bytes]") -> None:
        pids = workers(self.runs_dir)
        if not pids:
            return
        if self.rng.random() < SUITE_SHARE:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(sweep.pid, signal.SIGKILL)  # the command, its fork server and its workers
                self.suite_kills += 1
                self.worker_kills += len(pids)
            sweep.wait()
        else:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.rng.choice(pids), signal.SIGKILL)
                self.worker_kills += 1


def main() -> None:
    """Runs both sweeps and compares."""
    asked = options(__doc__, runs=12, kills=50, steps=1500, jobs=2, every_s=1.5, seed=0, publish="")
    with tempfile.TemporaryDirectory() as scratch:
        calm, wild = Path(scratch) / "calm/runs", Path(scratch) / "wild/runs"
        for runs_dir in (calm, wild):
            runs_dir.mkdir(parents=True)
        sizes = {"runs": asked.runs, "steps": asked.steps, "jobs": asked.jobs}
        done = subprocess.run(command(calm, **sizes), capture_output=True, text=True, check=False)
        if done.returncode:
            sys.exit(f"the undisturbed sweep failed:\n{done.stderr}")
        chaos = Chaos(command(wild, **sizes), wild, kills=asked.kills, every_s=asked.every_s, seed=asked.seed)
        chaos.run()
        one, two = fingerprints(calm), fingerprints(wild)
    equal = sum(one[run_id] == two.get(run_id) for run_id in one)
    summary = (
        f"{len(one)} runs of {asked.steps} steps, {asked.jobs} side by side: {chaos.worker_kills} workers killed with "
        f"SIGKILL at random moments, {chaos.suite_kills} times the whole sweep with them; the command was started "
        f"{chaos.starts} times. **{equal} of {len(one)}** `result.json`, `history.csv` and weights (last and best) are "
        f"equal, bit for bit, to an undisturbed sweep's."
    )
    print(summary)
    if chaos.worker_kills < asked.kills:
        sys.exit(f"the sweep ended after {chaos.worker_kills} kills of {asked.kills}: use more --steps")
    if equal != asked.runs:
        sys.exit("not all runs are equal")
    if asked.publish:
        made = provenance("cpu")
        by = f"commit {made['commit']}, torch {made['torch']}, {made['machine']}, {os.cpu_count()} cores."
        write_between(Path(asked.publish), f"{summary}\n\n`make stress`; {by}", begin=BEGIN, end=END)


if __name__ == "__main__":
    main()
