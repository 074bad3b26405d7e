"""A run written by W&B offline, read back from its file; nothing here leaves the machine."""

import json
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

from unet_repro.errors import RunError, UserError
from unet_repro.tracking import offline
from unet_repro.tracking.offline import is_complete, write_offline_run
from unet_repro.tracking.panels import Panel, log_panel, to_display
from unet_repro.tracking.reading import OfflineRun, offline_file, read_run
from unet_repro.tracking.wandb_run import log_rows, open_run

CLASS_NAMES = ["membrane", "cell"]
CONFIG = {"optimizer": {"name": "adam", "lr": 1e-3}, "tiles": {"sizes": [188, 204]}, "notes": None}
NO_SERVER = "http://127.0.0.1:9"
GOOD_LOOKING_KEY = "k" * 40
BLOCK_BYTES = 32 * 1024  # of a .wandb file; a longer record is split


@pytest.fixture(autouse=True)
def _no_network_no_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    wandb.teardown()  # else the address of a process that has ended comes back with the other variables
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
    path = offline_file(directory)
    assert path is not None
    return read_run(path)


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
    """Arguments of a panel."""
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
    opened(tmp_path).finish()
    run = written(tmp_path)
    assert run.run == {
        "id": "0123abcd",
        "name": "adam seed 1",
        "group": "optimizer",
        "entity": None,
        "project": "unet-repro",
        "job_type": "train",
        "tags": ["cpu", "isbi2012"],
    }
    assert {key: value for key, value in run.config.items() if key != "_wandb"} == CONFIG | {"class_names": CLASS_NAMES}


def test_history_and_summary_come_back_over_the_global_step(tmp_path: Path) -> None:
    run = opened(tmp_path)
    rows = [{"step": step, "train/loss": 1 / (step + 1), "val/iou": step / 100} for step in range(0, 50, 10)]
    for known in range(len(rows) + 1):
        log_rows(run, rows[:known])
    run.summary["best/iou"] = 0.4
    run.finish()
    run = written(tmp_path)
    for key in ("train/loss", "val/iou"):
        assert [(row["trainer/global_step"], row[key]) for row in run.history] == [(r["step"], r[key]) for r in rows]
    assert [row["_step"] for row in run.history] == list(range(5))
    assert run.summary["best/iou"] == 0.4
    assert run.summary["val/iou"] == 0.4
    assert run.metrics == {"trainer/global_step": ("", False), "*": ("trainer/global_step", True)}


def test_records_longer_than_a_block_are_read_whole(tmp_path: Path) -> None:
    run = opened(tmp_path)
    keys = [f"val/metric_{number:05}" for number in range(2000)]
    log_rows(run, [{"step": step} | {key: index + step for index, key in enumerate(keys)} for step in range(3)])
    run.finish()
    run = written(tmp_path)
    assert next(run.folder.glob("*.wandb")).stat().st_size > 3 * BLOCK_BYTES
    assert [row["val/metric_01999"] for row in run.history] == [1999, 2000, 2001]


@pytest.mark.parametrize("exit_code", [0, 3])
def test_exit_code_is_recorded(tmp_path: Path, exit_code: int) -> None:
    opened(tmp_path).finish(exit_code=exit_code)
    assert written(tmp_path).exit_code == exit_code


def test_panel_keeps_images_masks_and_class_names(tmp_path: Path, panel: dict[str, Any]) -> None:
    offline = opened(tmp_path)
    log_rows(offline, [{"step": 10, "val/iou": 0.1}, {"step": 20, "val/iou": 0.2}])
    log_panel(offline, Panel(**panel), step=20)
    offline.finish()
    run = written(tmp_path)
    assert [row["trainer/global_step"] for row in run.history] == [10, 20, 20]
    logged = run.history[2]["val/panel"]
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


def test_ignored_pixels_are_shown_under_a_name_of_their_own(tmp_path: Path, panel: dict[str, Any]) -> None:
    panel["truths"][0] = panel["truths"][0].copy()
    panel["truths"][0][:3] = 255
    offline = opened(tmp_path)
    log_panel(offline, Panel(**panel), step=0)
    offline.finish()
    run = written(tmp_path)
    path = run.history[0]["val/panel"]["all_masks"][0]["ground_truth"]["path"]
    np.testing.assert_array_equal(media(run, path), panel["truths"][0])
    assert "ignored" in json.dumps(run.config["_wandb"]["mask/class_labels"])


