"""Packages in an exported page: brought by the npm client, checked by their hash, kept in the user's cache."""

import base64
import hashlib
import io
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pooch

from unet_repro.console import report_user_errors
from unet_repro.errors import ConfigError, RunError
from unet_repro.files import write_atomically

TIMEOUT_S = 600  # of the npm client, for 33 MB
_CODES = ("code ", "errno ", "syscall ", "type ")  # of lines of npm's errors


@dataclass(frozen=True)
class Package:
    """A published package.

    Attributes:
        name: Its name.
        version: Its version.
        integrity: SHA-512 of its archive in base 64, as npm shows it.
    """

    name: str
    version: str
    integrity: str

    def __str__(self) -> str:
        return f"{self.name}@{self.version}"

    @property
    def file_name(self) -> str:
        """The archive's name, as ``npm pack`` gives it."""
        return f"{self.name}-{self.version}.tgz"

    @property
    def cached(self) -> Path:
        """Its place in the user's cache."""
        digest = base64.b64decode(self.integrity).hex()
        return Path(pooch.os_cache("unet-repro")) / "npm" / f"{digest[:32]}-{self.file_name}"

    def matches(self, archive: bytes) -> bool:
        """Whether an archive is the published one."""
        return hashlib.sha512(archive).digest() == base64.b64decode(self.integrity)


ONNX_RUNTIME = Package(
    "onnxruntime-web",
    "1.30.0",
    "q0y+JrrtukXSzsBWEMccVfqX25LRmosXHF+CaRJmg8pZClzcV7svNc4rKY3jL02Vb7QmRMDs1SigqR4CXAfKYQ==",
)
GEOTIFF = Package(
    "geotiff",
    "3.0.5",
    "OWcL9S9+yDZ6iAlXMt32T1iwUApJM8UiD47xbm6ZP1h33d10fqkPs14EG/ttT5EnefpZSx3G15iDFC5FxUNUwA==",
)
PACKAGES = (ONNX_RUNTIME, GEOTIFF)


def read_members(package: Package, names: Sequence[str], folder: Path | None = None) -> list[bytes]:
    """Files of a package.

    Args:
        package: The package.
        names: Paths in it.
        folder: A folder with its archive, for machines without npm or network; ``None`` for the user's cache, which
            npm fills.

    Raises:
        ConfigError: If the archive is not in the folder, or npm is missing.
        RunError: If npm fails, or the archive is not the published one.
    """
    archive = fetch(package) if folder is None else _from_folder(package, folder)
    with tarfile.open(fileobj=io.BytesIO(archive), mode="r:gz") as tar:
        files = (tar.extractfile(f"package/{name}") for name in names)
        return [file.read() for file in files if file is not None]


def fetch(package: Package) -> bytes:
    """The archive of a package: from the user's cache, else by ``npm pack``.

    Raises:
        ConfigError: If npm is missing.
        RunError: If npm fails, or the archive is not the published one.
    """
    if package.cached.exists() and package.matches(archive := package.cached.read_bytes()):
        return archive
    npm = shutil.which("npm")
    if npm is None:
        raise ConfigError(f"a page requires the npm package {package}, but npm is not installed", hint=_hint())
    with tempfile.TemporaryDirectory() as scratch:
        command = [npm, "pack", str(package), "--pack-destination", scratch, "--ignore-scripts", "--fetch-retries=0"]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False, cwd=scratch)
        except subprocess.TimeoutExpired as error:
            raise RunError(f"npm did not download {package} within {TIMEOUT_S} s", hint=_hint()) from error
        found = Path(scratch) / package.file_name
        if done.returncode or not found.exists():
            raise RunError(f"npm could not download {package}: {_reason(done.stderr)}", hint=_hint())
        archive = _checked(package, found)
    write_atomically(package.cached, archive)
    return archive


def _from_folder(package: Package, folder: Path) -> bytes:
    path = folder / package.file_name
    if not path.exists():
        raise ConfigError(f"packages={folder} has no file {package.file_name}", hint=_hint())
    return _checked(package, path)


def _checked(package: Package, path: Path) -> bytes:
    archive = path.read_bytes()
    if not package.matches(archive):
        raise RunError(
            f"{path.name} is not the published package {package}: its SHA-512 differs",
            hint="delete it and fetch it again; if this persists, a registry or proxy has changed it: do not use it",
        )
    return archive


def _reason(stderr: str) -> str:
    """The first line of npm's errors that says more than a code."""
    lines = [line.removeprefix("npm error").removeprefix("npm ERR!").strip() for line in stderr.splitlines()]
    return next((line for line in lines if " " in line and not line.startswith(_CODES)), "no network?")


def _hint() -> str:
    packs = " ".join(map(str, PACKAGES))
    return (
        "install Node.js with npm and check the network; or run "
        f"`npm pack {packs}` on another machine and add packages=FOLDER with the files"
    )


if __name__ == "__main__":  # fills the cache, for tests and for machines that go offline
    with report_user_errors():
        for each in PACKAGES:
            fetch(each)
