"""The table at the end of a sweep: run ids, what was swept, scores."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.text import Text

from unet_repro.runs.folder import RunFolder
from unet_repro.runs.ledger import Entry, unique
from unet_repro.sweep.status import STATES, empty_table, state_of, terminal, title_of

# Heading -> measure of a result's last row. ``iou`` is at the run's own threshold, of two classes only.
SCORES = {"iou": "val/iou_own", "iou_pooled": "val/iou", "val_loss": "val/loss"}
EXPLAINED = (
    "iou: mean over validation images, at the run's own threshold; iou_pooled: of all their pixels, most likely class; "
    "after the last step"
)


def print_summary(entries: Sequence[Entry], runs_dir: Path) -> None:
    """Prints every run of a sweep, one table for each comparison."""
    groups: dict[tuple[str, str], list[Entry]] = defaultdict(list)
    for entry in entries:
        groups[entry.experiment, entry.comparison].append(entry)
    console = terminal()
    for members in groups.values():
        table = empty_table(("run", "arm", "seed", *SCORES, "state"), title=title_of(members[0]))
        for entry in members:
            folder = RunFolder(runs_dir / entry.run_id)
            state = state_of(folder)
            cells = scores(folder.result())
            table.add_row(
                entry.run_id, Text(entry.arm), str(entry.seed), *cells, Text(state, style=STATES[state])
            )  # fmt: skip
        console.print(table)
    console.print(EXPLAINED, soft_wrap=True)


def scores(result: Mapping[str, Mapping[str, float]] | None) -> list[str]:
    """The cells of ``SCORES``.

    >>> scores({"final": {"val/iou": 0.51239, "val/loss": 0.3}}), scores(None)
    (['-', '0.512', '0.300'], ['-', '-', '-'])
    """
    final = result["final"] if result else {}
    return [f"{final[measure]:.3f}" if measure in final else "-" for measure in SCORES.values()]


def num_done(entries: Sequence[Entry], runs_dir: Path) -> int:
    """Number of distinct runs that have a result."""
    return sum(RunFolder(runs_dir / entry.run_id).is_done for entry in unique(entries))
