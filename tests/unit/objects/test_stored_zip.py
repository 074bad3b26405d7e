"""The ZIP writer's files are those of the standard library, also beyond 65,535 entries."""

import zipfile

import pytest

from unet_repro.objects.stored_zip import StoredZip


@pytest.mark.parametrize("number", [0, 1, 65_534, 65_535, 70_000])
def test_files_come_back(tmp_path, number):
    with (tmp_path / "a.zip").open("wb") as file:
        written = StoredZip(file)
        for index in range(number):
            written.add(f"{index}.roi", b"x" * (index % 3))
        written.finish()
    with zipfile.ZipFile(tmp_path / "a.zip") as found:
        assert len(found.namelist()) == number
        for index in {0, number // 2, number - 1} if number else ():
            assert found.read(f"{index}.roi") == b"x" * (index % 3)
