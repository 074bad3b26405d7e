"""Shared by all benchmarks: this machine's limits, candidates timed in turn, levels, and recorded results.

Candidates run in turn, round after round, in one process: a busy machine slows all equally, so ratios of medians
are reliable where seconds are not. ``at_levels`` repeats a benchmark limited to AVX2.
``Record.write`` writes ``results/<name>.json``; ``table.py`` reads it.

A script imports torch before ``unet_repro``, too late for the package's setting of how OpenMP's threads wait; the
processes that it starts inherit the setting.
"""

import argparse
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
import torch.nn.functional as F  # noqa: N812
from table import markdown

import unet_repro
from unet_repro.machine import instruction_set, multiplies_bf16, usable_cores

RESULTS = Path(os.environ.get("UNET_REPRO_BENCH", Path(__file__).parent / "results"))
SOURCE = Path(unet_repro.__file__).parent
DATA = "isbi2012" if Path(os.environ.get("UNET_REPRO_DATA", "data"), "isbi2012").is_dir() else "synthetic"
UNET_REPRO = ("-m", "unet_repro")
LEVELS = {
    "native": {},
    "AVX2": {"ONEDNN_MAX_CPU_ISA": "AVX2", "ATEN_CPU_CAPABILITY": "avx2", "MKL_ENABLE_INSTRUCTIONS": "AVX2"},
}
LEVEL_VARIABLE = "UNET_REPRO_BENCH_LEVEL"  # set in the process that measures a level


@dataclass(frozen=True)
class Seconds:
    """Times of one candidate: median, quartiles and the shortest."""

    median: float
    low: float
    high: float
    best: float

    @classmethod
    def of(cls, times: list[float]) -> "Seconds":
        low, median, high = statistics.quantiles(times, n=4, method="inclusive") if len(times) > 1 else 3 * times
        return cls(median, low, high, min(times))


@dataclass(frozen=True)
class Row:
    """One line of a table.

    Attributes:
        item: What was measured.
        value: Value of the median round.
        unit: Unit of value and spread.
        spread: Quartiles over the rounds; none for a single measurement.
        ratio: Reference divided by this value, or share of a limit; ``None`` for the reference itself.
        to: The reference.
        goal: Minimum (``>=``) or maximum (``<=``) ratio, as ``">= 1.6"``.
        share: Operations per second as a share of the machine's limit for this precision.
    """

    item: str
    value: float
    unit: str
    spread: tuple[float, float] | None = None
    ratio: float | None = None
    to: str = ""
    goal: str = ""
    share: float | None = None


@dataclass
class Record:
    """A benchmark's results.

    Attributes:
        limits: See ``limits``; keys for fewer threads than cores end in a comma and the number.
        levels: Instruction set and limits of each level.
    """

    name: str
    title: str
    rows: list[Row] = field(default_factory=list)
    limits: dict[str, float] = field(default_factory=dict)
    levels: dict[str, dict[str, Any]] = field(default_factory=dict)

    def add(self, item: str, seconds: Seconds, **compared: Any) -> None:
        """A row of seconds; ``ratio``, ``to``, ``goal`` and ``share`` as in ``Row``."""
        scale, unit = (1e3, "ms") if seconds.median < 1 else (1, "s")
        spread = (seconds.low * scale, seconds.high * scale)
        self.rows.append(Row(item, seconds.median * scale, unit, spread, **compared))

    def raise_limits(self) -> None:
        """Measures the limits, and keeps the best, since a busy machine shows lower ones."""
        for name, rate in limits().items():
            key = limit_key(name, torch.get_num_threads())
            self.limits[key] = max(rate, self.limits.get(key, 0.0))

    def write(self) -> None:
        """Writes ``results/<name>.json``, and prints the table."""
        RESULTS.mkdir(parents=True, exist_ok=True)
        content = {**asdict(self), "command": command(), "commit": _commit(), "machine": machine()}
        content = json.loads(json.dumps(content), parse_float=lambda text: float(f"{float(text):.4g}"))
        (RESULTS / f"{self.name}.json").write_text(json.dumps(content, indent=1) + "\n")
        print(markdown(content), flush=True)


def at_levels(record: Record, measure: Callable[[Record, str], None]) -> None:
    """Runs this script once per level, each in its own process, and writes all rows as one record.

    The environment sets the instruction sets of torch's libraries before torch is imported. A machine
    without AVX-512 is measured once.

    Args:
        record: Empty record.
        measure: Adds rows and limits to a record; its second argument is the level's name.
    """
    if (level := os.environ.get(LEVEL_VARIABLE)) is not None:
        measure(record, level)
        print(json.dumps({**asdict(record), "instruction_set": instruction_set()}))
        return
    for level in LEVELS if instruction_set().startswith("AVX512") else ("native",):
        found = json.loads(run(*sys.argv, **LEVELS[level], **{LEVEL_VARIABLE: level}).splitlines()[-1])
        record.rows += [Row(**{**row, "item": f"{level}, {row['item']}"}) for row in found["rows"]]
        record.levels[level] = {name: found[name] for name in ("instruction_set", "limits")}
    record.write()


