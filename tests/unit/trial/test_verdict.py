"""Verdicts on made-up runs: planted effects are found, missing or unfair ones are not judged, reasons are right."""

from pathlib import Path

import numpy as np
import pytest
from made_runs import IMAGES, made_arms, made_run

from unet_repro.commands.hydra_app import compose
from unet_repro.config import check
from unet_repro.evaluation.evaluations import EVALUATIONS
from unet_repro.trial.claims import CLAIMS, Claim
from unet_repro.trial.contrasts import Contrast, Term, versus
from unet_repro.trial.measures import MEASURES, collapsed, iou_at_equal_time, roughness, steps_to_iou
from unet_repro.trial.seed_runs import REFERENCES
from unet_repro.trial.verdict import judge

SEEDS = range(6)


def claim_of(*contrasts, varies=("weight_map",)):
    return Claim("C0", "A beats B.", "a test", "made", varies, contrasts, "rule")


def arms_with(rng, *, effect, seeds=SEEDS, noise=0.004):
    """Arm A is better by so much, on every image, up to noise."""
    hard = rng.normal(0.5, 0.05, len(IMAGES))
    runs = {"A": [], "B": []}
    for seed in seeds:
        of_seed = rng.normal(0, 0.02)
        for arm, gain in (("A", effect), ("B", 0.0)):
            iou = hard + of_seed + gain + rng.normal(0, noise, len(IMAGES))
            config = {"weight_map._target_": arm}
            runs[arm].append(made_run(arm, seed, iou=iou, config=config))
    return runs


def verdict_of(claim, runs):
    return judge({"one": (claim, runs)})["one"]


@pytest.mark.parametrize(
    ("expects", "effect", "word"),
    [
        ("higher", 0.05, "supported"),
        ("higher", -0.05, "refuted"),
        ("higher", 0.0, "refuted"),  # surely below the margin: no gain that matters
        ("lower", -0.05, "supported"),
        ("lower", 0.05, "refuted"),
        ("equivalent", 0.0, "supported"),
        ("equivalent", 0.05, "refuted"),
        ("not lower", 0.0, "supported"),
        ("not lower", 0.05, "supported"),
        ("not lower", -0.05, "refuted"),
    ],
)
def test_a_planted_effect_decides(expects, effect, word):
    verdict = verdict_of(
        claim_of(versus("A", "B", "iou_per_image", expects, 0.01)), arms_with(np.random.default_rng(1), effect=effect)
    )
    assert verdict.word == word, verdict.reason
    assert verdict.seeds == tuple(SEEDS)
    assert verdict.images == 6
    assert verdict.effects[0].found.mean == pytest.approx(effect, abs=0.004)


def test_pairing_by_seed_and_image_finds_what_unpaired_spreads_would_hide():
    runs = arms_with(np.random.default_rng(2), effect=0.02, noise=0.003)
    means = [np.mean([v["iou"] for v in run.evaluation("val")["variants"]["whole"].values()]) for run in runs["A"]]
    assert np.std(means, ddof=1) > 0.01  # between seeds
    assert verdict_of(claim_of(versus("A", "B", "iou_per_image", "higher", 0.0)), runs).word == "supported"


def test_much_noise_and_few_seeds_are_inconclusive_and_say_how_many_seeds_it_takes():
    runs = arms_with(np.random.default_rng(3), effect=0.02, seeds=range(3), noise=0.03)
    verdict = verdict_of(claim_of(versus("A", "B", "iou_per_image", "higher", 0.0)), runs)
    assert verdict.word == "inconclusive"
    assert verdict.seeds_needed > 3
    assert f"about {verdict.seeds_needed} seeds" in verdict.reason


def test_no_effect_is_almost_never_called_one():
    words = [
        verdict_of(
            claim_of(versus("A", "B", "iou_per_image", "higher", 0.2)),
            arms_with(np.random.default_rng(100 + n), effect=0.0, seeds=range(3), noise=0.02),
        ).p_for
        for n in range(100)
    ]
    assert np.mean(np.array(words) <= 0.05) <= 0.08


def test_a_conjunction_needs_all_and_falls_with_one():
    rng = np.random.default_rng(4)
    both = claim_of(versus("A", "B", "iou_per_image", "higher", 0.01), versus("A", "B", "pair_f_score", "higher", 0.01))
    assert verdict_of(both, arms_with(rng, effect=0.05)).word == "supported"
    torn = claim_of(versus("A", "B", "iou_per_image", "higher", 0.01), versus("A", "B", "pair_f_score", "lower", 0.01))
    verdict = verdict_of(torn, arms_with(rng, effect=0.05))
    assert verdict.word == "refuted"
    assert "pair F-score" in verdict.reason
    lenient = claim_of(
        versus("A", "B", "iou_per_image", "higher", 0.01),
        versus("A", "B", "pair_f_score", "lower", 0.01, primary=False),
    )
    assert verdict_of(lenient, arms_with(rng, effect=0.05)).word == "supported"


def test_the_more_claims_the_harder_each():
    rng = np.random.default_rng(5)
    runs = arms_with(rng, effect=0.03, seeds=range(3), noise=0.004)
    one = claim_of(versus("A", "B", "iou_per_image", "higher", 0.0))
    alone = judge({"one": (one, runs)})["one"]
    noise = {f"n{n}": (one, arms_with(rng, effect=0.0, seeds=range(3), noise=0.05)) for n in range(9)}
    among = judge({"one": (one, runs), **noise})["one"]
    assert among.p_holm == pytest.approx(min(1.0, 10 * alone.p_holm))


