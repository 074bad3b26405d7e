"""Loggers other than W&B: what they have of a training, interrupted or not."""

import csv
import struct
import sys
import types

import pytest
from tensorboardX.proto.event_pb2 import Event
from tiny import tiny

from unet_repro.config import check
from unet_repro.errors import Abandoned, ConfigError
from unet_repro.train import train
from unet_repro.training.build import run_folder

STEPS = [2, 4, 6, 8]


def abandoning_at(step):
    def on_row(row):
        if row["step"] == step:
            raise Abandoned

    return on_row


@pytest.fixture(scope="module")
def mirrored(tmp_path_factory):
    """The folder of a run with two loggers that was killed twice, the second time after its last step."""
    config = tiny(tmp_path_factory.mktemp("runs"), "logger=[csv,tensorboard]", "callbacks=device_stats")
    for step in (4, 8):
        with pytest.raises(Abandoned):
            train(config, on_row=abandoning_at(step))
    train(config)
    return run_folder(check(config))


def recorded(folder):
    return {int(row["step"]): row["val/iou"] for row in folder.history_rows()}


def test_the_csv_file_has_each_row_of_the_history_once(mirrored):
    with (mirrored.path / "csv/metrics.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["val/iou"]]
    assert [int(row["step"]) for row in rows] == STEPS
    assert {int(row["step"]): float(row["val/iou"]) for row in rows} == recorded(mirrored)
    assert "max_steps: 8" in (mirrored.path / "csv/hparams.yaml").read_text()


def events(folder):
    """The events of all files in a folder; a file is a series of length, checksum, message, checksum."""
    for path in folder.glob("events.*"):
        data, at = path.read_bytes(), 0
        while at < len(data):
            (length,) = struct.unpack_from("<Q", data, at)
            event = Event()
            event.ParseFromString(data[at + 12 : at + 12 + length])
            yield event
            at += length + 16


def test_tensorboard_has_each_row_of_the_history_once(mirrored):
    found = [
        (event.step, value.simple_value)
        for event in events(mirrored.path / "tensorboard")
        for value in event.summary.value
        if value.tag == "val/iou"
    ]
    assert [step for step, _ in found] == STEPS
    assert dict(found) == pytest.approx(recorded(mirrored))


def test_a_logger_whose_package_is_missing_names_the_command_that_installs_it(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "trackio", None)
    with pytest.raises(ConfigError, match="logger=trackio needs a package") as caught:
        train(tiny(tmp_path, "logger=[wandb,trackio]", "logger.mode=disabled"))
    assert caught.value.hint == "run `pip install 'trackio>=0.43'`"
    assert not list(tmp_path.iterdir()), "nothing was begun"


class Trackio(types.ModuleType):
    """Stands in for the package: runs by name, in memory."""

    def __init__(self):
        super().__init__("trackio")
        self.logs = []

    def Api(self):  # noqa: N802
        return self

    def runs(self, project):
        if not self.logs:
            raise ValueError("the project does not exist")
        return list(self.logs)

    def init(self, project, *, name, group, config, **_):
        self.logs.append(TrackioRun(self, name, config))
        return self.logs[-1]


class TrackioRun:
    def __init__(self, home, name, config):
        self.home, self.name, self.config, self.rows, self.closed = home, name, config, [], False

    def delete(self):
        self.home.logs.remove(self)

    def log(self, metrics, step):
        self.rows.append((step, metrics["val/iou"]))

    def finish(self):
        self.closed = True


def test_trackio_has_one_complete_log_of_an_interrupted_run(tmp_path, monkeypatch):
    trackio = Trackio()
    monkeypatch.setitem(sys.modules, "trackio", trackio)
    config = tiny(tmp_path, "logger=trackio")
    with pytest.raises(Abandoned):
        train(config, on_row=abandoning_at(4))
    result = train(config)
    (log,) = trackio.logs
    assert log.name.startswith("size=84, budget=2x84, width=2, depth=2, max_steps=8")
    assert log.name.endswith(f", seed 0 ({result['run_id']})")
    assert log.config["compare"]["optimizer"] == "SGD"
    assert dict(log.rows) == recorded(run_folder(check(config)))
    assert len(log.rows) == 4
    assert log.closed


def test_mlflow_has_one_complete_log_of_an_interrupted_run(tmp_path):
    mlflow = pytest.importorskip("mlflow", reason="needs `pip install mlflow-skinny`")
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    config = tiny(tmp_path / "runs", "logger=mlflow", f"logger.mlflow.tracking_uri='{uri}'")
    with pytest.raises(Abandoned):
        train(config, on_row=abandoning_at(4))
    result = train(config)
    client = mlflow.MlflowClient(uri)
    (run,) = client.search_runs([client.get_experiment_by_name("unet-repro").experiment_id])
    assert run.info.status == "FINISHED"
    assert run.data.tags["unet_repro.run_id"] == result["run_id"]
    rows = client.get_metric_history(run.info.run_id, "val/iou")
    assert [row.step for row in rows] == STEPS
