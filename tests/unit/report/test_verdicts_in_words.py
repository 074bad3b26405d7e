"""What readers see around the trial's results: lead, banner, state, short findings, and intervals within bounds."""

import csv
import io
import json
import re
from dataclasses import replace

import pytest
from made_records import made_part
from made_trial import ARMS, made_run, made_trial

from unet_repro.report import verdicts
from unet_repro.report.arm_runs import runs_of_record
from unet_repro.report.page_data import page_data, spread
from unet_repro.report.record import RecordOfScale
from unet_repro.report.verdict_files import contrast_rows, to_markdown, write_verdicts
from unet_repro.report.verdicts import in_context, in_short, parts_of, published_findings
from unet_repro.trial.judge import judge
from unet_repro.trial.sentences import signed


def context(seeds, scale="laptop", **made):
    records = made_trial(seeds, scale=scale, **made)
    return in_context(judge(records, scale), records)


@pytest.fixture(scope="module")
def complete():
    return context(range(100, 130))


def part(trial, name):
    return next(one for one in parts_of(trial) if one["id"] == name)


def test_the_lead_counts_the_questions_and_says_for_which_networks(complete):
    words = [one["word"] for one in parts_of(complete)]
    assert f"{words.count('supported')} answered as claimed" in complete["lead"]
    assert "14 questions" in complete["lead"]
    assert "networks of width 8 after 1000 steps on the ISBI 2012 EM stack (scale laptop)" in complete["lead"]
    assert "and generalise to new seeds; wider networks (the paper's: 64)" in complete["lead"]
    assert complete["scope"] == "scale laptop (width 8, 1000 steps), isbi2012"
    assert complete["banner"] == ""


def test_few_seeds_are_no_verdict_but_say_what_one_needs():
    trial = context(range(3), scale="cpu", steps=320)
    assert {one["word"] for one in parts_of(trial)} == {"pending", "supported"}  # exact parts need no statistics
    assert "A statistical test needs 15 replicates, with seeds from 100 on." in trial["lead"]
    assert "toys" in trial["banner"]
    assert trial["state"] is None


def test_nothing_is_judged_at_smoke():
    trial = context(range(3), scale="smoke", data="synthetic")
    assert not trial["judged"]
    assert {one["word"] for one in parts_of(trial)} == {"no verdict"}
    assert "nothing is judged" in trial["banner"]
    assert "synthetic" in trial["banner"]


def test_the_state_of_a_running_suite():
    trial = context(range(100, 118), skip=lambda experiment, arm, seed: seed > 114 and arm == "paper")
    state = trial["state"]
    assert state["looks"] == [15, 20, 30]
    assert re.match(
        r"\d+ of 14 questions are decided, 4 in part\. The next interim analysis is at 20 replicates for ",
        state["progress"],
    )
    fewest, most = state["replicates"]
    assert 15 <= fewest <= most < 20
    assert state["missing"] == len(trial["missing"]) > 0
    assert "The trial is in progress" in to_markdown([trial])


def test_a_complete_suite_waits_for_nothing(complete):
    state = complete["state"]
    assert (state["missing"], state["needed"]) == (0, [])
    unsettled = [one for one in parts_of(complete) if any(c["word"] == "open" for c in one["contrasts"])]
    in_part = sum(one["word"] == "mixed" for one in unsettled)
    decided = f"{14 - len(unsettled)} of 14 questions are decided, {in_part} in part. The last"
    assert state["progress"].startswith(decided)