def test_missing_runs_seeds_and_evaluations_wait():
    one = claim_of(versus("A", "B", "iou_per_image", "higher", 0.01))
    runs = arms_with(np.random.default_rng(6), effect=0.05, seeds=range(3))
    assert verdict_of(one, {"A": runs["A"], "B": []}).reason == "no finished run of 'B'"
    few = verdict_of(one, {"A": runs["A"], "B": runs["B"][:2]})
    assert (few.word, few.seeds) == ("pending", (0, 1))
    assert "2 seeds are finished in all arms, 3 are needed" in few.reason
    runs["B"][1].evaluations.clear()
    runs["B"][1].__dict__["folder"].path = Path("nowhere")
    waiting = verdict_of(one, runs)
    assert waiting.word == "pending"
    assert "wait for evaluations" in waiting.reason


def test_an_unfair_comparison_gets_no_verdict_and_no_numbers():
    runs = arms_with(np.random.default_rng(7), effect=0.05)
    for run in runs["B"]:
        run.config["optimizer"]["lr"] = 0.5
    verdict = verdict_of(claim_of(versus("A", "B", "iou_per_image", "higher", 0.01)), runs)
    assert verdict.word == "refused"
    assert "optimizer.lr" in verdict.reason
    assert verdict.effects == ()


def test_folds_are_joined_and_paired_image_by_image():
    rng = np.random.default_rng(8)
    hard = dict(zip(IMAGES, rng.normal(0.5, 0.1, len(IMAGES)), strict=True))
    folds = {"random": (IMAGES[::2], IMAGES[1::2]), "blocks": (IMAGES[:3], IMAGES[3:])}
    arms = {}
    for way, parts in folds.items():
        for fold, images in enumerate(parts):
            gain = 0.05 if way == "random" else 0.0
            arms[f"{way} {fold}"] = [
                made_run(
                    f"{way} {fold}",
                    seed,
                    val_images=images,
                    iou=[hard[key] + gain + rng.normal(0, 0.002) for key in images],
                    config={"split.val_share": way},
                )
                for seed in range(3)
            ]
    terms = tuple(Term((f"{way} 0", f"{way} 1"), sign) for way, sign in (("random", 1.0), ("blocks", -1.0)))
    verdict = verdict_of(
        claim_of(Contrast("random − blocks", "iou_per_image", terms, "higher", 0.01), varies=("split",)), arms
    )
    assert verdict.word == "supported"
    assert verdict.images == 6


def test_measures_of_curves():
    wild, calm = made_run("A", curve=[0.1, 0.5, 0.2, 0.6]), made_run("B", curve=[0.2, 0.3, 0.4, 0.5])
    assert roughness(calm, []) == pytest.approx(0)
    assert roughness(wild, []) == pytest.approx(np.std([0.4, -0.3, 0.4], ddof=1))
    assert steps_to_iou(wild, [wild, calm]) == 80  # the IoU that both reach is 0.5
    assert steps_to_iou(calm, [wild, calm]) == 160
    assert collapsed(made_run("A", curve=[0.6, 0.29]), []) == 1
    assert collapsed(made_run("A", curve=[0.6, 0.31]), []) == 0


def test_equal_time_is_that_of_the_quickest_arm():
    quick = made_run("A", curve=[0.2, 0.4], seconds_at=[10.0, 20.0])
    slow = made_run("B", curve=[0.3, 0.9], seconds_at=[15.0, 30.0])
    assert iou_at_equal_time(quick, [quick, slow]) == pytest.approx(0.4)
    assert iou_at_equal_time(slow, [quick, slow]) == pytest.approx(0.3 + 0.6 / 3)
    del slow.outcome["seconds_at"]  # trained by an earlier version
    assert iou_at_equal_time(quick, [quick, slow]) is None


def test_there_are_ten_claims_with_known_measures_and_a_rule():
    assert [claim.id for claim in CLAIMS] == [f"C{n}" for n in range(1, 11)]
    for one in CLAIMS:
        assert one.statement
        assert one.source
        assert one.rule
        assert one.seeds >= 3
        assert any(contrast.primary for contrast in one.contrasts)
        assert {contrast.measure for contrast in one.contrasts} <= set(MEASURES)
    assert [one.experiment for one in CLAIMS if one.id == "C2"] == ["weight_map"]


@pytest.mark.parametrize("one", CLAIMS, ids=lambda claim: claim.id)
def test_each_claim_is_tested_by_arms_and_evaluations_that_its_experiment_has(one):
    settings = check(compose("train", [f"experiment={one.experiment}"])).experiment
    assert settings.claim == one.id
    assert set(one.arms) <= set(settings.arms)
    needed = {MEASURES[contrast.measure].evaluation for contrast in one.contrasts} - {None}
    assert needed <= set(settings.evaluations) <= set(EVALUATIONS)


def test_the_thirteen_seed_runs_are_there_by_name():
    settings = check(compose("train", ["experiment=seed_runs"])).experiment
    assert list(settings.arms) == list(REFERENCES)
    assert len(REFERENCES) == 13


def test_every_claim_can_be_judged_on_runs_that_differ_as_it_declares():
    """Alike runs under every claim's arms: none is refused, save where an arm's own settings would be missing."""
    for one in CLAIMS:
        runs = made_arms(one.arms)
        if one.id == "C9":
            continue  # its arms must be judged on parts of the images
        for of_arm in runs.values():
            for run in of_arm:
                measures = run.evaluations["val"]["variants"]["whole"]
                for name, variants in (("overlap_tile", ("mirror", "zero", "small tiles")), ("rotations", "1478")):
                    run.evaluations[name] = {
                        **run.evaluations["val"],
                        "variants": dict.fromkeys(variants, measures),
                    }
        assert verdict_of(one, runs).word in ("supported", "refuted", "inconclusive"), one.id
