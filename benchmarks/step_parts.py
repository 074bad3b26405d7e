"""Where the time of a training step goes, ours and plain NCHW, by torch's profiler: python benchmarks/step_parts.py

The least that a step could take is its operations at the measured rate of a matrix product.
"""

import argparse
import os
from collections import Counter
from collections.abc import Callable

import torch
from harness import Record, Row
from torch.profiler import ProfilerActivity, profile
from training_step import flop, ours, plain, random_batch

from unet_repro.placement import use_machine

PARTS = {  # by the beginning of an operator's name; the first that fits
    "convolutions, forward": ("aten::mkldnn_convolution", "aten::_convolution", "aten::_slow_conv", "aten::slow_conv"),
    "convolutions, gradients": ("aten::convolution_backward", "aten::_slow_conv2d_backward", "aten::mkldnn_transposed"),
    "convolutions, gradients of weights by products": ("aten::addmm", "aten::baddbmm", "aten::mm", "_Conv", "_Up"),
    "ReLU": ("aten::threshold_backward", "aten::clamp_min"),
    "loss": ("aten::_log_softmax", "aten::nll_loss", "aten::_nll", "aten::mul", "aten::mean", "aten::div"),
    "optimizer": ("Optimizer.", "aten::add_", "aten::_foreach"),
}
REST = "skips, pooling, dropout, memory, the rest"


def shares(step: Callable[[], object], steps: int) -> dict[str, float]:
    """Milliseconds a step of each part, on the thread that calls."""
    for _ in range(2):
        step()
    with profile(activities=[ProfilerActivity.CPU]) as found:
        for _ in range(steps):
            step()
    times: Counter[str] = Counter()
    for event in found.key_averages():
        starts = (part for part, names in PARTS.items() if event.key.startswith(names))
        times[next(starts, REST)] += event.self_cpu_time_total / 1e3 / steps
    return times


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--width", type=int, nargs="+", default=[8, 64])
    parser.add_argument("--tile", type=int, default=572)
    parser.add_argument("--steps", type=int, default=3)
    asked = parser.parse_args()
    use_machine(len(os.sched_getaffinity(0)))
    torch.manual_seed(0)
    record = Record("step_parts", f"Where a training step's time goes, tile {asked.tile}")
    record.raise_limits()
    found = {
        (width, name): shares(make(width, random_batch(asked.tile)), asked.steps)
        for width in asked.width
        for name, make in (("plain NCHW", plain), ("ours", ours))
    }
    record.raise_limits()
    for (width, name), times in found.items():
        whole = sum(times.values())
        least = flop(width, asked.tile) / record.limits["fp32_flops"] * 1e3
        title = f"width {width}, {name}"
        record.rows.append(Row(f"{title}: operations at the limit", least, "ms", ratio=least / whole, to="the step"))
        for part in (*PARTS, REST):
            record.rows.append(Row(f"{title}: {part}", times[part], "ms", ratio=times[part] / whole, to="the step"))
    record.write()


if __name__ == "__main__":
    main()
