"""The sequential suite, killed and continued, ends with the record of an undisturbed one."""

import json
import os
import subprocess
import sys
import time
from dataclasses import replace

import pytest
from tiny import NETWORK

from unet_repro.runs.ledger import Ledger
from unet_repro.trial.run_record import records_of

# Looks at 2, 3 and 4 replicates instead of 15, 20 and 30; the comparison keeps runs that do not start.
PROGRAM = """
import sys
from unet_repro.commands import sequential
from unet_repro.trial import judge, looks
for module in (judge, looks, sequential):
    module.LOOKS = (2, 3, 4)
from unet_repro.cli import main
if __name__ == "__main__":
    main(sys.argv[1:])
"""
SUITE = [
    "reproduce", "--scale", "laptop", "--data", "synthetic", "--experiments", "lr_schedule", "--jobs", "2",
    "data.num_slices=10", "data.size_px=96", *[o for o in NETWORK if not o.startswith("trainer.threads")],
    "trainer.max_steps=16", "trainer.val_every=4",
]  # fmt: skip


def start(folder, *more):
    (folder / "suite.py").write_text(PROGRAM)
    return subprocess.Popen(
        [sys.executable, "suite.py", *SUITE, *more], cwd=folder, env={**os.environ, "COLUMNS": "200"}, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def ended(folder):
    return len(list(folder.glob("runs/*/result.json")))


def record(folder):
    """All of the record but times and places."""
    entries = [replace(entry, variant="") for entry in Ledger(folder / "runs").read("lr_schedule")]
    lines = [json.loads(one.to_line()) for one in records_of(entries, folder / "runs")]
    return [{key: value for key, value in line.items() if key != "outcome"} for line in lines]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("undisturbed")
    process = start(folder)
    out, error = process.communicate(timeout=300)
    assert process.returncode == 0, error
    return folder, out, error


def test_looks_are_made_as_replicates_complete_until_the_last(undisturbed):
    folder, _, error = undisturbed
    assert ended(folder) == 2 * 4
    states = [line for line in error.splitlines() if "questions decided" in line]
    assert [line.partition("next interim analysis at ")[2].split()[0] for line in states] == ["2", "3", "4"]
    trial = json.loads((folder / "reports/ablations/verdicts.json").read_text())["trials"][0]
    assert trial["scale"] == "laptop"


def test_a_killed_suite_that_is_started_again_ends_with_the_same_record(undisturbed, tmp_path):
    process = start(tmp_path)
    deadline = time.monotonic() + 200
    while ended(tmp_path) < 3 and time.monotonic() < deadline:
        time.sleep(0.05)
    process.kill()
    process.communicate()
    assert 3 <= ended(tmp_path) < 2 * 4
    stopped = start(tmp_path, "--hours", "0.0008")
    _, error = stopped.communicate(timeout=200)
    assert stopped.returncode == 0, error
    assert "hours are over" in error
    before = ended(tmp_path)
    last = start(tmp_path)
    _, error = last.communicate(timeout=300)
    assert last.returncode == 0, error
    assert before <= ended(tmp_path) == 2 * 4
    assert record(tmp_path) == record(undisturbed[0])
