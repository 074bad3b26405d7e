"""The commit that a result names as its code."""

import subprocess
from pathlib import Path

import pytest

from unet_repro.runs.provenance import commit_of


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A repository of three committed files: code, configuration, and one of neither."""
    for name in ("src/unet_repro/code.py", "conf/train.yaml", "experiments/record.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("first\n")
    identity = ("-c", "user.name=a", "-c", "user.email=a@b")
    for arguments in (["init", "--quiet"], ["add", "."], [*identity, "commit", "--quiet", "--message", "first"]):
        subprocess.run(["git", *arguments], cwd=tmp_path, check=True)
    return tmp_path


def test_clean(checkout: Path) -> None:
    commit = commit_of(checkout)
    assert commit is not None
    assert len(commit) == 12
    assert int(commit, 16) > 0


@pytest.mark.parametrize(
    ("name", "dirty"),
    [
        ("src/unet_repro/code.py", True),
        ("src/unet_repro/untracked.py", True),
        ("conf/train.yaml", True),
        ("experiments/record.txt", False),
        ("runs/untracked.txt", False),
    ],
)
def test_changes_of_code_and_configuration(checkout: Path, name: str, dirty: bool) -> None:
    clean = commit_of(checkout)
    (checkout / name).parent.mkdir(exist_ok=True)
    (checkout / name).write_text("changed\n")
    assert commit_of(checkout) == (f"{clean}-dirty" if dirty else clean)


def test_installed_in_the_repository_of_another_project(checkout: Path) -> None:
    (checkout / "src" / "unet_repro").rename(checkout / "src" / "other")
    assert commit_of(checkout) is None


def test_without_git(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(checkout))
    assert commit_of(checkout) is None
