"""Several seeds of one arm: one after another, in processes of one thread each, or stacked in one process.

    python benchmarks/side_by_side.py [--runs 4] [--width 8] [--tile 252 572] [--rounds 5]

Stacked: the parameters of all networks in one tensor more, ``torch.func.vmap`` over them, which makes every convolution
a grouped one. Each candidate takes one step of every run; processes are there already.
"""

import argparse
import copy
import multiprocessing
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection

import torch
import torch.nn.functional as F  # noqa: N812
from harness import Record, in_turn
from torch import Tensor
from torch.func import functional_call, stack_module_state
from training_step import PlainUNet, ours, random_batch

from unet_repro.losses import weighted_mean
from unet_repro.placement import use_machine


def stacked(runs: int, width: int, tile: int) -> Callable[[], object]:
    nets = [PlainUNet(width) for _ in range(runs)]
    parameters, buffers = stack_module_state(nets)
    optimizer = torch.optim.SGD(parameters.values(), lr=1e-4, momentum=0.99)
    skeleton = copy.deepcopy(nets[0]).to("meta")
    x, classes, weights = (torch.stack(parts) for parts in zip(*(random_batch(tile) for _ in range(runs)), strict=True))

    def loss(parameters: dict, buffers: dict, x: Tensor, classes: Tensor, weights: Tensor) -> Tensor:
        scores = functional_call(skeleton, (parameters, buffers), (x,))
        return weighted_mean(F.cross_entropy(scores, classes, reduction="none"), weights)

    losses = torch.func.vmap(loss, randomness="different")

    def step() -> None:
        optimizer.zero_grad()
        losses(parameters, buffers, x, classes, weights).sum().backward()
        optimizer.step()

    return step


def work(pipe: Connection, runs: int, width: int, tile: int) -> None:
    """A process: one step of each of its runs whenever it is told."""
    use_machine(1)
    steps = [ours(width, random_batch(tile)) for _ in range(runs)]
    while pipe.recv():
        for step in steps:
            step()
        pipe.send(True)


@contextmanager
def processes(runs: int, width: int, tile: int, number: int) -> Iterator[Callable[[], object]]:
    context = multiprocessing.get_context("spawn")
    pipes = []
    for _ in range(number):
        here, there = context.Pipe()
        context.Process(target=work, args=(there, runs // number, width, tile), daemon=True).start()
        pipes.append(here)

    def step() -> None:
        for pipe in pipes:
            pipe.send(True)
        for pipe in pipes:
            pipe.recv()

    try:
        yield step
    finally:
        for pipe in pipes:
            pipe.send(False)


def main() -> None:
    cores = len(os.sched_getaffinity(0))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=2 * cores)
    parser.add_argument("--width", type=int, default=8)
    parser.add_argument("--tile", type=int, nargs="+", default=[252, 572])
    parser.add_argument("--rounds", type=int, default=5)
    asked = parser.parse_args()
    use_machine(cores)
    torch.manual_seed(0)
    record = Record("side_by_side", f"One step of each of {asked.runs} runs, width {asked.width}")
    for tile in asked.tile:
        singles = [ours(asked.width, random_batch(tile)) for _ in range(asked.runs)]
        with processes(asked.runs, asked.width, tile, cores) as in_processes:
            candidates = {
                f"one after another, {cores} threads": lambda singles=singles: [step() for step in singles],
                f"in {cores} processes, one thread each": in_processes,
                "stacked by torch.func in one process": stacked(asked.runs, asked.width, tile),
            }
            times = in_turn(candidates, rounds=asked.rounds, warm_up=2)
        first = next(iter(times.values())).median
        for name, seconds in times.items():
            record.add(f"tile {tile}, {name}", seconds, ratio=first / seconds.median,
                       to="one after another, times faster")  # fmt: skip
    record.write()


if __name__ == "__main__":
    main()
