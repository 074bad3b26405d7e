"""Downloads that go on where they stopped, and archives that stay in their folder."""

import errno
import shutil
import tempfile
import time
import zipfile
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
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
    """How long a download may take.

    Attributes:
        timeout_s: Longest wait for a connection and between two pieces of data.
        deadline: When to give up, on the clock of ``time.monotonic``; ``None`` = never.
        retries: How often a failed file is tried again.
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
            raise TimeoutError("the time set for the download is over")
        return min(self.timeout_s, left)


@dataclass(frozen=True)
class _Resuming:
    """A pooch downloader that keeps what came of a broken download and asks the server for the rest; pooch has none."""

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
                if response.status_code in (200, 416):  # the server sends all, or has nothing beyond what is here
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
    """Brings files into a folder and checks each by its SHA-256; files that are there and right stay.

    Args:
        folder: Where the files go.
        hashes: SHA-256 by path inside the folder.
        urls: Address by path inside the folder.
        patience: How long it may take.
        description: Words beside the progress bar.

    Raises:
        DataError: If a file cannot be had or written, or is not the one that was published.
    """
    pooch.get_logger().setLevel("WARNING")  # a line per file would tear the progress bar
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
    """Says what a user can do about a failed download."""
    request, response = getattr(error, "request", None), getattr(error, "response", None)
    number = getattr(error, "errno", None)
    if isinstance(error, PermissionError) or number in (errno.EROFS, errno.ENOTDIR, errno.EEXIST):
        what, hint = f"cannot write to {where}: {error}", "set UNET_REPRO_DATA to a folder that you may write to"
    elif number in (errno.ENOSPC, errno.EDQUOT):
        what, hint = f"no space left for {where}", "free some, or set UNET_REPRO_DATA to a folder on another disk"
    elif response is not None:
        what = f"{response.url} answers with HTTP status {response.status_code}"
        hint = "try again later; if it stays so, the publisher moved the file: give the address of a mirror"
    elif not isinstance(error, OSError):
        what = f"a download for {where} is not the file that was published: {error}"
        hint = "try again; if it stays so, something on the way, or the publisher, changed the file"
    else:
        # Of a lost connection the library tells a whole story; the address and its kind are what helps.
        reason = error if request is None else f"{request.url} cannot be reached ({type(error).__name__})"
        what = f"the download for {where} failed: {reason}"
        hint = "check network and address and run the command again; it goes on where it stopped"
    return DataError(what, hint=hint)


def unpack(archive_path: Path, folder: Path) -> None:
    """Unpacks the one folder of a zip archive beside it: wholly, or not at all.

    Args:
        archive_path: A zip file that holds a folder named as ``folder``.
        folder: Where that folder goes; must not exist.

    Raises:
        DataError: If the archive is damaged, holds no such folder, or there is no room for it.
    """
    # Beside the target, so that the last step is a renaming on one disk.
    scratch = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        with zipfile.ZipFile(archive_path) as archive:
            archive.extractall(scratch)  # drops roots, drives and "..", and writes links as plain files
        if not (scratch / folder.name).is_dir():
            raise DataError(f"{archive_path} holds no folder {folder.name}", hint="get the archive from its publisher")
        (scratch / folder.name).replace(folder)
    except zipfile.BadZipFile as error:
        raise DataError(f"{archive_path} is no whole zip file: {error}", hint="delete it and fetch again") from error
    except OSError as error:
        raise explained(error, where=folder) from error
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
