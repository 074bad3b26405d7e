"""``wandb-sync`` and online runs, with W&B's real client against a recording server on loopback."""

import json
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import wandb
import yaml
from filelock import FileLock
from wandb_server import KEY, WandbServer, serving

from unet_repro.commands.wandb_sync import main
from unet_repro.errors import RunError, UserError
from unet_repro.runs.folder import RunFolder
from unet_repro.runs.ledger import Entry, Ledger
from unet_repro.tracking.finished import write_finished
from unet_repro.tracking.offline import is_complete
from unet_repro.tracking.panels import Panel
from unet_repro.tracking.reading import offline_file
from unet_repro.tracking.upload import Upload, has_arrived
from unet_repro.tracking.wandb_run import log_rows, open_run

ROWS = [{"step": step, "train/loss": 1 / step, "val/iou": step / 1000} for step in range(10, 410, 10)]


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[WandbServer]:
    (tmp_path / "cwd").mkdir()
    monkeypatch.chdir(tmp_path / "cwd")
    with serving(tmp_path / "home", monkeypatch) as running:
        yield running


@pytest.fixture
def runs_dir(tmp_path: Path) -> Path:
    return tmp_path / "runs"


@pytest.fixture
def sync(runs_dir: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str]]:
    def call(*arguments: str) -> tuple[int, str]:
        wandb.teardown()
        capsys.readouterr()
        status = 0
        try:
            main([*arguments, "--runs-dir", str(runs_dir)])
        except SystemExit as stopped:
            status = int(str(stopped.code))
        return status, capsys.readouterr().out

    return call


def finished(runs_dir: Path, run_id: str, *, mode: str = "offline", **logger: Any) -> RunFolder:
    """A finished run's folder, as a training would leave it, without W&B's part."""
    folder = RunFolder(runs_dir / run_id)
    folder.path.mkdir(parents=True)
    config = {
        "optimizer": {"name": "adam", "lr": 1e-3},
        "experiment": {"name": "optimizer"},
        "arm": "Adam",
        "seed": 1,
        "scale": "cpu",
        "logger": {"mode": mode, "project": "unet-repro", **logger},
    }
    folder.config.write_text(yaml.safe_dump(config))
    lines = [",".join(ROWS[0]), *(",".join(map(repr, row.values())) for row in ROWS)]
    folder.history.write_text("\n".join(lines) + "\n")
    folder.provenance.write_text(json.dumps({"seconds": 12.5}))
    result = {"run_id": run_id, "data": "isbi2012", "final": ROWS[-1], "best": ROWS[-2], "parameters": 99}
    folder.result_file.write_text(json.dumps(result))
    return folder


def mirrored(runs_dir: Path, run_id: str, panel: Panel | None = None) -> RunFolder:
    """The same with the offline run that its training wrote."""
    folder = finished(runs_dir, run_id)
    outcome = folder.outcome()
    assert outcome is not None
    write_finished(folder.path, config=folder.settings(), rows=folder.history_rows(), outcome=outcome, panel=panel)
    return folder


@pytest.fixture
def panel() -> Panel:
    rng = np.random.default_rng(0)
    return Panel(
        keys=["train/28"],
        images=[rng.normal(size=(20, 30)).astype(np.float32)],
        truths=[rng.integers(0, 2, (20, 30), np.uint8)],
        predictions=[rng.integers(0, 2, (20, 30), np.uint8)],
        class_names=["membrane", "cell"],
    )


def measures(rows: list[dict[str, Any]]) -> list[dict[str, float]]:
    return [
        {"step": row["trainer/global_step"], "train/loss": row["train/loss"], "val/iou": row["val/iou"]}
        for row in rows
        if "val/iou" in row
    ]


