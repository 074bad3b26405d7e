import pytest

from unet_repro.commands.hydra_app import compose
from unet_repro.config import check
from unet_repro.sweep.setting import in_words


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
