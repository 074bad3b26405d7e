"""A run written by W&B offline, read back from its file; nothing here leaves the machine."""

import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import skimage.io
import wandb
from wandb_reading import BLOCK, OfflineRun, payloads, read_run

from unet_repro.errors import UserError
from unet_repro.tracking.panels import log_validation_panel, to_display
from unet_repro.tracking.wandb_run import finish, open_run

CLASS_NAMES = ["membrane", "cell"]
CONFIG = {"optimizer": {"name": "adam", "lr": 1e-3}, "tiles": {"sizes": [188, 204]}, "notes": None}
NO_SERVER = "http://127.0.0.1:9"
GOOD_LOOKING_KEY = "k" * 40


@pytest.fixture(autouse=True)
def _no_network_no_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in os.environ:
        if name.startswith("WANDB_") or name.lower().endswith("_proxy") or name == "NETRC":
            monkeypatch.delenv(name)
    (tmp_path / "home").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_BASE_URL", NO_SERVER)
    monkeypatch.setenv("WANDB_ERROR_REPORTING", "false")
    wandb.teardown()  # W&B reads its environment once per session
    yield
    wandb.teardown()


def written(directory: Path) -> OfflineRun:
    wandb.teardown()  # finish() returns before W&B's own process has written the last block; this waits for it
    return read_run(directory)


def opened(directory: Path, **changes: Any) -> Any:
    arguments: dict[str, Any] = {
        "mode": "offline",
        "project": "unet-repro",
        "run_id": "0123abcd",
        "name": "adam seed 1",
        "group": "optimizer",
        "tags": ["cpu", "isbi2012"],
        "job_type": "train",
        "config": CONFIG,
        "directory": directory,
        "class_names": CLASS_NAMES,
    }
    return open_run(**arguments | changes)


@pytest.fixture
def panel() -> dict[str, Any]:
    rng = np.random.default_rng(0)
    return {
        "keys": ["train/28", "train/29"],
        "images": [rng.normal(size=(20, 30)).astype(np.float32) for _ in range(2)],
        "truths": [rng.integers(0, 2, (20, 30), np.uint8) for _ in range(2)],
        "predictions": [rng.integers(0, 2, (20, 30), np.uint8) for _ in range(2)],
        "class_names": CLASS_NAMES,
    }


def media(run: OfflineRun, path: str) -> np.ndarray[Any, Any]:
    return np.asarray(skimage.io.imread(run.folder / "files" / path))


def test_run_carries_identity_and_nested_config(tmp_path: Path) -> None:
    finish(opened(tmp_path))
    run = written(tmp_path)
    assert run.run == {
        "id": "0123abcd",
        "name": "adam seed 1",
        "group": "optimizer",
        "project": "unet-repro",
        "job_type": "train",
        "tags": ["cpu", "isbi2012"],
    }
    assert {key: value for key, value in run.config.items() if key != "_wandb"} == CONFIG | {"class_names": CLASS_NAMES}


def test_history_and_summary_come_back_over_the_global_step(tmp_path: Path) -> None:
    logger = opened(tmp_path)
    for step in range(0, 50, 10):
        logger.log_metrics({"train/loss": 1 / (step + 1)}, step=step)
        logger.log_metrics({"val/iou": step / 100}, step=step)
    logger.experiment.summary["best/iou"] = 0.4
    finish(logger)
    run = written(tmp_path)
    for key, value_at in {"train/loss": lambda step: 1 / (step + 1), "val/iou": lambda step: step / 100}.items():
        rows = [(row["trainer/global_step"], row[key]) for row in run.history if key in row]
        assert rows == [(step, value_at(step)) for step in range(0, 50, 10)]
    assert [row["_step"] for row in run.history] == list(range(10))
    assert run.summary["best/iou"] == 0.4
    assert run.summary["val/iou"] == 0.4
    assert run.metrics == {"trainer/global_step": ("", False), "*": ("trainer/global_step", True)}


def test_records_longer_than_a_block_are_read_whole(tmp_path: Path) -> None:
    logger = opened(tmp_path)
    for step in range(3):
        logger.log_metrics({f"val/metric_{number:05}": number + step for number in range(2000)}, step=step)
    finish(logger)
    run = written(tmp_path)
    assert next(run.folder.glob("*.wandb")).stat().st_size > 3 * BLOCK
    assert [row["val/metric_01999"] for row in run.history] == [1999, 2000, 2001]


