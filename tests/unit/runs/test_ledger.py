from concurrent.futures import ThreadPoolExecutor

import pytest

from unet_repro.errors import RunError
from unet_repro.runs.ledger import Entry, Ledger


def test_sweeps_that_begin_at_once_lose_none_of_each_others_runs(tmp_path):
    def record(seed):
        Ledger(tmp_path).record([Entry("optimizer", "a", seed, "cpu", "d", "", f"run{seed}", (), 1.0, "k")])

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(record, range(40)))
    assert {entry.seed for entry in Ledger(tmp_path).read("optimizer")} == set(range(40))
    assert Ledger(tmp_path).experiments() == ["optimizer"]


def test_a_folder_that_cannot_be_made_is_an_error(tmp_path):
    (tmp_path / "runs").write_text("a file")
    with pytest.raises(RunError, match="cannot write"):
        Ledger(tmp_path / "runs").record([Entry("optimizer", "a", 0, "cpu", "d", "", "r", (), 1.0, "k")])
