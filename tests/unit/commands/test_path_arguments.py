"""Paths as labs name them reach the configuration unchanged, in every path argument of every command."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from omegaconf import OmegaConf

from unet_repro.commands.hydra_app import compose
from unet_repro.commands.path_arguments import quoted

NAMES = ["T=37,0", "scan (1)", "Anna's", "#3", 'the "old" one', "[a]", "{b: 1}", "x,y", "7", "1e5", "true", "null ",
         "$HOME", "a${b}", "\\", "'quoted'", "'", "tail\\", "Zellen ü", "a:b", "~", "?", "%", "-m", "key=value=more",
         "choice(a,b)", "a'\\'b", " "]  # fmt: skip


def read(name, key, value):
    return OmegaConf.select(compose(name, [f"{key}={value}"]), key)


@pytest.mark.parametrize(
    ("config", "key"),
    [
        ("predict", "run"),
        ("predict", "input"),
        ("predict", "output"),
        ("evaluate", "run"),
        ("evaluate", "runs_dir"),
        ("evaluate", "output"),
        ("evaluate", "data.root"),
        ("export", "run"),
        ("export", "output"),
        ("submit-isbi", "output"),
        ("train", "runs_dir"),
    ],
)
def test_every_path_argument_takes_names_that_are_special_to_hydra(config, key):
    for name in ("a/T=37,0", "a/scan (1)", "a/Anna's", "a/#3", "a b, c", "[x](y).tif"):
        assert read(config, key, name) == name


def test_the_folder_of_own_images_takes_them_too():
    config = compose("train", ["data=folder", "data.root=T=37,0/Anna's #3"])
    assert config.data.root == "T=37,0/Anna's #3"


letters = st.characters(blacklist_categories=("Cs", "Cc"), blacklist_characters="/")


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=st.text(letters, min_size=1, max_size=20) | st.sampled_from(NAMES))
@example(name="a\\'b\\")
def test_a_folder_that_exists_is_meant_whatever_its_name(name, tmp_path):
    if name in (".", "..") or len(name.encode()) > 200:
        return
    folder = tmp_path / name
    folder.mkdir(exist_ok=True)
    assert read("predict", "input", folder) == str(folder)


@pytest.mark.parametrize("name", NAMES)
def test_a_folder_here_is_meant_whatever_its_name(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / name).mkdir()
    found = read("predict", "input", name)
    assert found == ("~" if name == "~" else name) or (name == "~" and found == str(Path.home()))


def test_the_home_folder_is_inserted(monkeypatch):
    monkeypatch.setenv("HOME", "/home/anna")
    assert read("predict", "input", "~/mine (1)") == "/home/anna/mine (1)"
    assert read("predict", "input", "a~b") == "a~b"
    assert read("predict", "input", "~no-such-user/a") == "~no-such-user/a"


@pytest.mark.parametrize("argument", ["runs_dir=T=37,0/runs", "output=a,b", "hydra.run.dir=a,b"])
def test_folders_that_are_written_to_are_never_swept(argument):
    key, _, value = argument.partition("=")
    assert quoted(["-m", argument]) == ["-m", f"{key}='{value}'"]


@pytest.mark.parametrize(
    ("argument", "sweep"),
    [
        ("run=[runs/a,runs/b]", False),
        ("run='runs/a b'", False),
        ("data.root=one,two", True),
        ("data.root=choice(one,two)", True),
        ("run=null", False),
        ("input=images/*.tif", False),
        ("input=${oc.env:HOME}/a", False),
        ("model.width=8,16", True),
        ("tiles.size=188", False),
    ],
)
def test_lists_sweeps_and_what_the_user_quoted_stay_as_they_are(argument, sweep):
    flags = ["-m"] if sweep else []
    assert quoted([*flags, argument]) == [*flags, argument]


def test_a_sweep_over_a_folder_with_a_comma_means_the_folder_if_it_exists(tmp_path):
    (tmp_path / "T=37,0").mkdir()
    assert quoted(["-m", f"data.root={tmp_path}/T=37,0"]) == ["-m", f"data.root='{tmp_path}/T=37,0'"]


def test_a_list_of_runs_is_still_a_list():
    assert read("evaluate", "run", "[runs/a,runs/b]") == ["runs/a", "runs/b"]