def test_a_run_arrives_whole_with_its_identity(
    server: WandbServer, runs_dir: Path, sync: Callable[..., tuple[int, str]], panel: Panel
) -> None:
    mirrored(runs_dir, "0123abcd", panel)
    status, said = sync()
    assert status == 0
    assert f"uploaded (1) to {server.address}/team/unet-repro" in said
    assert list(server.runs) == ["0123abcd"]
    run = server.runs["0123abcd"]
    assert (run["groupName"], run["displayName"]) == ("optimizer", "optimizer / Adam, seed 1")
    assert run["tags"] == ["cpu", "isbi2012"]
    assert (run["project"], run["jobType"]) == ("unet-repro", "train")
    assert json.loads(run["config"])["optimizer"]["value"] == {"name": "adam", "lr": 1e-3}
    assert measures(server.history("0123abcd")) == ROWS
    images = {name for name in server.files["0123abcd"] if name.endswith(".png")}
    assert len([name for name in images if name.startswith("media/images/mask/")]) == 2
    assert len(images) == 3
    assert not list(Path.cwd().iterdir()), "no logs are left where the user stands"


def test_the_summary_has_what_runs_are_sorted_by(
    server: WandbServer, runs_dir: Path, sync: Callable[..., tuple[int, str]]
) -> None:
    mirrored(runs_dir, "0123abcd")
    sync()
    summary = server.summary("0123abcd")
    assert (summary["best/val/iou"], summary["final/val/iou"], summary["seconds"]) == (0.39, 0.4, 12.5)


def test_a_second_call_sends_nothing_and_says_so(
    server: WandbServer, runs_dir: Path, sync: Callable[..., tuple[int, str]]
) -> None:
    mirrored(runs_dir, "a")
    mirrored(runs_dir, "b")
    assert "uploaded (2)" in sync()[1]
    server.requests.clear()
    status, said = sync()
    assert status == 0
    assert "nothing to upload\nalready uploaded (2):\n  a  optimizer / Adam, seed 1" in said
    assert server.requests == []
    assert "uploaded (2)" in sync("--force")[1]
    assert measures(server.history("a")) == ROWS


def test_only_the_named_comparison_goes(
    server: WandbServer, runs_dir: Path, sync: Callable[..., tuple[int, str]]
) -> None:
    for name, experiment in (("a", "optimizer"), ("b", "tile_size")):
        mirrored(runs_dir, name)
        entry = Entry(experiment, "an arm", 3, "cpu", "isbi2012", "", name, (), 1.0, "c0ffee")
        Ledger(runs_dir).record([entry])
    assert sync("tile_size")[1].endswith("  b  tile_size / an arm, seed 3\n")
    assert list(server.runs) == ["b"]
    with pytest.raises(RunError, match="no runs of 'tiles'") as caught:
        sync("tiles")
    assert "optimizer, tile_size" in caught.value.hint


def test_unfinished_runs_are_named_and_the_others_go(
    server: WandbServer, runs_dir: Path, sync: Callable[..., tuple[int, str]]
) -> None:
    mirrored(runs_dir, "done")
    for name in ("failed", "partial"):
        finished(runs_dir, name).result_file.unlink()
    RunFolder(runs_dir / "failed").error.write_text("TrainingError: the loss is nan\n\ntrace\n")
    RunFolder(runs_dir / "partial").last.touch()
    RunFolder(runs_dir / "partial").progress.write_text('{"step": 40, "of": 80, "seconds": 1}')
    status, said = sync()
    assert status == 1
    assert "uploaded (1)" in said
    assert "failed  optimizer / Adam, seed 1: failed: TrainingError: the loss is nan\n" in said
    assert "partial  optimizer / Adam, seed 1: unfinished, at step 40 of 80\n" in said


def _never_written(folder: RunFolder) -> None:
    shutil.rmtree(folder.path / "wandb")


def _truncated(folder: RunFolder) -> None:
    path = offline_file(folder.path)
    assert path is not None
    path.write_bytes(path.read_bytes()[:-20])


def _flipped(folder: RunFolder) -> None:
    path = offline_file(folder.path)
    assert path is not None
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def _twice(folder: RunFolder) -> None:
    path = offline_file(folder.path)
    assert path is not None
    shutil.copytree(path.parent, path.parent.with_name("offline-run-20200101_000000-a"))