def test_smaller_images_are_filled_up_below_and_to_the_right(tmp_path: Path, panel: dict[str, Any]) -> None:
    for kind in ("images", "truths", "predictions"):
        panel[kind][1] = panel[kind][1][:15, :25]
    offline = opened(tmp_path)
    log_panel(offline, Panel(**panel), step=0)
    offline.finish()
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
    panel: dict[str, Any], spoil: Callable[[dict[str, Any]], None], says: str
) -> None:
    spoil(panel)
    with pytest.raises(ValueError, match=says):
        Panel(**panel)


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
    log_rows(first, [{"step": 1, "val/iou": 0.25}])
    log_rows(second, [{"step": 1, "val/iou": 0.75}])
    second.finish()
    first.finish()
    found = {run.run["id"]: [row["val/iou"] for row in run.history] for run in map(written, tmp_path.glob("?"))}
    assert found == {"a": [0.25], "b": [0.75]}


def test_nothing_is_printed_and_neither_code_nor_machine_is_recorded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(socket, "gethostname", lambda: "recognisable-host")
    opened(tmp_path).finish()
    assert capfd.readouterr() == ("", "")
    run = written(tmp_path)
    assert [path for path in (run.folder / "files").rglob("*") if path.is_file()] == []
    contents = next(run.folder.glob("*.wandb")).read_bytes()
    assert len(contents) < BLOCK_BYTES, "no record is split"
    assert b"recognisable-host" not in contents
    assert sys.executable.encode() not in contents


def test_later_runs_are_not_forced_offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WANDB_MODE")
    opened(tmp_path).finish()
    assert "WANDB_MODE" not in os.environ


def test_directory_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"cannot write to .*file") as caught:
        opened(tmp_path / "file" / "run")
    assert "permissions" in caught.value.hint


def test_tag_that_the_server_would_refuse_is_refused_offline_too(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="65 characters"):
        opened(tmp_path, tags=["t" * 65])


def test_online_without_a_key_says_how_to_log_in(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no API key") as caught:
        opened(tmp_path, mode="online")
    assert "wandb login" in caught.value.hint
    assert "logger.mode=offline" in caught.value.hint
    assert not (tmp_path / "wandb").exists()


@pytest.mark.parametrize("where", ["environment", "netrc"])
def test_online_without_an_answer_gives_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str) -> None:
    if where == "environment":
        monkeypatch.setenv("WANDB_API_KEY", GOOD_LOOKING_KEY)
    else:
        netrc = tmp_path / "home" / ".netrc"
        netrc.write_text(f"machine 127.0.0.1:9 login user password {GOOD_LOOKING_KEY}\n")
        netrc.chmod(0o600)
    with pytest.raises(UserError, match="could not open run '0123abcd'") as caught:
        opened(tmp_path, mode="online", init_timeout_s=0.5)
    assert "network" in caught.value.hint
    assert GOOD_LOOKING_KEY not in str(caught.value)


def test_disabled_writes_nothing_and_imports_no_wandb(tmp_path: Path) -> None:
    code = f"""
import sys
from pathlib import Path
from types import SimpleNamespace
from unet_repro.tracking.mirror import mirror_finished
directory = Path({str(tmp_path / "run")!r})
config, folder = SimpleNamespace(logger=SimpleNamespace(mode="disabled")), SimpleNamespace(path=directory)
mirror_finished(SimpleNamespace(config=config, folder=folder, tiles=None), None, {{}})
assert not directory.exists()
assert "wandb" not in sys.modules
"""
    _python(code, {})


def write(directory: Path, **changes: Any) -> Path:
    arguments: dict[str, Any] = {
        "directory": directory,
        "run_id": "0123abcd",
        "project": "unet-repro",
        "name": "adam, seed 1",
        "group": "optimizer",
        "tags": ["cpu"],
        "job_type": "train",
        "config": CONFIG,
        "rows": [{"step": step, "val/iou": step / 100} for step in (10, 20, 30)],
        "panel": None,
        "summary": {"best/val/iou": 0.3},
    }
    return write_offline_run(**arguments | changes)


def test_the_offline_run_is_whole_when_it_is_written(tmp_path: Path, panel: dict[str, Any]) -> None:
    run = read_run(write(tmp_path, panel=Panel(**panel)))
    assert run.exit_code == 0
    assert [row["trainer/global_step"] for row in run.history] == [10, 20, 30, 30]
    assert len(run.history[-1]["val/panel"]["all_masks"]) == 2
    assert (run.summary["best/val/iou"], run.summary["val/iou"]) == (0.3, 0.3)
    assert run.config["class_names"] == CLASS_NAMES


