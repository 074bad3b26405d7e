"""From recorded runs to tables and figures."""

from pathlib import Path

REPORT_DIR = Path("reports/ablations")  # of the suite, by default
