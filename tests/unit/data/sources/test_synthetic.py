import logging
import multiprocessing
import os
from pathlib import Path

import numpy as np
import pytest

from unet_repro.data.sample import Sample, Source
from unet_repro.data.sources import synthetic
from unet_repro.data.sources.synthetic import Synthetic
from unet_repro.errors import DataError

SMALL = {"num_slices": 3, "size_px": 96}


def content(samples: list[Sample]) -> bytes:
    return b"".join(s.image.tobytes() + s.labels.tobytes() for s in samples)


def test_samples_have_the_agreed_keys_shapes_and_types(tmp_path: Path) -> None:
    source: Source = Synthetic(num_slices=2, size_px=65, cache_dir=tmp_path)
    samples = source.samples()
    assert [s.key for s in samples] == ["train/00", "train/01", "test/00", "test/01"]
    assert [(s.sequence, s.part) for s in samples] == [("train", "train")] * 2 + [("test", "test")] * 2
    for s in samples:
        assert s.image.shape == s.labels.shape == (65, 65)
        assert s.image.dtype == np.uint8
        assert s.labels.dtype == np.int32
    assert source.name == "synthetic"
    assert source.class_names == ("membrane", "cell")


def test_keys_sort_in_the_order_of_slices_beyond_a_hundred(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    blank = np.zeros((101, 64, 64), np.uint8), np.zeros((101, 64, 64), np.int32)
    monkeypatch.setattr(synthetic, "grow_stack", lambda *args, **kwargs: blank)
    keys = [s.key for s in Synthetic(num_slices=101, size_px=64, cache_dir=tmp_path).samples()][:101]
    assert keys[-1] == "train/100"
    assert keys == sorted(keys)


def test_a_seed_gives_the_same_bytes_and_another_seed_others(tmp_path: Path) -> None:
    first = content(Synthetic(seed=3, cache_dir=tmp_path / "a", **SMALL).samples())
    again = content(Synthetic(seed=3, cache_dir=tmp_path / "b", **SMALL).samples())
    other = content(Synthetic(seed=4, cache_dir=tmp_path / "a", **SMALL).samples())
    assert first == again
    assert first != other


@pytest.mark.parametrize("damage", ["truncated", "empty", "garbage", "flipped", "other_shape"])
def test_a_damaged_cache_is_replaced(tmp_path: Path, damage: str) -> None:
    source = Synthetic(cache_dir=tmp_path, **SMALL)
    whole = content(source.samples())
    file = source.cache_file
    data = bytearray(file.read_bytes())
    if damage == "truncated":
        file.write_bytes(data[: len(data) // 2])
    elif damage == "empty":
        file.write_bytes(b"")
    elif damage == "garbage":
        file.write_bytes(b"not an archive")
    elif damage == "flipped":
        data[len(data) // 2] ^= 0xFF
        file.write_bytes(data)
    else:
        Synthetic(cache_dir=tmp_path / "other", num_slices=2, size_px=96).samples()
        file.write_bytes(next((tmp_path / "other").iterdir()).read_bytes())
    assert content(source.samples()) == whole
    assert content(Synthetic(cache_dir=tmp_path, **SMALL).samples()) == whole


def test_the_cache_is_read_not_grown_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = content(Synthetic(cache_dir=tmp_path, **SMALL).samples())
    monkeypatch.setattr(synthetic, "grow_stack", None)
    assert content(Synthetic(cache_dir=tmp_path, **SMALL).samples()) == first
    assert [f.suffix for f in tmp_path.iterdir()] == [".npz"]  # no temporary file stays


def test_the_name_of_the_cache_depends_on_parameters_and_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    variants = [{}, {"seed": 1}, {"num_slices": 29}, {"size_px": 511}]
    names = {Synthetic(cache_dir=tmp_path, **v).cache_file for v in variants}
    monkeypatch.setattr(synthetic, "GENERATOR_VERSION", -1)
    names.add(Synthetic(cache_dir=tmp_path).cache_file)
    assert len(names) == 5


def test_an_unwritable_cache_folder_only_logs(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").write_bytes(b"")
    with caplog.at_level(logging.WARNING):
        samples = Synthetic(cache_dir=tmp_path / "file" / "cache", **SMALL).samples()
    assert len(samples) == 6
    assert "cannot cache" in caplog.text


def test_a_failed_write_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full_disk(*args: object, **kwargs: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", full_disk)
    assert len(Synthetic(cache_dir=tmp_path, **SMALL).samples()) == 6
    assert list(tmp_path.iterdir()) == []


def _digest(cache_dir: str) -> bytes:
    return content(Synthetic(cache_dir=cache_dir, **SMALL).samples())


def test_processes_that_grow_at_the_same_time_all_succeed(tmp_path: Path) -> None:
    with multiprocessing.get_context("spawn").Pool(3) as pool:
        results = pool.map(_digest, [os.fspath(tmp_path)] * 3, chunksize=1)
    assert len(set(results)) == 1
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize(
    "bad", [{"seed": -1}, {"num_slices": 0}, {"size_px": 63}, {"size_px": 128.0}, {"num_slices": True}, {"seed": "0"}]
)
def test_an_argument_out_of_range_is_named(bad: dict[str, int]) -> None:
    with pytest.raises(DataError, match=next(iter(bad))):
        Synthetic(**bad)
