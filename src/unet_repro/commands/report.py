"""``unet-repro report``: table and figures of what is trained by now."""

import argparse
from pathlib import Path

from unet_repro.errors import RunError
from unet_repro.report.figures import draw_all
from unet_repro.report.table import REPORT_DIR, print_tables, write_tables


def main(arguments: list[str]) -> None:
    """Writes and prints."""
    parser = argparse.ArgumentParser(prog="unet-repro report", description="Table and figures of the comparisons.")
    parser.add_argument("experiments", nargs="*", help="which comparisons (default: all that were started)")
    parser.add_argument("--runs-dir", type=Path, default=Path("runs"))
    parser.add_argument("--out", type=Path, default=REPORT_DIR, help=f"folder to write to (default {REPORT_DIR})")
    asked = parser.parse_args(arguments)
    report(asked.runs_dir, asked.experiments or None, asked.out)


def report(runs_dir: Path, experiments: list[str] | None, out: Path = REPORT_DIR) -> None:
    """Tables, figures, and the table in the terminal.

    Raises:
        RunError: If there is nothing to report.
    """
    rows = write_tables(runs_dir, experiments, out)
    if not rows:
        raise RunError(f"there are no runs of {experiments or 'any comparison'} in {runs_dir}", mend="train some first")
    pictures = draw_all(runs_dir, rows, out)
    print_tables(rows)
    print("\n".join(["written:", *map(str, [out / "table.csv", out / "table.md", *pictures])]))
