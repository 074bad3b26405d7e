"""What all benchmarks share: this machine's limits, candidates timed in turn, and results on record.

A benchmark measures in one process: its candidates run in turn, round after round, so that a busy machine slows all
alike, and ratios of medians stand where seconds would mislead. ``Record.write`` writes ``results/<name>.json``;
``table.py`` reads it.
"""

import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from table import markdown

import unet_repro

RESULTS = Path(os.environ.get("UNET_REPRO_BENCH", Path(__file__).parent / "results"))
SOURCE = Path(unet_repro.__file__).parent  # of what is measured: with PYTHONPATH another checkout's


@dataclass(frozen=True)
class Seconds:
    """Times of one candidate: median and quartiles."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, times: list[float]) -> "Seconds":
        low, median, high = statistics.quantiles(times, n=4, method="inclusive") if len(times) > 1 else 3 * times
        return cls(median, low, high)


@dataclass(frozen=True)
class Row:
    """One line of a table.

    Attributes:
        item: What was measured.
        value: Of the median round.
        unit: Of the value and its spread.
        spread: Quartiles over the rounds, none for what was measured once.
        ratio: How often the reference holds this, or how much of a limit this is; ``None`` for the reference itself.
        to: What the ratio is to.
        goal: The least (``>=``) or greatest (``<=``) ratio wanted, as ``">= 1.6"``.
    """

    item: str
    value: float
    unit: str
    spread: tuple[float, float] | None = None
    ratio: float | None = None
    to: str = ""
    goal: str = ""


@dataclass
class Record:
    """A benchmark's results."""

    name: str
    title: str
    rows: list[Row] = field(default_factory=list)
    limits: dict[str, float] = field(default_factory=dict)

    def add(self, item: str, seconds: Seconds, *, ratio: float | None = None, to: str = "", goal: str = "") -> None:
        scale, unit = (1e3, "ms") if seconds.median < 1 else (1, "s")
        self.rows.append(
            Row(item, seconds.median * scale, unit, (seconds.low * scale, seconds.high * scale), ratio, to, goal)
        )

    def raise_limits(self) -> None:
        """Measures the limits, and keeps the best of the call: a busy moment must not pass for the machine's limit."""
        for name, rate in limits().items():
            self.limits[name] = max(rate, self.limits.get(name, 0.0))

    def write(self) -> None:
        """Writes ``results/<name>.json``, and shows the table."""
        RESULTS.mkdir(parents=True, exist_ok=True)
        content = _rounded({**asdict(self), "command": _command(), "commit": _commit(), "machine": machine()})
        (RESULTS / f"{self.name}.json").write_text(json.dumps(content, indent=1) + "\n")
        print(markdown(content), flush=True)


def in_turn(candidates: Mapping[str, Callable[[], object]], *, rounds: int, warm_up: int = 1) -> dict[str, Seconds]:
    """Times every candidate once a round, in turn; the order is turned round each time."""
    times: dict[str, list[float]] = {name: [] for name in candidates}
    for number in range(-warm_up, rounds):
        for name in list(candidates)[:: 1 if number % 2 == 0 else -1]:
            synchronise()
            start = time.perf_counter()
            candidates[name]()
            synchronise()
            if number >= 0:
                times[name].append(time.perf_counter() - start)
    return {name: Seconds.of(values) for name, values in times.items()}


def synchronise() -> None:
    """Waits for the GPU, where there is one."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def limits(*, size: int = 2048, copy_mb: int = 256, rounds: int = 7) -> dict[str, float]:
    """What this machine can do at best, now and with torch's present number of threads.

    Returns:
        ``fp32_flops``: of a square matrix product; ``copy_bytes``: read and written a second by a large copy; with CUDA
        also ``cuda_bf16_flops``.
    """
    a, b = torch.randn(2, size, size)
    source = torch.ones(copy_mb << 18)
    target = torch.empty_like(source)
    out = torch.empty(size, size)
    jobs: dict[str, Callable[[], object]] = {
        "fp32": lambda: torch.mm(a, b, out=out),
        "copy": lambda: target.copy_(source),
    }
    if torch.cuda.is_available():
        side = 8192
        big = torch.randn(2, side, side, device="cuda", dtype=torch.bfloat16)
        jobs["bf16"] = lambda: big[0] @ big[1]
    times = in_turn(jobs, rounds=rounds)
    found = {"fp32_flops": 2 * size**3 / times["fp32"].low, "copy_bytes": 2 * (copy_mb << 20) / times["copy"].low}
    if "bf16" in times:
        found["cuda_bf16_flops"] = 2 * side**3 / times["bf16"].low
    return found


def machine() -> dict[str, object]:
    """Processor, cores, versions; no name and no path."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    models = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    found: dict[str, object] = {
        "processor": models[0] if models else platform.processor(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "python": platform.python_version(),
    }
    if torch.cuda.is_available():
        found["gpu"] = torch.cuda.get_device_name()
    return found


def _command() -> str:
    return " ".join(["python", f"benchmarks/{Path(sys.argv[0]).name}", *sys.argv[1:]])


def _commit() -> str:
    """Commit of the measured source, with a plus where files differ from it."""

    def git(*arguments: str) -> str:
        return subprocess.run(
            ["git", *arguments], cwd=SOURCE, capture_output=True, text=True, check=False
        ).stdout.strip()

    return git("rev-parse", "--short=12", "HEAD") + ("+" if git("status", "--porcelain", ".") else "")


def _rounded(content: Any) -> Any:
    if isinstance(content, float):
        return float(f"{content:.4g}")
    if isinstance(content, dict):
        return {key: _rounded(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [_rounded(value) for value in content]
    return content
