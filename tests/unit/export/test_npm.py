"""Packages are brought by npm once, and only as published."""

import base64
import hashlib
import io
import stat
import tarfile

import pytest

from unet_repro.errors import ConfigError, RunError
from unet_repro.export import npm
from unet_repro.export.npm import Package, fetch, read_members


def archive(**files):
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        for name, content in files.items():
            entry = tarfile.TarInfo(f"package/{name}")
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    return packed.getvalue()


ARCHIVE = archive(main=b"script", other=b"text")
PACKAGE = Package("thing", "1.2.3", base64.b64encode(hashlib.sha512(ARCHIVE).digest()).decode())


@pytest.fixture
def own_npm(tmp_path, monkeypatch):
    """Puts a script in the place of npm: it writes an archive where npm would, or fails."""
    monkeypatch.setattr(npm.pooch, "os_cache", lambda name: str(tmp_path / "cache" / name))
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")

    def install(content=ARCHIVE, failure=""):
        (tmp_path / "thing.tgz").write_bytes(content)
        script = tmp_path / "bin" / "npm"
        script.parent.mkdir(exist_ok=True)
        work = f"cp {tmp_path / 'thing.tgz'} $4/thing-1.2.3.tgz" if not failure else f"echo '{failure}' >&2; exit 1"
        script.write_text(f'#!/bin/sh\n[ "$1 $2 $3" = "pack thing@1.2.3 --pack-destination" ] || exit 9\n{work}\n')
        script.chmod(script.stat().st_mode | stat.S_IXUSR)

    return install


def test_a_package_is_brought_once_and_then_taken_from_the_cache(own_npm):
    own_npm()
    assert read_members(PACKAGE, ["other", "main"]) == [b"text", b"script"]
    own_npm(failure="npm error the network is down")
    assert fetch(PACKAGE) == ARCHIVE


def test_a_damaged_cache_is_renewed(own_npm):
    own_npm()
    PACKAGE.cached.parent.mkdir(parents=True)
    PACKAGE.cached.write_bytes(ARCHIVE[:-1])
    assert fetch(PACKAGE) == ARCHIVE == PACKAGE.cached.read_bytes()


def test_a_package_with_another_hash_is_refused_and_not_kept(own_npm):
    own_npm(archive(main=b"changed"))
    with pytest.raises(RunError, match="not the published package thing@1.2.3"):
        fetch(PACKAGE)
    assert not PACKAGE.cached.exists()


def test_without_a_network_the_reason_and_the_remedy_are_named(own_npm):
    own_npm(failure="npm error code ENOTFOUND\nnpm error syscall getaddrinfo\nnpm error request to the registry failed")
    with pytest.raises(
        RunError, match=r"thing@1.2.3: request to the registry failed\n.*npm pack onnx.*packages=FOLDER"
    ):
        fetch(PACKAGE)


def test_without_npm_the_remedy_is_named(monkeypatch, tmp_path):
    monkeypatch.setattr(npm.pooch, "os_cache", lambda name: str(tmp_path / name))
    monkeypatch.setattr(npm.shutil, "which", lambda name: None)
    with pytest.raises(ConfigError, match=r"npm is not installed\n.*Node.js.*packages=FOLDER"):
        fetch(PACKAGE)


def test_a_folder_of_archives_needs_no_npm(tmp_path):
    (tmp_path / "thing-1.2.3.tgz").write_bytes(ARCHIVE)
    assert read_members(PACKAGE, ["main"], tmp_path) == [b"script"]
    (tmp_path / "thing-1.2.3.tgz").write_bytes(b"changed")
    with pytest.raises(RunError, match="its SHA-512 differs"):
        read_members(PACKAGE, ["main"], tmp_path)
    with pytest.raises(ConfigError, match="has no file thing-1.2.3.tgz"):
        read_members(PACKAGE, ["main"], tmp_path / "elsewhere")
