"""The public data sets: locations on this machine and at their publishers, with licences and hashes."""

import logging
import os
import time
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path

import pooch
from filelock import FileLock

from unet_repro.data.sources.download import Patience, download, explained, unpack
from unet_repro.errors import DataError

ROOT_VARIABLE = "UNET_REPRO_DATA"

_ALIASES = {"hela": "DIC-C2DH-HeLa", "u373": "PhC-C2DH-U373"}
_CTC_CREDIT = "Maska et al., Nature Methods 2023, 10.1038/s41592-023-01879-y"

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class RemoteFile:
    """One published file.

    Attributes:
        path: Path relative to the URL of its data set.
        local: Path relative to the folder of its data set, or beside that folder if it is an archive.
        sha256: Hash as published, in hexadecimal.
    """

    path: str
    local: str
    sha256: str


@dataclass(frozen=True)
class Remote:
    """One published data set.

    Attributes:
        name: As in ``data=<name>`` and ``unet-repro fetch <name>``, and its folder below the data root.
        base_url: Common prefix of its URLs.
        files: What to download: the set's files, or one zip archive that contains its folder.
        parts: Files or folders below its folder that all exist in a complete set.
        licence: Terms of use.
        cite: What to cite.
    """

    name: str
    base_url: str
    files: tuple[RemoteFile, ...]
    parts: tuple[str, ...]
    licence: str
    cite: str

    @property
    def is_archive(self) -> bool:
        """Whether it comes as one zip file."""
        return self.files[0].local.endswith(".zip")


@cache
def registry() -> dict[str, Remote]:
    """All data sets that can be fetched, by name.

    >>> sorted(registry())
    ['DIC-C2DH-HeLa', 'PhC-C2DH-U373', 'isbi2012']
    """
    return {
        one.name: one
        for one in (
            _isbi2012(),
            _cell_tracking(
                "DIC-C2DH-HeLa",
                sha256="832fed2d05bb7488cf9c51a2994b75f8f3f53b3c3098856211f2d39023c34e1a",
                provider="G. van Cappellen, Erasmus MC",
            ),
            _cell_tracking(
                "PhC-C2DH-U373",
                sha256="b18185c18fce54e8eeb93e4bbb9b201d757add9409bbf2283b8114185a11bc9e",
                provider="S. Kumar, UC Berkeley",
            ),
        )
    }


def _isbi2012() -> Remote:
    lines = (resources.files("unet_repro.data.sources") / "isbi2012_sha256.txt").read_text("ascii").splitlines()
    pairs = [line.split() for line in lines]
    # On the mirror, test slices are one folder higher than training slices.
    files = tuple(RemoteFile(local.replace("test/image/", "test/"), local, sha256) for sha256, local in pairs)
    return Remote(
        name="isbi2012",
        base_url="https://raw.githubusercontent.com/zhixuhao/unet/b45af4d458437d8281cc218a07fd4380818ece4a/data/membrane",
        files=files,
        parts=tuple(file.local for file in files),
        licence="for generating or testing non-commercial image segmentation software",
        cite="Cardona et al., PLoS Biology 2010, 10.1371/journal.pbio.1000502; "
        "Arganda-Carreras et al., Frontiers in Neuroanatomy 2015, 10.3389/fnana.2015.00142",
    )


def _cell_tracking(name: str, *, sha256: str, provider: str) -> Remote:
    return Remote(
        name=name,
        base_url="http://data.celltrackingchallenge.net/training-datasets",
        files=(RemoteFile(f"{name}.zip", f"{name}.zip", sha256),),
        parts=tuple(f"{sequence}{kind}" for sequence in ("01", "02") for kind in ("", "_GT/SEG", "_ST/SEG")),
        licence=(
            f"credit to the Cell Tracking Challenge and to {provider}; public scientific use apart from the challenge "
            "needs the provider's permission, commercial use also that of the challenge's organizers "
            "(celltrackingchallenge.net/datasets)"
        ),
        cite=_CTC_CREDIT,
    )


def remote(name: str) -> Remote:
    """Looks up a data set by its name or alias.

    Raises:
        DataError: If the name is unknown.

    >>> remote("hela").name
    'DIC-C2DH-HeLa'
    """
    known = registry()
    found = known.get(_ALIASES.get(name.lower(), name))
    if found is None:
        raise DataError(f"unknown data set {name!r}", hint=f"use one of {', '.join([*known, *_ALIASES])}")
    return found


def describe(name: str) -> str:
    """Text with the source, licence and citation of a data set.

    Raises:
        DataError: If the name is unknown.
    """
    found = remote(name)
    return f"{found.name} from {found.base_url}\n  terms: {found.licence}\n  cite:  {found.cite}"


def search_roots() -> list[Path]:
    """Folders in which data sets are searched: ``$UNET_REPRO_DATA``, then ``./data``."""
    variable = os.environ.get(ROOT_VARIABLE)
    return ([Path(variable)] if variable else []) + [Path("data")]


