"""A training step beside other work on the same cores, by how OpenMP's threads wait.

    python benchmarks/neighbour.py [--width 8] [--tile 572] [--steps 10] [--rounds 5]

*before* and *after* take the same step of this commit; they differ only in the environment. Before, threads spin as
long as libgomp (300,000 turns) and LLVM's OpenMP (200 ms) allow by default; after, as long as the package
allows. Each measurement is a process, which prints the median of its steps; all run in turn. The other
training waits as the measured one does.
"""

import contextlib
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator

from harness import Record, Seconds, counted, options
from training_step import ours, random_batch

from unet_repro.machine import usable_cores, use_machine

WARM_UP = 3
UNSET = {"GOMP_SPINCOUNT": "300000", "KMP_BLOCKTIME": "200"}  # the libraries' defaults
QUIET, BUSY, TRAINING = "quiet", "beside one busy process", "beside another training"


def steps(width: int, tile: int, threads: int, number: int) -> None:
    """Prints a line once warm, then the median seconds of a step; without a number trains until killed."""
    use_machine(threads)
    step = ours(width, random_batch(tile))
    for _ in range(WARM_UP):
        step()
    print("warm", flush=True)
    times = []
    while len(times) < number or not number:
        start = time.perf_counter()
        step()
        times.append(time.perf_counter() - start)
    print(statistics.median(times))


@contextlib.contextmanager
def started(command: list[str], environment: dict[str, str], *, warms_up: bool) -> Iterator["subprocess.Popen[str]"]:
    """A warmed-up process; killed at the end."""
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
    try:
        if warms_up and process.stdout.readline() != "warm\n":
            raise SystemExit(f"{' '.join(command)}\nended with status {process.wait()}")
        yield process
    finally:
        process.kill()
        process.communicate()


def main() -> None:
    asked = options(__doc__, width=8, tile=572, steps=10, rounds=5)
    cores = usable_cores()
    candidates = {
        f"before, {counted(cores)}": (cores, {**os.environ, **UNSET}),
        f"after, {counted(cores)}": (cores, {**os.environ}),  # importing the package has set it
        "after, 1 thread": (1, {**os.environ}),
    }
    before, after, _ = candidates

    def training(threads: int, number: int) -> list[str]:
        return [sys.executable, __file__, "--child", *map(str, (asked.width, asked.tile, threads, number))]

    def once(beside: str, threads: int, environment: dict[str, str]) -> float:
        with contextlib.ExitStack() as stack:
            if beside == BUSY:
                stack.enter_context(started([sys.executable, "-c", "while True: pass"], environment, warms_up=False))
            elif beside == TRAINING:
                stack.enter_context(started(training(threads, 0), environment, warms_up=True))
            measured = stack.enter_context(started(training(threads, asked.steps), environment, warms_up=True))
            return float(measured.stdout.readline())

    cases = [(beside, name) for beside in (QUIET, BUSY, TRAINING) for name in candidates]
    times: dict[tuple[str, str], list[float]] = {case: [] for case in cases}
    for number in range(asked.rounds):
        for beside, name in cases[:: 1 if number % 2 == 0 else -1]:
            times[beside, name].append(once(beside, *candidates[name]))
    record = Record("neighbour", f"A training step beside other work, width {asked.width}, tile {asked.tile}")
    for (beside, name), seconds in ((case, Seconds.of(found)) for case, found in times.items()):
        slower = seconds.median / statistics.median(times[beside, before])
        is_judged = name == after
        if beside == QUIET:
            compared = {"ratio": slower, "to": "before, its time", "goal": "<= 1.03" if is_judged else ""}
        else:
            goal = ">= 1.7" if is_judged and beside == BUSY else ""
            compared = {"ratio": 1 / slower, "to": "before, times faster", "goal": goal}
        record.add(f"{beside}: {name}", seconds, **(compared if name != before else {}))
    record.write()


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        steps(*map(int, sys.argv[2:]))
    else:
        main()
