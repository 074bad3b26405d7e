"""Resumable downloads, and safe unpacking of archives."""

import errno
import shutil
import stat
import tempfile
import time
import zipfile
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any
from urllib.parse import urlsplit

import pooch
import requests
from tqdm import tqdm

from unet_repro.errors import DataError

_NUM_CONNECTIONS = 8
_CHUNK_BYTES = 1 << 16


@dataclass(frozen=True)
class Patience:
    """Time limits of a download.

    Attributes:
        timeout_s: Longest wait for a connection and between two pieces of data.
        deadline: When to give up, on the clock of ``time.monotonic``; ``None`` = never.
        retries: How often a failed file is retried.
    """

    timeout_s: float
    deadline: float | None = None
    retries: int = 1

    def next_wait_s(self) -> float:
        """How long the next step may wait.

        Raises:
            TimeoutError: If the deadline has passed.
        """
        if self.deadline is None:
            return self.timeout_s
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("the time limit of the download has passed")
        return min(self.timeout_s, left)


@dataclass(frozen=True)
class _Resuming:
    """A pooch downloader that resumes an interrupted download, which pooch itself does not support."""

    patience: Patience
    bar: "tqdm[Any] | None"

    def __call__(self, url: str, output_file: str, _pooch: object) -> None:
        part = Path(output_file).with_name(f"{PurePosixPath(urlsplit(url).path).name}.part")
        have = part.stat().st_size if part.exists() else 0
        headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {})
        try:
            with (
                part.open("ab") as out,
                requests.get(url, headers=headers, stream=True, timeout=self.patience.next_wait_s()) as response,
            ):
                if response.status_code in (200, 416):  # the server sends the whole file, or has no bytes beyond ours
                    out.truncate(0)
                response.raise_for_status()
                for chunk in response.iter_content(_CHUNK_BYTES):
                    self.patience.next_wait_s()
                    out.write(chunk)
                    if self.bar is not None:
                        self.bar.update(len(chunk))
        except BaseException:
            if part.exists() and not part.stat().st_size:
                part.unlink()  # nothing to resume from
            raise
        part.replace(output_file)


def download(
    folder: Path, hashes: dict[str, str], urls: dict[str, str], *, patience: Patience, description: str
) -> None:
    """Downloads files into a folder and checks each by its SHA-256; existing files with the right hash are kept.

    Args:
        folder: The target folder.
        hashes: SHA-256 by path inside the folder.
        urls: URL by path inside the folder.
        patience: Time limits.
        description: Label of the progress bar.

    Raises:
        DataError: If a file cannot be downloaded or written, or its hash is wrong.
    """
    pooch.get_logger().setLevel("WARNING")  # a line per file would break the progress bar
    try:
        for name in hashes:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
        keeper = pooch.create(
            path=folder, base_url="", registry=hashes, urls=urls, retry_if_failed=patience.retries, allow_updates=True
        )
        single = len(hashes) == 1
        with (
            tqdm(
                total=None if single else len(hashes),
                unit="B" if single else "file",
                unit_scale=single,
                desc=description,
                disable=None,
            ) as bar,
            ThreadPoolExecutor(_NUM_CONNECTIONS) as threads,
        ):
            fetch_one = _Resuming(patience, bar if single else None)
            jobs = [threads.submit(keeper.fetch, name, downloader=fetch_one) for name in hashes]
            try:
                for job in as_completed(jobs):
                    job.result()
                    bar.update(0 if single else 1)
            except BaseException:
                threads.shutdown(cancel_futures=True)
                raise
    except (OSError, ValueError) as error:
        raise explained(error, where=folder) from error


def explained(error: OSError | ValueError, *, where: Path) -> DataError:
    """Converts an error of a download to one with a hint for the user."""
    request, response = getattr(error, "request", None), getattr(error, "response", None)
    number = getattr(error, "errno", None)
    if isinstance(error, PermissionError) or number in (errno.EROFS, errno.ENOTDIR, errno.EEXIST):
        what, hint = f"cannot write to {where}: {error}", "set UNET_REPRO_DATA to a writable folder"
    elif number in (errno.ENOSPC, errno.EDQUOT):
        what = f"no space left on the disk of {where}"
        hint = "free some space, or set UNET_REPRO_DATA to a folder on another disk"
    elif response is not None:
        what = f"{response.url} returned HTTP status {response.status_code}"
        hint = "try again later; if this persists, the publisher has moved the file: use --base-url with a mirror"
    elif not isinstance(error, OSError):
        what = f"a file downloaded to {where} is not the published one: {error}"
        hint = "try again; if this persists, the publisher or a proxy has changed the file"
    else:
        # For a lost connection the library's message is long; the URL and the type of the error are enough.
        reason = error if request is None else f"{request.url} cannot be reached ({type(error).__name__})"
        what = f"the download for {where} failed: {reason}"
        hint = "check the network and the address and run the command again; it resumes the download"
    return DataError(what, hint=hint)


def _check_members(archive: zipfile.ZipFile) -> None:
    """Refuses an archive with paths that leave its folder, or with links; unpacking would silently alter them."""
    for member in archive.infolist():
        path, foreign = PurePosixPath(member.filename), PureWindowsPath(member.filename)
        escapes = path.is_absolute() or foreign.drive or foreign.root or ".." in (*path.parts, *foreign.parts)
        if escapes or stat.S_ISLNK(member.external_attr >> 16):
            raise DataError(
                f"{archive.filename} contains {member.filename!r}, which leads out of its folder",
                hint="do not use this archive; get it from its publisher",
            )


def unpack(archive_path: Path, folder: Path) -> None:
    """Unpacks the one folder of a zip archive: completely, or not at all.

    Args:
        archive_path: A zip file that contains a folder named like ``folder``.
        folder: The target; must not exist.

    Raises:
        DataError: If the archive is damaged or unsafe, or has no such folder, or if the disk is full.
    """
    # Beside the target, so that the last step is a rename on one file system.
    scratch = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        with zipfile.ZipFile(archive_path) as archive:
            _check_members(archive)
            archive.extractall(scratch)
        if not (scratch / folder.name).is_dir():
            raise DataError(f"{archive_path} has no folder {folder.name}", hint="get the archive from its publisher")
        (scratch / folder.name).replace(folder)
    except zipfile.BadZipFile as error:
        raise DataError(f"{archive_path} is not a valid zip file: {error}", hint="delete it and fetch again") from error
    except OSError as error:
        raise explained(error, where=folder) from error
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
