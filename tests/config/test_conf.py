import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig, OmegaConf, open_dict

from unet_repro.commands.hydra_app import compose
from unet_repro.commands.reproduce import ALL
from unet_repro.config import check, conf_dir, make
from unet_repro.errors import ConfigError
from unet_repro.runs.identity import numbers_of

GROUPS = [
    "augment",
    "data",
    "logger",
    "model",
    "optimizer",
    "schedule",
    "split",
    "tiles",
    "trainer",
    "weight_map",
    "scale",
]
CHOICES = [
    f"{group}={path.stem}" for group in (*GROUPS, "experiment") for path in sorted((conf_dir() / group).glob("*.yaml"))
]


COMPARISONS = [
    path.stem
    for path in sorted((conf_dir() / "experiment").glob("*.yaml"))
    if isinstance(OmegaConf.load(path).get("experiment"), DictConfig)
]


def train(*overrides):
    return compose("train", list(overrides))


@pytest.mark.parametrize("choice", CHOICES)
def test_every_choice_of_every_group_fits_what_it_builds(choice, tmp_path):
    extra = [f"data.root={tmp_path}"] if choice == "data=folder" else []
    config = check(train(choice, *extra))
    assert config.seed == 0


@pytest.mark.parametrize("name", COMPARISONS)
@pytest.mark.parametrize("scale", ["smoke", "cpu", "paper"])
def test_every_arm_of_every_experiment_composes_at_every_scale_and_is_another_run(name, scale):
    base = check(train(f"experiment={name}", f"scale={scale}"))
    assert base.experiment.name == name
    seen = []
    for overrides in base.experiment.arms.values() or [[]]:
        config = check(train(f"experiment={name}", f"scale={scale}", *overrides))
        make("tiles", config.tiles).batch(config.model["depth"])
        seen.append((config.data, numbers_of(config)))
    if not base.experiment.searched:  # a search gives its arms their settings
        assert all(seen.count(arm) == 1 for arm in seen), "two arms are the same"


def test_no_experiment_is_left_out_of_these_tests():
    assert len(COMPARISONS) >= 13
    assert set(ALL) <= set(COMPARISONS)
    assert sum(len(check(train(f"experiment={name}")).experiment.arms) for name in COMPARISONS) >= 71


@pytest.mark.parametrize("name", COMPARISONS)
def test_experiments_hold_overrides_that_hydra_can_parse(name):
    parser = OverridesParser.create()
    for overrides in check(train(f"experiment={name}")).experiment.arms.values():
        assert not any(override.is_sweep_override() for override in parser.parse_overrides(overrides))


def test_the_default_is_the_papers_setting_but_for_width_and_steps():
    config = check(train("scale=paper"))
    assert config.model | {"_target_": ""} == {"_target_": "", "width": 64, "depth": 4, "dropout": 0.1, "norm": "none"}
    assert config.optimizer["momentum"] == 0.99
    assert config.weight_map["w0"] == 10
    assert config.weight_map["sigma_px"] == 5
    assert config.tiles["size"] == 572


def test_own_data_is_one_training_that_the_command_line_can_change():
    config = check(train("experiment=own_data", "optimizer=sgd", "model.width=32"))
    assert config.experiment is None
    assert config.scale == "own_data"
    assert config.optimizer["_target_"] == "torch.optim.SGD"
    assert (config.model["norm"], config.model["width"]) == ("instance", 32)
    assert make("tiles", config.tiles).batch(config.model["depth"]).num_tiles == 1


