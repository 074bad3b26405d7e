import subprocess
import sys
from pathlib import Path

STRESS = Path(__file__).parents[2] / "benchmarks/stress.py"


def test_runs_killed_again_and_again_equal_undisturbed_ones(tmp_path):
    """The short form of `make stress`."""
    readme = tmp_path / "README.md"
    readme.write_text("<!-- stress: written by `make stress` -->\n<!-- end of stress -->\n")
    short = ["--runs", "3", "--kills", "5", "--steps", "500", "--every-s", "0.7"]
    done = subprocess.run(
        [sys.executable, STRESS, *short, "--publish", readme], capture_output=True, text=True, check=False, timeout=600
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "**3 of 3** `result.json`" in readme.read_text()
