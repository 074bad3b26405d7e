"""Runs the scripts of the exported page in node."""

import json
import shutil
import subprocess
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

NODE = shutil.which("node")
needs_node = pytest.mark.skipif(NODE is None, reason="needs node, to run the scripts of the exported page")


def copy_scripts(folder: Path) -> Path:
    """The scripts as modules for node, which takes a file ``.js`` for one only beside such a ``package.json``."""
    for script in (files("unet_repro.export") / "page").iterdir():
        if script.name.endswith(".js"):
            (folder / script.name).write_text(script.read_text(encoding="utf-8"), encoding="utf-8")
    (folder / "package.json").write_text('{"type": "module"}')
    return folder


def call(folder: Path, imports: str, expression: str, given: Any = None) -> Any:
    """The value of an expression in which ``given`` is known, after importing names such as ``a, b from tiling``."""
    names, _, script = imports.partition(" from ")
    (folder / "given.json").write_text(json.dumps(given))
    code = f"""
        import {{ readFileSync }} from "node:fs";
        import {{ {names} }} from "./{script}.js";
        const given = JSON.parse(readFileSync("given.json"));
        process.stdout.write(JSON.stringify(await ({expression})));
    """
    assert NODE is not None
    done = subprocess.run(
        [NODE, "--input-type=module", "-e", code], cwd=folder, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
