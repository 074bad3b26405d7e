"""Trainings that are killed, stopped or have damaged files end like undisturbed trainings."""

import csv
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from tiny import NETWORK, STACK, tiny, warm

from unet_repro.config import check
from unet_repro.errors import RunError, RunHeld, Stopped
from unet_repro.runs import lease
from unet_repro.runs.recorder import Recorder
from unet_repro.train import train
from unet_repro.training.build import run_folder
from unet_repro.training.task import SegmentationTask

LONG = ["trainer.max_steps=60", "trainer.val_every=20", "model.width=8", "optimizer=adam", "schedule=cosine"]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The folder of a training that nobody disturbed."""
    config = tiny(tmp_path_factory.mktemp("whole"), *LONG)
    train(config)
    return run_folder(check(config))


def command(runs_dir: Path, *overrides: str) -> list[str]:
    return [
        sys.executable, "-m", "unet_repro", "train", *STACK, *NETWORK, *LONG, f"runs_dir={runs_dir}",
        "trainer.save_every_s=0", *overrides,
    ]  # fmt: skip


def start(runs_dir: Path, *overrides: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(command(runs_dir, *overrides), stderr=subprocess.PIPE, text=True)


def step_of(folder) -> int:
    return torch.load(folder.last, weights_only=True)["global_step"]


def assert_same(folder, whole):
    assert folder.state == "done"
    assert folder.result_file.read_bytes() == whole.result_file.read_bytes()
    assert folder.history.read_bytes() == whole.history.read_bytes()
    one, two = (torch.load(f.last, weights_only=True)["state_dict"] for f in (folder, whole))
    assert all(torch.equal(one[name], two[name]) for name in two)


class Steps:
    """Raises a signal in this process when a chosen step, or a chosen validation, begins."""

    def __init__(self, monkeypatch, signum, *, at_step=None, at_validation=None):
        training, validation = SegmentationTask.training_step, SegmentationTask.validation_step

        def training_step(task, batch, batch_idx):
            if task.global_step == at_step:
                signal.raise_signal(signum)
            return training(task, batch, batch_idx)

        def validation_step(task, batch, batch_idx, dataloader_idx=0):
            if task.global_step == at_validation:
                signal.raise_signal(signum)
            return validation(task, batch, batch_idx, dataloader_idx)

        monkeypatch.setattr(SegmentationTask, "training_step", training_step)
        monkeypatch.setattr(SegmentationTask, "validation_step", validation_step)


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize(
    "moment",
    [({"at_step": 7}, 8), ({"at_step": 19}, 19), ({"at_validation": 20}, 19), ({"at_step": 20}, 21),
     ({"at_validation": 60}, 59)],
)  # fmt: skip
def test_a_signal_writes_a_checkpoint_from_which_the_run_goes_on_bit_for_bit(
    whole, tmp_path, monkeypatch, signum, moment
):
    when, kept = moment
    config = tiny(tmp_path, *LONG)
    folder = run_folder(check(config))
    before = signal.getsignal(signum)
    with monkeypatch.context() as patch:
        Steps(patch, signum, **when)
        with pytest.raises(Stopped) as stopped:
            train(config)
    assert stopped.value.signum == signum
    assert signal.getsignal(signum) == before
    assert step_of(folder) == kept
    assert folder.state == "partial"
    assert not folder.running
    train(config)
    assert_same(folder, whole)
    assert not folder.previous.exists()


def test_a_signal_where_every_step_is_validated_loses_one_step(tmp_path, monkeypatch):
    options = ["trainer.val_every=1", "trainer.max_steps=4"]
    whole = tiny(tmp_path / "whole", *options)
    train(whole)
    config = tiny(tmp_path / "cut", *options)
    with monkeypatch.context() as patch:
        Steps(patch, signal.SIGTERM, at_validation=3)
        with pytest.raises(Stopped):
            train(config)
    assert step_of(run_folder(check(config))) == 2
    train(config)
    assert_same(run_folder(check(config)), run_folder(check(whole)))


def test_a_schedulers_own_handler_comes_after_the_checkpoint(tmp_path, monkeypatch):
    config = tiny(tmp_path, *LONG)
    folder = run_folder(check(config))
    seen = []
    before = signal.signal(signal.SIGUSR2, lambda signum, frame: seen.append((signum, step_of(folder), folder.running)))
    try:
        with monkeypatch.context() as patch:
            Steps(patch, signal.SIGUSR2, at_step=5)
            with pytest.raises(Stopped):
                train(config)
    finally:
        signal.signal(signal.SIGUSR2, before)
    assert seen == [(signal.SIGUSR2, 6, False)]


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_the_command_stops_within_ten_seconds_says_so_and_goes_on(whole, tmp_path, signum):
    process = start(tmp_path, "trainer.max_steps=4000")
    folder = wait_for_checkpoint(tmp_path)
    asked = time.monotonic()
    process.send_signal(signum)
    _, told = process.communicate(timeout=60)
    assert time.monotonic() - asked < 10
    assert process.returncode == 128 + signum
    assert "stopped; the same command resumes" in told
    assert "Traceback" not in told
    assert folder.state == "partial"


def test_where_ctrl_c_is_ignored_as_by_cron_it_stays_ignored_and_sigterm_stops(tmp_path):
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)  # inherited
    try:
        process = start(tmp_path, "trainer.max_steps=4000")
    finally:
        signal.signal(signal.SIGINT, before)
    folder = wait_for_checkpoint(tmp_path)
    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGTERM)
    _, told = process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGTERM
    assert "SIGTERM: stopping" in told
    assert "SIGINT" not in told
    assert folder.state == "partial"


def wait_for_checkpoint(runs_dir: Path, *, timeout_s: float = 120):
    from unet_repro.runs.folder import RunFolder

    ends = time.monotonic() + timeout_s
    while time.monotonic() < ends:
        for path in runs_dir.glob("*/last.ckpt"):
            return RunFolder(path.parent)
        time.sleep(0.02)
    raise AssertionError("no checkpoint came")


def test_killed_at_any_moment_it_ends_bit_for_bit_like_an_undisturbed_one(whole, tmp_path):
    rng = random.Random(0)
    folder = None
    for _ in range(4):
        process = warm().start(command(tmp_path)[3:], tmp_path)
        folder = wait_for_checkpoint(tmp_path)
        begun = folder.last.stat().st_mtime_ns
        while process.poll() is None and folder.last.exists() and folder.last.stat().st_mtime_ns == begun:
            time.sleep(0.005)
        time.sleep(rng.uniform(0, 0.3))
        if process.poll() is None:
            os.kill(process.pid, signal.SIGKILL)
        process.wait()
        if folder.state == "done":
            break
    assert warm().start(command(tmp_path)[3:], tmp_path).wait() == 0
    assert_same(folder, whole)
    with folder.history.open() as file:
        assert [int(row["step"]) for row in csv.DictReader(file)] == [20, 40, 60]
    assert not list(folder.path.glob(".*.part"))


def half_done(runs_dir, monkeypatch, *overrides):
    """A run stopped after step 31, with two checkpoints."""
    config = tiny(runs_dir, *LONG, "trainer.save_every_s=0", *overrides)
    with monkeypatch.context() as patch:
        patch.setattr("unet_repro.runs.recorder.SAVING_SHARE", 1e9)
        Steps(patch, signal.SIGTERM, at_step=30)
        with pytest.raises(Stopped):
            train(config)
    folder = run_folder(check(config))
    assert folder.last.exists()
    assert folder.previous.exists()
    return config, folder


def truncate(path):
    os.truncate(path, path.stat().st_size // 2)


def flip_a_bit(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))


@pytest.mark.parametrize("damage", [truncate, flip_a_bit, Path.unlink])
def test_a_damaged_checkpoint_is_recognised_and_the_one_before_it_used(whole, tmp_path, monkeypatch, capfd, damage):
    config, folder = half_done(tmp_path, monkeypatch)
    damage(folder.last)
    train(config)
    assert_same(folder, whole)
    if damage is not Path.unlink:
        assert "damaged" in capfd.readouterr().err


def test_without_a_whole_checkpoint_the_run_is_refused_not_restarted_in_silence(tmp_path, monkeypatch):
    config, folder = half_done(tmp_path, monkeypatch)
    truncate(folder.last)
    folder.previous.unlink()
    with pytest.raises(RunError, match="damaged"):
        train(config)
    assert folder.error.read_text().splitlines()[0].startswith("RunError: ")


def test_a_run_killed_between_its_last_checkpoint_and_its_result_ends_without_training(whole, tmp_path, monkeypatch):
    shutil.copytree(whole.path, tmp_path / whole.run_id)
    config = tiny(tmp_path, *LONG)
    folder = run_folder(check(config))
    folder.result_file.unlink()
    folder.best.unlink()
    monkeypatch.setattr(SegmentationTask, "training_step", lambda *_: pytest.fail("trained again"))
    train(config)
    assert_same(folder, whole)
    one, two = (torch.load(f.best, weights_only=True)["state_dict"] for f in (folder, whole))
    assert all(torch.equal(one[name], two[name]) for name in two)


def test_a_clock_that_goes_back_changes_nothing(whole, tmp_path, monkeypatch):
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now - 3600 * random.random())
    config, folder = half_done(tmp_path, monkeypatch)
    os.utime(folder.last, (1, 1))  # older than the one before, by the clock
    train(config)
    assert_same(folder, whole)


def test_a_full_disk_is_told_and_the_run_goes_on_once_there_is_room(whole, tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=600k", "tmpfs", disk], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("mounting a small disk needs root")
    try:
        done = subprocess.run(command(disk), capture_output=True, text=True, check=False)
        assert done.returncode == 2
        assert "No space left" in done.stderr or "cannot save the checkpoint" in done.stderr
        assert "free some space" in done.stderr
        subprocess.run(["mount", "-o", "remount,size=64m", disk], check=True)
        subprocess.run(command(disk), check=True, capture_output=True)
        assert_same(run_folder(check(tiny(disk, *LONG))), whole)
    finally:
        subprocess.run(["umount", disk], check=True)


def test_a_worker_that_was_taken_over_stops_and_is_no_failure(tmp_path, monkeypatch):
    monkeypatch.setattr(lease, "BEAT_S", 0.01)
    config = tiny(tmp_path, *LONG)
    folder = run_folder(check(config))
    begun = Recorder.on_train_start

    def robbed(recorder, trainer, pl_module):
        begun(recorder, trainer, pl_module)
        record = folder.path / lease.RECORD
        record.write_text(record.read_text().replace(recorder.lease.holder.token, "another one's"))
        time.sleep(0.2)

    monkeypatch.setattr(Recorder, "on_train_start", robbed)
    with pytest.raises(RunHeld, match="taken over"):
        train(config)
    assert not folder.error.exists()
