"""What is published: wheel and sdist, their version, and the locked dependencies."""

import os
import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from email import message_from_string
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from tiny import NETWORK, STACK

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
ASSETS = {".html", ".css", ".js"}


def build(source, folder, *options, **environment):
    """Wheel and sdist as `make dist` builds them; the wheel is made of the unpacked sdist."""
    subprocess.run(
        [sys.executable, "-m", "build", "--no-isolation", *options, "--outdir", folder, source],
        check=True, capture_output=True, env={**os.environ, **environment},
    )  # fmt: skip
    return sorted(folder.iterdir(), reverse=True)


@pytest.fixture(scope="module")
def packages(tmp_path_factory):
    """The built sdist and wheel."""
    return build(ROOT, tmp_path_factory.mktemp("dist"))


@pytest.fixture(scope="module")
def wheel(packages, tmp_path_factory):
    """The built wheel, unpacked."""
    folder = tmp_path_factory.mktemp("site")
    with zipfile.ZipFile(packages[1]) as archive:
        archive.extractall(folder)
    return folder


def metadata(wheel):
    (path,) = wheel.glob("*.dist-info/METADATA")
    return message_from_string(path.read_text())


def relative(root, *suffixes):
    return {path.relative_to(root) for path in root.rglob("*") if path.suffix in suffixes}


def test_an_index_would_accept_sdist_and_wheel(packages):
    done = subprocess.run(
        [sys.executable, "-m", "twine", "check", "--strict", *packages], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout
    assert [path.suffix for path in packages] == [".gz", ".whl"], "sdist and wheel"


def test_the_wheel_carries_code_types_configuration_page_and_plugins(wheel):
    assert relative(wheel / "unet_repro/conf", ".yaml") == relative(ROOT / "conf", ".yaml")
    for package in ("unet_repro", "hydra_plugins"):
        assert relative(wheel / package, ".py", *ASSETS) == relative(ROOT / "src" / package, ".py", *ASSETS)
    assert relative(wheel / "unet_repro/report", *ASSETS)
    assert (wheel / "unet_repro/py.typed").exists()
    assert relative(wheel / "unet_repro", ".zip") == relative(ROOT / "src/unet_repro", ".zip"), "trained networks"
    assert not (wheel / "hydra_plugins/__init__.py").exists()
    (info,) = wheel.glob("*.dist-info")
    assert {path.name for path in wheel.iterdir()} == {"unet_repro", "hydra_plugins", info.name}


def test_the_sdist_carries_what_tests_and_installation_need(packages):
    with tarfile.open(packages[0]) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {"Makefile", "constraints.txt", "requirements.lock", "LICENSE", "CITATION.cff", "CHANGELOG.md"} <= names
    assert {"tests/conftest.py", "conf/train.yaml", "benchmarks/stress.py", "mkdocs.yml"} <= names
    assert {"docs/page/index.html", "docs/make/__main__.py", "examples/quickstart.ipynb"} <= names
    assert not [name for name in names if name.startswith(("runs/", "reports/", ".venv", ".git/"))]


def test_the_wheel_works_in_any_directory(wheel, tmp_path):
    program = f"import sys; sys.path.insert(0, {str(wheel)!r}); from unet_repro.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", program, "train", "-m", *STACK, *NETWORK, "seed=0"],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert list(tmp_path.glob("runs/*/result.json"))
    told = subprocess.run([sys.executable, "-c", program, "--version"], capture_output=True, text=True, check=True)
    assert told.stdout.split() == ["unet-repro", metadata(wheel)["Version"]]


@pytest.fixture
def checkout(tmp_path):
    """A small project under git with this one's rules of versions, and its git."""
    folder = tmp_path / "checkout"
    (folder / "src/unet_repro").mkdir(parents=True)
    (folder / "src/hydra_plugins").mkdir()
    (folder / "src/unet_repro/__init__.py").touch()
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        (folder / name).write_bytes((ROOT / name).read_bytes())
    (folder / "conf").mkdir()

    def git(*arguments):
        identity = ["-c", "user.name=a", "-c", "user.email=a@b"]
        subprocess.run(["git", *identity, *arguments], cwd=folder, check=True, capture_output=True)

    git("init")
    git("add", ".")
    git("commit", "--message", "first")
    return folder, git


