"""``unet-repro report``: table and figures of what is trained by now."""

import argparse
from pathlib import Path

from unet_repro.errors import RunError
from unet_repro.report.collect import ArmRow
from unet_repro.report.figures import draw_all
from unet_repro.report.publish import publish
from unet_repro.report.table import REPORT_DIR, print_tables, write_tables


def main(arguments: list[str]) -> None:
    """Writes and prints."""
    parser = argparse.ArgumentParser(prog="unet-repro report", description="Table and figures of the comparisons.")
    parser.add_argument("experiments", nargs="*", help="which comparisons (default: all that were started)")
    parser.add_argument("--runs-dir", type=Path, default=Path("runs"))
    parser.add_argument("--out", type=Path, default=REPORT_DIR, help=f"folder to write to (default {REPORT_DIR})")
    parser.add_argument("--publish", nargs=2, type=Path, metavar=("EXPERIMENTS_DIR", "README"),
                        help="also keep tables and figures there, and renew the README's table")  # fmt: skip
    asked = parser.parse_args(arguments)
    rows = report(asked.runs_dir, asked.experiments or None, asked.out)
    if asked.publish:
        print("\n".join(["published:", *map(str, publish(asked.runs_dir, rows, *asked.publish))]))


def report(runs_dir: Path, experiments: list[str] | None, out: Path = REPORT_DIR) -> list[ArmRow]:
    """Tables, figures, and the table in the terminal.

    Returns:
        The rows of the table.

    Raises:
        RunError: If there is nothing to report.
    """
    rows = write_tables(runs_dir, experiments, out)
    if not rows:
        raise RunError(f"there are no runs of {experiments or 'any comparison'} in {runs_dir}", mend="train some first")
    pictures = draw_all(runs_dir, rows, out)
    print_tables(rows)
    print("\n".join(["written:", *map(str, [out / "table.csv", out / "table.md", *pictures])]))
    return rows
