import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig, OmegaConf, open_dict

from unet_repro.commands.hydra_app import compose
from unet_repro.conf_files import suite
from unet_repro.config import check, conf_dir, make
from unet_repro.errors import ConfigError
from unet_repro.runs.identity import numbers_of, setting_id

GROUPS = [
    "augment",
    "callbacks",
    "data",
    "logger",
    "model",
    "optimizer",
    "schedule",
    "split",
    "target",
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


SCALES = ["smoke", "cpu", "laptop", "paper"]
TRIAL = [
    "tile_size",
    "weight_map",
    "optimizer",
    "few_images",
    "lr_schedule",
    "augmentation",
    "overlap_tile",
    "rotations",
    "split",
    "normalisation",
]
ARMS = {
    "tile_size": ["572", "380, equal input", "380, equal output"],
    "weight_map": ["none", "class_balance", "border_only", "morphological", "paper"],
    "optimizer": ["SGD", "Adam"],
    "few_images": ["SGD, all", "Adam, all", "SGD, 3", "Adam, 3"],
    "lr_schedule": ["constant", "plateau"],
    "augmentation": ["with elastic", "without elastic", "none"],
    "overlap_tile": ["base"],
    "rotations": ["base"],
    "split": ["without neighbours", "with neighbours"],
    "normalisation": ["none", "batch", "instance"],
}


def train(*overrides):
    return compose("train", list(overrides))


@pytest.mark.parametrize("choice", CHOICES)
def test_every_choice_of_every_group_fits_what_it_builds(choice, tmp_path):
    extra = [f"data.root={tmp_path}"] if choice == "data=folder" else []
    config = check(train(choice, *extra))
    assert config.seed == 0


@pytest.mark.parametrize("name", COMPARISONS)
@pytest.mark.parametrize("scale", SCALES)
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
    assert set(suite("all")) <= set(COMPARISONS)
    assert set(TRIAL) <= set(COMPARISONS)
    assert sum(len(check(train(f"experiment={name}")).experiment.arms) for name in COMPARISONS) >= 64


def arms_of(name, *overrides):
    """Every arm of a comparison, composed."""
    base = check(train(f"experiment={name}", *overrides))
    return {arm: check(train(f"experiment={name}", *overrides, *given)) for arm, given in base.experiment.arms.items()}


def test_lists_that_arms_share_are_joined():
    mine = ["++experiment.name=mine", "++experiment.question=?", "++experiment.shared={a: [b]}"]
    config = check(train(*mine, "++experiment.arms={one: [[[a], b], c], two: []}"))
    assert config.experiment.arms == {"one": ["a", "b", "c"], "two": []}


def test_an_arm_that_is_no_list_is_refused():
    with pytest.raises(ConfigError, match=r"experiment\.arms"):
        check(train("++experiment.name=mine", "++experiment.question=?", "++experiment.arms={one: seed}"))


def test_a_comparison_needs_neither_claim_nor_title_and_they_do_not_identify_its_runs():
    mine = ["++experiment.name=mine", "++experiment.question=?", "++experiment.arms={}"]
    plain = check(train(*mine))
    assert (plain.experiment.claim, plain.experiment.title) == ("", None)
    named = check(train(*mine, "++experiment.claim=C2", "++experiment.title=Mine"))
    assert (named.experiment.claim, named.experiment.title) == ("C2", "Mine")
    assert numbers_of(named) == numbers_of(plain) == numbers_of(check(train()))


@pytest.mark.parametrize("name", TRIAL)
def test_the_trials_arms_are_those_of_its_rules(name):
    assert list(check(train(f"experiment={name}")).experiment.arms) == ARMS[name]


@pytest.mark.parametrize("base", ["sgd", "adam"])
@pytest.mark.parametrize("scale", SCALES)
def test_a_replicate_of_the_trial_is_seventeen_runs(scale, base):
    overrides = [f"scale={scale}", f"optimizer={base}", "seed=103"]
    configs = [config for name in TRIAL for config in arms_of(name, *overrides).values()]
    distinct = []
    for config in configs:
        if (numbers := numbers_of(config)) not in distinct:
            distinct.append(numbers)

    assert len(configs) == 26
    assert len(distinct) == 17
    assert {config.split["fold"] for config in configs} == {3}
    assert {config.split["gap"] for config in configs} == {1}


def test_the_trials_base_is_one_run_in_all_comparisons_and_differs_from_each_arm_in_its_deltas_alone():
    base = numbers_of(check(train("experiment=overlap_tile", "scale=laptop", "seed=104")))
    assert base["weight_map"]["_target_"].endswith(".none")
    assert base["augment"]["elastic_std_px"] == 10
    assert base["schedule"] == {
        "_target_": "unet_repro.training.schedules.constant_then_linear",
        "_partial_": True,
        "max_steps": 1000,
        "tail_share": 0.25,
    }
    assert base["trainer"] | {"val_every": 25, "precision": "32-true", "max_steps": 1000} == base["trainer"]
    for name, arm, keys in (
        ("tile_size", "380, equal output", {"tiles"}),
        ("weight_map", "paper", {"weight_map"}),
        ("augmentation", "none", {"augment", "split"}),
        ("split", "with neighbours", {"split"}),
        ("normalisation", "batch", {"model"}),
        ("lr_schedule", "plateau", {"schedule", "optimizer"}),
    ):
        other = numbers_of(arms_of(name, "scale=laptop", "seed=104")[arm])
        assert {key for key in base if base[key] != other[key]} <= keys


def test_three_training_slices_are_the_same_in_every_comparison_and_elastic_deformation_is_all_that_differs():
    few = arms_of("few_images", "scale=laptop", "seed=101")
    elastic = arms_of("augmentation", "scale=laptop", "seed=101")
    assert few["SGD, 3"].split == few["Adam, 3"].split == elastic["none"].split
    assert few["SGD, 3"].split | {"num_train": 3, "draw_seed": 101, "fold": 1} == few["SGD, 3"].split
    assert few["SGD, all"].split["num_train"] is None
    with_it, without = elastic["with elastic"].augment, elastic["without elastic"].augment
    assert {key for key in with_it if with_it[key] != without[key]} == {"elastic_std_px"}
    assert without["rotate_deg"] == 180


@pytest.mark.parametrize("scale", SCALES)
def test_the_scales_rates_are_the_optimizers_and_no_part_of_a_runs_identity(scale):
    config = check(train(f"scale={scale}"))
    for name in ("sgd", "adam"):
        assert check(train(f"scale={scale}", f"optimizer={name}")).optimizer["lr"] == config.rates[name]
    other = check(train(f"scale={scale}", "optimizer=sgd", "rates.adam=0.5", "rates.adam_unstable=2"))
    assert numbers_of(other) == numbers_of(check(train(f"scale={scale}", "optimizer=sgd")))
    assert numbers_of(check(train(f"scale={scale}", "optimizer=sgd", "rates.sgd=0.5"))) != numbers_of(other)
    unstable = arms_of("lr_schedule", f"scale={scale}")
    assert {arm.optimizer["lr"] for arm in unstable.values()} == {config.rates["adam_unstable"]}


def test_tuning_gives_both_optimizers_the_same_rates_and_slices():
    arms = arms_of("tuning", "scale=laptop", "seed=3")
    rates = {name: [] for name in ("SGD", "Adam")}
    for arm, config in arms.items():
        assert config.split["_target_"] == "unet_repro.data.replicates.tune"
        assert config.split["fold"] == 3
        optimizer, rate = arm.split(", ")
        assert config.optimizer["_target_"] == f"torch.optim.{optimizer}"
        assert config.optimizer["lr"] == float(rate)
        rates[optimizer].append(float(rate))
    assert rates["SGD"] == rates["Adam"] == [3e-4, 1e-3, 3e-3, 1e-2]


@pytest.mark.parametrize("name", ["kfold", "seed_runs", "sequences"])
def test_comparisons_outside_of_the_trial_have_the_same_settings_at_any_scales_optimizer(name):
    for arm, config in arms_of(name, "scale=laptop").items():
        if "own_" in arm:  # as recommended for own images
            assert config.optimizer == check(train("experiment=own_data", "plan=null")).optimizer
            continue
        assert config.optimizer["_target_"] == f"torch.optim.{'Adam' if 'Adam' in arm or '01' in arm else 'SGD'}"
        assert config.optimizer["lr"] == (3e-4 if "3e-4" in arm else 1e-3)


@pytest.mark.parametrize(("scale", "patience"), [("smoke", 1), ("cpu", 1), ("laptop", 2), ("paper", 1)])
def test_a_plateau_waits_for_a_twentieth_of_the_validations(scale, patience):
    assert check(train(f"scale={scale}", "schedule=plateau")).schedule["patience"] == patience


def test_a_runs_own_settings_without_rates_are_still_read():
    settings = OmegaConf.to_container(train(), resolve=True)
    del settings["rates"], settings["trainer"]["threshold_images"]
    config = check(OmegaConf.create(settings))
    assert (config.rates, config.trainer.threshold_images) == ({}, 6)


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
        (["trainer.threshold_images=-1"], "threshold_images=-1", "0"),
        (["+tile=3"], "unknown configuration key tile", "did you mean tiles"),
        (["~model.width"], "", ""),
        (["~tiles.size"], "missing configuration key tiles.size", "tiles.size="),
        (["model.width=wide"], "model.width='wide' is not valid", "model.width"),
        (["model.norm=layer"], "model.norm='layer' is not valid.*'none'.*'batch'", ""),
        (["trainer.max_steps=many"], "trainer.max_steps='many' is not valid", ""),
        (["seed=1.5"], "seed=1.5 is not valid", ""),
        (["tiles.unit=pixels"], "tiles.unit='pixels' is not valid", ""),
        (["trainer.max_steps=100", "trainer.val_every=30"], "not a multiple", "last step is validated"),
        (["trainer.gradient_clip_val=0"], "trainer.gradient_clip_val=0.0 must be above 0", "null"),
        (
            ["trainer.gradient_clip_algorithm=value"],
            "has no effect without trainer.gradient_clip_val",
            "gradient_clip_val",
        ),
        (["trainer.accumulate_grad_batches=0"], "accumulate_grad_batches=0 must be at least 1", "null"),
        (
            ["callbacks=device_stats", "+callbacks.device_stats.cpu_stat=1"],
            "key callbacks.device_stats.cpu_stat",
            "_stats",
        ),
        (["callbacks=ema", "callbacks.ema.decay=slow"], "callbacks.ema.decay='slow' is not valid", ""),
        (["+callbacks.mine.value=1"], "callbacks.mine has no _target_", "callbacks.mine._target_="),
        (["logger=csv", "+logger.csv.flush=1"], "unknown configuration key logger.csv.flush", ""),
        (["data=folder"], "data.root is required", "data.root="),
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
    with pytest.raises(ConfigError, match=r"there is no setting optimizer\.lrate"):
        train("optimizer.lrate=1")
    with pytest.raises(ConfigError, match="there is no optimizer=sdg"):
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


def test_several_loggers_and_callbacks_are_chosen_as_lists():
    config = check(train("logger=[wandb,csv,tensorboard]", "callbacks=[ema,device_stats]", "callbacks.ema.decay=0.9"))
    assert config.logger.mode == "offline"
    assert list(config.logger.others) == ["csv", "tensorboard"]
    assert config.callbacks["ema"]["decay"] == 0.9
    assert check(train("logger=csv")).logger.mode == "disabled", "W&B was not chosen"
    assert check(train("callbacks=ema", "callbacks.ema=null")).callbacks is None


@pytest.mark.parametrize("overrides", [[], ["logger=[wandb,csv]", "callbacks=ema", "trainer.gradient_clip_val=1"]])
def test_the_recorded_settings_are_a_configuration_again(overrides):
    config = check(train(*overrides))
    assert check(DictConfig(config.plain())) == config


def test_options_that_are_not_used_are_in_neither_the_record_nor_the_identity():
    plain = check(train()).plain()
    assert "callbacks" not in plain
    assert "gradient_clip_val" not in plain["trainer"]
    same = ["trainer.accumulate_grad_batches=1", "callbacks=device_stats", "logger=[csv,tensorboard]"]
    assert numbers_of(check(train(*same))) == numbers_of(check(train()))
    clipped = ["trainer.gradient_clip_val=1"]
    written_out = [*clipped, "trainer.gradient_clip_algorithm=norm"]
    assert numbers_of(check(train(*clipped))) == numbers_of(check(train(*written_out))) != numbers_of(check(train()))


def test_errors_about_values_are_value_errors():
    with pytest.raises(ValueError, match="seed=-1 is not valid"):
        check(train("seed=-1"))


def test_runs_of_one_setting_differ_only_in_seed_place_and_held_out_part():
    one = setting_id(check(train("data=hela", "split=sequence", "split.train='01'", "split.test='02'", "seed=1")))
    elsewhere = ["data.root=elsewhere", "split.train='02'", "split.test='01'", "seed=2", "runs_dir=other"]
    assert setting_id(check(train("data=hela", "split=sequence", *elsewhere))) == one
    for change in ("optimizer.lr=0.5", "data.scale=0.5", "trainer.max_steps=80", "split.gap=9"):
        changed = train("data=hela", "split=sequence", "split.train='01'", "split.test='02'", change)
        assert setting_id(check(changed)) != one
