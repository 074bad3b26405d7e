"""The small scripts of the exported page, by node's own tests beside this file."""

import shutil
import subprocess
from pathlib import Path

from page_scripts import NODE, copy_scripts, needs_node


@needs_node
def test_node_passes_its_tests(tmp_path):
    copy_scripts(tmp_path)
    shutil.copy(Path(__file__).with_name("page_scripts.test.mjs"), tmp_path)
    assert NODE is not None
    command = [NODE, "--test", "--test-reporter=tap"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "# pass 8" in done.stdout
