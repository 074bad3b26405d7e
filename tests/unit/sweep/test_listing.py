import json
import os

import pytest
import yaml

from unet_repro.commands import runs
from unet_repro.commands.hydra_app import compose
from unet_repro.config import check
from unet_repro.errors import RunError
from unet_repro.files import write_atomically
from unet_repro.runs.folder import RunFolder
from unet_repro.sweep.listing import listed


def made(path, *overrides, iou=None, error=None, progress=None, when=0):
    """A run's folder as a training leaves it, without weights."""
    folder = RunFolder(path)
    config = check(compose("train", ["data=synthetic", *overrides]))
    write_atomically(folder.config, yaml.safe_dump(config.plain()))
    write_atomically(folder.manifest, json.dumps({"source": "synthetic"}))
    if progress:
        write_atomically(folder.progress, json.dumps({"step": progress, "of": 8, "seconds": 1.0}))
        folder.last.touch()
    if error:
        write_atomically(folder.error, f"{error}\n\ntrace")
    if iou is not None:
        write_atomically(folder.result_file, json.dumps({"final": {"val/iou": iou, "val/loss": 0.5}}))
        os.utime(folder.result_file, (when, when))
    return folder


@pytest.fixture
def folder(tmp_path):
    made(tmp_path / "a", "model.norm=batch", iou=0.25, when=2_000_000_000)
    made(tmp_path / "b", "optimizer=adam", "seed=3", iou=0.75, when=1_000_000_000)
    made(tmp_path / "c", "model.width=5", error="RunError: disk is full")
    made(tmp_path / "d", progress=4)
    made(tmp_path / "e")
    return tmp_path


def test_all_runs_of_a_folder_are_listed_with_setting_score_and_state(folder):
    found = {run.run_id: run for run in listed(folder)}
    assert found["a"].setting == "model.norm=batch"
    assert found["b"].setting == "optimizer=adam"
    assert found["b"].seed == "3"
    assert found["b"].scores == ("-", "0.750", "0.500")
    assert found["b"].when.year == 2001
    assert (found["c"].state, found["c"].note) == ("failed", "RunError: disk is full")
    assert (found["d"].state, found["d"].note) == ("partial", "step 4 of 8")
    assert (found["e"].state, found["e"].setting, found["e"].data) == ("new", "default", "synthetic")


def test_runs_are_sorted_by_time_or_score_and_chosen_by_state(folder):
    latest, best = listed(folder), listed(folder, sort="score")
    assert latest[0].run_id == "a"
    assert [run.run_id for run in best[:2]] == ["b", "a"]
    assert {run.run_id for run in listed(folder, state="done")} == {"a", "b"}


def test_a_damaged_run_is_listed_and_an_empty_folder_is_refused(folder, tmp_path):
    (folder / "a/config.yaml").write_text("[")
    found = {run.run_id: run for run in listed(folder)}
    assert "damaged" in found["a"].note
    with pytest.raises(RunError, match="there are no runs"):
        listed(tmp_path / "nothing")


def test_the_verb_prints_a_line_for_each_run(folder, capsys):
    runs.main([str(folder)])
    printed = capsys.readouterr().out
    assert "model.norm=batch" in printed
    assert "0.750" in printed
    assert "5 runs." in printed
