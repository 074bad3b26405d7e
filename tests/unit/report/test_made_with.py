"""The commands on the page are those that made the runs."""

import pytest
from made_trial import made_trial

from unet_repro.report.arm_runs import ArmRun, runs_of_record
from unet_repro.report.made_with import command_of, question_of, suite_commands

PRECISION = "trainer.precision=32-true"


def run(experiment, arm, seed, *overrides, variant="", data="isbi2012"):
    return ArmRun(
        run_id=f"{arm}{seed}", experiment=experiment, arm=arm, seed=seed, scale="cpu", data=data, variant=variant,
        comparison="k", state="waiting", overrides=(*overrides, PRECISION),
    )  # fmt: skip


def comparison(*more, variant=""):
    return [
        run("optimizer", arm, seed, "experiment=optimizer", f"seed={seed}", "scale=cpu", "data=isbi2012", *more,
            f"optimizer={arm}", f'arm="{arm}"', variant=variant)
        for seed in (0, 1) for arm in ("sgd", "adam")
    ]  # fmt: skip


def test_a_comparison_is_its_shared_overrides_and_seeds():
    assert command_of(comparison()) == "unet-repro train -m experiment=optimizer seed=0,1 scale=cpu data=isbi2012"


def test_the_users_overrides_are_part_of_it():
    runs = comparison("model.width=16", "runs_dir=runs", "trainer.threads=1", variant="model.width=16")
    wanted = "unet-repro train -m experiment=optimizer seed=0,1 scale=cpu data=isbi2012 model.width=16"
    assert command_of(runs) == wanted
    suite, single = suite_commands(runs)
    assert suite == (
        "unet-repro reproduce --scale cpu --data isbi2012 --seeds 2 --experiments optimizer model.width=16"
    )
    assert single == wanted


def test_an_ad_hoc_sweep_is_one_command_with_its_values():
    runs = [
        run("model.norm", f"model.norm={norm}", seed, f"model.norm={norm}", f"seed={seed}", "scale=cpu")
        for seed in (0, 1) for norm in ("none", "batch")
    ]  # fmt: skip
    assert command_of(runs) == "unet-repro train -m model.norm=none,batch seed=0,1 scale=cpu"
    assert suite_commands(runs) == [command_of(runs)]
    assert question_of("model.norm") == ""


def test_data_are_named_as_the_command_line_names_them():
    runs = [run("optimizer", "sgd", 0, "experiment=optimizer", "data=hela", "seed=0", data="DIC-C2DH-HeLa")]
    assert suite_commands(runs)[0] == "make reproduce-ablations SCALE=cpu DATA=hela SEEDS=1 EXPERIMENTS=optimizer"


def test_the_sequential_suite_needs_no_seeds():
    runs = runs_of_record(made_trial(range(100, 108)))
    assert suite_commands(runs)[0] == "make reproduce-ablations SCALE=laptop DATA=isbi2012"
    assert "'seed=range(100,108)'" in suite_commands(runs)[1]


@pytest.mark.parametrize("name", ["tile_size", "normalisation"])
def test_questions_are_those_of_the_files(name):
    assert question_of(name).endswith("?")
