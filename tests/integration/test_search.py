import csv
import os
import signal
import time

import optuna
import pytest
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from tiny import NETWORK, STACK, unet_repro, warm

from unet_repro.runs.folder import RunFolder
from unet_repro.runs.ledger import Ledger

SEARCH = [
    "search", *STACK, "data.num_slices=8", *NETWORK, "hydra.sweeper.trials=4", "hydra.sweeper.startup_trials=2",
    'hydra.sweeper.space=["optimizer.lr=tag(log,interval(1e-4,1e-1))","model.dropout=interval(0,0.5)"]',
]  # fmt: skip


def trials(folder):
    (journal,) = folder.glob("runs/search/*.journal")
    study = optuna.load_study(study_name=journal.stem, storage=JournalStorage(JournalFileBackend(str(journal))))
    return study.trials


@pytest.fixture(scope="module")
def searched(tmp_path_factory):
    folder = tmp_path_factory.mktemp("searched")
    done = unet_repro(*SEARCH, cwd=folder)
    assert done.returncode == 0, done.stderr
    return folder, done


def test_a_search_has_as_many_trials_as_wanted_and_tells_the_best(searched):
    folder, done = searched
    found = trials(folder)
    assert len(found) == 4
    values = [trial.value for trial in found if trial.state == optuna.trial.TrialState.COMPLETE]
    (path,) = folder.glob("runs/search/*.csv")
    with path.open() as file:
        rows = list(csv.DictReader(file))
    assert [float(row["value"]) for row in rows if row["value"]] == values
    best = min((row for row in rows if row["value"]), key=lambda row: float(row["value"]))
    assert f"optimizer.lr={best['optimizer.lr']}" in done.stdout
    results = {row["run"]: RunFolder(folder / "runs" / row["run"]).result() for row in rows if row["value"]}
    assert all(results[row["run"]]["final"]["val/loss"] == float(row["value"]) for row in rows if row["value"])


def test_a_finished_search_trains_nothing_and_shows_the_same(searched):
    folder, first = searched
    before = {path: path.stat().st_mtime_ns for path in folder.glob("runs/*/*.json")}
    again = unet_repro(*SEARCH, cwd=folder)
    assert again.returncode == 0, again.stderr
    assert {path: path.stat().st_mtime_ns for path in folder.glob("runs/*/*.json")} == before
    assert again.stdout.splitlines()[-8:] == first.stdout.splitlines()[-8:]


