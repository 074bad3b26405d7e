"""The cost of fault tolerance: checkpoints during a training, and restarting a finished suite.

    python benchmarks/resume.py    # about four minutes on two cores

One training at the scale `cpu` with the default `trainer.save_every_s`; its record has the seconds of checkpoints;
then the suite with two seeds, trained at the scale `smoke`, and the seconds of the same command after it has finished.
"""

import json
import tempfile
import time
from pathlib import Path

from harness import DATA, UNET_REPRO, Record, Row, Seconds, options, run


def unet_repro(*arguments: str, cwd: Path) -> float:
    """Seconds of one command."""
    started = time.perf_counter()
    run(*UNET_REPRO, *arguments, cwd=cwd)
    return time.perf_counter() - started


def checkpoint_share(data: str) -> tuple[float, float]:
    """Seconds that the checkpoints of a training at the scale `cpu` took, and seconds of the whole training."""
    with tempfile.TemporaryDirectory() as folder:
        unet_repro("train", f"data={data}", "optimizer=adam", "trainer.threads=1", "trainer.progress=false",
                   cwd=Path(folder))  # fmt: skip
        (path,) = Path(folder).glob("runs/*/provenance.json")
        record = json.loads(path.read_text())
    return record["checkpoint_seconds"], record["seconds"]


def restart_seconds(data: str, repeats: int) -> tuple[int, list[float]]:
    """Number of runs of a finished suite, and seconds of restarting it."""
    suite = ["reproduce", "--scale", "smoke", "--data", data, "--seeds", "2", "logger.mode=disabled"]
    with tempfile.TemporaryDirectory() as folder:
        cwd = Path(folder)
        unet_repro(*suite, cwd=cwd)
        seconds = [unet_repro(*suite, cwd=cwd) for _ in range(repeats)]
        return len(list(cwd.glob("runs/*/result.json"))), seconds


def main() -> None:
    asked = options(__doc__, data=DATA, repeats=3)
    saving, training = checkpoint_share(asked.data)
    num_runs, seconds = restart_seconds(asked.data, asked.repeats)
    record = Record("resume", "Cost of checkpoints and of resuming")
    record.rows.append(
        Row("checkpoints of a training at scale cpu", saving, "s", ratio=saving / training, to="the training")
    )
    record.add(f"starting a finished suite of {num_runs} runs again", Seconds.of(seconds))
    record.write()


if __name__ == "__main__":
    main()
