"""Fits the cost model of docs/scaling.md and ``inference/planner.py``: seconds and memory of a forward pass and a step.

    python benchmarks/cost_model.py    # about three minutes on two cores

Every tile and width in a process of its own, for its memory. The tables compare what was measured with what the model
says when it is fitted to all the others: a case that helped to fit cannot flatter.
"""

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from harness import Record, Row, Seconds
from scipy.optimize import nnls
from training_step import flop, ours, product, random_batch

from unet_repro.geometry import layers
from unet_repro.inference.planner import FLOAT_BYTES, NetworkShape, tile_bytes
from unet_repro.models.unet import UNet
from unet_repro.placement import use_machine

DEPTH = 4
FORWARD = {8: (316, 572, 828, 1212, 1724, 2236), 32: (316, 572, 1212), 64: (316, 572)}
STEP = {8: (252, 380, 572, 828), 16: (252, 572), 32: (252, 380, 572), 64: (252, 380, 572)}
ROUNDS = 9
LEAST_S = 0.2  # that is timed at once
RATES = ("operations", "bytes")
# How often a step moves the weights: read forward and backward, gradient written and read, momentum and weights read
# and written.
STEP_WEIGHTS = 8


def one(kind: str, width: int, size: int) -> None:
    """Prints quartiles of the seconds of a pass or step, bytes it takes at most, and its time in matrix products.

    Guests of the machine slow some cases more than others: the median of rounds that each time both, one right after
    the other.
    """
    use_machine(len(os.sched_getaffinity(0)))
    peaks = [peak()]
    if kind == "step":
        work = ours(width, random_batch(size))
    else:
        net = UNet(width=width).eval().to(memory_format=torch.channels_last)
        x = torch.randn(1, 1, size, size).to(memory_format=torch.channels_last)
        work = torch.inference_mode()(lambda: net(x))
    work()
    taken_bytes = peak() - peaks[0]
    calls = max(1, round(LEAST_S / timed(work, 1)))
    products, _ = product("cpu")
    rounds = [(timed(work, calls), timed(products, 1)) for _ in range(ROUNDS)]
    seconds = Seconds.of([taken for taken, _ in rounds])
    in_products = statistics.median(taken / of_products for taken, of_products in rounds)
    print(seconds.median, seconds.low, seconds.high, taken_bytes, in_products)


def timed(work: Callable[[], object], calls: int) -> float:
    """Seconds a call."""
    start = time.perf_counter()
    for _ in range(calls):
        work()
    return (time.perf_counter() - start) / calls


def peak() -> int:
    """Bytes that this process has held at most; `ru_maxrss` would count those of the process that started it."""
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024


def counted(kind: str, width: int, size: int) -> list[float]:
    """Operations and bytes moved; a step moves the images three times, and has a constant, counted as one."""
    passed = layers((size, size), DEPTH, width=width)
    images = FLOAT_BYTES * sum(layer.in_values + layer.out_values for layer in passed)
    weights = FLOAT_BYTES * parameters(width)
    if kind == "step":
        return [flop(width, size), 3 * images + STEP_WEIGHTS * weights, 1]
    return [sum(layer.flop for layer in passed), images + weights]


def parameters(width: int) -> int:
    return sum(parameter.numel() for parameter in UNet(width=width).parameters())


def memory_bytes(kind: str, width: int, size: int) -> int:
    """What a forward pass needs by the planner's count; of a step, what is kept for the gradients, and the parameters.

    A step keeps every convolution's input, and needs a layer's output and both gradients at its fullest moment. Weights
    stand there three times, with gradient and momentum.
    """
    if kind == "forward":
        return tile_bytes((size, size), NetworkShape(DEPTH, width, 1, 2))
    passed = layers((size, size), DEPTH, width=width)
    fullest = max(2 * (layer.in_values + layer.out_values) for layer in passed)
    return FLOAT_BYTES * (sum(layer.in_values for layer in passed) + fullest + 3 * parameters(width))


def fit(table: np.ndarray, times: np.ndarray) -> np.ndarray:
    """Seconds of each thing counted, by relative error; none negative."""
    return nnls(table / times[:, None], np.ones(len(times)))[0]


def main() -> None:
    record = Record("cost_model", "Forward pass and training step of one tile, and what the cost model says of them")
    use_machine(len(os.sched_getaffinity(0)))
    record.raise_limits()
    for kind, grid in (("forward", FORWARD), ("step", STEP)):
        cases = [(width, size) for width, sizes in grid.items() for size in sizes]
        measured, taken_bytes, in_products = [], [], []
        for width, size in cases:
            command = [sys.executable, __file__, kind, str(width), str(size)]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            *quartiles, memory, products = map(float, done.stdout.split())
            measured.append(Seconds(*quartiles))
            taken_bytes.append(memory)
            in_products.append(products)
        table = np.array([counted(kind, *case) for case in cases], float)
        medians = np.array([seconds.median for seconds in measured])
        times = np.array(in_products) * np.median(medians / in_products)  # as if all had found the machine equally busy
        for number, (width, size) in enumerate(cases):
            others = np.arange(len(cases)) != number
            modelled = table[number] @ fit(table[others], times[others])
            name = f"{kind}, width {width}, tile {size}"
            record.add(name, measured[number], ratio=modelled / times[number], to="modelled, of the measured")
            counted_bytes = memory_bytes(kind, width, size)
            record.rows.append(
                Row(f"{name}: memory", taken_bytes[number] / 1e9, "GB", ratio=counted_bytes / taken_bytes[number],
                    to="modelled, of the measured")
            )  # fmt: skip
        costs = fit(table, times)
        for what, cost in zip(RATES, costs, strict=False):
            record.rows.append(Row(f"{kind}: {what} a second, fitted", 1e-9 / cost if cost else float("inf"), "1e9/s"))
        for constant in costs[len(RATES) :]:
            record.rows.append(Row(f"{kind}: constant, fitted", constant * 1e3, "ms"))
        worst = max(abs(row.ratio - 1) for row in record.rows if row.ratio and row.item.startswith(kind) and
                    not row.item.endswith("memory"))  # fmt: skip
        record.rows.append(Row(f"{kind}: largest error of a case left out", worst * 100, "%", ratio=worst,
                               to="the measured", goal="<= 0.2"))  # fmt: skip
    record.write()


if __name__ == "__main__":
    if len(sys.argv) > 1:
        one(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
    else:
        main()
