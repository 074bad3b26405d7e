"""Locating and fetching, against a server on the loopback."""

import errno
import hashlib
import io
import logging
import stat
import threading
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from unet_repro.data.sources import registry as sources
from unet_repro.data.sources.download import Patience, download, unpack
from unet_repro.data.sources.registry import Remote, RemoteFile
from unet_repro.errors import DataError

NAME = "DIC-C2DH-HeLa"
PARTS = ("01", "01_GT/SEG")
AT_ONCE = Patience(timeout_s=5.0, retries=0)


@dataclass
class Mirror:
    """What the server serves, how it misbehaves, and what it was asked for."""

    files: dict[str, bytes] = field(default_factory=dict)
    ranges: bool = True
    cut_after: int | None = None  # bytes of the next body, after which the connection breaks
    stall: threading.Event | None = None  # until it is set, nothing but the header is sent
    asked: list[tuple[str, str | None]] = field(default_factory=list)
    url: str = ""


@contextmanager
def serve(mirror: Mirror) -> Iterator[Mirror]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            wanted = self.headers.get("Range")
            mirror.asked.append((self.path, wanted))
            body = mirror.files.get(self.path.lstrip("/"))
            if body is None:
                self.send_error(404)
                return
            start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted and mirror.ranges else 0
            if start and start >= len(body):
                self.send_error(416)
                return
            self.send_response(206 if start else 200)
            if start:
                self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
            self.send_header("Content-Length", str(len(body) - start))
            self.end_headers()
            if mirror.stall is not None:
                mirror.stall.wait(timeout=30)
                return
            cut, mirror.cut_after = mirror.cut_after, None
            self.wfile.write(body[start:][:cut])

        def log_message(self, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        mirror.url = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield mirror
        finally:
            if mirror.stall is not None:
                mirror.stall.set()
            server.shutdown()
            thread.join()


@pytest.fixture
def mirror() -> Iterator[Mirror]:
    with serve(Mirror()) as running:
        yield running


@pytest.fixture(autouse=True)
def no_data_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNET_REPRO_DATA", str(tmp_path / "data"))
    monkeypatch.chdir(tmp_path)


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def zipped(members: dict[str, bytes], change: Callable[[zipfile.ZipInfo], None] = lambda info: None) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in members.items():
            info = zipfile.ZipInfo(name)
            change(info)
            archive.writestr(info, content)
    return buffer.getvalue()


def hela_zip() -> bytes:
    return zipped({f"{NAME}/01/t000.tif": b"frame" * 50_000, f"{NAME}/01_GT/SEG/man_seg000.tif": b"truth"})


def known(monkeypatch: pytest.MonkeyPatch, name: str, files: tuple[RemoteFile, ...], parts: tuple[str, ...]) -> None:
    only = Remote(name, "http://192.0.2.1/never-asked", files, parts, "terms", "whom to cite")
    monkeypatch.setattr(sources, "registry", lambda: {name: only})


def publish_zip(
    monkeypatch: pytest.MonkeyPatch, mirror: Mirror, content: bytes, published: bytes | None = None
) -> None:
    mirror.files[f"{NAME}.zip"] = content
    file = RemoteFile(f"{NAME}.zip", f"{NAME}.zip", sha256(content if published is None else published))
    known(monkeypatch, NAME, (file,), PARTS)


def publish_slices(monkeypatch: pytest.MonkeyPatch, mirror: Mirror, number: int = 5) -> dict[str, bytes]:
    slices = {f"test/{i}.png": f"slice {i}".encode() * 100 for i in range(number)}
    mirror.files |= slices
    files = tuple(RemoteFile(path, path.replace("test/", "test/image/"), sha256(body)) for path, body in slices.items())
    known(monkeypatch, "isbi2012", files, tuple(file.local for file in files))
    return slices


# --- what is known -------------------------------------------------------------------------------------------------


def test_the_registry_holds_ninety_em_files_at_the_addresses_of_the_mirror() -> None:
    em = sources.remote("isbi2012")
    assert len({file.local for file in em.files}) == 90
    assert all(len(file.sha256) == 64 for file in em.files)
    by_local = {file.local: file for file in em.files}
    assert by_local["test/image/7.png"].path == "test/7.png"
    assert by_local["train/label/29.png"].path == "train/label/29.png"
    assert by_local["test/image/0.png"].sha256.startswith("3c67a0f520d6504e")


@pytest.mark.parametrize(("alias", "name"), [("hela", "DIC-C2DH-HeLa"), ("U373", "PhC-C2DH-U373")])
def test_aliases_stand_for_the_publishers_names(alias: str, name: str) -> None:
    assert sources.remote(alias).name == name


def test_an_unknown_name_is_told_which_names_are_known() -> None:
    with pytest.raises(DataError, match=r"unknown data set 'heal'(.|\n)*hela"):
        sources.fetch("heal")


@pytest.mark.parametrize("name", ["isbi2012", "hela", "u373"])
def test_the_description_gives_address_terms_and_credit(name: str) -> None:
    text = sources.describe(name)
    remote = sources.remote(name)
    assert remote.base_url in text
    assert remote.licence in text
    assert "10." in text  # a DOI


# --- what is here --------------------------------------------------------------------------------------------------


def test_data_are_looked_for_in_the_variable_first_then_in_the_working_folder(tmp_path: Path) -> None:
    assert sources.search_roots() == [tmp_path / "data", Path("data")]


def test_without_the_variable_only_the_working_folder_is_searched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("UNET_REPRO_DATA")
    assert sources.search_roots() == [Path("data")]


def test_a_set_in_the_working_folder_is_found_when_the_variable_leads_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UNET_REPRO_DATA", str(tmp_path / "elsewhere"))
    (tmp_path / "data" / NAME).mkdir(parents=True)
    assert sources.locate("hela") == Path("data") / NAME


def test_a_whole_set_is_preferred_to_a_half_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNET_REPRO_DATA", str(tmp_path / "half"))
    (tmp_path / "half" / NAME / "01").mkdir(parents=True)
    for part in sources.remote("hela").parts:
        (tmp_path / "data" / NAME / part).mkdir(parents=True, exist_ok=True)
    assert sources.locate("hela") == Path("data") / NAME


def test_a_missing_set_names_the_places_and_the_command(tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        sources.locate("hela")
    assert str(tmp_path / "data" / NAME) in caught.value.what
    assert "unet-repro fetch hela" in caught.value.hint
    assert not sources.available("hela")


# --- fetching many files -------------------------------------------------------------------------------------------


def test_files_arrive_in_the_layout_of_the_readers(
    tmp_path: Path, mirror: Mirror, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    slices = publish_slices(monkeypatch, mirror)
    with caplog.at_level(logging.INFO):
        folder = sources.fetch("isbi2012", base_url=mirror.url)
    assert folder == tmp_path / "data" / "isbi2012"
    found = {path.name: path.read_bytes() for path in (folder / "test" / "image").iterdir()}
    assert found == {Path(path).name: body for path, body in slices.items()}
    assert "whom to cite" in caplog.text
    assert sources.available("isbi2012")


def test_files_that_are_there_and_right_are_not_downloaded_again(
    mirror: Mirror, monkeypatch: pytest.MonkeyPatch
) -> None:
    slices = publish_slices(monkeypatch, mirror)
    folder = sources.fetch("isbi2012", base_url=mirror.url)
    (folder / "test/image/1.png").unlink()
    (folder / "test/image/3.png").write_bytes(b"damaged")
    mirror.asked.clear()
    sources.fetch("isbi2012", base_url=mirror.url)
    assert sorted(path for path, _ in mirror.asked) == ["/test/1.png", "/test/3.png"]
    assert (folder / "test/image/3.png").read_bytes() == slices["test/3.png"]
    mirror.asked.clear()
    sources.fetch("isbi2012", base_url=mirror.url)
    assert mirror.asked == []


def test_a_missing_file_at_the_mirror_is_named_with_its_status(mirror: Mirror, monkeypatch: pytest.MonkeyPatch) -> None:
    publish_slices(monkeypatch, mirror)
    del mirror.files["test/2.png"]
    with pytest.raises(DataError, match=r"test/2\.png returned HTTP status 404"):
        sources.fetch("isbi2012", base_url=mirror.url)


# --- fetching an archive -------------------------------------------------------------------------------------------


def test_an_archive_is_unpacked_and_leaves_nothing_else(
    tmp_path: Path, mirror: Mirror, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish_zip(monkeypatch, mirror, hela_zip())
    folder = sources.fetch("hela", base_url=f"{mirror.url}/")
    assert (folder / "01" / "t000.tif").read_bytes() == b"frame" * 50_000
    assert {path.name for path in (tmp_path / "data").iterdir()} - {f".{NAME}.lock"} == {NAME}
    mirror.asked.clear()
    assert sources.fetch("hela", base_url=mirror.url) == folder
    assert mirror.asked == []


@pytest.mark.parametrize("ranges", [True, False])
def test_a_broken_download_goes_on_where_it_stopped_or_starts_over(
    tmp_path: Path, mirror: Mirror, monkeypatch: pytest.MonkeyPatch, ranges: bool
) -> None:
    publish_zip(monkeypatch, mirror, hela_zip())
    mirror.ranges, mirror.cut_after = ranges, 100_000
    folder = sources.fetch("hela", base_url=mirror.url)
    assert (folder / "01" / "t000.tif").read_bytes() == b"frame" * 50_000
    (_, first), (_, second) = mirror.asked
    assert first is None
    assert second is not None
    assert 0 < int(second.removeprefix("bytes=").rstrip("-")) <= 100_000


def test_what_an_earlier_process_left_is_used(tmp_path: Path, mirror: Mirror, monkeypatch: pytest.MonkeyPatch) -> None:
    content = hela_zip()
    publish_zip(monkeypatch, mirror, content)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / f"{NAME}.zip.part").write_bytes(content[:70_000])
    sources.fetch("hela", base_url=mirror.url)
    assert mirror.asked == [(f"/{NAME}.zip", "bytes=70000-")]


@pytest.mark.parametrize("left", [b"something else " * 10_000, b"x" * 10_000_000], ids=["shorter", "longer"])
def test_a_wrong_beginning_is_thrown_away(
    tmp_path: Path, mirror: Mirror, monkeypatch: pytest.MonkeyPatch, left: bytes
) -> None:
    publish_zip(monkeypatch, mirror, hela_zip())
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / f"{NAME}.zip.part").write_bytes(left)
    folder = sources.fetch("hela", base_url=mirror.url)
    assert (folder / "01" / "t000.tif").read_bytes() == b"frame" * 50_000


def test_a_file_with_another_hash_is_refused_and_not_kept(
    tmp_path: Path, mirror: Mirror, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish_zip(monkeypatch, mirror, b"not the archive", published=hela_zip())
    with pytest.raises(DataError, match="not the published one"):
        sources.fetch("hela", base_url=mirror.url)
    assert {path.name for path in (tmp_path / "data").iterdir()} <= {f".{NAME}.lock"}


def test_a_half_unpacked_folder_is_neither_trusted_nor_overwritten(
    tmp_path: Path, mirror: Mirror, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish_zip(monkeypatch, mirror, hela_zip())
    mine = tmp_path / "data" / NAME / "01" / "mine.txt"
    mine.parent.mkdir(parents=True)
    mine.write_text("mine")
    with pytest.raises(DataError, match="missing: 01_GT/SEG"):
        sources.fetch("hela", base_url=mirror.url)
    assert mine.read_text() == "mine"


def as_link(info: zipfile.ZipInfo) -> None:
    info.create_system = 3
    info.external_attr = (stat.S_IFLNK | 0o777) << 16


@pytest.mark.parametrize(
    "name", ["../evil", "/evil", f"{NAME}/../../evil", "C:\\evil", "C:evil", f"{NAME}\\..\\..\\evil"]
)
def test_an_archive_that_leads_out_of_its_folder_is_refused(tmp_path: Path, name: str) -> None:
    archive = tmp_path / "inside" / "bad.zip"
    archive.parent.mkdir()
    archive.write_bytes(zipped({name: b"evil"}))
    with pytest.raises(DataError, match="leads out of its folder"):
        unpack(archive, archive.parent / NAME)
    assert [path.name for path in tmp_path.rglob("*")] == ["inside", "bad.zip"]


def test_an_archive_with_a_symbolic_link_is_refused(
    tmp_path: Path, mirror: Mirror, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish_zip(monkeypatch, mirror, zipped({f"{NAME}/01": b"/etc"}, change=as_link))
    with pytest.raises(DataError, match="leads out of its folder"):
        sources.fetch("hela", base_url=mirror.url)
    assert not (tmp_path / "data" / NAME).exists()


@pytest.mark.parametrize(
    ("content", "match"),
    [(b"no zip", "valid zip"), (hela_zip()[:100_000], "valid zip"), (zipped({"a/b": b""}), "has no folder")],
)
def test_an_archive_that_is_damaged_or_another_leaves_nothing(tmp_path: Path, content: bytes, match: str) -> None:
    (tmp_path / "a.zip").write_bytes(content)
    with pytest.raises(DataError, match=match):
        unpack(tmp_path / "a.zip", tmp_path / NAME)
    assert [path.name for path in tmp_path.iterdir()] == ["a.zip"]


# --- what may go wrong around it -----------------------------------------------------------------------------------


def test_no_server_is_a_matter_of_network(tmp_path: Path) -> None:
    with serve(Mirror()) as gone:
        url = f"{gone.url}/a"
    with pytest.raises(DataError, match=r"/a cannot be reached(.|\n)*check the network"):
        download(tmp_path, {"a": sha256(b"")}, {"a": url}, patience=AT_ONCE, description="")
    assert list(tmp_path.iterdir()) == []


def test_an_address_that_is_none_is_a_matter_of_address(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"failed(.|\n)*address"):
        download(tmp_path, {"a": sha256(b"")}, {"a": "mirror/a"}, patience=AT_ONCE, description="")


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(DataError, match=r"cannot write to .*file(.|\n)*UNET_REPRO_DATA"):
        sources.fetch("hela", root=tmp_path / "file", base_url="http://127.0.0.1:9")


def test_a_full_disk_is_named(tmp_path: Path, mirror: Mirror, monkeypatch: pytest.MonkeyPatch) -> None:
    publish_zip(monkeypatch, mirror, hela_zip())

    def full(*args: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(zipfile.ZipFile, "extractall", full)
    with pytest.raises(DataError, match="no space left"):
        sources.fetch("hela", base_url=mirror.url)
    assert not (tmp_path / "data" / NAME).exists()


# --- the data of a first run ---------------------------------------------------------------------------------------


def test_a_first_run_uses_em_when_it_is_there_or_comes(mirror: Mirror, monkeypatch: pytest.MonkeyPatch) -> None:
    publish_slices(monkeypatch, mirror)
    name, why = sources.auto(base_url=mirror.url)
    assert name == "isbi2012"
    assert "fetched" in why
    name, why = sources.auto(base_url="http://127.0.0.1:9")
    assert name == "isbi2012"
    assert "found" in why


def test_a_first_run_without_network_uses_synthetic_images(tmp_path: Path) -> None:
    with serve(Mirror()) as gone:
        url = gone.url
    name, why = sources.auto(base_url=url)
    assert name == "synthetic"
    assert "could not be fetched" in why
    assert not list(tmp_path.rglob("isbi2012")), "an empty folder would be taken for a data set"


def test_a_first_run_gives_up_on_a_server_that_stalls(monkeypatch: pytest.MonkeyPatch) -> None:
    with serve(Mirror(stall=threading.Event())) as mirror:
        publish_slices(monkeypatch, mirror)
        assert sources.auto(timeout_s=0.2, base_url=mirror.url)[0] == "synthetic"


def test_a_deadline_that_has_passed_ends_a_download(tmp_path: Path, mirror: Mirror) -> None:
    mirror.files["a"] = b"a"
    late = Patience(timeout_s=5.0, deadline=0.0)
    with pytest.raises(DataError, match="time limit of the download has passed"):
        download(tmp_path, {"a": sha256(b"a")}, {"a": f"{mirror.url}/a"}, patience=late, description="")
    assert mirror.asked == []
