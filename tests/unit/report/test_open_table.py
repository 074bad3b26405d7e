"""The open table is a function of the record of measured images."""

import dataclasses

import numpy as np
import pytest

from unet_repro.errors import RunError
from unet_repro.evaluation.measured import GOLD, MEAN, Assessment, ImageMeasures
from unet_repro.evaluation.summaries import rows_of
from unet_repro.inference.instance_settings import InstanceSettings
from unet_repro.metrics.cell_tracking import DetCounts
from unet_repro.report.open_table import Kept, keep, kept_in, table


def measured(seed, key):
    rng = np.random.default_rng([seed, len(key), ord(key[-1])])
    return ImageMeasures(
        key=key,
        run_id=f"run{seed}",
        sweep={"v_rand": rng.uniform(0.9, 1, 9)},
        pixel={"iou": float(rng.uniform(0.7, 0.8)), "iou_cell": float(rng.uniform(0.8, 0.9))},
        settings=InstanceSettings(method="seeds"),
        seg=rng.uniform(0.6, 1, 4),
        det=DetCounts(*rng.integers(0, 5, len(DetCounts.__dataclass_fields__)).tolist()),
    )


def assessment(group="own_data"):
    members = {f"seed {seed}": [measured(seed, f"01/t{n}") for n in range(4)] for seed in (0, 1)}
    members[MEAN] = [measured(2, f"01/t{n}") for n in range(4)]
    return Assessment(group, "isbi2012", ("background", "cell"), members, "gold", "validation images", setting="own")


def test_what_was_kept_gives_the_same_rows_and_the_same_bytes(tmp_path):
    kept = Kept("kfold", "val", "last", 8, (assessment(),))
    path = keep(kept, tmp_path, "unet-repro evaluate comparison=kfold views=8")
    before = path.read_bytes()
    (read,) = kept_in(tmp_path)
    assert (read.comparison, read.views, read.name) == ("kfold", 8, path.name)
    for row, expected in zip(rows_of(read.assessments[0]), rows_of(assessment()), strict=True):
        assert (row.of, row.measure, row.num_members) == (expected.of, expected.measure, expected.num_members)
        assert row.mean == pytest.approx(expected.mean, abs=1e-5)
        assert row.low == pytest.approx(expected.low, abs=1e-4)
        assert row.low is None or 0 <= row.low <= row.mean <= row.high <= 1
    keep(read, tmp_path, *read.assessments[0].commands)
    assert path.read_bytes() == before


def of_seeds(*seeds, group="own_objects"):
    whole = assessment(group)
    members = {f"seed {seed}": [measured(seed, f"01/t{n}") for n in range(4)] for seed in seeds}
    return dataclasses.replace(whole, members=members | ({MEAN: whole.members[MEAN]} if len(seeds) > 1 else {}))


def test_what_was_not_measured_again_stays_in_the_record(tmp_path, caplog):
    keep(Kept("sequences", "test", "last", 1, (assessment("own_data"), of_seeds(0, 1))), tmp_path, "one")
    keep(Kept("sequences", "test", "last", 1, (of_seeds(10), of_seeds(2, group="cpu"))), tmp_path, "two")
    assert caplog.messages == [
        "own_objects: no mean of seeds in the record, since not all seeds were measured together"
    ]
    keep(Kept("sequences", "test", "last", 1, (of_seeds(2),)), tmp_path, "one")
    (read,) = kept_in(tmp_path)
    assert [each.group for each in read.assessments] == ["own_data", "own_objects", "cpu"]
    assert [set(each.members) for each in read.assessments] == [
        {"seed 0", "seed 1", MEAN}, {"seed 0", "seed 1", "seed 2", "seed 10"}, {"seed 2"}
    ]  # fmt: skip
    assert [each.commands for each in read.assessments] == [("one",), ("one", "two"), ("two",)]
    together = tmp_path / "together"
    keep(Kept("sequences", "test", "last", 1, (of_seeds(0, 1, 2, 10),)), together, "one")
    rows = [[row for row in rows_of(kept.assessments[at]) if row.of == "seeds"]
            for at, (kept,) in ((1, kept_in(tmp_path)), (0, kept_in(together)))]  # fmt: skip
    assert rows[0] == rows[1]
    keep(Kept("sequences", "test", "last", 1, (of_seeds(0, 1, 2, 10),)), tmp_path, "all")
    assert [line for line in table(tmp_path).splitlines() if line.startswith("- ")] == ["- `one`", "- `all`", "- `two`"]