@pytest.mark.parametrize("exit_code", [0, 3])
def test_exit_code_is_recorded(tmp_path: Path, exit_code: int) -> None:
    finish(opened(tmp_path), exit_code=exit_code)
    assert written(tmp_path).exit_code == exit_code


def test_panel_keeps_images_masks_and_class_names(tmp_path: Path, panel: dict[str, Any]) -> None:
    logger = opened(tmp_path)
    logger.log_metrics({"val/iou": 0.1}, step=10)
    log_validation_panel(logger, step=20, **panel)
    logger.log_metrics({"val/iou": 0.2}, step=20)
    finish(logger)
    run = written(tmp_path)
    assert [row["trainer/global_step"] for row in run.history] == [10, 20, 20]
    logged = run.history[1]["val/panel"]
    assert logged["captions"] == panel["keys"]
    for index in range(2):
        np.testing.assert_array_equal(media(run, logged["filenames"][index]), to_display(panel["images"][index]))
        masks = logged["all_masks"][index]
        assert masks["prediction"]["path"].startswith("media/images/mask/")
        np.testing.assert_array_equal(media(run, masks["prediction"]["path"]), panel["predictions"][index])
        np.testing.assert_array_equal(media(run, masks["ground_truth"]["path"]), panel["truths"][index])
    labels = run.config["_wandb"]["mask/class_labels"]
    assert {key.rpartition("_wandb_delimeter_")[2]: entry["value"] for key, entry in labels.items()} == {
        kind: {"0": "membrane", "1": "cell"} for kind in ("prediction", "ground_truth")
    }


def test_smaller_images_are_filled_up_below_and_to_the_right(tmp_path: Path, panel: dict[str, Any]) -> None:
    for kind in ("images", "truths", "predictions"):
        panel[kind][1] = panel[kind][1][:15, :25]
    logger = opened(tmp_path)
    log_validation_panel(logger, step=0, **panel)
    finish(logger)
    run = written(tmp_path)
    logged = run.history[0]["val/panel"]
    expected = np.zeros((20, 30), np.uint8)
    expected[:15, :25] = panel["truths"][1]
    np.testing.assert_array_equal(media(run, logged["all_masks"][1]["ground_truth"]["path"]), expected)
    assert media(run, logged["filenames"][1]).shape == (20, 30)


def _shrink(panel: dict[str, Any]) -> None:
    panel["truths"][0] = panel["truths"][0][:-1]


def _unnamed(panel: dict[str, Any]) -> None:
    panel["predictions"][1][3, 4] = 2


def _one_less(panel: dict[str, Any]) -> None:
    panel["keys"].pop()


@pytest.mark.parametrize(
    ("spoil", "says"),
    [(_shrink, r"train/28: a mask of"), (_unnamed, r"train/29: class 2"), (_one_less, "shorter|longer")],
)
def test_panel_that_does_not_fit_together_is_refused(
    tmp_path: Path, panel: dict[str, Any], spoil: Callable[[dict[str, Any]], None], says: str
) -> None:
    spoil(panel)
    logger = opened(tmp_path)
    with pytest.raises(ValueError, match=says):
        log_validation_panel(logger, step=0, **panel)
    finish(logger)


def test_display_ignores_outliers_and_scales_each_channel() -> None:
    ramp = np.tile(np.linspace(0, 1, 100, dtype=np.float32), (100, 1))
    hot = ramp.copy()
    hot[0, 0] = 1e6
    shown = to_display(np.stack([hot, -5 * ramp, np.full_like(ramp, 7)]))
    assert shown.shape == (100, 100, 3)
    assert shown.dtype == np.uint8
    assert abs(int(shown[50, 50, 0]) - 129) <= 1
    assert (shown[50, 0, 0], shown[50, 99, 0]) == (0, 255)
    assert (shown[50, 0, 1], shown[50, 99, 1]) == (255, 0)
    assert not shown[..., 2].any()


@pytest.mark.parametrize("channels", [1, 2, 4])
def test_display_of_other_channel_counts_shows_the_first(channels: int) -> None:
    image = np.random.default_rng(0).random((channels, 9, 8), np.float32)
    np.testing.assert_array_equal(to_display(image), to_display(image[0]))


