"""The cost of large workloads, by the cost model of ``results/cost_model.json``: tables of ``docs/how-to/scaling.md``.

    python benchmarks/scaling.py

This machine's rows use its fitted rates. GPU rows use only operations, at two shares of the vendor's
bf16 rate: no GPU was measured.
"""

import json
from pathlib import Path

from cost_model import CONSTANT, DEPTH, RATES, counted, memory_bytes
from harness import RESULTS
from training_step import flop

from unet_repro.files import write_between
from unet_repro.geometry import layers, output_size

DOCUMENT = Path(__file__).parents[1] / "docs" / "how-to" / "scaling.md"
START, END = "<!-- tables: written by benchmarks/scaling.py -->", "<!-- end of tables -->"
RUNS, TERAPIXEL = 10_000, 1e12
CARDS = {"L40S": 362e12, "A100": 312e12, "H100": 989e12, "H200": 989e12}  # dense bf16, data sheets
SHARES = (0.2, 0.4)
SCALES = {"cpu": (8, 1, 320, 8), "paper": (64, 4, 4000, 20)}  # width, tiles of 572 per step, steps, validations
VAL_IMAGES, VAL_TILE = 6, 700  # EM: a slice of 512 in one tile
LARGE = 2236  # input tile of large predictions: the planner's choice at width 8 is near it


def costs() -> dict[str, list[float]]:
    """Seconds per operation, per byte and per pass or step, of this machine."""
    rows = {row["item"]: row["value"] for row in json.loads((RESULTS / "cost_model.json").read_text())["rows"]}
    found = {}
    for kind in ("forward", "step"):
        name = f"native, {kind}"
        rates = [1e-9 / rows[f"{name}: {what} a second, fitted"] for what in RATES]
        found[kind] = [*rates, rows[f"{name}: {CONSTANT}"] / 1e3]
    return found


def main() -> None:
    found = costs()

    def here(kind: str, width: int, size: int) -> float:
        return sum(a * b for a, b in zip(found[kind], counted(kind, width, size), strict=True))

    lines = [f"| {RUNS:,} runs | operations of one | one | all, on one | on 100 |", "|---|---|---|---|---|"]
    for scale, (width, tiles, steps, validations) in SCALES.items():
        operations = steps * tiles * flop(width, 572)
        passes = validations * VAL_IMAGES
        operations += passes * sum(layer.flop for layer in layers((VAL_TILE, VAL_TILE), DEPTH, width=width))
        seconds = steps * tiles * here("step", width, 572) + passes * here("forward", width, VAL_TILE)
        lines.append(row(f"scale {scale}, this machine", operations, seconds, RUNS))
        if scale == "paper":
            lines += [row(f"scale {scale}, {name} at {share:.0%}", operations, operations / rate / share, RUNS)
                      for name, rate in CARDS.items() for share in SHARES]  # fmt: skip
    lines += ["", "| a terapixel | operations of a tile | a tile | all, on one | on 100 |", "|---|---|---|---|---|"]
    tiles = TERAPIXEL / output_size(LARGE, DEPTH) ** 2
    for width in (8, 64):
        operations = sum(layer.flop for layer in layers((LARGE, LARGE), DEPTH, width=width))
        lines.append(row(f"width {width}, this machine", operations, here("forward", width, LARGE), tiles))
        lines += [row(f"width {width}, {name} at {share:.0%}", operations, operations / rate / share, tiles)
                  for name, rate in CARDS.items() for share in SHARES if width == 64]  # fmt: skip
    lines += ["", "| memory | width 8 | width 16 | width 64 |", "|---|---|---|---|"]
    for kind, size in (("forward", 572), ("forward", LARGE), ("step", 252), ("step", 572)):
        cells = [f"{memory_bytes(kind, width, size) / 1e9:.2g} GB" for width in (8, 16, 64)]
        lines.append(f"| {'forward pass' if kind == 'forward' else 'step'}, tile {size} | {' | '.join(cells)} |")
    write_between(DOCUMENT, "\n".join(lines), begin=START, end=END)


def row(name: str, operations: float, seconds: float, number: float) -> str:
    whole = number * seconds
    return f"| {name} | {operations / 1e12:.3g} TFLOP | {spoken(seconds)} | {spoken(whole)} | {spoken(whole / 100)} |"


def spoken(seconds: float) -> str:
    for unit, size in (("years", 365 * 86400), ("days", 86400), ("h", 3600), ("min", 60), ("s", 1)):
        if seconds >= (2 * size if unit != "s" else size):
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds * 1e3:.3g} ms"


if __name__ == "__main__":
    main()