@pytest.mark.parametrize("other", ["truth", "setting", "images"])
def test_seeds_that_measured_something_else_do_not_stay(other, tmp_path, caplog):
    keep(Kept("sequences", "test", "last", 1, (of_seeds(0, 1),)), tmp_path, "one")
    again = of_seeds(1)
    if other == "images":
        again.members["seed 1"].pop()
    else:
        again = dataclasses.replace(again, **{other: "another"})
    keep(Kept("sequences", "test", "last", 1, (again,)), tmp_path, "one")
    assert [list(each.members) for each in kept_in(tmp_path)[0].assessments] == [["seed 1"]]
    (warning,) = caplog.messages
    assert warning == "own_objects: no longer in the record: seed 0, of another setting, other images or another truth"


def test_the_table_has_a_row_for_seeds_and_mean_and_marks_hidden_tests(tmp_path):
    assert table(tmp_path) == ""
    keep(Kept("kfold", "val", "last", 1, (assessment(),)), tmp_path, "one")
    keep(Kept("kfold", "val", "last", 8, (assessment(),)), tmp_path, "eight")
    assert "another test" not in table(tmp_path)
    (tmp_path / "published.csv").write_text(
        "comparison,data,measure,value,who,date,source\n"
        'kfold,"EM, hidden slices",v_rand,0.9728,best entry,May 2020,a leaderboard\n'
    )
    lines = table(tmp_path).splitlines()
    cells = [[cell.strip() for cell in line.split("|")] for line in lines if line.startswith("| own_data")]
    assert [(row[2], row[3]) for row in cells] == [
        ("2 seeds", "1 view"), (MEAN, "1 view"), ("2 seeds", "8 views"), (MEAN, "8 views")
    ]  # fmt: skip
    assert any("*EM, hidden slices* | *best entry (May 2020)*" in line and "*0.9728*" in line for line in lines)
    assert "- EM, hidden slices, best entry (May 2020): a leaderboard" in lines
    assert [line for line in lines if line.startswith("## ")] == ["## Five-fold cross-validation"]
    (headings,) = [line for line in lines if line.startswith("| setting")]
    assert headings.split("|")[4].strip() == "V_rand"


def test_each_comparison_has_a_section_with_its_own_measures(tmp_path):
    cells = assessment("own_objects")
    for images in cells.members.values():
        images[:] = [dataclasses.replace(each, sweep={}) for each in images]
    others = dataclasses.replace(cells, group="own_data", data="hela", truth="labels")
    keep(Kept("sequences", "test", "last", 1, (cells, others)), tmp_path, "one")
    keep(Kept("peers-10-minutes", "val", "last", 1, (dataclasses.replace(assessment(), truth=GOLD),)), tmp_path, "two")
    peers, sequences = table(tmp_path).split("## ")[1:]
    assert peers.startswith("Peers 10 minutes")
    assert "Judged by gold (isbi2012) and labels (hela). Commands:" in sequences
    assert "IoU is measured against the source's own labels of the same images" in peers
    assert ("V_rand" in peers, "V_rand" in sequences, "own_objects" in peers) == (True, False, False)


def test_a_damaged_record_is_refused(tmp_path):
    (tmp_path / "kfold-val-last-1.json.gz").write_bytes(b"nothing")
    with pytest.raises(RunError, match="is damaged"):
        table(tmp_path)
