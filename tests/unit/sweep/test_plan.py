import pytest

from unet_repro.commands.hydra_app import compose
from unet_repro.config import check
from unet_repro.errors import ConfigError
from unet_repro.sweep.ledger import Entry, unique
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
    assert [entry.evaluations for entry in entries] == [("val", "overlap_tile")]
    assert planned()[0].evaluations == ()


def test_an_unknown_evaluation_is_refused_before_any_work():
    with pytest.raises(ConfigError, match="there is no 'nonsense'"):
        planned("experiment=overlap_tile", "experiment.evaluations=[nonsense]")
