import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from tiny import NETWORK, STACK

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The built wheel, unpacked."""
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, ROOT],
        check=True, capture_output=True,
    )  # fmt: skip
    (path,) = folder.glob("*.whl")
    with zipfile.ZipFile(path) as archive:
        archive.extractall(folder / "site")
    return folder / "site"


def test_the_wheel_carries_configuration_and_plugin(wheel):
    packed = {path.relative_to(wheel / "unet_repro/conf") for path in (wheel / "unet_repro/conf").rglob("*.yaml")}
    assert packed == {path.relative_to(ROOT / "conf") for path in (ROOT / "conf").rglob("*.yaml")}
    assert (wheel / "hydra_plugins/unet_repro_sweeper/arms_sweeper.py").exists()
    assert not (wheel / "hydra_plugins/__init__.py").exists()


def test_the_wheel_works_in_any_directory(wheel, tmp_path):
    program = f"import sys; sys.path.insert(0, {str(wheel)!r}); from unet_repro.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", program, "train", "-m", *STACK, *NETWORK, "seed=0"],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert list(tmp_path.glob("runs/*/result.json"))
