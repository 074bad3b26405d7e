import pytest

from unet_repro.commands.hydra_app import compose
from unet_repro.commands.hydra_errors import check_flags
from unet_repro.errors import ConfigError


@pytest.mark.parametrize(
    ("override", "says", "hints"),
    [
        ("optimizer.lrate=1", "there is no setting optimizer.lrate", "known there: optimizer.lr"),
        ("optimiser.lr=1", "there is no setting optimiser.lr", "did you mean optimizer.lr?"),
        ("optimiser=adam", "there is no setting optimiser", "did you mean optimizer=...?"),
        ("~optimizer.lrr", "there is no setting optimizer.lrr", "did you mean optimizer.lr?"),
        ("tiles.zzz=1", "there is no setting tiles.zzz", "known there: tiles.size, tiles.budget, tiles.unit"),
        ("qqq=1", "there is no setting qqq", "unet-repro train --help"),
        ("optimizer=sdg", "there is no optimizer=sdg", "did you mean sgd? use one of adam, adamw, sgd"),
        ("hydra/launcher=locl", "there is no hydra/launcher=locl", "did you mean local?"),
        ("model.width=[1,2", r"cannot read 'model.width=\[1,2'", "quote"),
        ("a=b=c", "cannot read 'a=b=c'", "KEY=VALUE"),
        ("foo", "cannot read 'foo': there is no =", "KEY=VALUE"),
        ("model.norm=none,batch", "model.norm=none,batch has several values", "add -m"),
        ("seed=choice(1,2)", r"seed=choice\(1,2\) has several values", "add -m"),
        ("+optimizer.lr=2", "optimizer.lr has a value already", "without +"),
        ("experiment=null", "a group's option must be a name", "unet-repro train --help"),
        ("+data=isbi2012", "Multiple values for data", "unet-repro train --help"),
    ],
)
def test_a_mistake_in_an_override_is_named_with_its_remedy(override, says, hints):
    with pytest.raises(ConfigError, match=says) as caught:
        compose("train", [override])
    assert hints in caught.value.hint
    assert "\n" not in caught.value.what


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
        check_flags("train", ["-m", flag])
    assert hints in caught.value.hint
    check_flags("train", ["-m", "--config-dir=x", "model.width=-1"])
