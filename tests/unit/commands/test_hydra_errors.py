import pytest

from unet_repro.commands.hydra_app import compose
from unet_repro.commands.hydra_errors import flags_first, refuse_ignored
from unet_repro.config import check
from unet_repro.errors import ConfigError


@pytest.mark.parametrize(
    ("override", "says", "hints"),
    [
        ("optimizer.lrate=1", "there is no setting optimizer.lrate", "known there: optimizer.lr"),
        ("optimiser.lr=1", "there is no setting optimiser.lr", "did you mean optimizer.lr?"),
        ("optimiser=adam", "there is no setting optimiser", "did you mean optimizer=...?"),
        ("~optimizer.lrr", "there is no setting optimizer.lrr", "did you mean optimizer.lr?"),
        ("tiles.zzz=1", "there is no setting tiles.zzz", "known there: tiles.size, tiles.budget, tiles.unit"),
        ("data.root=x", "there is no setting data.root", "a setting of data=folder, data=hela"),
        ("data=nowhere/x", "there is no data=nowhere/x", "use one of auto, folder"),
        ("qqq=1", "there is no setting qqq", "unet-repro train --help"),
        ("optimizer=sdg", "there is no optimizer=sdg", "did you mean sgd? use one of adam, adamw, sgd"),
        ("hydra/launcher=locl", "there is no hydra/launcher=locl", "did you mean local?"),
        ("model.width=[1,2", r"cannot read 'model.width=\[1,2'", "quote"),
        ("a=b=c", "cannot read 'a=b=c'", "KEY=VALUE"),
        ("foo", "cannot read 'foo': \"=\" is missing", "KEY=VALUE"),
        ("model.norm=none,batch", "model.norm=none,batch has several values", "add -m"),
        ("seed=choice(1,2)", r"seed=choice\(1,2\) has several values", "add -m"),
        ("+optimizer.lr=2", "optimizer.lr already has a value", "without +"),
        ("experiment=null", "a group's option must be a name", "unet-repro train --help"),
        ("data=[null]", "a group's option must be a name", "unet-repro train --help"),
        ("+data=isbi2012", "Multiple values for data", "unet-repro train --help"),
    ],
)
def test_a_mistake_in_an_override_is_named_with_its_remedy(override, says, hints):
    with pytest.raises(ConfigError, match=says) as caught:
        compose("train", [override])
    assert hints in caught.value.hint
    assert "\n" not in caught.value.what


def test_a_folder_as_data_is_told_how_to_write_it(tmp_path):
    with pytest.raises(ConfigError, match="is a folder") as caught:
        compose("train", [f"data={tmp_path}"])
    assert caught.value.hint == f"write data=folder data.root={tmp_path}"


def test_a_file_that_names_a_missing_option_is_named(tmp_path):
    (tmp_path / "experiment").mkdir()
    (tmp_path / "experiment/mine.yaml").write_text("# @package _global_\ndefaults:\n  - override /model: vnet\n")
    with pytest.raises(ConfigError, match="there is no model=vnet"):
        compose("train", ["experiment=mine", f"hydra.searchpath=[file://{tmp_path}]"])


@pytest.mark.parametrize(
    ("flag", "hints"), [("--dry-run", "did you mean hydra.sweeper.dry_run=...?"), ("--epochs", "KEY=VALUE")]
)
def test_an_unknown_flag_is_refused(flag, hints):
    with pytest.raises(ConfigError, match=f"there is no option {flag}") as caught:
        flags_first("train", ["-m", flag])
    assert hints in caught.value.hint


@pytest.mark.parametrize("setting", ["hydra/launcher=slurm", "+hydra.launcher.gres=gpu", "hydra.sweeper.dry_run=true"])
def test_a_setting_of_sweeps_is_not_ignored_by_a_single_training(setting):
    with pytest.raises(ConfigError, match="is only for sweeps") as caught:
        refuse_ignored("train", ["--config-dir=x", "seed=0", setting])
    assert "add -m" in caught.value.hint
    for allowed in (["-m", setting], ["--cfg=job", setting], ["hydra.mode=MULTIRUN", setting], ["seed=0"]):
        refuse_ignored("train", allowed)


@pytest.mark.parametrize(
    ("given", "taken"),
    [
        (["model.width=-1", "-m", "--config-dir=x"], ["-m", "--config-dir=x", "model.width=-1"]),
        (["a=1", "--cfg", "job", "b=2", "--resolve"], ["--cfg=job", "--resolve", "a=1", "b=2"]),
        (["a=-1", "b=--c"], ["a=-1", "b=--c"]),
    ],
)
def test_flags_may_stand_anywhere(given, taken):
    assert flags_first("train", given) == taken


@pytest.mark.parametrize(
    ("flags", "says", "hint"),
    [
        (["-c"], "-c has no value", "job, hydra"),
        (["-c", "seed=1"], "'seed=1' is not a value of -c", "job, hydra"),
        (["--info=x"], "'x' is not a value of --info", "searchpath"),
        (["--config-dir"], "--config-dir has no value", "--config-dir VALUE"),
    ],
)
def test_a_flag_without_a_valid_value_is_refused(flags, says, hint):
    with pytest.raises(ConfigError) as caught:
        flags_first("train", flags)
    assert says in caught.value.what
    assert hint in caught.value.hint


@pytest.mark.parametrize(
    ("override", "says"),
    [("a=[1,2", "not closed"), ("a='b", "not closed"), ("a={}{}", "special meaning"), ("a", '"=" is missing')],
)
def test_what_hydra_cannot_parse_is_told_in_plain_words(override, says):
    with pytest.raises(ConfigError, match=says):
        compose("train", [override])


@pytest.mark.parametrize(
    ("override", "says"),
    [
        ("runs_dir=${nothing}", "there is no setting nothing"),
        ("runs_dir=${runs_dir}", "refers to itself"),
        ("model.width=${foo:1}", "there is no function foo"),
    ],
)
def test_a_reference_that_cannot_be_resolved_is_told_in_plain_words(override, says):
    with pytest.raises(ConfigError, match=says):
        check(compose("train", [override]))
