"""``unet-repro tiles``: legal tile sizes and what they cost."""

import argparse

from rich.console import Console
from rich.table import Table

from unet_repro.commands.options import parser
from unet_repro.errors import UserError
from unet_repro.geometry import halo, nearest_legal, output_size, smallest, tile_cost


def main(arguments: list[str]) -> None:
    """Prints a table of legal sizes, or the given size with its neighbours."""
    asked = parser("tiles").parse_args(arguments)
    if asked.check and asked.size is None:
        raise UserError("--check has no size to check", hint="add one, such as 572")
    for name in ("width", "channels"):
        if getattr(asked, name) < 1:
            raise UserError(f"--{name} {getattr(asked, name)}: must be at least 1", hint="use 1 or more")

    table = Table("input", "output", "supervised", "GFLOP a tile", "activations", title=_title(asked))
    for size in _sizes(asked.size, asked.depth):
        cost = tile_cost(size, asked.depth, width=asked.width, in_channels=asked.channels)
        table.add_row(
            str(size), str(cost.output), f"{cost.supervised:.0%}", f"{cost.gflop:.1f}", f"{cost.activation_mb:.0f} MB",
            style="bold" if size == asked.size else None,
        )  # fmt: skip
    table.caption = "supervised: share of input pixels with an output; GFLOP: forward pass; activations: float32"
    Console().print(table)
    if asked.check:
        output_size(asked.size, asked.depth)  # an illegal size is an error, reported after the table
    elif asked.size is not None and asked.size not in (near := nearest_legal(asked.size, asked.depth)):
        print(f"{asked.size} is not a legal size; the nearest legal sizes: {', '.join(map(str, near))}")


def _title(asked: argparse.Namespace) -> str:
    return f"depth {asked.depth}, width {asked.width}: {halo(asked.depth)} pixels lost on each side"


def _sizes(size: int | None, depth: int) -> list[int]:
    step = 2**depth
    if size is None:
        return list(range(smallest(depth), max(1024, smallest(depth) + 8 * step), max(step, 32)))
    near = nearest_legal(size, depth)
    wanted = range(near[0] - 2 * step, near[-1] + 3 * step, step)
    return [candidate for candidate in wanted if candidate >= smallest(depth)]