def version_of(source, folder, **environment):
    return build(source, folder, "--wheel", **environment)[0].name.split("-")[1]


def test_the_version_is_the_tags_and_between_tags_the_next(checkout, tmp_path):
    folder, git = checkout
    git("tag", "v7.1.0")
    git("tag", "trial-8.0.0")  # of something else
    assert version_of(folder, tmp_path / "tagged") == "7.1.0"
    git("commit", "--allow-empty", "--message", "second")
    assert re.fullmatch(r"7\.1\.1\.dev1\+g\w+", version_of(folder, tmp_path / "later"))


def test_without_tags_or_without_git_the_version_follows_the_newest_release(checkout, tmp_path):
    folder, _ = checkout
    newest = PROJECT["tool"]["hatch"]["version"]["fallback-version"]
    major, minor, patch = newest.split(".")
    assert re.match(rf"{major}\.{minor}\.{int(patch) + 1}\.dev\d+\+g", version_of(folder, tmp_path / "no-tags"))
    assert version_of(folder, tmp_path / "no-git", PATH="") == newest


def test_the_newest_release_is_the_same_everywhere():
    newest = PROJECT["tool"]["hatch"]["version"]["fallback-version"]
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    released = re.findall(r"^## \[(\d+\.\d+\.\d+)\] - (\d{4}-\d\d-\d\d)$", (ROOT / "CHANGELOG.md").read_text(), re.M)
    assert (citation["version"], citation["date-released"]) == released[0]
    assert citation["version"] == newest


def locked():
    """Requirements of the lock file, each with its hashes."""
    text = re.sub(r"#.*", "", (ROOT / "requirements.lock").read_text()).replace("\\\n", " ")
    for line in text.splitlines():
        if line.strip():
            requirement, *hashes = re.split(r"\s--hash=", line.strip())
            yield Requirement(requirement), [one.strip() for one in hashes]


def test_every_locked_package_has_hashes_and_no_address():
    entries = list(locked())
    assert len(entries) > 100
    for requirement, hashes in entries:
        assert [one.operator for one in requirement.specifier] == ["=="], requirement
        assert hashes, requirement
        assert all(re.fullmatch("sha256:[0-9a-f]{64}", one) for one in hashes), requirement
    assert "://" not in (ROOT / "requirements.lock").read_text()


def test_the_lock_file_has_all_that_the_project_asks_for_within_the_constraints():
    versions = {}
    for requirement, _ in locked():
        versions.setdefault(canonicalize_name(requirement.name), []).append(next(iter(requirement.specifier)).version)
    assert "torch" not in versions, "its build depends on the machine"
    extras = PROJECT["project"]["optional-dependencies"]
    asked = [Requirement(line) for line in [*PROJECT["project"]["dependencies"], *PROJECT["build-system"]["requires"]]]
    pending = [Requirement(line) for line in extras["dev"]]
    while pending:
        one = pending.pop()
        if one.name == PROJECT["project"]["name"]:
            pending += [Requirement(line) for extra in one.extras for line in extras[extra]]
        else:
            asked.append(one)
    for requirement in asked:
        name = canonicalize_name(requirement.name)
        if name != "torch":
            found = versions.get(name, [])
            assert found, f"{requirement} is not locked; run `make lock`"
            assert all(version in requirement.specifier for version in found), f"{requirement}: run `make lock`"
    for line in (ROOT / "constraints.txt").read_text().splitlines():
        name, _, version = line.partition("==")
        if not line.startswith("#") and (found := versions.get(canonicalize_name(name))):
            assert found == [version], f"{line}: run `make lock`"
