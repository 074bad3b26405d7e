"""Fits the rates of ``inference/planner.py`` to this machine: times and memory of single tiles, and the agreement.

``python benchmarks/planner.py``; each tile in a process of its own, for its memory.
"""

import os
import resource
import statistics
import subprocess
import sys
import time

import numpy as np
import torch
from scipy.optimize import nnls

from unet_repro.geometry import layers
from unet_repro.inference.planner import FLOAT_BYTES, MEMORY_FACTOR, NetworkShape, cache_bytes, tile_bytes
from unet_repro.models.unet import UNet
from unet_repro.placement import use_machine

TILES = {8: (316, 572, 828, 1212, 1724, 2236), 32: (316, 572, 1212), 64: (316, 572)}
REPEATS = 5


def one(width: int, size: int) -> None:
    """Prints seconds of a pass, and bytes it takes at most."""
    use_machine(len(os.sched_getaffinity(0)))
    net = UNet(width=width).eval().to(memory_format=torch.channels_last)

    def peak() -> int:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

    with torch.inference_mode():
        net(torch.zeros(1, 1, 188, 188).to(memory_format=torch.channels_last))
        before = peak()
        x = torch.randn(1, 1, size, size).to(memory_format=torch.channels_last)
        taken = []
        for _ in range(REPEATS + 1):
            start = time.perf_counter()
            net(x)
            taken.append(time.perf_counter() - start)
    print(statistics.median(taken[1:]), peak() - before)


def main() -> None:
    cache, rows, measured, memory = cache_bytes(), [], [], []
    cases = [(width, size) for width, sizes in TILES.items() for size in sizes]
    for width, size in cases:
        done = subprocess.run(
            [sys.executable, __file__, str(width), str(size)], capture_output=True, text=True, check=True
        )
        taken, taken_bytes = map(float, done.stdout.split())
        passed = layers((size, size), 4, width=width)
        moved = [FLOAT_BYTES * (layer.in_values + layer.out_values) for layer in passed]
        rows.append([sum(layer.flop for layer in passed), sum(moved), sum(b for b in moved if b > cache), 1])
        measured.append(taken)
        memory.append(taken_bytes / tile_bytes((size, size), NetworkShape(4, width, 1, 2)))
    table, times = np.array(rows, float), np.array(measured)
    rates, _ = nnls(table / times[:, None], np.ones(len(times)))
    modelled = table @ rates
    print(f"cache {cache >> 20} MiB, {torch.get_num_threads()} threads\n")
    print("| width | tile | measured ms | modelled | memory, measured / modelled |\n|---|---|---|---|---|")
    for (width, size), taken, model, share in zip(cases, times, modelled, memory, strict=True):
        print(f"| {width} | {size} | {taken * 1e3:.0f} | {model / taken - 1:+.1%} | {share:.2f} |")
    names = ("flop_rate", "byte_rate", "miss_rate")
    found = [f"{name} {1 / rate:.3g}" if rate else f"{name}: none" for name, rate in zip(names, rates[:3], strict=True)]
    print(f"\n{', '.join(found)}, overhead {rates[3] * 1e3:.2f} ms; MEMORY_FACTOR {MEMORY_FACTOR}")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        one(int(sys.argv[1]), int(sys.argv[2]))
    else:
        main()