@pytest.mark.parametrize("spoil", [_never_written, _truncated, _flipped, _twice])
def test_what_is_missing_or_damaged_is_rebuilt_from_the_history(
    server: WandbServer, runs_dir: Path, sync: Callable[..., tuple[int, str]], spoil: Callable[[RunFolder], None]
) -> None:
    folder = mirrored(runs_dir, "a")
    spoil(folder)
    assert not is_complete(folder.path, run_id="a", num_rows=len(ROWS))
    assert sync()[0] == 0
    assert measures(server.history("a")) == ROWS
    assert len(list(folder.path.glob("wandb/offline-run-*"))) == 1


def test_a_run_that_went_online_is_there_already(
    server: WandbServer, runs_dir: Path, sync: Callable[..., tuple[int, str]]
) -> None:
    finished(runs_dir, "a", mode="online")
    assert "already uploaded (1)" in sync()[1]
    assert server.requests == []
    assert "uploaded (1)" in sync("--force")[1]
    assert measures(server.history("a")) == ROWS


def test_a_run_whose_folder_is_damaged_does_not_stop_the_others(
    server: WandbServer, runs_dir: Path, sync: Callable[..., tuple[int, str]]
) -> None:
    mirrored(runs_dir, "a")
    finished(runs_dir, "b").history.write_text("step,val/iou\n10,half\n")
    status, said = sync()
    assert status == 1
    assert "uploaded (1)" in said
    assert f"b  optimizer / Adam, seed 1: {runs_dir / 'b' / 'history.csv'} is damaged" in said


@pytest.mark.parametrize("status", [401, 500])
def test_a_server_that_lets_nobody_in_is_told_before_anything_is_sent(
    server: WandbServer, runs_dir: Path, sync: Callable[..., tuple[int, str]], status: int
) -> None:
    mirrored(runs_dir, "a")
    server.refusals["Viewer"] = status
    with pytest.raises(UserError, match="refused by the test") as caught:
        sync()
    assert server.address in caught.value.hint
    assert KEY not in str(caught.value)
    assert set(server.requests) == {"Viewer"}


