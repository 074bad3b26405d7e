"""The stress test's sweep through SLURM, with random requeues and time limits that are too short.

    python benchmarks/stress_slurm.py      # as root, with slurm-wlm and munge installed

Jobs have one minute, of which SLURM needs 20 to 50 s for its warning; runs take longer. Ends with status 1 unless
every ``result.json``, ``history.csv`` and weight is equal to an undisturbed sweep's.
"""

import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path += [str(Path(__file__).parent), str(Path(__file__).parents[1] / "tests" / "integration")]

from harness import options
from slurm_cluster import Cluster
from stress import command, fingerprints

SLURM = [
    "hydra/launcher=slurm", "hydra.launcher.cpus_per_task=1", "hydra.launcher.mem_gb=1", "hydra.launcher.poll_s=2",
    "hydra.launcher.timeout_min=1", "hydra.launcher.signal_delay_s=20",
]  # fmt: skip


def disturbed(cluster: Cluster, arguments: list[str], log: Path, *, requeues: int, every_s: float, seed: int) -> int:
    """Runs the sweep to its end; returns its number of requeues."""
    rng, done, next_one = random.Random(seed), 0, time.monotonic() + every_s
    with log.open("w") as output:
        sweep = subprocess.Popen(arguments, stdout=output, stderr=output, env={**os.environ, **cluster.environment})
        while sweep.poll() is None:
            time.sleep(0.5)
            cluster.hurry()
            running = [job for job, state in cluster.jobs().items() if state == "RUNNING"]
            if running and done < requeues and time.monotonic() > next_one:
                cluster.ask("scontrol", "requeue", rng.choice(running))
                done, next_one = done + 1, time.monotonic() + rng.expovariate(1 / every_s)
    if sweep.returncode:
        sys.exit(log.read_text())
    return done


def main() -> None:
    """Runs both sweeps and compares."""
    asked = options(__doc__, runs=12, steps=3000, requeues=20, every_s=8.0)  # mean seconds between requeues
    with tempfile.TemporaryDirectory(prefix="slurm") as scratch:
        folders = {name: Path(scratch) / name for name in ("cluster", "calm", "wild")}
        for folder in folders.values():
            folder.mkdir()
        sizes = {"runs": asked.runs, "steps": asked.steps, "jobs": 2}
        subprocess.run(command(folders["calm"], **sizes), check=True, stderr=subprocess.DEVNULL)
        local = command(folders["wild"], **sizes)
        through = [argument for argument in local if not argument.startswith(("hydra/launcher", "hydra.launcher"))]
        with Cluster(folders["cluster"]) as cluster:
            sweep, log = [*through, *SLURM], Path(scratch) / "log"
            requeues = disturbed(cluster, sweep, log, requeues=asked.requeues, every_s=asked.every_s, seed=0)
        logs = [path.read_text() for path in folders["wild"].glob("slurm/*/*.err")]
        warned = sum(log.count("SIGUSR2: stopping") for log in logs)
        one, two = fingerprints(folders["calm"]), fingerprints(folders["wild"])
        starts = sum(path.read_text().count("Starting with") for path in folders["wild"].glob("slurm/*/*.out"))
    equal = sum(one[run_id] == two.get(run_id) for run_id in one)
    print(
        f"{len(one)} runs of {asked.steps} steps through SLURM, {requeues} times `scontrol requeue` and {warned} times "
        f"the end of a one-minute time limit ({starts} starts of jobs): **{equal} of {len(one)}** `result.json`, "
        "`history.csv` and weights (last and best) are equal, bit for bit, to an undisturbed sweep's."
    )
    if equal != asked.runs:
        sys.exit("not all runs are equal")


if __name__ == "__main__":
    main()
