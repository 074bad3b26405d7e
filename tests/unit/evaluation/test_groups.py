"""Folds and sequences of one setting form a group, and its seeds are members."""

import dataclasses

import pytest
import yaml

from unet_repro.commands.hydra_app import compose
from unet_repro.config import check
from unet_repro.errors import ConfigError, RunError
from unet_repro.evaluation.groups import arms_of, baseline_of, groups_of, runs_of
from unet_repro.files import write_atomically
from unet_repro.runs.folder import RunFolder
from unet_repro.runs.ledger import Entry, Ledger


def make_run(path, *overrides, arm=None, done=False):
    config = dataclasses.replace(check(compose("train", overrides)), arm=arm)
    folder = RunFolder(path)
    write_atomically(folder.config, yaml.safe_dump(dataclasses.asdict(config)))
    if done:
        write_atomically(folder.result_file, "{}")
    return path


def test_folds_and_seeds_of_two_settings_make_two_groups(tmp_path):
    runs = [
        make_run(
            tmp_path / f"{name}{fold}{seed}",
            "split=kfold",
            f"split.fold={fold}",
            f"seed={seed}",
            optimizer,
            arm=f"{name}, fold {fold}",
        )
        for name, optimizer in (("Adam", "optimizer=adam"), ("SGD", "optimizer=sgd"))
        for fold in range(3)
        for seed in (0, 4)
    ]
    adam, sgd = groups_of(runs)
    assert (adam.name, sgd.name) == ("Adam", "SGD")
    assert set(adam.members) == {0, 4}
    assert [run.name for run in adam.members[4]] == ["Adam04", "Adam14", "Adam24"]


def test_both_directions_of_sequences_make_one_group(tmp_path):
    runs = [
        make_run(
            tmp_path / f"{train}",
            "data=u373",
            "split=sequence",
            f"split.train='{train}'",
            f"split.test='{test}'",
            arm=f"U373, {train} to {test}",
        )
        for train, test in (("01", "02"), ("02", "01"))
    ]
    (group,) = groups_of(runs)
    assert group.name == "U373"
    assert len(group.members[0]) == 2


def test_arms_that_differ_in_precision_or_steps_alone_are_groups_of_their_own(tmp_path):
    runs = [
        make_run(tmp_path / arm, *overrides, arm=arm)
        for arm, overrides in (
            ("plain", ["trainer.precision=32-true"]),
            ("bf16", ["trainer.precision=bf16-mixed"]),
            ("longer", ["trainer.precision=32-true", "trainer.max_steps=8000"]),
        )
    ]
    assert [group.name for group in groups_of(runs)] == ["plain", "bf16", "longer"]


def test_arms_are_named_by_the_comparison_that_is_evaluated_and_the_plain_one_is_the_baseline(tmp_path):
    shared = make_run(tmp_path / "shared", arm="Adam", done=True)  # as another comparison calls it
    weighted = make_run(tmp_path / "weighted", "weight_map=border_only", arm="border_only", done=True)
    for run_id, arm in (("weighted", "border_only"), ("shared", "none")):
        Ledger(tmp_path).record([Entry("weight_map", arm, 0, "cpu", "synthetic", "", run_id, (), 1.0, "same")])
    groups = groups_of([weighted, shared], arms_of("weight_map", tmp_path))
    assert [group.name for group in groups] == ["border_only", "none"]
    assert baseline_of(groups, "weight_map").name == "none"
    for other in ("optimizer", "a-sweep-of-one's-own"):
        assert baseline_of(groups, other).name == "border_only", "no arm of it is without settings of its own"


def test_groups_of_one_name_are_numbered(tmp_path):
    runs = [make_run(tmp_path / f"{width}", f"model.width={width}", arm="base") for width in (4, 8)]
    assert [group.name for group in groups_of(runs)] == ["base (1)", "base (2)"]


def test_runs_are_named_by_folder_or_glob(tmp_path, monkeypatch):
    for name in ("a1", "a2", "b1"):
        make_run(tmp_path / "runs" / name)
    monkeypatch.chdir(tmp_path)
    assert [run.name for run in runs_of(["runs/a*", "runs/a1"], None, tmp_path)] == ["a1", "a2"]
    with pytest.raises(ConfigError, match="matches no run"):
        runs_of("runs/c*", None, tmp_path)
    with pytest.raises(RunError, match="not a run's folder"):
        runs_of("runs", None, tmp_path)


@pytest.mark.parametrize(("run", "comparison"), [(None, None), ("runs/a", "kfold")])
def test_neither_or_both_ways_of_naming_are_refused(run, comparison, tmp_path):
    with pytest.raises(ConfigError, match="exactly one of run and comparison"):
        runs_of(run, comparison, tmp_path)


def entry(run_id, seed):
    return Entry("kfold", "arm", seed, "smoke", "synthetic", "", run_id, (), 1.0, "same")


def test_an_experiment_is_its_finished_runs(tmp_path):
    Ledger(tmp_path).record([entry("one", 0), entry("two", 1)])
    with pytest.raises(RunError, match="no run of kfold is finished"):
        runs_of(None, "kfold", tmp_path)
    make_run(tmp_path / "two", done=True)
    assert runs_of(None, "kfold", tmp_path) == [tmp_path / "two"]
