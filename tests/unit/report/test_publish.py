"""README, verdicts and page are functions of the record, and those of this checkout agree with its record."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from made_trial import made_trial

from unet_repro.conf_files import conf_dir
from unet_repro.errors import DataError
from unet_repro.files import write_between
from unet_repro.report.publish import BEGIN, END, PAGE, Published
from unet_repro.report.record import RecordOfScale

READMES = ("README.md", "experiments/README.md", "experiments/weight_map/README.md")


@pytest.fixture
def checkout(tmp_path):
    """A checkout whose READMEs have places for the results."""
    for name in READMES:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"before\n{BEGIN}\nan older text\n{END}\nafter\n")
    return tmp_path


def add(checkout, seeds, **made):
    runs = made_trial(seeds, **made)
    RecordOfScale(checkout / "experiments/record" / runs[0].scale).add(runs)


def test_everything_published_agrees_with_the_record():
    """Run `unet-repro report --record` if this fails."""
    assert Published(conf_dir().parent).disagreements() == []


def test_an_empty_record_says_so(checkout):
    Published(checkout).write()
    for name in READMES:
        text = (checkout / name).read_text()
        assert text.startswith("before\n")
        assert text.endswith("after\n")
        assert "an older text" not in text
    assert "No run of the trial has been published yet." in (checkout / "README.md").read_text()
    assert not (checkout / PAGE).exists()
    assert Published(checkout).disagreements() == []


def test_a_running_trial_is_published_with_its_state(checkout):
    add(checkout, range(100, 104))
    published = Published(checkout)
    assert checkout / "README.md" in published.disagreements()
    published.write()
    assert Published(checkout).disagreements() == []
    text = (checkout / "README.md").read_text()
    assert "The trial is in progress: 2 of 14 questions are decided" in text
    assert "| **C7a** " in text
    assert "**pending**" in text
    assert "](experiments/record/laptop/verdicts.png)" in text
    assert (checkout / "experiments/record/laptop/verdicts.png").read_bytes()[1:4] == b"PNG"
    assert (checkout / "experiments/record/laptop/figures/weight_map.png").read_bytes()[1:4] == b"PNG"


def test_a_complete_trial_is_published_the_same_each_time(checkout):
    add(checkout, range(100, 130))
    Published(checkout).write()
    before = {path: path.read_text() for path in Published(checkout).texts()}
    Published(checkout).write()
    assert {path: path.read_text() for path in before} == before
    text = before[checkout / "README.md"]
    assert "| **C2** " in text
    assert "**supported**" in text
    assert "The trial is in progress" not in text
    about = before[checkout / "experiments/weight_map/README.md"]
    assert "**C2: supported.**" in about
    assert "| weight_map | none | 30 |" in about
    assert "C2 supported (laptop)" in before[checkout / "experiments/README.md"]
    page = before[checkout / PAGE]
    content = json.loads(page.split('id="data">')[1].split("</script>")[0])
    assert content["made"]["time"] is None  # the same record gives the same page
    assert content["made"]["commands"] == ["unet-repro report --record"]
    assert content["made"]["done"] == 510
    verdicts = json.loads(before[checkout / "experiments/record/laptop/verdicts.json"])
    assert verdicts == content["trials"][0]


def test_a_scale_that_is_not_tested_yet_follows_in_one_line(checkout):
    add(checkout, range(100, 115))
    add(checkout, range(100, 103), scale="paper", width=64, steps=4000)
    published = Published(checkout)
    assert [trial["scale"] for trial in published.trials] == ["laptop", "paper"]
    text = published.texts()[checkout / "README.md"]
    assert "At scale paper (width 64, 4000 steps), isbi2012, no claim has been tested yet" in text
    assert "C5, final IoU, plateau − constant: +0.1" in text
    assert text.count("| **C5** ") == 1
    assert "](experiments/record/laptop/verdicts.png)" in text
    assert "](experiments/record/paper/verdicts.png)" not in text


def test_the_larger_networks_come_first(checkout):
    add(checkout, range(100, 102))
    add(checkout, range(3), scale="paper", width=64, steps=4000)
    published = Published(checkout)
    assert [trial["scale"] for trial in published.trials] == ["paper", "laptop"]
    text = published.texts()[checkout / "README.md"]
    assert text.index("| **C5** ") < text.index("At scale laptop")


def test_a_change_by_hand_is_found(checkout):
    add(checkout, [100])
    Published(checkout).write()
    path = checkout / "experiments/record/laptop/verdicts.csv"
    path.write_text(path.read_text().replace("supported", "refuted"))
    assert Published(checkout).disagreements() == [path]


def test_a_readme_without_a_place_for_the_results_is_refused(tmp_path):
    readme = tmp_path / "README.md"
    readme.write_text("nothing here")
    with pytest.raises(DataError, match="no markers for the results"):
        write_between(readme, "text", begin=BEGIN, end=END)
    assert readme.read_text() == "nothing here"


def test_a_report_of_the_record_imports_no_torch(checkout):
    add(checkout, [100])
    code = (
        "import sys; from unet_repro.commands.report import main; main(['--record', '--checkout', sys.argv[1]]); "
        "assert not {'torch', 'lightning', 'wandb'} & set(sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(checkout)],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parent,
    )
    assert done.returncode == 0, done.stderr
    assert "docs/page/index.html" in done.stdout