def test_what_a_killed_attempt_left_is_replaced(tmp_path: Path) -> None:
    unfinished = opened(tmp_path)
    log_rows(unfinished, [{"step": 10, "val/iou": 0.1}])
    assert len(list(tmp_path.glob("wandb/offline-run-*"))) == 1
    run = read_run(write(tmp_path))
    assert [row["val/iou"] for row in run.history] == [0.1, 0.2, 0.3]
    assert list(tmp_path.glob("wandb/offline-run-*")) == [run.folder]


def test_a_run_is_written_although_the_process_of_w_and_b_was_killed(tmp_path: Path) -> None:
    code = f"""
import os, signal
from pathlib import Path
from unet_repro.tracking.offline import write_offline_run
def write(name):
    write_offline_run(directory=Path({str(tmp_path)!r}) / name, run_id="r", project="p", name="n", group="g", tags=[],
                      job_type="train", config={{}}, rows=[{{"step": 1, "val/iou": 0.5}}], panel=None, summary={{}})
write("first")
children = Path(f"/proc/{{os.getpid()}}/task/{{os.getpid()}}/children").read_text().split()
(core,) = [pid for pid in children if Path(f"/proc/{{pid}}/comm").read_text() == "wandb-core\\n"]
os.kill(int(core), signal.SIGKILL)
write("second")
"""
    _python(code, {})
    assert [row["val/iou"] for row in written(tmp_path / "second").history] == [0.5]


def test_a_file_that_stays_unfinished_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(offline, "is_complete", lambda *_, **__: False)
    with pytest.raises(RunError, match="did not complete") as caught:
        write(tmp_path, wait_s=0.02)
    assert "free some space" in caught.value.hint


@pytest.mark.parametrize("cut", [1, 20, 2000])
def test_a_truncated_file_is_not_complete_and_is_read_as_far_as_it_goes(tmp_path: Path, cut: int) -> None:
    path = write(tmp_path)
    assert is_complete(tmp_path, run_id="0123abcd", num_rows=3)
    path.write_bytes(path.read_bytes()[:-cut])
    assert not is_complete(tmp_path, run_id="0123abcd", num_rows=3)
    assert read_run(path).exit_code is None


def test_a_damaged_byte_an_image_less_and_another_run_are_noticed(tmp_path: Path, panel: dict[str, Any]) -> None:
    path = write(tmp_path, panel=Panel(**panel))
    assert is_complete(tmp_path, run_id="0123abcd", num_rows=3)
    assert not is_complete(tmp_path, run_id="0123abcd", num_rows=4)
    assert not is_complete(tmp_path, run_id="another", num_rows=3)
    whole = path.read_bytes()
    path.write_bytes(whole[:500] + bytes([whole[500] ^ 1]) + whole[501:])
    assert not is_complete(tmp_path, run_id="0123abcd", num_rows=3)
    path.write_bytes(whole)
    next(path.parent.rglob("*.png")).unlink()
    assert not is_complete(tmp_path, run_id="0123abcd", num_rows=3)
    assert not is_complete(tmp_path / "nothing", run_id="0123abcd", num_rows=3)


def test_offline_run_opens_no_connection_until_the_process_has_ended(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0)
        code = f"""
from pathlib import Path
from unet_repro.tracking.wandb_run import log_rows, open_run
run = open_run(mode="offline", project="p", run_id="r", name="n", group="g", tags=[], job_type="train", config={{}},
                  directory=Path({str(tmp_path)!r}), class_names=[])
log_rows(run, [{{"step": 1, "val/iou": 0.5}}])
run.finish()
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


def test_damage_in_an_early_block_is_noticed_although_the_last_record_is_there(tmp_path: Path) -> None:
    rows = [{"step": step} | {f"val/metric_{number:05}": number for number in range(2000)} for step in range(3)]
    path = write(tmp_path, rows=rows)
    whole = path.read_bytes()
    path.write_bytes(whole[:500] + bytes([whole[500] ^ 1]) + whole[501:])
    assert read_run(path).exit_code is None


def test_a_file_that_is_no_wandb_file_or_empty_holds_nothing(tmp_path: Path) -> None:
    path = tmp_path / "wandb" / "offline-run-1-a" / "run-a.wandb"
    path.parent.mkdir(parents=True)
    for content in (b"", b":W&B", b"no run at all"):
        path.write_bytes(content)
        assert read_run(path) == OfflineRun(path.parent)
