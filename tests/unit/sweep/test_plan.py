import pytest

from unet_repro.commands.hydra_app import compose
from unet_repro.config import check
from unet_repro.errors import ConfigError, DataError, GeometryError
from unet_repro.runs.ledger import Entry, unique
from unet_repro.sweep.plan import once_for_all_seeds, plan


def entry(run_id, arm):
    return Entry("optimizer", arm, 0, "cpu", "isbi2012", "", run_id, (), 1.0, "k")


def test_a_shared_run_is_trained_once_and_at_its_first_place():
    entries = [entry("a", "1"), entry("b", "2"), entry("a", "3"), entry("c", "4")]
    assert [(e.run_id, e.arm) for e in unique(entries)] == [("a", "1"), ("b", "2"), ("c", "4")]


def counted_compose():
    calls = []

    def composed(overrides):
        calls.append(overrides)
        return compose("train", overrides)

    return composed, calls


@pytest.mark.parametrize(
    "words", [["seed=7"], ["++seed=7"], ["seed=1", "seed=7"], [], ["seed=7", "+experiment.arms.x=['seed=3']"]]
)
def test_composing_once_for_all_seeds_gives_what_composing_each_one_gives(words):
    # The fold is made from the seed, so it must follow it.
    others = ["split=kfold", "split.fold=${seed}", "split.num_folds=9", "optimizer=adam", "experiment=optimizer"]
    composed, _ = counted_compose()
    cheaply = once_for_all_seeds(composed)
    for seed in (["seed=0"], ["seed=3"], words, ["seed=0"]):
        assert check(cheaply([*others, *seed])) == check(compose("train", [*others, *seed]))


def test_seeds_cost_one_composition_in_all():
    composed, calls = counted_compose()
    cheaply = once_for_all_seeds(composed)
    assert [cheaply(["optimizer=adam", f"seed={seed}"]).seed for seed in range(4)] == [0, 1, 2, 3]
    assert len(calls) == 1


def test_a_seed_that_is_no_plain_number_is_hydras_to_judge():
    composed, calls = counted_compose()
    cheaply = once_for_all_seeds(composed)
    assert cheaply(["seed=seven"]).seed == "seven"
    assert calls == [["seed=seven"]]


def planned(*overrides):
    return plan(lambda given: compose("train", given), [["data=synthetic", "data.num_slices=6", *overrides]])


def test_settings_that_a_search_must_choose_are_not_swept():
    with pytest.raises(ConfigError, match="experiment=fair_optimizer needs a search to choose its settings"):
        planned("experiment=fair_optimizer")


def test_runs_know_what_is_to_be_measured_on_them():
    entries = planned("experiment=overlap_tile")
    assert [entry.evaluations for entry in entries] == [("scores", "border", "seam")]
    assert planned()[0].evaluations == ()


def test_an_unknown_evaluation_is_refused_before_any_work():
    with pytest.raises(ConfigError, match="unknown section 'nonsense'"):
        planned("experiment=overlap_tile", "experiment.evaluations=[nonsense]")


def test_what_no_run_can_do_is_refused_before_any_is_trained():
    with pytest.raises(GeometryError, match="larger than the mirrored image allows"):
        planned("data.size_px=96", "tiles.size=572", "tiles.budget=1x572")
    with pytest.raises(DataError, match="of runs without target and data.scale"):
        planned("experiment=overlap_tile", "data.scale=0.5", "tiles.size=188", "tiles.budget=1x188")


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("none", "did you mean 'weight_map: none'?"),
        ("weight_map: papers", "did you mean 'weight_map: paper'?"),
        ("no such arm", "arms are written as 'experiment: arm'"),
    ],
)
def test_arms_that_are_not_in_the_sweep_are_refused_and_not_passed_over(name, hint):
    with pytest.raises(ConfigError, match=f"hydra.sweeper.only: '{name}' is no arm of this sweep") as error:
        plan(
            lambda given: compose("train", given),
            [["data=synthetic", "data.num_slices=6", "experiment=weight_map"]],
            only=["weight_map: paper", name],
        )
    assert error.value.hint == hint


def test_seeds_of_one_comparison_belong_together_although_each_holds_out_another_fold():
    first, second = (planned("experiment=optimizer", f"seed={seed}")[0] for seed in (100, 101))
    assert first.run_id != second.run_id
    assert first.comparison == second.comparison
    assert planned("experiment=optimizer", "seed=100", "split.gap=0")[0].comparison != first.comparison
    assert planned("experiment=optimizer", "seed=100", "model.dropout=0")[0].comparison != first.comparison
    assert planned("experiment=optimizer", "seed=100", "data.num_slices=7")[0].comparison != first.comparison


def test_swept_values_are_the_arms_of_one_comparison():
    points = [["model.norm=none", "seed=0"], ["model.norm=none", "seed=1"], ["model.norm=batch", "seed=0"]]
    entries = planned_points([[*point, "tiles.size=252"] for point in points])
    assert [(one.experiment, one.arm, one.seed) for one in entries] == [
        ("model.norm", "model.norm=none", 0),
        ("model.norm", "model.norm=batch", 0),
        ("model.norm", "model.norm=none", 1),
    ]
    assert len({one.comparison for one in entries}) == 1
    assert {one.variant for one in entries} == {"data.num_slices=6 tiles.size=252"}
    (alone,) = planned_points([["model.norm=batch", "tiles.size=252"]])
    assert alone.run_id == entries[1].run_id, "names of arms are not part of a run's identity"
    assert (alone.experiment, alone.arm) == ("single", "single")


@pytest.mark.parametrize(
    ("key", "values", "name"),
    [
        ("optimizer", ["sgd", "adam"], "optimizer-swept"),
        ("trainer.max_steps", ["80", "120"], "trainer.max_steps"),
        ("split", ["contiguous", "random"], "split-swept"),
        ("experiment", ["own_data"], "single"),
        ("data.scale", ["null", "0.75"], "data.scale"),
        ("target", ["none", "border", "distance"], "target"),
    ],
)
def test_arms_that_change_what_follows_from_them_are_one_comparison(key, values, name):
    entries = planned_points([[f"{key}={value}"] for value in values])
    assert {one.experiment for one in entries} == {name}
    assert len({one.comparison for one in entries}) == 1
    assert len({one.run_id for one in entries}) == len(values)


def test_a_setting_that_all_arms_share_tells_comparisons_apart():
    one, two = (
        planned_points([[f"model.norm={norm}", f"tiles.size={size}"] for norm in ("none", "batch")])[0].comparison
        for size in (252, 380)
    )
    assert one != two


def test_swept_data_and_scales_are_tables_of_their_own():
    entries = planned_points([["scale=cpu"], ["scale=smoke"]])
    assert {one.experiment for one in entries} == {"single"}
    assert len({one.comparison for one in entries}) == 2


def test_the_configuration_of_a_swept_run_names_its_comparison_and_arm():
    entry = planned_points([["model.norm=none"], ["model.norm=batch"]])[1]
    config = check(compose("train", list(entry.overrides)))
    assert (config.experiment.name, config.arm) == ("model.norm", "model.norm=batch")
    assert entry.evaluations == config.experiment.evaluations == ()


def planned_points(points):
    return plan(
        lambda given: compose("train", given), [["data=synthetic", "data.num_slices=6", *one] for one in points]
    )