def test_short_findings_are_one_sentence_with_the_differences(complete):
    of = {
        name: {one["name"]: one["figure"]["mean"] for one in part(complete, name)["contrasts"]}
        for name in ("C2", "C10a")
    }
    means = of["C2"].values()
    least, most = signed(min(means)), signed(max(means))
    many = f"({len(means)} differences, the smallest {least} IoU, the largest {most} IoU)"
    no_gain = f"The weight map brings no gain that matters {many}; in these runs the weight map brings a loss"
    assert part(complete, "C2")["short"] == f"{no_gain}."
    records = made_part("C2", range(100, 130), effects={"paper": -0.05, "class_balance": -0.05}, sd=0.002)
    assert in_short(judge(records, "laptop").parts["C2"]).endswith(
        "in these runs the weight map brings a loss (2 of 4)."
    )
    assert len(of["C10a"]) == 2
    assert all(f"{name}: {signed(mean)} IoU" in part(complete, "C10a")["short"] for name, mean in of["C10a"].items())
    assert part(complete, "C7a")["short"] == "Stitched and whole predictions are the same (largest difference 0)."
    assert part(complete, "C5")["short"].startswith("Not testable here: ")
    mixed = part(complete, "C7b")
    assert mixed["word"] == "mixed"
    assert mixed["short"].index("not decided by 30 replicates (") > mixed["short"].index("irroring")  # comes last
    assert "not decided yet" not in complete["lead"]
    assert all(len(one["short"]) < 300 for one in parts_of(complete))


def short_of(name, **made):
    trial = judge(made_part(name, range(100, 130), **made), "laptop")
    return in_short(trial.parts[name])


def test_a_short_finding_has_the_words_of_each_contrast():
    short = short_of("C4", effects={"Adam, 3": -0.1, "SGD, 3": -0.2})
    assert re.fullmatch(
        r"SGD loses more than Adam \(\(Adam all − Adam 3\) − \(SGD all − SGD 3\): −0\.\d+ IoU\); "
        r"with three slices SGD is worse than Adam \(SGD 3 − Adam 3: −0\.\d+ IoU\)\.",
        short,
    )


def test_what_the_last_analysis_leaves_open_is_not_said_to_wait():
    kept = {"effects": {"with neighbours": 0.02}, "sd": 0.06}
    assert re.fullmatch(
        r"Not decided by 30 replicates \(with − without neighbours: [+−]0\.0\d\d IoU\)\.", short_of("C9", **kept)
    )
    records = made_part("C9", range(100, 130), **kept)
    lead = in_context(judge(records, "laptop"), records)["lead"]
    assert "1 not decided by 30 replicates" in lead


def test_a_premise_that_fails_after_a_decision_is_named_beside_it():
    def constant(seed):
        drop = 0.024 if seed < 115 else 0.0
        return {"curve": [0.5, 0.7, 0.7 - drop * (1 + 0.01 * (seed % 7 - 3))]}

    records = made_part("C5", range(100, 130), sd=0.06, constant=constant, plateau={"curve": [0.5, 0.7, 0.7]})
    trial = in_context(judge(records, "laptop"), records)
    short = part(trial, "C5")["short"]
    assert part(trial, "C5")["word"] == "mixed"
    assert short.startswith(
        "Lowering the rate prevents a loss (drop from the best IoU, constant − plateau: +0.024 IoU); "
    )
    assert short.endswith("not testable here: at a constant rate the IoU does not drop by 0.02.")
    assert "1 settled in part" in trial["lead"]


def test_the_readme_says_what_qualifies_the_findings(complete):
    short, long = to_markdown([complete], how_sure=False), to_markdown([complete])
    rate = "C1a, C1b, C2, C6, C9, C10a: all at the learning rate of the base setting, which was not tuned again."
    assert rate in short
    assert re.search(r"C1a.*: an estimate that led to support before the last analysis tends to favour", short)
    assert rate not in long
    records = [
        replace(one, curve={**one.curve, "val/iou_own": [0.39] * len(one.curve["step"])})
        if one.seed == 103 and "split" in one.arms
        else one
        for one in made_trial([*range(100, 115), 203])
    ]
    text = to_markdown([in_context(judge(records, "laptop"), records)], how_sure=False)
    assert re.search(r"C9[^:]*: among runs that start \(1 replicate with a run that did not start left out\)\.", text)


def test_files_hold_every_contrast_and_no_number_that_json_lacks(complete, tmp_path):
    write_verdicts([complete], {"made": "now"}, tmp_path)
    read = json.loads((tmp_path / "verdicts.json").read_text(), parse_constant=pytest.fail)
    assert read["trials"] == [complete]
    rows = list(csv.DictReader(io.StringIO((tmp_path / "verdicts.csv").read_text())))
    assert len(rows) == len(contrast_rows([complete])) == 21 + 2
    for row in rows:
        if row["low"]:
            assert float(row["low"]) <= float(row["estimate"]) <= float(row["high"])
    markdown = (tmp_path / "verdicts.md").read_text()
    assert all(f"**{one['id']}** " in markdown for one in parts_of(complete))


