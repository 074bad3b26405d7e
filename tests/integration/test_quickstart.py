"""The quick start: the notebook is that of the script, and the script runs."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"


def cells_of_script(text):
    """Kind and source of each cell of a script in jupytext's percent format, after its header."""
    for cell in text.split("\n# %%")[1:]:
        first, _, source = cell.partition("\n")
        if first.strip() == "[markdown]":
            yield (
                "markdown",
                "\n".join(line.removeprefix("#").removeprefix(" ") for line in source.strip().splitlines()),
            )
        else:
            yield "code", source.strip()


def test_the_notebook_has_the_cells_of_the_script():
    notebook = json.loads((EXAMPLES / "quickstart.ipynb").read_text())
    cells = [(cell["cell_type"], "".join(cell["source"]).strip()) for cell in notebook["cells"]]
    assert cells == list(cells_of_script((EXAMPLES / "quickstart.py").read_text())), "run `make notebook`"


def test_the_notebook_was_executed_and_names_no_folder_of_a_machine():
    text = (EXAMPLES / "quickstart.ipynb").read_text()
    code = [cell for cell in json.loads(text)["cells"] if cell["cell_type"] == "code"]
    assert [cell["execution_count"] for cell in code] == list(range(1, len(code) + 1))
    assert str(Path.home()) not in text


@pytest.mark.slow
def test_the_script_trains_a_network_that_segments_and_stitches_exactly(tmp_path):
    done = subprocess.run(
        [sys.executable, "-W", "error", EXAMPLES / "quickstart.py"],
        cwd=tmp_path, env={**os.environ, "MPLBACKEND": "agg"}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    ious = [float(line.split("IoU ")[1].split(",")[0]) for line in done.stdout.splitlines() if line.startswith("step")]
    assert len(ious) == 6
    assert ious[-1] > 0.7 > ious[0]
    difference = next(line for line in done.stdout.splitlines() if line.startswith("largest difference"))
    assert float(difference.rpartition(" ")[2]) < 1e-4
    assert len(list(tmp_path.glob("quickstart-*.png"))) == 9
