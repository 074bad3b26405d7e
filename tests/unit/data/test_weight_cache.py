import logging
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pooch
import pytest

from unet_repro.data import weight_maps
from unet_repro.data.weight_cache import cached
from unet_repro.data.weight_maps import border_only, class_balance, none, paper

Labels = npt.NDArray[np.int32]
COUNTS = np.array([30.0, 70.0])


@pytest.fixture
def two_cells() -> Labels:
    instances = np.zeros((20, 120), np.int32)
    instances[5:15, 5:20] = 4
    instances[5:15, 23:40] = 9
    return instances


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """One entry for every time that distances are really computed."""
    calls: list[int] = []
    compute = weight_maps._two_nearest

    def counting(instances: Labels, reach_px: int) -> tuple[weight_maps.Weights, weight_maps.Weights]:
        calls.append(reach_px)
        return compute(instances, reach_px)

    monkeypatch.setattr(weight_maps, "_two_nearest", counting)
    return calls


def test_a_second_call_finds_the_same_weights(two_cells: Labels, calls: list[int], tmp_path: Path) -> None:
    first, second = (cached(paper, two_cells, COUNTS, cache_dir=tmp_path) for _ in range(2))
    assert len(calls) == 1
    assert second.dtype == np.float32
    np.testing.assert_array_equal(first, paper(two_cells, COUNTS))
    np.testing.assert_array_equal(second, first)


def test_a_default_that_is_spelt_out_is_the_same_map(two_cells: Labels, calls: list[int], tmp_path: Path) -> None:
    cached(paper, two_cells, COUNTS, cache_dir=tmp_path)
    cached(partial(paper, w0=10.0), two_cells, COUNTS, cache_dir=tmp_path)
    assert len(calls) == 1


def test_other_functions_parameters_labels_and_counts_miss(two_cells: Labels, tmp_path: Path) -> None:
    variants = [
        (paper, two_cells, COUNTS),
        (border_only, two_cells, COUNTS),
        (partial(paper, w0=5.0), two_cells, COUNTS),
        (partial(paper, sigma_px=4.0), two_cells, COUNTS),
        (paper, two_cells.T, COUNTS),
        (paper, two_cells.reshape(10, 240), COUNTS),
        (paper, two_cells, COUNTS[::-1]),
    ]
    for number, (weight_map, instances, counts) in enumerate(variants, start=1):
        weights = cached(weight_map, instances, counts, cache_dir=tmp_path)
        np.testing.assert_array_equal(weights, weight_map(instances, counts))
        assert len(list(tmp_path.iterdir())) == number


@pytest.mark.parametrize("damage", ["empty", "cut", "flipped", "other"])
def test_a_damaged_file_is_mended(
    damage: str, two_cells: Labels, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    expected = cached(paper, two_cells, COUNTS, cache_dir=tmp_path)
    (path,) = tmp_path.iterdir()
    good = path.read_bytes()
    bad = {"empty": b"", "cut": good[:300], "flipped": good[:200] + b"?" + good[201:], "other": b"PK\x03\x04"}
    path.write_bytes(bad[damage])
    with caplog.at_level(logging.WARNING):
        np.testing.assert_array_equal(cached(paper, two_cells, COUNTS, cache_dir=tmp_path), expected)
    assert "damaged" in caplog.text
    assert path.read_bytes() == good


def test_a_stored_file_is_an_ordinary_npy_and_alone(two_cells: Labels, tmp_path: Path) -> None:
    weights = cached(paper, two_cells, COUNTS, cache_dir=tmp_path / "new" / "folder")
    (path,) = (tmp_path / "new" / "folder").iterdir()
    np.testing.assert_array_equal(np.load(path), weights)


def test_a_folder_that_cannot_be_written_is_a_warning(
    two_cells: Labels, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    in_the_way = tmp_path / "file"
    in_the_way.touch()
    with caplog.at_level(logging.WARNING):
        weights = cached(paper, two_cells, COUNTS, cache_dir=in_the_way)
    np.testing.assert_array_equal(weights, paper(two_cells, COUNTS))
    assert "cannot be written" in caplog.text


def test_a_failed_write_leaves_nothing_behind(
    two_cells: Labels, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: Path, target: Path) -> Path:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    cached(paper, two_cells, COUNTS, cache_dir=tmp_path)
    assert list(tmp_path.iterdir()) == []


def of_ones_own(instances: Labels, class_counts: npt.NDArray[np.float64]) -> weight_maps.Weights:
    return paper(instances, class_counts)


def test_cheap_maps_and_those_of_ones_own_are_not_stored(two_cells: Labels, tmp_path: Path) -> None:
    def nameless(instances: Labels, class_counts: npt.NDArray[np.float64]) -> weight_maps.Weights:
        return paper(instances, class_counts)

    for weight_map in (none, class_balance, nameless, of_ones_own):
        cached(weight_map, two_cells, COUNTS, cache_dir=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_files_lie_in_the_users_cache_by_default(
    two_cells: Labels, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pooch, "os_cache", lambda project: tmp_path / project)
    cached(paper, two_cells, COUNTS)
    assert len(list((tmp_path / "unet-repro" / "weights").glob("*.npy"))) == 1


def test_other_classes_are_another_map(tmp_path: Path) -> None:
    instances, counts = np.zeros((8, 9), np.int32), np.array([3.0, 2.0])
    instances[2:4, 2:4], instances[2:4, 6:8] = 1, 2
    classes = (instances > 0).astype(np.uint8)
    plain = cached(paper, instances, counts, cache_dir=tmp_path)
    classes[:, 0] = 255
    for _ in range(2):
        weights = cached(paper, instances, counts, classes=classes, cache_dir=tmp_path)
        assert not weights[:, 0].any()
        np.testing.assert_array_equal(weights[:, 1:], plain[:, 1:])
    assert len(list(tmp_path.glob("*.npy"))) == 2
