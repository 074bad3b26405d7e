import pytest

from unet_repro.commands.hydra_app import compose
from unet_repro.config import check
from unet_repro.runs.setting import in_words, shortened


@pytest.mark.parametrize(
    "overrides",
    [
        "",
        "model.norm=batch",
        "optimizer=adam",
        "tiles.size=252 optimizer=adam optimizer.lr=0.002",
        "schedule=plateau",
        "schedule=step",
        "split=kfold split.fold=3",
        "augment=elastic weight_map=none",
        "augment.scale=[0.9,1.1]",
        "trainer.max_steps=80 trainer.precision=bf16-mixed",
        "augment.elastic_span_px=null",
        "target=distance target.weight=2 data.scale=0.5",
    ],
)
@pytest.mark.parametrize("scale", ["cpu", "paper"])
def test_a_setting_is_described_by_the_overrides_that_give_it(overrides, scale):
    given = [*overrides.split(), "data=synthetic", f"scale={scale}", "seed=3", "trainer.threads=2", "runs_dir=x"]
    if scale == "paper":
        given = [one.replace("max_steps=80", "max_steps=800") for one in given]
    said = in_words(check(compose("train", given)).plain())
    assert said.replace("=800", "=80") == (overrides or "default")


def test_a_network_of_ones_own_is_described_by_its_target():
    settings = check(compose("train", ["data=synthetic"])).plain()
    settings["model"] = {"_target_": "mine.Net", "width": 3}
    assert in_words(settings) == "model=mine.Net"


def test_the_planned_setting_is_described_by_its_file_and_what_differs_from_it():
    given = ["data=synthetic", "experiment=own_data", "plan=null", "model.norm=batch"]
    settings = check(compose("train", given)).plain()
    assert in_words(settings) == "experiment=own_data model.norm=batch"


@pytest.mark.parametrize(
    ("overrides", "name"),
    [
        ("", "default"),
        ("tiles.size=252 optimizer=adam optimizer.lr=0.002", "size=252, optimizer=adam, lr=0.002"),
        ("model.width=4 model.depth=2 model.norm=batch model.dropout=0.3 tiles.size=84 optimizer.lr=0.5",
         "size=84, width=4, depth=2, dropout=0.3, norm=batch, lr=0.5"),
        ("model.width=4 model.depth=2 model.norm=batch model.dropout=0.3 tiles.size=84 optimizer.lr=0.5 augment=none "
         "trainer.max_steps=80", "size=84, augment=none, width=4, depth=2, dropout=0.3, 3 more"),
    ],
)  # fmt: skip
def test_a_name_has_short_keys_and_is_not_much_longer_than_sixty_letters(overrides, name):
    assert shortened(check(compose("train", ["data=synthetic", *overrides.split()])).plain()) == name


def test_keys_that_would_be_the_same_stay_whole():
    settings = check(compose("train", ["data=synthetic", "optimizer.lr=0.5"])).plain()
    settings["schedule"] = {**settings["schedule"], "lr": 0.25}
    assert shortened(settings) == "optimizer.lr=0.5, schedule.lr=0.25"