def test_a_run_left_open_does_not_take_the_next_ones_rows(tmp_path: Path) -> None:
    first = opened(tmp_path / "a", run_id="a")
    second = opened(tmp_path / "b", run_id="b")
    first.log_metrics({"val/iou": 0.25}, step=1)
    second.log_metrics({"val/iou": 0.75}, step=1)
    finish(second)
    finish(first)
    wandb.teardown()
    found = {run.run["id"]: [row["val/iou"] for row in run.history] for run in map(read_run, tmp_path.glob("?"))}
    assert found == {"a": [0.25], "b": [0.75]}


def test_nothing_is_printed_and_neither_code_nor_machine_is_recorded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(socket, "gethostname", lambda: "recognisable-host")
    finish(opened(tmp_path))
    assert capfd.readouterr() == ("", "")
    run = written(tmp_path)
    assert [path for path in (run.folder / "files").rglob("*") if path.is_file()] == []
    contents = b"".join(payloads(next(run.folder.glob("*.wandb")).read_bytes()))
    assert b"recognisable-host" not in contents
    assert sys.executable.encode() not in contents


def test_later_runs_are_not_forced_offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WANDB_MODE")
    finish(opened(tmp_path))
    assert "WANDB_MODE" not in os.environ


def test_directory_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"cannot write to .*file") as caught:
        opened(tmp_path / "file" / "run")
    assert "permissions" in caught.value.mend


def test_tag_that_the_server_would_refuse_is_refused_offline_too(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="65 characters"):
        opened(tmp_path, tags=["t" * 65])


def test_online_without_a_key_says_how_to_log_in(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no API key") as caught:
        opened(tmp_path, mode="online")
    assert "wandb login" in caught.value.mend
    assert "logger.mode=offline" in caught.value.mend
    assert not (tmp_path / "wandb").exists()


@pytest.mark.parametrize("where", ["environment", "netrc"])
def test_online_without_an_answer_gives_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str) -> None:
    if where == "environment":
        monkeypatch.setenv("WANDB_API_KEY", GOOD_LOOKING_KEY)
    else:
        netrc = tmp_path / "home" / ".netrc"
        netrc.write_text(f"machine 127.0.0.1:9 login user password {GOOD_LOOKING_KEY}\n")
        netrc.chmod(0o600)
    with pytest.raises(UserError, match="did not open run '0123abcd'") as caught:
        opened(tmp_path, mode="online", init_timeout_s=0.5)
    assert "network" in caught.value.mend
    assert GOOD_LOOKING_KEY not in str(caught.value)


def test_disabled_gives_none_and_imports_no_wandb(tmp_path: Path) -> None:
    code = f"""
import sys
from pathlib import Path
from unet_repro.tracking.wandb_run import finish, open_run
directory = Path({str(tmp_path / "run")!r})
logger = open_run(mode="disabled", project="p", run_id="r", name="n", group="g", tags=[], job_type="train", config={{}},
                  directory=directory, class_names=[])
finish(logger)
assert logger is None and not directory.exists()
assert not {{"wandb", "lightning"}} & set(sys.modules)
"""
    _python(code, {})


def test_offline_run_opens_no_connection_until_the_process_has_ended(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0)
        code = f"""
from pathlib import Path
from unet_repro.tracking.wandb_run import finish, open_run
logger = open_run(mode="offline", project="p", run_id="r", name="n", group="g", tags=[], job_type="train", config={{}},
                  directory=Path({str(tmp_path)!r}), class_names=[])
logger.log_metrics({{"val/iou": 0.5}}, step=1)
finish(logger)
"""
        address = f"http://127.0.0.1:{server.getsockname()[1]}"
        _python(code, {"WANDB_BASE_URL": address, "WANDB_API_KEY": GOOD_LOOKING_KEY})
        with pytest.raises(BlockingIOError):
            server.accept()


def _python(code: str, environment: dict[str, str]) -> None:
    inherited = {key: value for key, value in os.environ.items() if not key.startswith("WANDB_")}
    subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        env=inherited | environment,
        stdin=subprocess.DEVNULL,
        check=True,
        timeout=120,
    )