def test_a_killed_search_goes_on_with_the_trials_it_had_begun_and_adds_none(tmp_path):
    longer = [*SEARCH, "trainer.max_steps=300", "trainer.val_every=100", "trainer.save_every_s=0.1"]
    process = warm().start(longer, tmp_path)
    until = time.monotonic() + 120
    while len(list(tmp_path.glob("runs/*/last.ckpt"))) < 2:
        assert time.monotonic() < until
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    begun = [trial.params for trial in trials(tmp_path)]
    assert 2 <= len(begun) < 4
    done = unet_repro(*longer, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    found = trials(tmp_path)
    assert len(found) == 4
    assert [trial.params for trial in found][: len(begun)] == begun
    assert all(trial.state.is_finished() for trial in found)


def test_a_bad_trial_is_pruned_and_a_diverged_one_counts(tmp_path):
    worst = 'hydra.sweeper.space=["optimizer.lr=choice(1e-3,1e-2,30.0,1e30)"]'
    options = [option for option in SEARCH if "space" not in option and "trials" not in option]
    done = unet_repro(*options, worst, "hydra.sweeper.trials=12", "hydra.sweeper.startup_trials=3",
                      "hydra.sweeper.warmup_share=0", cwd=tmp_path)  # fmt: skip
    assert done.returncode == 0, done.stderr
    states = {trial.state for trial in trials(tmp_path)}
    assert {optuna.trial.TrialState.FAIL, optuna.trial.TrialState.COMPLETE} <= states
    assert "diverged" in done.stdout
    assert not [path for path in tmp_path.glob("runs/*/error.txt") if "Abandoned" in path.read_text()]
    assert len(trials(tmp_path)) == 12


def test_the_fair_comparison_gives_each_optimizer_equal_trials_and_is_judged_on_test_slices(tmp_path):
    done = unet_repro(
        "search", *STACK, "data.num_slices=10", *NETWORK, "experiment=fair_optimizer", "hydra.sweeper.trials=2",
        "hydra.sweeper.final_seeds=[0,1]", "trainer.max_steps=4", cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert len(list(tmp_path.glob("runs/search/*.journal"))) == 3
    with (tmp_path / "reports/fair_optimizer/test.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [(row["arm"], row["trials"], row["seeds"]) for row in rows] == [
        ("SGD 0.99", "2", "2"), ("Adam", "2", "2"), ("AdamW", "2", "2"),
    ]  # fmt: skip
    assert all(0 <= float(row["test_iou_mean"]) <= 1 for row in rows)
    entries = Ledger(tmp_path / "runs").read("fair_optimizer")
    assert len(entries) == 6
    assert len({entry.comparison for entry in entries}) == 1
    assert all(RunFolder(tmp_path / "runs" / entry.run_id).state == "done" for entry in entries)


def test_trials_with_equal_settings_are_trained_once_and_all_told_under_a_parallel_launcher(tmp_path):
    options = [option for option in SEARCH if "space" not in option]
    done = unet_repro(*options, 'hydra.sweeper.space=["model.dropout=choice(0.0,0.2)"]', "hydra/launcher=local",
                      "hydra.launcher.jobs=2", "hydra.sweeper.startup_trials=4", cwd=tmp_path)  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = trials(tmp_path)
    assert [trial.state for trial in found] == [optuna.trial.TrialState.COMPLETE] * 4
    assert len({(trial.params["model.dropout"], trial.value) for trial in found}) == 2
    assert len(list(tmp_path.glob("runs/*/result.json"))) == 2


def test_settings_that_do_not_go_together_count_as_a_trial_and_are_told(tmp_path):
    options = [option for option in SEARCH if "space" not in option]
    # Tiles of 88 and 92 fit a depth of 2, 92 a depth of 3; 88 and 3 meet in trials alone.
    space = 'hydra.sweeper.space=["model.depth=choice(2,3)","tiles.size=choice(88,92)"]'
    done = unet_repro(*options, space, "tiles.size=92", "tiles.budget=2x92", "hydra.sweeper.trials=6", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    found = trials(tmp_path)
    refused = [trial for trial in found if trial.state == optuna.trial.TrialState.FAIL]
    assert len(found) == 6
    assert refused
    assert all(trial.params == {"model.depth": 3, "tiles.size": 88} for trial in refused)
    assert f"trial {refused[0].number} refused: input size 88 is not legal" in done.stdout


def test_what_defines_an_arm_is_not_searched(tmp_path):
    space = 'hydra.sweeper.space=["optimizer.lr=tag(log,interval(1e-4,1e-1))","model.norm=choice(batch,none)"]'
    done = unet_repro(*SEARCH, "experiment=normalisation", space, cwd=tmp_path)
    assert done.returncode != 0
    assert (
        "the arm 'batch' has model.norm=batch, but hydra.sweeper.space searches model.norm for all arms" in done.stderr
    )
    assert not list(tmp_path.glob("runs/*/config.yaml"))


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ('hydra.sweeper.space=["tiles.size=range(84,93,2)"]', "84 or 88"),
        ('hydra.sweeper.space=["model.with=choice(2,3)"]', "model.with"),
        ("hydra.sweeper.final_seeds=[4294967296]", "seed=4294967296 is not valid"),
        ("seed=0,1", "starts from one setting"),
    ],
)
def test_what_cannot_be_searched_is_refused_before_any_trial(tmp_path, option, message):
    done = unet_repro(*SEARCH, option, cwd=tmp_path)
    assert done.returncode != 0
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.glob("runs/*/config.yaml"))
