"""Where the time of a run at the scale `cpu` goes: start, drawing of tiles, steps, validation, checkpoints, W&B.

    python benchmarks/suite.py [--rounds 3] [--data isbi2012]

Each round is one whole command, as a suite's worker runs it: one thread, offline W&B. A worker that a suite keeps
starts once for many runs; here each run starts anew.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from harness import Record, Seconds

PARTS = ("training steps", "drawing tiles", "validation", "checkpoints", "start, W&B and the rest")


class Clock:
    """Adds up what the parts of a training take; a part inside another counts for the inner one alone."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self._open: list[list] = []  # name, and seconds of what ran inside

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        start = time.perf_counter()
        self._open.append([name, 0.0])
        try:
            yield
        finally:
            taken = time.perf_counter() - start
            _, inside = self._open.pop()
            self.seconds[name] += taken - inside
            if self._open:
                self._open[-1][1] += taken

    def around(self, owner: object, method: str, name: str) -> None:
        """Counts every call of a method."""
        original: Callable = getattr(owner, method)

        def timed(*args: object, **kwargs: object) -> object:
            with self.part(name):
                return original(*args, **kwargs)

        setattr(owner, method, timed)


def one(arguments: list[str]) -> None:
    """Trains, and prints the seconds of the parts as JSON on its last line."""
    from lightning.pytorch.loops.evaluation_loop import _EvaluationLoop  # noqa: PLC0415 - the parent shall not wait for it
    from lightning.pytorch.loops.optimization.automatic import _AutomaticOptimization  # noqa: PLC0415

    from unet_repro.cli import main as command  # noqa: PLC0415
    from unet_repro.data.datamodule import TrainTiles  # noqa: PLC0415
    from unet_repro.runs.recorder import Recorder  # noqa: PLC0415

    clock = Clock()
    clock.around(_AutomaticOptimization, "run", "training steps")
    clock.around(TrainTiles, "__getitem__", "drawing tiles")
    clock.around(_EvaluationLoop, "run", "validation")
    clock.around(Recorder, "_write", "checkpoints")
    command(arguments)
    print(json.dumps(clock.seconds))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    here = "isbi2012" if Path(os.environ.get("UNET_REPRO_DATA", "data"), "isbi2012").is_dir() else "synthetic"
    parser.add_argument("--data", default=here)
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    times: dict[str, list[float]] = defaultdict(list)
    for number in range(asked.rounds):
        with tempfile.TemporaryDirectory() as folder:
            run = ["train", f"data={asked.data}", "trainer.threads=1", "trainer.progress=false", f"seed={number}"]
            start = time.perf_counter()
            done = subprocess.run(
                [sys.executable, __file__, "--one", *run], cwd=folder, capture_output=True, text=True, check=False
            )
            whole = time.perf_counter() - start
        if done.returncode:
            raise SystemExit(done.stderr)
        parts = json.loads(done.stdout.splitlines()[-1])
        for name in PARTS[:-1]:
            times[name].append(parts[name])
        times[PARTS[-1]].append(whole - sum(parts.values()))
        times["outside of training steps"].append(whole - parts[PARTS[0]])
        times["whole command"].append(whole)
    record = Record("suite", f"One run at the scale cpu on {asked.data}, one thread")
    found = {name: Seconds.of(values) for name, values in times.items()}
    goals = {"outside of training steps": "<= 0.15", "drawing tiles": "<= 0.02"}
    for name, seconds in found.items():
        share = seconds.median / found["whole command"].median
        record.add(name, seconds, ratio=share, to="the whole command", goal=goals.get(name, ""))
    record.write()


if __name__ == "__main__":
    if sys.argv[1:2] == ["--one"]:
        one(sys.argv[2:])
    else:
        main()
