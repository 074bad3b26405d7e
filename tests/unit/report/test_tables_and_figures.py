import csv
import io

import numpy as np
import pytest

from unet_repro.errors import DataError
from unet_repro.evaluation.assessment import Assessment, ImageMeasures
from unet_repro.inference.instances import InstanceSettings
from unet_repro.report.collect import collect
from unet_repro.report.crops import FALSE_CELL, MISSED_CELL, draw_cases, error_colours
from unet_repro.report.figures import draw_all
from unet_repro.report.publish import BEGIN, END, publish
from unet_repro.report.table import print_tables, to_csv, to_markdown, write_tables
from unet_repro.runs.folder import RunFolder
from unet_repro.sweep.ledger import Entry, Ledger

SHOWN = {
    "made": {"command": "make reproduce-ablations SEEDS=2"},
    "verdicts": [],
    "seed_runs": [],
    "comparisons": [{"id": "optimizer/isbi2012/cpu", "question": "Which one?", "command": "unet-repro train -m it"}],
}
IOU = {("a", 0): 0.5, ("a", 1): 0.7, ("b", 0): 0.6}  # arm b, seed 1 is not finished


@pytest.fixture
def runs(tmp_path):
    """A ledger with two arms and two seeds, three of the four runs finished."""
    folder = tmp_path / "runs"
    entries = []
    for seed in (0, 1):
        for arm in ("a", "b"):
            run_id = f"{arm}{seed}"
            entries.append(Entry("optimizer", arm, seed, "cpu", "isbi2012", "", run_id, ("seed=0",), 1.0, "k"))
            if (arm, seed) in IOU:
                finish(RunFolder(folder / run_id), IOU[arm, seed], seed)
    Ledger(folder).record(entries)
    return folder


def finish(folder, iou, seed):
    rows = [{"step": step, "val/iou": value, "val/iou_membrane": value - 0.1, "val/loss": 1 - value}
            for step, value in ((5, iou + 0.05), (10, iou))]  # fmt: skip
    result = {
        "seed": seed, "steps": 10, "final": rows[1], "best": rows[0], "batch": {"num_tiles": 2, "tile_size": 252},
    }  # fmt: skip
    made_by = {"commit": "abc", "torch": "2", "device": "cpu", "machine": "Linux"}
    folder.finish(result, {"seconds": 60.0, "made_by": made_by})
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    folder.history.write_text(text.getvalue())


def test_arms_are_collected_with_mean_and_spread_over_finished_seeds(runs):
    a, b = collect(runs)
    assert (a.arm, a.seeds, a.num_planned) == ("a", (0, 1), 2)
    assert a.scores["final_iou"].mean == pytest.approx(0.6)
    assert a.scores["final_iou"].spread == pytest.approx(np.std([0.5, 0.7], ddof=1))
    assert a.scores["best_iou"].mean == pytest.approx(0.65)
    assert a.scores["final_thin_iou"].mean == pytest.approx(0.5)
    assert (b.seeds, b.num_planned) == ((0,), 2)
    assert b.scores["final_iou"].spread == 0


def test_an_arm_without_a_finished_run_keeps_its_row(runs):
    Ledger(runs).record([Entry("optimizer", "c", 0, "cpu", "isbi2012", "", "c0", (), 1.0, "k")])
    row = collect(runs)[-1]
    assert (row.arm, row.seeds, row.scores) == ("c", (), {})
    line = to_markdown([row]).splitlines()[-1]
    assert "0/1" in line
    assert " - " in line
    assert next(iter(csv.DictReader(io.StringIO(to_csv([row])))))["final_iou_mean"] == ""


def test_recording_a_cell_again_replaces_it(runs):
    ledger = Ledger(runs)
    before = ledger.read("optimizer")
    ledger.record([Entry("optimizer", "a", 1, "cpu", "isbi2012", "", "new", (), 1.0, "k")])
    after = ledger.read("optimizer")
    assert len(after) == len(before)
    assert [entry.run_id for entry in after if (entry.arm, entry.seed) == ("a", 1)] == ["new"]


def test_other_scales_and_variants_are_other_rows(runs):
    Ledger(runs).record([
        Entry("optimizer", "a", 0, "smoke", "isbi2012", "", "s", (), 1.0, "other scale"),
        Entry("optimizer", "a", 0, "cpu", "isbi2012", "model.width=16", "w", (), 1.0, "other width"),
    ])  # fmt: skip
    assert len(collect(runs)) == 4