def test_no_server_is_told_at_once(
    server: WandbServer, runs_dir: Path, sync: Callable[..., tuple[int, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    mirrored(runs_dir, "a")
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    monkeypatch.setenv("WANDB_BASE_URL", f"http://127.0.0.1:{port}")
    with pytest.raises(UserError, match="login was rejected"):
        sync()


def test_no_key_or_none_that_could_be_one_is_told_before_anything_is_sent(
    server: WandbServer, runs_dir: Path, sync: Callable[..., tuple[int, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    mirrored(runs_dir, "a")
    monkeypatch.delenv("WANDB_API_KEY")
    with pytest.raises(UserError, match="no API key") as caught:
        sync()
    assert "wandb-sync" not in caught.value.hint, "it would send one in a circle"
    monkeypatch.setenv("WANDB_API_KEY", "short")
    with pytest.raises(UserError, match="40"):
        sync()
    assert server.requests == []


def test_what_the_hint_without_a_key_says_works(
    server: WandbServer, runs_dir: Path, sync: Callable[..., tuple[int, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    mirrored(runs_dir, "a")
    monkeypatch.delenv("WANDB_API_KEY")
    with pytest.raises(UserError, match="no API key") as caught:
        sync()
    assert caught.value.hint.startswith("run `wandb login` and repeat the command")
    login = [sys.executable, "-m", "wandb", "login", KEY, "--host", server.address]
    subprocess.run(login, check=True, capture_output=True, timeout=60)
    assert "uploaded (1)" in sync()[1]


def test_plain_wandb_sync_finds_all_offline_runs_and_its_uploads_count(
    server: WandbServer, runs_dir: Path, sync: Callable[..., tuple[int, str]], panel: Panel
) -> None:
    for name in "ab":
        mirrored(runs_dir, name, panel)
    assert sorted(path.name.rpartition("-")[2] for path in (runs_dir / "wandb").iterdir()) == ["a", "b"]
    command = [sys.executable, "-m", "wandb", "sync", "--yes"]
    subprocess.run(command, cwd=runs_dir, check=True, capture_output=True, timeout=60)
    for name in "ab":
        assert measures(server.history(name)) == ROWS
        assert len([file for file in server.files[name] if file.endswith(".png")]) == 3
    assert "nothing to upload\nalready uploaded (2)" in sync()[1]


def test_the_checkpoints_of_a_run_that_asks_for_it_arrive_as_artifacts(
    server: WandbServer, runs_dir: Path, sync: Callable[..., tuple[int, str]]
) -> None:
    folder = finished(runs_dir, "a", checkpoints=True)
    for file in (folder.best, folder.last, folder.network):
        file.write_text(file.name)
    outcome = folder.outcome()
    assert outcome is not None
    write_finished(folder.path, config=folder.settings(), rows=folder.history_rows(), outcome=outcome, panel=None)
    assert sync()[0] == 0
    assert [(made["artifactCollectionName"], made["artifactTypeName"]) for made in server.artifacts] == [
        ("model-a", "model")
    ] * 2
    aliases = [{alias["alias"] for alias in made["aliases"]} for made in server.artifacts]
    assert aliases == [{"latest", "best"}, {"latest", "last"}], "the last one keeps `latest`"
    assert json.loads(server.artifacts[0]["metadata"])["step"] == ROWS[-2]["step"]
    for name in ("best.ckpt", "last.ckpt", "network.json"):
        assert server.contents[f"/put/artifact/{name}"] == name.encode()
    assert server.contents["/put/artifact/config.yaml"] == folder.config.read_bytes()


def test_checkpoints_of_a_moved_folder_are_found_again(
    server: WandbServer, runs_dir: Path, sync: Callable[..., tuple[int, str]]
) -> None:
    folder = finished(runs_dir.with_name("cluster"), "a", checkpoints=True)
    for file in (folder.best, folder.last, folder.network):
        file.write_text(file.name)
    outcome = folder.outcome()
    assert outcome is not None
    write_finished(folder.path, config=folder.settings(), rows=folder.history_rows(), outcome=outcome, panel=None)
    runs_dir.with_name("cluster").rename(runs_dir)
    assert sync()[0] == 0
    assert server.contents["/put/artifact/best.ckpt"] == b"best.ckpt"


def test_an_artifact_that_the_server_refuses_is_an_upload_that_failed(
    server: WandbServer, runs_dir: Path, sync: Callable[..., tuple[int, str]]
) -> None:
    folder = finished(runs_dir, "a", checkpoints=True)
    for file in (folder.best, folder.last, folder.network):
        file.write_text(file.name)
    server.refusals["CreateArtifact"] = 403
    assert sync()[0] == 1
    server.refusals.clear()
    assert sync()[0] == 0


@pytest.mark.parametrize("refusal", [("UpsertBucket", 401), ("file_stream", 500), ("media/", 403)])
def test_a_run_that_the_server_refuses_in_part_does_not_count_as_uploaded(
    server: WandbServer, runs_dir: Path, sync: Callable[..., tuple[int, str]], panel: Panel, refusal: tuple[str, int]
) -> None:
    path = offline_file(mirrored(runs_dir, "a", panel).path)
    assert path is not None
    server.refusals |= [refusal]
    exit_status, said = sync()
    assert exit_status == 1
    assert "not uploaded (1):\n  a  optimizer / Adam, seed 1: " in said
    assert "refused by the test" in said
    assert not has_arrived(path)
    server.refusals.clear()
    assert sync()[0] == 0
    assert measures(server.history("a")) == ROWS


def test_a_run_that_is_refused_does_not_stop_the_others(
    server: WandbServer, runs_dir: Path, sync: Callable[..., tuple[int, str]]
) -> None:
    for name in "abc":
        mirrored(runs_dir, name)
    server.refusals["/b/file_stream"] = 404
    status, said = sync()
    assert status == 1
    assert "uploaded (2)" in said
    assert "not uploaded (1):\n  b  optimizer / Adam, seed 1: filestream: fatal error" in said
    assert [measures(server.history(name)) for name in "ac"] == [ROWS, ROWS]


def test_an_interrupted_upload_counts_for_nothing_until_it_is_done_again(
    server: WandbServer, runs_dir: Path, sync: Callable[..., tuple[int, str]]
) -> None:
    def interrupt(done: int) -> None:
        raise KeyboardInterrupt

    path = offline_file(mirrored(runs_dir, "a").path)
    assert path is not None
    with pytest.raises(KeyboardInterrupt):
        Upload([path], address=server.address, entity=None, on_done=interrupt).run()
    assert not has_arrived(path)
    assert "uploaded (1)" in sync()[1]
    assert has_arrived(path)
    assert measures(server.history("a")) == ROWS


def test_an_upload_whose_checking_was_killed_is_done_again(
    server: WandbServer, runs_dir: Path, sync: Callable[..., tuple[int, str]]
) -> None:
    path = offline_file(mirrored(runs_dir, "a").path)
    assert path is not None
    sync()
    path.with_name(path.name + ".unchecked").touch()
    assert "uploaded (1)" in sync()[1]
    assert "nothing to upload" in sync()[1]


def test_a_second_wandb_sync_at_once_is_refused(
    server: WandbServer, runs_dir: Path, sync: Callable[..., tuple[int, str]]
) -> None:
    mirrored(runs_dir, "a")
    with FileLock(runs_dir / ".wandb-sync.lock"), pytest.raises(RunError, match="another wandb-sync"):
        sync()


def test_runs_go_to_the_team_that_is_asked_for(
    server: WandbServer, runs_dir: Path, sync: Callable[..., tuple[int, str]]
) -> None:
    mirrored(runs_dir, "a")
    sync("--entity", "lab")
    assert server.runs["a"]["entity"] == "lab"


def test_wandb_sync_imports_no_torch() -> None:
    code = "import sys, unet_repro.commands.wandb_sync; assert not {'torch', 'wandb'} & set(sys.modules)"
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True, timeout=120)


def test_settings_that_turn_w_and_b_off_do_not_turn_the_upload_off(
    server: WandbServer, runs_dir: Path, sync: Callable[..., tuple[int, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    mirrored(runs_dir, "a")
    monkeypatch.setenv("WANDB_MODE", "offline")
    assert sync()[0] == 0
    assert measures(server.history("a")) == ROWS


def test_runs_of_a_moved_folder_go_with_their_images(
    server: WandbServer, runs_dir: Path, sync: Callable[..., tuple[int, str]], panel: Panel
) -> None:
    mirrored(runs_dir.with_name("cluster"), "a", panel)
    runs_dir.with_name("cluster").rename(runs_dir)
    sync()
    assert len([name for name in server.files["a"] if name.endswith(".png")]) == 3


def test_an_online_run_that_was_killed_goes_on_without_a_gap_or_a_double_row(
    server: WandbServer, tmp_path: Path
) -> None:
    arguments: dict[str, Any] = {
        "mode": "online", "project": "p", "run_id": "a", "name": "n", "group": "g", "tags": [], "job_type": "train",
        "config": {}, "class_names": ["membrane", "cell"],
    }  # fmt: skip
    run = open_run(**arguments, directory=tmp_path / "run")
    log_rows(run, ROWS[:4])
    run.finish(exit_code=1)
    resumed = open_run(**arguments, directory=tmp_path / "run")
    for known in (2, 7, 8):  # an older checkpoint first; then rows that were written down, not sent
        log_rows(resumed, ROWS[:known])
    resumed.finish()
    assert measures(server.history("a")) == ROWS[:8]
