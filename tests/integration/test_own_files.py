"""Files of one's own, outside of the package: experiment, callback and logger, found as Hydra teaches."""

import csv
import json

import pytest
from tiny import NETWORK, STACK, unet_repro

TINY = [*STACK, *NETWORK]
MODULE = '''
from pathlib import Path

import torch
from lightning.pytorch import Callback
from lightning.pytorch.loggers.logger import Logger


class Freeze(Callback):
    """Keeps one bias at a value."""

    def __init__(self, value: float) -> None:
        self.value = value

    def on_train_batch_end(self, trainer, pl_module, *_):
        with torch.no_grad():
            pl_module.net.head.bias.fill_(self.value)


class Lines(Logger):
    """Writes a line for each row."""

    name, version = "lines", ""

    def __init__(self, save_dir: str, run: dict, file: str) -> None:
        self.path, self.title = Path(save_dir) / file, run["name"]

    def log_hyperparams(self, params):
        self.path.write_text(f"{self.title}: lr {params['optimizer']['lr']}\\n")

    def log_metrics(self, metrics, step):
        with self.path.open("a") as file:
            file.write(f"{step} {metrics['val/iou']}\\n")
'''
FILES = {
    "lib/lab/__init__.py": "",
    "lib/lab/tools.py": MODULE,
    "conf/experiment/mine.yaml": (
        "# @package _global_\ndefaults:\n  - override /optimizer: adam\ntrainer:\n  max_steps: 4\n  val_every: 2\n"
    ),
    "conf/callbacks/freeze.yaml": "freeze:\n  _target_: lab.tools.Freeze\n  value: 0.25\n",
    "conf/logger/lines.yaml": "lines:\n  _target_: lab.tools.Lines\n  file: lines.txt\n",
}


@pytest.fixture
def lab(tmp_path):
    """A folder with a package and a configuration of one's own."""
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


@pytest.mark.parametrize("way", [["--config-dir", "conf"], ["hydra.searchpath=[file://conf]"]], ids=["dir", "path"])
def test_own_experiment_callback_and_logger_are_used(lab, way):
    done = unet_repro(
        "train", *way, *[option for option in TINY if "_steps" not in option and "val_every" not in option],
        "experiment=mine", "callbacks=freeze", "logger=[lines,csv]", cwd=lab, PYTHONPATH=str(lab / "lib"),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    (result_file,) = lab.glob("runs/*/result.json")
    result = json.loads(result_file.read_text())
    assert result["steps"] == 4
    with (result_file.parent / "history.csv").open() as file:
        rows = list(csv.DictReader(file))
    title, *lines = (result_file.parent / "lines.txt").read_text().splitlines()
    assert title.startswith("size=84, budget=2x84, width=2, depth=2, optimizer=adam, ")
    assert title.endswith(", seed 0: lr 0.001")
    assert lines == [f"{row['step']} {row['val/iou']}" for row in rows]
    assert (result_file.parent / "csv/metrics.csv").exists()
    settings = (result_file.parent / "config.yaml").read_text()
    assert "_target_: lab.tools.Freeze" in settings
    assert "_target_: torch.optim.Adam" in settings


def test_own_files_are_found_in_every_job_of_a_sweep(lab):
    done = unet_repro(
        "train", "-m", "--config-dir", "conf", *TINY, "callbacks=freeze", "callbacks.freeze.value=0.1,0.2",
        "hydra/launcher=local", "hydra.launcher.jobs=1", cwd=lab, PYTHONPATH=str(lab / "lib"),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert len(list(lab.glob("runs/*/result.json"))) == 2


@pytest.mark.parametrize(
    ("option", "says"),
    [
        ("callbacks.freeze.valeu=1", "did you mean callbacks.freeze.value?"),
        ("callbacks.freeze.value=high", "callbacks.freeze.value='high' is not valid"),
        ("callbacks.freeze._target_=lab.tools.Freez", "callbacks.freeze._target_=lab.tools.Freez cannot be imported"),
        ("callbacks.freeze._target_=labb.Freeze", "No module named 'labb'"),
    ],
)
def test_a_mistake_in_an_own_file_is_an_error_with_its_remedy(lab, option, says):
    done = unet_repro(
        "train", "--config-dir", "conf", *TINY, "callbacks=freeze", f"++{option}", cwd=lab, PYTHONPATH=str(lab / "lib")
    )
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    assert says in done.stderr


@pytest.mark.parametrize(
    ("content", "says", "hint"),
    [
        ("experiment:\n\tname: bad\n", "bad.yaml, line 2, column 1: found character", "spaces"),
        ("experiment:\n  name: a\n  name: b\n", "bad.yaml, line 3, column 3: found duplicate key name", "once"),
        ("experiment:\n  arms: [*shared]\n", "bad.yaml, line 2, column 10: found undefined alias 'shared'", "anchor"),
        ("experiment: {name: [}\n", "bad.yaml, line 1, column 21", "correct the file"),
        ("experiment:\n  name: bad\n", "experiment.experiment is a setting of another level", "# @package _global_"),
        ("trainer:\n  max_steps: 4\n", "experiment.trainer is a setting of another level", "# @package _global_"),
        ("# caf\N{LATIN SMALL LETTER E WITH ACUTE}\n", "bad.yaml is not encoded as UTF-8", "save it as UTF-8"),
    ],
)
def test_a_file_that_is_not_right_is_told_with_its_place(lab, content, says, hint):
    (lab / "conf/experiment/bad.yaml").write_text(content, "latin-1")
    result = unet_repro("train", "--config-dir", "conf", *TINY, "experiment=bad", cwd=lab)
    assert result.returncode == 2
    assert says in result.stderr
    assert hint in result.stderr
    assert "Traceback" not in result.stderr
