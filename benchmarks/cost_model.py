"""Fits the cost model of docs/how-to/scaling.md and ``inference/planner.py``: time and memory of a pass and a step.

    python benchmarks/cost_model.py

Each tile and width runs in its own process, to measure memory, in float32. Each row compares a time with the model
fitted to all other cases. The smallest case of each kind is fitted but has no row: only it determines the constant,
so that without it the model would be an extrapolation. `scaling.py` uses the native level.
"""

import sys
from dataclasses import astuple
from pathlib import Path

import numpy as np
import torch
from harness import Record, Row, Seconds, at_levels, in_turn, run
from scipy.optimize import nnls
from training_step import flop, ours, random_batch

from unet_repro.geometry import layers
from unet_repro.inference.planner import FLOAT_BYTES, NetworkShape, tile_bytes
from unet_repro.machine import memory_order, usable_cores, use_machine
from unet_repro.models.unet import UNet

DEPTH = 4
FORWARD = {8: (204, 316, 572, 828, 1212, 1724, 2236), 32: (316, 572, 1212), 64: (316, 572)}
STEP = {8: (204, 252, 380, 572, 828), 16: (252, 572), 32: (252, 380, 572), 64: (252, 380, 572)}
ROUNDS = 9
LEAST_S = 0.2  # of one timing
RATES, CONSTANT = ("operations", "bytes"), "constant, fitted"
# Moves of the weights by a step: read forward and backward, gradient written and read, momentum and weights read
# and written.
STEP_WEIGHTS = 8


def one(kind: str, width: int, size: int) -> None:
    """Prints the seconds of a pass or step, its peak bytes, and its time in matrix products.

    The products run in turn with it, since other work on the machine slows some cases more than others.
    """
    use_machine(usable_cores())
    before = peak()
    if kind == "step":
        work = ours(width, random_batch(size))
    else:
        order = memory_order("cpu", width, training=False)
        net = UNet(width=width).eval().to(memory_format=order)
        x = torch.randn(1, 1, size, size).to(memory_format=order)
        work = torch.inference_mode()(lambda: net(x))
    work()
    taken_bytes = peak() - before
    calls = max(1, round(LEAST_S / in_turn({"": work}, rounds=1, warm_up=0)[""].median))
    a, b = torch.randn(2, 2048, 2048)
    times = in_turn(
        {"work": lambda: [work() for _ in range(calls)], "products": lambda: [a @ b for _ in range(3)]}, rounds=ROUNDS
    )
    seconds = [value / calls for value in astuple(times["work"])]
    print(*seconds, taken_bytes, seconds[0] / times["products"].median)


def peak() -> int:
    """Peak bytes of this process; `ru_maxrss` would include those of its parent."""
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024


def counted(kind: str, width: int, size: int) -> list[float]:
    """Operations, bytes moved, and 1 for the constant; a step moves the images three times."""
    passed = layers((size, size), DEPTH, width=width)
    images = FLOAT_BYTES * sum(layer.in_values + layer.out_values for layer in passed)
    weights = FLOAT_BYTES * parameters(width)
    if kind == "step":
        return [flop(width, size), 3 * images + STEP_WEIGHTS * weights, 1]
    return [sum(layer.flop for layer in passed), images + weights, 1]


def parameters(width: int) -> int:
    return sum(parameter.numel() for parameter in UNet(width=width).parameters())


def memory_bytes(kind: str, width: int, size: int) -> int:
    """Bytes of a forward pass by the planner's model; of a step, those kept for gradients, and the parameters.

    A step keeps every convolution's input, and at its peak needs a layer's output and both gradients. Weights are
    held three times, with gradient and momentum.
    """
    if kind == "forward":
        return tile_bytes((size, size), NetworkShape(DEPTH, width, 1, 2))
    passed = layers((size, size), DEPTH, width=width)
    fullest = max(2 * (layer.in_values + layer.out_values) for layer in passed)
    return FLOAT_BYTES * (sum(layer.in_values for layer in passed) + fullest + 3 * parameters(width))


def fit(table: np.ndarray, times: np.ndarray) -> np.ndarray:
    """Seconds per counted unit, by relative error; none negative."""
    return nnls(table / times[:, None], np.ones(len(times)))[0]


def measure(record: Record, _: str) -> None:
    use_machine(usable_cores())
    record.raise_limits()
    for kind, grid in (("forward", FORWARD), ("step", STEP)):
        cases = [(width, size) for width, sizes in grid.items() for size in sizes]
        smallest = min(range(len(cases)), key=cases.__getitem__)
        measured, taken_bytes, in_products = [], [], []
        for width, size in cases:
            *seconds, memory, products = map(float, run(__file__, kind, str(width), str(size)).split())
            measured.append(Seconds(*seconds))
            taken_bytes.append(memory)
            in_products.append(products)
        table = np.array([counted(kind, *case) for case in cases], float)
        medians = np.array([seconds.median for seconds in measured])
        times = np.array(in_products) * np.median(medians / in_products)  # corrects for unequal load of the machine
        errors = []
        for number, (width, size) in enumerate(cases):
            name, to = f"{kind}, width {width}, tile {size}", "modelled, of the measured"
            if number == smallest:
                record.add(f"{name}, always fitted", measured[number])
            else:
                others = np.arange(len(cases)) != number
                ratio = table[number] @ fit(table[others], times[others]) / times[number]
                record.add(name, measured[number], ratio=ratio, to=to)
                errors.append(abs(ratio - 1))
            share = memory_bytes(kind, width, size) / taken_bytes[number]
            record.rows.append(Row(f"{name}: memory", taken_bytes[number] / 1e9, "GB", ratio=share, to=to))
        *costs, constant = fit(table, times)
        for what, cost in zip(RATES, costs, strict=True):
            record.rows.append(Row(f"{kind}: {what} a second, fitted", 1e-9 / cost if cost else float("inf"), "1e9/s"))
        worst = max(errors)
        record.rows += [
            Row(f"{kind}: {CONSTANT}", constant * 1e3, "ms"),
            Row(f"{kind}: largest error of a case left out", worst * 100, "%", ratio=worst, to="the measured",
                goal="<= 0.2"),
        ]  # fmt: skip


if __name__ == "__main__":
    if len(sys.argv) > 1:
        one(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
    else:
        title = "Forward pass and training step of one tile, and what the cost model says of them"
        at_levels(Record("cost_model", title), measure)
