import shutil

import pytest
from omegaconf import OmegaConf

from unet_repro import conf_files
from unet_repro.commands.completion import candidates
from unet_repro.commands.hydra_app import compose
from unet_repro.commands.options import parser
from unet_repro.conf_files import Setting
from unet_repro.errors import ConfigError


def leaves(config, prefix=""):
    """Key and value of each leaf of a composed configuration, with interpolations as they are written."""
    for key, value in config.items():
        if isinstance(value, dict) and value:
            yield from leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


@pytest.mark.parametrize(
    "given",
    [{}, {"optimizer": "adam", "scale": "paper"}, {"experiment": "own_data"}, {"trainer": "ddp", "data": "synthetic"},
     {"experiment": "lr_schedule", "schedule": "cosine"}],
)  # fmt: skip
def test_reading_without_hydra_gives_the_settings_that_hydra_composes(given):
    config = OmegaConf.to_container(compose("train", [f"{group}={option}" for group, option in given.items()]))
    aside = ("experiment", "callbacks", "target")  # the last two are empty by default
    wanted = {key: value for key, value in leaves(config) if not key.startswith(aside) and "._" not in key}
    read = {key: one.value for key, one in conf_files.composed("train", given).items() if not key.startswith("hydra.")}
    assert set(read) == set(wanted)
    values = {key: OmegaConf.to_container(OmegaConf.create(f"x: {read[key]}"))["x"] for key in read}
    assert {key: values[key] for key in wanted} == wanted


def test_comments_nested_keys_and_lists_are_read(tmp_path):
    (tmp_path / "group").mkdir()
    (tmp_path / "group/one.yaml").write_text(
        "# What it is.\n# More.\n_target_: x\na: 1 # first\nb:\n  c: '#x' # second\n  d: [1, 2]\n"
        "e: # a list\n  - 1\n  - 2\nf:\n"
    )
    assert conf_files.settings("group", "one", [tmp_path]) == [
        Setting("group.a", "1", "first"),
        Setting("group.b.c", "'#x'", "second"),
        Setting("group.b.d", "[1, 2]", ""),
        Setting("group.e", "[1, 2]", "a list"),
        Setting("group.f", "", ""),
    ]
    assert conf_files.purpose(tmp_path / "group/one.yaml") == "What it is. More."
    assert conf_files.options("group", [tmp_path]) == ["one"]


def test_an_experiments_own_choices_are_followed_unless_others_are_given():
    assert conf_files.chosen("train", {"experiment": "own_data"})["optimizer"] == "adamw"
    assert conf_files.chosen("train", {"experiment": "own_data", "optimizer": "sgd"})["optimizer"] == "sgd"


def test_the_suite_is_what_the_files_say_core_first_then_by_claim():
    core, everything = conf_files.suite("core"), conf_files.suite("all")
    assert everything[: len(core)] == core
    kinds = {name: conf_files.comparison(name).get("suite") for name in conf_files.options("experiment")}
    assert {name for name, kind in kinds.items() if kind == "core"} == {*core}
    assert {name for name, kind in kinds.items() if kind} == {*everything}
    claims = [int(conf_files.comparison(name)["claim"][1:]) for name in core]
    assert claims == sorted(claims)


def test_a_new_comparison_is_one_file(tmp_path, monkeypatch):
    shutil.copytree(conf_files.conf_dir(), tmp_path / "conf")
    (tmp_path / "conf/experiment/new.yaml").write_text(
        "# @package _global_\nexperiment:\n  name: new\n  claim: C99\n  question: '?'\n  suite: core\n  arms: {}\n"
    )
    monkeypatch.setattr(conf_files, "conf_dir", lambda: tmp_path / "conf")
    assert conf_files.suite("core")[-1] == "new"
    assert "new" in parser("reproduce").format_help()
    assert "experiment=new " in candidates("unet-repro train experiment=n")
    assert "new " in candidates("unet-repro reproduce --experiments n")


def test_a_file_that_is_no_mapping_is_an_error(tmp_path):
    (tmp_path / "list.yaml").write_text("- 1\n")
    with pytest.raises(ConfigError, match="not a mapping"):
        conf_files.load(tmp_path / "list.yaml")
    (tmp_path / "broken.yaml").write_text("a: [1\n")
    with pytest.raises(ConfigError, match="cannot be read"):
        conf_files.load(tmp_path / "broken.yaml")
