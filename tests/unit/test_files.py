import hashlib
import os
import stat
from pathlib import Path

import numpy as np
import pytest

from unet_repro.files import replacing, sha256


def test_a_file_appears_whole_in_a_folder_that_is_made(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "a"
    with replacing(path) as file:
        file.write(b"first half, ")
        assert not path.exists()
        file.write(b"second half")
    assert path.read_bytes() == b"first half, second half"
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize(("durable", "synced"), [(True, ["file", "folder"]), (False, [])])
def test_a_file_that_must_last_is_synced_before_and_after_it_gets_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, durable: bool, synced: list[str]
) -> None:
    done, honest = [], os.fsync

    def fsync(number: int) -> None:
        kind = "folder" if stat.S_ISDIR(os.fstat(number).st_mode) else "file"
        assert (tmp_path / "a").exists() is (kind == "folder")
        done.append(kind)
        honest(number)

    monkeypatch.setattr(os, "fsync", fsync)
    with replacing(tmp_path / "a", durable=durable) as file:
        file.write(b"content")
    assert done == synced
    assert (tmp_path / "a").read_bytes() == b"content"


def test_after_an_error_the_old_file_is_there_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"old")

    def interrupted() -> None:
        with replacing(path) as file:
            file.write(b"new")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_two_writers_of_one_file_do_not_meet_and_the_last_one_stays(tmp_path: Path) -> None:
    path = tmp_path / "a"
    with replacing(path) as first:
        first.write(b"first")
        with replacing(path) as second:
            second.write(b"second")
        assert path.read_bytes() == b"second"
    assert path.read_bytes() == b"first"


def test_a_file_has_the_rights_of_any_other(tmp_path: Path) -> None:
    with replacing(tmp_path / "a"):
        pass
    (tmp_path / "b").touch()
    assert (tmp_path / "a").stat().st_mode == (tmp_path / "b").stat().st_mode


def test_a_hash_is_that_of_type_shape_and_values_in_order() -> None:
    array = np.arange(6, dtype=np.int32).reshape(2, 3)
    expected = hashlib.sha256(b"text<i4(2, 3)" + array.astype("<i4").tobytes()).hexdigest()
    assert sha256("text", array) == expected
    variants = [array, array.T, array.astype(np.int64), array.reshape(3, 2), array[::-1], array[:0], array > 2]
    assert len({sha256(variant) for variant in variants}) == len(variants)
    assert sha256(array.T) == sha256(array.T.copy())
