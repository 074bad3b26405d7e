"""The section "Reading it" of a comparison quotes only figures of the results above it, which the record determines."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
READINGS = {
    path.parent.name: path.read_text()
    for path in sorted(ROOT.glob("experiments/*/README.md"))
    if "## Reading it" in path.read_text() and "<!-- record:" in path.read_text()
}


def figures(text: str) -> set[str]:
    """Decimal fractions, and numbers of runs or replicates."""
    return set(re.findall(r"\d+\.\d+", text)) | set(re.findall(r"(\d+) (?:runs|replicates)", text))


@pytest.mark.parametrize("experiment", READINGS)
def test_figures_of_the_results(experiment: str) -> None:
    results, reading = READINGS[experiment].split("<!-- record:")[1].split("## Reading it")
    quoted = figures(reading)
    assert quoted
    assert quoted <= figures(results)


def test_there_are_readings() -> None:
    assert READINGS