def locate(name: str) -> Path:
    """Finds the folder of a data set on this machine.

    Raises:
        DataError: If it is in none of the search roots, or unknown.
    """
    found = remote(name)
    there = [root for root in search_roots() if (root / found.name).is_dir()]
    for root in sorted(there, key=lambda root: not _complete(found, root)):  # prefer a complete set
        return root / found.name
    folders = " and ".join(str((root / found.name).absolute()) for root in search_roots())
    raise DataError(
        f"data set {found.name} was not found: looked for {folders}",
        hint=f"run `unet-repro fetch {name}`, or set {ROOT_VARIABLE} to the folder that contains {found.name}",
    )


def available(name: str) -> bool:
    """Whether a data set is on this machine with all of its files, which are checked by name only.

    Raises:
        DataError: If the name is unknown.
    """
    found = remote(name)
    return any(_complete(found, root) for root in search_roots())


def _complete(found: Remote, root: Path) -> bool:
    return all((root / found.name / part).exists() for part in found.parts)


def fetch(name: str, *, root: Path | None = None, base_url: str | None = None, timeout_s: float = 30.0) -> Path:
    """Downloads a data set, unless it already exists, and checks it by SHA-256.

    An interrupted download is resumed; existing files with the right hash are not downloaded again.

    Args:
        name: Name or alias.
        root: Parent folder; ``None`` = the first of the search roots.
        base_url: URL of a mirror, instead of the publisher's.
        timeout_s: Longest wait for a connection and between two pieces of data.

    Returns:
        The folder of the data set.

    Raises:
        DataError: If it cannot be downloaded or written, or a hash is wrong.
    """
    return _fetch(remote(name), root or search_roots()[0], base_url, Patience(timeout_s))


def _fetch(found: Remote, root: Path, base_url: str | None, patience: Patience) -> Path:
    folder = root / found.name
    try:
        if not _right(found, root):
            root.mkdir(parents=True, exist_ok=True)
            # All workers of a sweep may find the data missing: one downloads them, the others wait.
            wait_s = -1.0 if patience.deadline is None else patience.next_wait_s()
            with FileLock(root / f".{found.name}.lock", timeout=wait_s):
                _download(found, root, base_url, patience)
    except OSError as error:
        raise explained(error, where=folder) from error
    finally:
        _remove_empty(folder)  # an empty folder must not be mistaken for a data set
    _log.info("%s\n  is in %s", describe(found.name), folder)
    return folder


def _remove_empty(folder: Path) -> None:
    """Removes the folder and its subfolders if they contain no file."""
    for path in (*sorted(folder.rglob("*"), reverse=True), folder):
        if path.is_dir() and not any(path.iterdir()):
            path.rmdir()


def _right(found: Remote, root: Path) -> bool:
    """Whether there is nothing to download. For an archive only the names of the unpacked files are checked."""
    if not _complete(found, root):
        return False
    folder = root / found.name
    return found.is_archive or all(pooch.file_hash(folder / file.local) == file.sha256 for file in found.files)


def _download(found: Remote, root: Path, base_url: str | None, patience: Patience) -> None:
    folder = root / found.name
    urls = {file.local: f"{(base_url or found.base_url).rstrip('/')}/{file.path}" for file in found.files}
    hashes = {file.local: file.sha256 for file in found.files}
    if not found.is_archive:
        download(folder, hashes, urls, patience=patience, description=found.name)
        return
    if _complete(found, root):
        return
    if folder.exists():
        missing = [part for part in found.parts if not (folder / part).exists()]
        raise DataError(
            f"{folder} is incomplete, missing: {', '.join(missing)}", hint="move it away and run the command again"
        )
    download(root, hashes, urls, patience=patience, description=found.name)
    archive = root / found.files[0].local
    unpack(archive, folder)
    archive.unlink()


def auto(timeout_s: float = 10.0, *, base_url: str | None = None) -> tuple[str, str]:
    """Chooses the data for a first run: the EM stack if it exists or downloads quickly, else synthetic images.

    Args:
        timeout_s: Time limit of the whole download.
        base_url: URL of a mirror, instead of the publisher's.

    Returns:
        ``isbi2012`` or ``synthetic``, and the reason.
    """
    if available("isbi2012"):
        return "isbi2012", f"found in {locate('isbi2012')}"
    patience = Patience(timeout_s, deadline=time.monotonic() + timeout_s, retries=0)
    try:
        folder = _fetch(remote("isbi2012"), search_roots()[0], base_url, patience)
    except DataError as error:
        return "synthetic", f"isbi2012 was not found and could not be fetched within {timeout_s:g} s: {error.what}"
    return "isbi2012", f"fetched into {folder}"


class Undecided:
    """``data=auto``, which the command line replaces by the choice of ``auto`` before it composes a configuration.

    Raises:
        DataError: If it was not replaced.
    """

    def __init__(self) -> None:
        raise DataError(
            "data=auto was not replaced by a data set",
            hint="only the command line chooses; here name one, such as data=isbi2012 or data=synthetic",
        )
