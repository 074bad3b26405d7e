"""Time of a run at the scale `cpu` by part: start, tile sampling, steps, validation, checkpoints, W&B.

    python benchmarks/suite.py [--runs 4] [--data isbi2012]

One command trains several seeds in sequence, as a suite's worker does: one thread, offline W&B. A worker starts
once; imports of its first run (W&B's start) count as start too.
"""

import json
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from harness import DATA, Record, Row, Seconds, options, run

PARTS = ("training steps", "drawing tiles", "validation", "checkpoints")
WHOLE, OUTSIDE = "whole run", "outside of training steps"
WITHOUT_START = f"{OUTSIDE}, without the start"


class Clock:
    """Sums the seconds of the parts of a training; nested parts count only for the inner one."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self._open: list[list] = []  # name, and seconds of nested parts

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
        """Times every call of a method."""
        original: Callable = getattr(owner, method)

        def timed(*args: object, **kwargs: object) -> object:
            with self.part(name):
                return original(*args, **kwargs)

        setattr(owner, method, timed)


def one(arguments: list[str]) -> None:
    """Trains, and prints the seconds of each run's parts as JSON on the last line."""
    from lightning.pytorch.loops.evaluation_loop import _EvaluationLoop  # noqa: PLC0415 - not in the parent
    from lightning.pytorch.loops.optimization.automatic import _AutomaticOptimization  # noqa: PLC0415

    from unet_repro.commands import train as command  # noqa: PLC0415
    from unet_repro.data.datamodule import TrainTiles  # noqa: PLC0415
    from unet_repro.runs.recorder import Recorder  # noqa: PLC0415

    clock = Clock()
    clock.around(_AutomaticOptimization, "run", "training steps")
    clock.around(TrainTiles, "__getitem__", "drawing tiles")
    clock.around(_EvaluationLoop, "run", "validation")
    clock.around(Recorder, "_write", "checkpoints")
    runs: list[dict[str, float]] = []
    train = command.train

    def timed(*args: object, **kwargs: object) -> object:
        clock.seconds.clear()
        start = time.perf_counter()
        result = train(*args, **kwargs)
        runs.append({**clock.seconds, WHOLE: time.perf_counter() - start})
        return result

    command.train = timed
    command.main(arguments)
    print(json.dumps(runs))


def main() -> None:
    asked = options(__doc__, data=DATA, runs=4)
    seeds = ",".join(map(str, range(asked.runs)))
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        printed = run(__file__, "--one", "-m", f"data={asked.data}", "trainer.threads=1", "trainer.progress=false",
                      f"seed={seeds}", cwd=folder)  # fmt: skip
        worker_s = time.perf_counter() - start
    runs = json.loads(printed.splitlines()[-1])
    times = {name: Seconds.of([parts[name] for parts in runs]) for name in (*PARTS, WHOLE)}
    times["W&B and the rest"] = Seconds.of([parts[WHOLE] - sum(parts[name] for name in PARTS) for parts in runs])
    times[WITHOUT_START] = Seconds.of([parts[WHOLE] - parts[PARTS[0]] for parts in runs])
    record = Record(
        "suite", f"One of {asked.runs} runs that a worker trains in turn, scale cpu, {asked.data}, one thread"
    )
    run_s = times[WHOLE].median
    for name, seconds in times.items():
        record.add(name, seconds, ratio=seconds.median / run_s, to="the run",
                   goal="<= 0.02" if name == "drawing tiles" else "")  # fmt: skip
    start_s = worker_s - asked.runs * run_s
    record.rows.append(Row("start of a worker", start_s, "s", ratio=start_s / run_s, to="the run"))
    for number in (1, asked.runs, 21):  # 21: half of the default suite
        outside_s = start_s / number + times[WITHOUT_START].median
        item, to = f"{OUTSIDE}, with the start shared by {number} runs", "run and share of start"
        if number == 1:
            item, to = OUTSIDE, "the whole command"
        share = outside_s / (run_s + start_s / number)
        record.rows.append(Row(item, outside_s, "s", ratio=share, to=to, goal="<= 0.15"))
    record.write()


if __name__ == "__main__":
    if sys.argv[1:2] == ["--one"]:
        one(sys.argv[2:])
    else:
        main()