@pytest.mark.parametrize(
    ("overrides", "says", "hints"),
    [
        (["+optimizer.learning_rate=1"], "unknown configuration key optimizer.learning_rate", "lr"),
        (
            ["+optimizer.momentun=0.9"],
            "unknown configuration key optimizer.momentun",
            "did you mean optimizer.momentum",
        ),
        (["+trainer.max_step=3"], "unknown configuration key trainer.max_step", "did you mean trainer.max_steps"),
        (["+logger.project_name=x"], "unknown configuration key logger.project_name", "project"),
        (["~trainer.val_every"], "missing configuration key trainer.val_every", "trainer.val_every="),
        (["seed=-1"], "seed=-1 is not valid", "0 to"),
        (["trainer.precision=half"], "trainer.precision='half' is not valid", ""),
        (["trainer.max_val_images=0"], "max_val_images=0", "null"),
        (["+tile=3"], "unknown configuration key tile", "did you mean tiles"),
        (["~model.width"], "", ""),
        (["~tiles.size"], "missing configuration key tiles.size", "tiles.size="),
        (["model.width=wide"], "model.width='wide' is not valid", "model.width"),
        (["model.norm=layer"], "model.norm='layer' is not valid.*'none'.*'batch'", ""),
        (["trainer.max_steps=many"], "trainer.max_steps='many' is not valid", ""),
        (["seed=1.5"], "seed=1.5 is not valid", ""),
        (["tiles.unit=pixels"], "tiles.unit='pixels' is not valid", ""),
        (["trainer.max_steps=100", "trainer.val_every=30"], "not a multiple", "last step is validated"),
        (["data=folder"], "Missing mandatory value: root", ""),
        (["weight_map._target_=unet_repro.data.weight_maps.papre"], "cannot be imported", ""),
    ],
)
def test_a_wrong_key_or_value_is_named_with_its_remedy(overrides, says, hints):
    config = train(*overrides)
    if not says:  # a default of the constructor stands in for a key that was taken away
        assert "width" not in check(config).model
        return
    with pytest.raises(ConfigError, match=says) as caught:
        check(config)
    assert hints in caught.value.hint


def test_a_misspelt_key_in_a_yaml_file_is_refused():
    config = train()
    with open_dict(config):
        config.weight_map = OmegaConf.create(
            {"_target_": "unet_repro.data.weight_maps.paper", "_partial_": True, "sigma": 5}
        )
    with pytest.raises(ConfigError, match="unknown configuration key weight_map.sigma") as caught:
        check(config)
    assert "sigma_px" in caught.value.hint


def test_hydra_refuses_a_misspelt_override():
    with pytest.raises(ConfigError, match="Could not override 'optimizer.lrate'"):
        train("optimizer.lrate=1")
    with pytest.raises(ConfigError, match="Could not find 'optimizer/sdg'"):
        train("optimizer=sdg")


def test_a_value_that_the_target_refuses_is_a_configuration_error():
    with pytest.raises(ConfigError, match="augment"):
        make("augment", check(train("augment.scale=[2,1]")).augment)


def test_settings_that_departs_from_the_paper_are_marked():
    words = [path.read_text() for path in conf_dir().rglob("*.yaml")]
    assert sum(text.count("deviation:") for text in words) >= 3
    assert sum(text.count("assumed:") for text in words) >= 5


def test_an_experiment_of_ones_own_needs_no_more_than_its_overrides(tmp_path):
    (tmp_path / "experiment").mkdir()
    (tmp_path / "experiment/mine.yaml").write_text(
        "# @package _global_\ndefaults:\n  - override /optimizer: adam\ntrainer:\n  max_steps: 4\n  val_every: 2\n"
    )
    config = check(train("experiment=mine", f"hydra.searchpath=[file://{tmp_path}]"))
    assert config.experiment is None
    assert config.optimizer["_target_"] == "torch.optim.Adam"
    assert config.trainer.max_steps == 4


def test_wandbs_own_variables_are_respected(monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "disabled")
    monkeypatch.setenv("WANDB_PROJECT", "mine")
    logger = check(train()).logger
    assert (logger.mode, logger.project) == ("disabled", "mine")
    assert check(train("logger.mode=offline")).logger.mode == "offline"
    monkeypatch.setenv("WANDB_MODE", "sometimes")
    with pytest.raises(ConfigError, match="logger.mode='sometimes' is not valid"):
        check(train())
