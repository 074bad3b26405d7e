import os
from pathlib import Path

import pytest
from optuna.trial import TrialState

from unet_repro.errors import Abandoned, ConfigError, RunError, RunHeld, TrainingError
from unet_repro.search import TRIAL_VARIABLE
from unet_repro.search.search import Search
from unet_repro.search.space import parse_space, values_of
from unet_repro.search.study import alone, next_trials, open_study, overrides_of, packed, reporter, settle
from unet_repro.search.table import describe

SPACE = parse_space(["model.dropout=interval(0, 0.5)", "model.width=choice(2, 4)"])


def opened(journal, **settings):
    return open_study(journal, **{"seed": 0, "startup_trials": 2, "warmup_steps": 0, **settings})


def test_a_range_has_whole_numbers_without_its_end():
    distribution = parse_space(["model.width=range(8, 30, 8)"])["model.width"]
    assert values_of(distribution) == [8, 16, 24]


@pytest.mark.parametrize(
    ("space", "message"),
    [
        ([], "search space is empty"),
        (["model.width=8"], "has only one value"),
        (["model.width=range(8, 8)"], "empty"),
        (["model.width=range(8, 2, -1)"], "descending"),
        (["model.dropout=range(0.1, 0.9, 0.1)"], "needs integers"),
        (["optimizer.lr=interval(1, 0)"], "cannot be searched"),
        (["optimizer.lr=tag(log, interval(0, 1))"], "cannot be searched"),
        (["optimizer.lr=tag(int, interval(0, 1))"], "unknown tag int"),
        (["model.width=choice(2, 4)", "model.width=choice(8, 16)"], "has model.width twice"),
    ],
)
def test_what_is_no_space_is_refused(space, message):
    with pytest.raises(ConfigError, match=message):
        parse_space(space)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"trials": 0}, "trials=0 must be at least 1"),
        ({"startup_trials": -1}, "negative"),
        ({"warmup_share": 1.5}, "must be in"),
        ({"measure": "val/iou"}, "cannot be minimised"),
        ({"space": ()}, "search space is empty"),
    ],
)
def test_settings_of_a_search_are_checked(tmp_path, setting, message):
    legal = {
        "trials": 4, "measure": "val/loss", "seed": 0, "startup_trials": 2, "warmup_share": 0.25,
        "space": ("model.width=choice(2, 4)",), "at_once": 1, "runs_dir": tmp_path,
    }  # fmt: skip
    Search(**legal)
    with pytest.raises(ConfigError, match=message):
        Search(**{**legal, **setting})


def test_no_more_trials_are_asked_for_than_wanted_and_begun_ones_come_first(tmp_path):
    journal = tmp_path / "s.journal"
    first = next_trials(opened(journal), wanted=3, at_once=2, space=SPACE)
    again = next_trials(opened(journal), wanted=3, at_once=2, space=SPACE)
    assert [trial.params for trial in again] == [trial.params for trial in first]
    study = opened(journal)
    for trial in first:
        study.tell(trial.number, 1.0)
    assert [trial.number for trial in next_trials(study, wanted=3, at_once=2, space=SPACE)] == [2]
    assert next_trials(study, wanted=3, at_once=2, space=SPACE, without={2}) == []


def test_a_trial_whose_asking_was_cut_short_gets_the_settings_that_it_lacks(tmp_path):
    journal = tmp_path / "s.journal"
    (whole,) = next_trials(opened(journal), wanted=1, at_once=1, space=SPACE)
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"".join(lines[:-1]))
    (cut,) = next_trials(opened(journal), wanted=1, at_once=1, space=SPACE)
    assert list(cut.params) == list(whole.params)
    assert cut.params["model.dropout"] == whole.params["model.dropout"]
    assert len(overrides_of(cut)) == 2


def test_half_a_line_at_the_end_of_the_journal_is_dropped(tmp_path):
    journal = tmp_path / "s.journal"
    study = opened(journal)
    study.tell(study.ask(SPACE).number, 1.0)
    journal.write_bytes(journal.read_bytes()[:-15])
    study = opened(journal)
    assert [trial.state for trial in study.trials] == [TrialState.RUNNING]
    study.tell(0, 2.0)
    assert [trial.value for trial in opened(journal).trials] == [2.0]


