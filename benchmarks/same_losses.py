"""Whether a reference run has the losses that it had at an earlier commit: seeded, at the scale `cpu`.

    git worktree add ../before COMMIT
    python benchmarks/same_losses.py --before ../before/src

Both checkouts train the same run, in single and in double precision. Kernels that add in another order move the last
bits; in double precision they must be gone, for there is nothing else to differ.
"""

import csv
import tempfile
from pathlib import Path

from harness import DATA, SOURCE, UNET_REPRO, Record, Row, options, run

TOLERANCES = {"32-true": 1e-3, "64-true": 2e-7}  # relative; the record of losses itself has single precision
LOSSES = ("train/loss", "train/ce", "val/loss")


def losses(source: Path, precision: str, data: str, steps: int) -> list[float]:
    """All losses of a run that a checkout trains."""
    with tempfile.TemporaryDirectory() as folder:
        run(*UNET_REPRO, "train", f"data={data}", "optimizer=adam", f"trainer.max_steps={steps}", "trainer.val_every=5",
            "trainer.progress=false", f"trainer.precision={precision}", "logger.mode=disabled",
            cwd=folder, PYTHONPATH=str(source.resolve()))  # fmt: skip
        (history,) = Path(folder).glob("runs/*/history.csv")
        rows = list(csv.DictReader(history.open()))
    return [float(row[name]) for row in rows for name in LOSSES if row[name]]


def main() -> None:
    asked = options(__doc__, before=Path("../before/src"), data=DATA, steps=20)
    record = Record("same_losses", f"Losses of {asked.steps} steps at the scale cpu on {asked.data}, before and after")
    for precision, tolerance in TOLERANCES.items():
        before, after = (losses(src, precision, asked.data, asked.steps) for src in (asked.before, SOURCE.parent))
        worst = max(abs(b - a) / abs(a) for a, b in zip(before, after, strict=True))
        record.rows += [
            Row(f"{precision}: last validation loss, before", before[-1], ""),
            Row(f"{precision}: last validation loss, after", after[-1], ""),
            Row(f"{precision}: largest relative difference of {len(after)} losses", worst, "", ratio=worst / tolerance,
                to=f"{tolerance:g}", goal="<= 1"),
        ]  # fmt: skip
    record.write()


if __name__ == "__main__":
    main()