def options(description: str | None, **defaults: Any) -> argparse.Namespace:
    """Parses the command line: an option for each default, of its type; a list takes several values."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in defaults.items():
        several = isinstance(default, list)
        kind = type(default[0] if several else default)
        parser.add_argument(f"--{name.replace('_', '-')}", type=kind, default=default, nargs="+" if several else None)
    return parser.parse_args()


def run(*arguments: str, cwd: str | Path | None = None, **environment: str) -> str:
    """Output of ``python ARGUMENTS``; a failure ends the benchmark with its message."""
    env = {**os.environ, **environment}
    done = subprocess.run([sys.executable, *arguments], cwd=cwd, env=env, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(arguments)}\nended with status {done.returncode}:\n{done.stderr}")
    return done.stdout


def in_turn(candidates: Mapping[str, Callable[[], object]], *, rounds: int, warm_up: int = 1) -> dict[str, Seconds]:
    """Times every candidate once per round, in turn; the order is reversed each time."""
    wait_for_gpu = torch.cuda.synchronize if torch.cuda.is_available() else lambda: None
    times: dict[str, list[float]] = {name: [] for name in candidates}
    for number in range(-warm_up, rounds):
        for name in list(candidates)[:: 1 if number % 2 == 0 else -1]:
            wait_for_gpu()
            start = time.perf_counter()
            candidates[name]()
            wait_for_gpu()
            if number >= 0:
                times[name].append(time.perf_counter() - start)
    return {name: Seconds.of(values) for name, values in times.items()}


def limits(*, size: int = 2048, side: int = 128, copy_mb: int = 256, rounds: int = 7) -> dict[str, float]:
    """The best rates of torch's libraries with the current number of threads.

    Args:
        size: Rows and columns of the matrix product.
        side: Pixels and channels of the convolution, 3x3, in both memory orders.
        copy_mb: Size of the copy.
        rounds: Number of rounds, of which the fastest counts.

    Returns:
        ``fp32_flops`` and, where the processor multiplies bfloat16, ``bf16_flops``: the better of matrix product and
        convolution; ``copy_bytes``: read and written per second; with CUDA ``cuda_bf16_flops``: of a matrix product.
    """
    source = torch.ones(copy_mb << 18)
    target = torch.empty_like(source)
    jobs: dict[str, Callable[[], object]] = {"copy_bytes": lambda: target.copy_(source)}
    counts = {"copy_bytes": 2 * (copy_mb << 20)}
    for kind in (torch.float32, torch.bfloat16) if multiplies_bf16() else (torch.float32,):
        name = "fp32_flops" if kind == torch.float32 else "bf16_flops"
        a, b = torch.randn(2, size, size, dtype=kind)
        jobs[f"{name} product"], counts[f"{name} product"] = (lambda a=a, b=b: a @ b), 2 * size**3
        for order in (torch.channels_last, torch.contiguous_format):
            x, w = (torch.randn(n, side, k, k, dtype=kind).to(memory_format=order) for n, k in ((1, side), (side, 3)))
            jobs[f"{name} {order}"] = lambda x=x, w=w: F.conv2d(x, w, padding=1)
            counts[f"{name} {order}"] = 2 * 9 * side**4
    if torch.cuda.is_available():
        big = torch.randn(2, 8192, 8192, device="cuda", dtype=torch.bfloat16)
        jobs["cuda_bf16_flops"], counts["cuda_bf16_flops"] = (lambda: big[0] @ big[1]), 2 * 8192**3
    found: dict[str, float] = {}
    for job, seconds in in_turn(jobs, rounds=rounds).items():
        name = job.split()[0]
        found[name] = max(found.get(name, 0.0), counts[job] / seconds.best)
    return found


def limit_key(name: str, threads: int) -> str:
    """Name of a limit in a record."""
    return name if threads == usable_cores() else f"{name}, {counted(threads)}"


def counted(threads: int) -> str:
    return f"{threads} thread{'s' * (threads > 1)}"


def machine() -> dict[str, object]:
    """Processor, cores, versions; no host name or path."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    models = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    found: dict[str, object] = {
        "processor": models[0] if models else platform.processor(),
        "cores": usable_cores(),
        "threads": torch.get_num_threads(),
        "instruction_set": instruction_set(),
        "torch": torch.__version__,
        "python": platform.python_version(),
    }
    if torch.cuda.is_available():
        found["gpu"] = torch.cuda.get_device_name()
    return found


def command() -> str:
    """The command that this process was started with."""
    return " ".join(["python", f"benchmarks/{Path(sys.argv[0]).name}", *sys.argv[1:]])


def _commit() -> str:
    """Commit of the measured source, with a plus if files differ from it."""

    def git(*arguments: str) -> str:
        done = subprocess.run(["git", *arguments], cwd=SOURCE, capture_output=True, text=True, check=False)
        return done.stdout.strip()

    return git("rev-parse", "--short=12", "HEAD") + ("+" if git("status", "--porcelain", ".") else "")