@pytest.mark.parametrize("line", [b"\x00\xffgarbage\n", b"[1, 2]\n", b"7\n", b"{}\n", b'{"op_code": 99}\n'])
def test_a_damaged_journal_is_told_with_its_path(tmp_path, line):
    journal = tmp_path / "s.journal"
    opened(journal).ask(SPACE)
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"".join([*lines[:1], line, *lines[1:]]))
    with pytest.raises(RunError, match=r"s\.journal is damaged.*\n.*remove it"):
        opened(journal)


def test_the_lock_of_a_killed_process_leads_to_the_journal_from_anywhere(tmp_path, monkeypatch):
    # Optuna takes such a lock over after half a minute, and never if the link is dangling.
    monkeypatch.chdir(tmp_path)
    links = []
    real = os.symlink
    monkeypatch.setattr(os, "symlink", lambda target, link: (links.append(target), real(target, link)))
    opened(Path("runs/search/s.journal")).ask(SPACE)
    assert links
    assert set(links) == {str(tmp_path / "runs/search/s.journal")}


def test_a_second_search_of_a_study_is_refused_while_the_first_works(tmp_path):
    with alone(tmp_path / "s.journal"), pytest.raises(RunError, match="another process"), alone(tmp_path / "s.journal"):
        pass
    with alone(tmp_path / "s.journal"):
        pass


@pytest.mark.parametrize(
    ("result", "reason", "state"),
    [
        ({"final": {"val/loss": 0.5}}, None, TrialState.COMPLETE),
        ({"final": {"val/loss": float("nan")}}, None, TrialState.FAIL),
        (None, Abandoned("worse"), TrialState.PRUNED),
        (None, TrainingError("the loss is nan", hint="lower it"), TrialState.FAIL),
        (None, RunHeld("another process", hint="wait"), TrialState.RUNNING),
        (None, "the launcher failed", TrialState.RUNNING),
    ],
)
def test_a_trial_counts_unless_its_failure_was_not_its_own(tmp_path, result, reason, state):
    study = opened(tmp_path / "s.journal")
    (trial,) = next_trials(study, wanted=1, at_once=1, space=SPACE)
    line = settle(study, trial, result=result, reason=reason, measure="val/loss")
    (after,) = opened(tmp_path / "s.journal").trials
    assert after.state == state
    assert (line is not None) == (state == TrialState.RUNNING)
    (row,) = describe([after], {0: "abc"}, SPACE)
    assert (row["state"] == "diverged") == (state == TrialState.FAIL) == bool(row["reason"])


def test_a_job_tells_each_row_once_however_often_it_is_resumed(tmp_path, monkeypatch):
    journal = tmp_path / "it's ${a} folder" / "s.journal"
    opened(journal).ask(SPACE)
    about = {"journal": str(journal), "number": 0, "measure": "val/loss", "startup_trials": 2, "warmup_steps": 0}
    monkeypatch.setenv(TRIAL_VARIABLE, packed(about))
    reporter()({"step": 2, "val/loss": 0.9})
    resumed = reporter()
    for row in ({"step": 2, "val/loss": 0.9}, {"step": 4, "val/loss": 0.8}):
        resumed(row)
    assert opened(journal).trials[0].intermediate_values == {2: 0.9, 4: 0.8}


def test_a_trial_worse_than_the_median_is_abandoned_after_the_warm_up(tmp_path, monkeypatch):
    journal = tmp_path / "s.journal"
    study = opened(journal)
    for value in (0.1, 0.2):
        trial = study.ask(SPACE)
        for step in (2, 4):
            trial.report(value, step)
        study.tell(trial, value)
    number = study.ask(SPACE).number
    about = {"journal": str(journal), "number": number, "measure": "val/loss", "startup_trials": 2, "warmup_steps": 3}
    monkeypatch.setenv(TRIAL_VARIABLE, packed(about))
    on_row = reporter()
    on_row({"step": 2, "val/loss": 0.9})
    with pytest.raises(Abandoned, match="step 4"):
        on_row({"step": 4, "val/loss": 0.9})