def test_the_table_is_written_as_csv_and_markdown(runs, tmp_path):
    write_tables(runs, None, tmp_path / "out")
    rows = list(csv.DictReader(io.StringIO((tmp_path / "out/table.csv").read_text())))
    assert float(rows[0]["final_iou_mean"]) == pytest.approx(0.6)
    assert rows[0]["runs"] == "a0 a1"
    markdown = (tmp_path / "out/table.md").read_text().splitlines()
    assert "0.600±.141" in markdown[2]
    assert "membrane IoU" in markdown[0]
    assert len({line.count("|") for line in markdown}) == 1


def test_the_terminal_table_fits_80_columns(runs, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    print_tables(collect(runs))
    shown = capsys.readouterr().out
    assert "0.600±.141" in shown
    assert max(map(len, shown.splitlines())) <= 80


def test_every_comparison_gets_a_figure(runs, tmp_path):
    png, svg = draw_all(runs, collect(runs), tmp_path / "out")
    assert (png.name, svg.name) == ("optimizer.png", "optimizer.svg")
    assert png.read_bytes().startswith(b"\x89PNG")
    assert svg.read_text().startswith("<?xml")


def test_published_results_name_command_commit_and_time(runs, tmp_path):
    readme = tmp_path / "README.md"
    index = tmp_path / "experiments/README.md"
    index.parent.mkdir()
    for path in (readme, index):
        path.write_text(f"before\n{BEGIN}\nan older table\n{END}\nafter\n")
    publish(runs, collect(runs), SHOWN, tmp_path / "experiments", readme)
    text = readme.read_text()
    assert text.startswith("before\n")
    assert text.endswith("after\n")
    assert "an older table" not in text
    assert "| [optimizer](optimizer/README.md) | Which one? | `unet-repro" in index.read_text()
    assert "`make reproduce-ablations SEEDS=2`" in text
    kept = tmp_path / "experiments/optimizer/results"
    assert "`unet-repro train -m it`; 3 runs" in (kept / "isbi2012-cpu.md").read_text()
    assert "3 runs, 3 minutes of training" in text
    assert "commit abc" in text
    kept = tmp_path / "experiments/optimizer/results"
    assert {path.name for path in kept.iterdir()} == {"isbi2012-cpu.csv", "isbi2012-cpu.md", "isbi2012-cpu.png"}
    publish(runs, collect(runs), SHOWN, tmp_path / "experiments", readme)
    assert readme.read_text() == text


def test_a_readme_without_a_place_for_the_results_is_refused(runs, tmp_path):
    readme = tmp_path / "README.md"
    readme.write_text("nothing here")
    with pytest.raises(DataError, match="no markers for the results"):
        publish(runs, collect(runs), SHOWN, tmp_path / "experiments", readme)
    assert readme.read_text() == "nothing here"


def test_errors_are_coloured_by_their_kind():
    truth, predicted = np.array([[0, 0, 1, 1]], np.uint8), np.array([[0, 1, 0, 1]], np.uint8)
    colours = error_colours(predicted, truth)[0]
    assert colours[1].tolist() == list(FALSE_CELL)
    assert colours[2].tolist() == list(MISSED_CELL)
    assert colours[0].max() < colours[3].min()


def test_crops_never_show_a_whole_image(tmp_path, monkeypatch):
    from matplotlib.axes import Axes

    shapes = []
    honest = Axes.imshow
    monkeypatch.setattr(
        Axes, "imshow", lambda self, shown, **k: (shapes.append(shown.shape[:2]), honest(self, shown, **k))[1]
    )
    rng = np.random.default_rng(0)
    truth = np.zeros((64, 80), np.int32)
    truth[4:30, 4:40], truth[34:60, 44:76] = 1, 2
    measured = [
        ImageMeasures(f"k{number}", "", {}, {"iou": 0.5}, InstanceSettings(), np.array([number / 3]), None)
        for number in range(4)
    ]
    case = (rng.normal(size=(1, 64, 80)).astype(np.float32), truth, (truth > 0).astype(np.float32))
    found = Assessment(
        "group", "data", ("membrane", "cell"), {"seed 0": measured}, "labels", "others", {m.key: case for m in measured}
    )
    draw_cases([found], tmp_path / "c.jpg")
    assert set(shapes) == {(32, 32)}
    assert (tmp_path / "c.jpg").exists()