def test_the_published_record_is_beside_other_runs(tmp_path, monkeypatch):
    monkeypatch.setattr(verdicts, "published_record", lambda: tmp_path)
    assert published_findings() == {}
    RecordOfScale(tmp_path / "laptop").add(made_trial(range(100, 115)))
    published = published_findings()
    records = made_trial(range(3), scale="cpu", steps=320)
    trial = in_context(judge(records, "cpu"), records, published=published)
    assert part(trial, "C2")["published"]["word"] in ("supported", "mixed")
    assert "scale laptop" in part(trial, "C2")["published"]["scope"]
    said = [(one["word"], one["found"]) for one in published.values()]
    assert "open" in [word for word, _ in said]
    assert not any(found.lower().startswith(f"{word}: ") for word, found in said)  # the page puts the word before it


@pytest.mark.parametrize("values", [[0.01, 0.02, 0.9], [0.99, 0.995, 0.2], [0.5, 0.51, 0.52]])
def test_intervals_of_bounded_measures_stay_within_bounds(values):
    found = spread(values, bounded=True)
    assert 0 <= found["low"] <= found["mean"] <= found["high"] <= 1
    wider = spread(values, bounded=False)
    assert wider["low"] < 0 or wider["high"] > 1 or values[0] == 0.5


def test_intervals_of_differences_stay_within_what_is_possible():
    records = [
        *(
            replace(run, evaluation=with_iou(run, iou))
            for run, iou in zip(runs_of("none"), (0.99, 0.02, 0.9), strict=True)
        ),
        *(
            replace(run, evaluation=with_iou(run, iou))
            for run, iou in zip(runs_of("paper"), (0.01, 0.98, 0.1), strict=True)
        ),
        *(run for arm in ("class_balance", "border_only", "morphological") for run in runs_of(arm)),
    ]
    trial = in_context(judge(records, "cpu"), records)
    figure = part(trial, "C2")["contrasts"][-1]["figure"]
    assert (figure["low"], figure["high"]) == (-1, 1)


def runs_of(arm):
    effect, *changes = ARMS[arm]
    return [made_run("weight_map", arm, seed, effect, *changes, scale="cpu") for seed in range(3)]


def with_iou(run, iou):
    own = {key: {"iou": iou, "v_rand": iou} for key in run.held_out}
    return {**run.evaluation, "at_threshold": {"1": own, "7": own}}


@pytest.mark.parametrize("values", [[0.7], [0.7, 0.7, 0.7]])
def test_values_without_spread_have_no_interval(values):
    found = spread(values, bounded=True)
    assert (found["mean"], found["low"], found["high"]) == (0.7, None, None)


def test_the_page_has_every_run_once_in_its_count_and_settings_as_differences():
    records = [*made_trial([100, 101]), made_run("single", "single", 7)]
    data = page_data(runs_of_record(records), [], {})
    assert data["made"]["done"] == 34  # runs shared by comparisons once; single runs not at all
    weights = next(one for one in data["comparisons"] if one["experiment"] == "weight_map")
    base, *others = weights["arms"]
    assert "width: 8" in base["settings"]
    assert all("width" not in arm["settings"] and "weight_map" in arm["settings"] for arm in others)
    assert [metric["key"] for metric in weights["metrics"]][:3] == ["iou", "iou_per_image", "iou_pooled"]
    assert set(base["images"]) == {f"{number:02d}" for number in range(12)}  # of two folds


def test_runs_on_disk_have_links_to_their_settings(tmp_path):
    data = page_data(
        runs_of_record(made_trial([100])),
        [],
        {},
        page=tmp_path / "reports/ablations/index.html",
        runs_dir=tmp_path / "runs",
    )
    run = data["comparisons"][0]["arms"][0]["runs"][0]
    assert run["href"] == f"../../runs/{run['id']}/config.yaml"
