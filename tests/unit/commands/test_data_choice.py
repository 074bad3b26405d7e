import pytest

from unet_repro.commands.data_choice import with_data
from unet_repro.commands.hydra_app import compose
from unet_repro.config import check, make
from unet_repro.data.sources import registry
from unet_repro.errors import ConfigError, DataError


@pytest.fixture(params=["isbi2012", "synthetic"])
def auto(request, monkeypatch):
    monkeypatch.setattr(registry, "auto", lambda: (request.param, "because"))
    return request.param


@pytest.mark.parametrize("arguments", [[], ["data=auto"], ["-m", "seed=0,1"], ["experiment=weight_map"]])
def test_auto_is_the_default_and_is_replaced_before_anything_is_composed(auto, arguments):
    found, line = with_data("train", arguments)
    assert found == [*(one for one in arguments if one != "data=auto"), f"data={auto}"]
    assert line.startswith(f"data: {auto}")
    assert line.endswith("(data=auto: because)")
    assert ("generated" in line) == (auto == "synthetic")


def test_auto_is_replaced_among_swept_data(auto):
    assert with_data("train", ["-m", "data=auto,hela"])[0] == ["-m", f"data={auto},hela"]
    assert with_data("train", ["-m", f"data=auto,{auto}"])[0] == ["-m", f"data={auto}"]


@pytest.fixture
def own(tmp_path):
    (tmp_path / "experiment").mkdir()
    (tmp_path / "experiment/mine.yaml").write_text("# @package _global_\ndefaults:\n  - override /data: hela\n")
    return ["--config-dir", str(tmp_path)]


def test_named_data_and_an_experiments_own_are_kept(monkeypatch, own):
    monkeypatch.setattr(registry, "auto", lambda: pytest.fail("looked for data"))
    assert with_data("train", ["data=u373"]) == (["data=u373"], "data: u373")
    assert with_data("train", ["data=folder", "data.root=x"])[1] == "data: folder, data.root=x"
    assert with_data("train", ["data=synthetic"])[1] == "data: synthetic images, generated from a seed"
    assert with_data("train", [*own, "experiment=mine"]) == (
        [*own, "experiment=mine"],
        "data: hela (of experiment=mine)",
    )
    path = f"hydra.searchpath=[file://{own[1]}]"
    assert with_data("train", [path, "experiment=mine"])[0] == [path, "experiment=mine"]
    assert with_data("train", ["--cfg", "job"]) == (["--cfg", "job"], "")


def test_experiments_with_different_data_need_a_choice(own):
    with pytest.raises(ConfigError, match="use different data: auto, hela"):
        with_data("train", [*own, "-m", "experiment=mine,weight_map"])


def test_python_code_that_names_no_data_is_refused_instead_of_getting_synthetic_ones():
    with pytest.raises(DataError, match="data=auto was not replaced") as caught:
        make("data", check(compose("train", [])).data)
    assert "data=synthetic" in caught.value.hint
