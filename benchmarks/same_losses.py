"""Whether a seeded reference run at the scale `cpu` has the same losses as at an earlier commit.

    git worktree add ../before COMMIT
    python benchmarks/same_losses.py --before ../before/src

Both checkouts train the same run, in single and double precision, with and without augmentation. Kernels with another
order of additions change the last bits. In double precision without augmentation nothing else differs, and losses
must be identical; with it, the float32 map of a tile's pixels may be rounded differently.
"""

import csv
import tempfile
from pathlib import Path

from harness import DATA, SOURCE, UNET_REPRO, Record, Row, options, run

# Relative, by augmentation and precision; losses are recorded in single precision.
TOLERANCES = {
    ("none", "64-true"): 2e-7, ("none", "32-true"): 1e-3, ("paper", "64-true"): 1e-5, ("paper", "32-true"): 1e-3
}  # fmt: skip
LOSSES = ("train/loss", "train/ce", "val/loss")


def losses(source: Path, augment: str, precision: str, data: str, steps: int) -> list[float]:
    """All losses of a run that a checkout trains."""
    with tempfile.TemporaryDirectory() as folder:
        run(*UNET_REPRO, "train", f"data={data}", "optimizer=adam", f"trainer.max_steps={steps}", "trainer.val_every=5",
            "trainer.progress=false", "trainer.threads=2", f"augment={augment}", f"trainer.precision={precision}",
            "logger.mode=disabled", cwd=folder, PYTHONPATH=str(source.resolve()))  # fmt: skip
        (history,) = Path(folder).glob("runs/*/history.csv")
        rows = list(csv.DictReader(history.open()))
    return [float(row[name]) for row in rows for name in LOSSES if row[name]]


def main() -> None:
    asked = options(__doc__, before=Path("../before/src"), data=DATA, steps=20)
    record = Record("same_losses", f"Losses of {asked.steps} steps at the scale cpu on {asked.data}, before and after")
    for (augment, precision), tolerance in TOLERANCES.items():
        name = f"augment={augment}, {precision}"
        before, after = (
            losses(src, augment, precision, asked.data, asked.steps) for src in (asked.before, SOURCE.parent)
        )
        worst = max(abs(b - a) / abs(a) for a, b in zip(before, after, strict=True))
        record.rows += [
            Row(f"{name}: last validation loss, before", before[-1], ""),
            Row(f"{name}: last validation loss, after", after[-1], ""),
            Row(f"{name}: largest relative difference of {len(after)} losses", worst, "", ratio=worst / tolerance,
                to=f"{tolerance:g}", goal="<= 1"),
        ]  # fmt: skip
    record.write()


if __name__ == "__main__":
    main()
