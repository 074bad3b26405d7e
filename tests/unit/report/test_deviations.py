"""Marked settings are found with file, key and value, each mark for itself."""

from unet_repro.config import conf_dir
from unet_repro.report.deviations import deviations


def test_marks_of_one_line_are_told_apart(tmp_path):
    (tmp_path / "augment").mkdir()
    (tmp_path / "augment/a.yaml").write_text(
        "# a file about the paper: not a mark of a setting\n"
        "grid: 3  # paper: a 3 by 3 grid; assumed: its nodes lie on the corners\n"
        "depth: 4 # paper\n"
        "speed: 1 # what the paper: leaves open\n"
        "# deviation: split into blocks\n"
        "flip: true  # deviation: the paper names none\n"
        "span: 572 # assumed: spans a tile of 572, the paper's; smaller ones see its middle\n"
    )
    assert deviations(tmp_path) == [
        {"kind": "paper", "where": "augment/a.yaml: grid", "value": "3", "text": "a 3 by 3 grid"},
        {"kind": "assumed", "where": "augment/a.yaml: grid", "value": "3", "text": "its nodes lie on the corners"},
        {"kind": "paper", "where": "augment/a.yaml: depth", "value": "4", "text": ""},
        {"kind": "deviation", "where": "augment/a.yaml", "value": "", "text": "split into blocks"},
        {"kind": "deviation", "where": "augment/a.yaml: flip", "value": "true", "text": "the paper names none"},
        {
            "kind": "assumed",
            "where": "augment/a.yaml: span",
            "value": "572",
            "text": "spans a tile of 572, the paper's; smaller ones see its middle",
        },
    ]


def test_this_projects_are_all_listed():
    found = deviations(conf_dir())
    where = {row["where"] for row in found}
    assert {"optimizer/sgd.yaml: momentum", "model/unet.yaml: dropout", "scale/cpu.yaml: width"} <= where
    text = "".join(path.read_text() for path in conf_dir().rglob("*.yaml"))
    assert sum(row["kind"] == "deviation" for row in found) == text.count("# deviation:") + text.count("; deviation:")
