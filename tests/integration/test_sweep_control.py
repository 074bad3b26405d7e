"""Sweeps say what they would do and how far they are, list what failed, and share their work with one another."""

import json
import os
import shutil
import subprocess
import sys
import time
from dataclasses import replace

import pytest
from tiny import NETWORK, STACK, unet_repro

from unet_repro.report.record import RecordOfScale
from unet_repro.runs.folder import RunFolder
from unet_repro.runs.lease import RECORD, hold
from unet_repro.runs.ledger import Ledger
from unet_repro.trial.run_record import record_of

SLOW = "+experiment.arms.slow=['optimizer.lr=1e-4']"
SWEEP = ["train", "-m", *STACK, *NETWORK, "experiment=optimizer", SLOW]
BROKEN = "+experiment.arms.broken=['optimizer.lr=1e30']"


@pytest.fixture(scope="module")
def swept(tmp_path_factory):
    """A comparison of three arms that are done and one that has failed."""
    folder = tmp_path_factory.mktemp("swept")
    done = unet_repro(*SWEEP, BROKEN, cwd=folder)
    return folder, done


@pytest.fixture
def sweep(swept, tmp_path):
    """A copy of it to work on."""
    shutil.copytree(swept[0], tmp_path, dirs_exist_ok=True)
    return tmp_path


def run_of(folder, arm):
    (entry,) = (entry for entry in Ledger(folder / "runs").read("optimizer") if entry.arm == arm)
    return RunFolder(folder / "runs" / entry.run_id)


def line_of(told, arm):
    (line,) = (line for line in told.splitlines() if line.strip().startswith(arm))
    return line


def status(folder, *arguments):
    told = unet_repro("sweep-status", *arguments, cwd=folder)
    assert told.returncode == 0, told.stderr
    return told.stdout


def test_failures_are_listed_with_reason_and_place_and_only_they_are_tried_again(swept, sweep):
    _, first = swept
    broken = run_of(sweep, "broken")
    assert first.returncode == 1
    assert "1 of 4 runs failed" in first.stderr
    assert "optimizer, broken, seed 0: the loss is nan at step" in first.stderr
    assert f"see runs/{broken.run_id}/error.txt" in first.stderr
    assert "Traceback" not in first.stderr
    assert "Traceback" in broken.error.read_text()
    results = {path: path.stat().st_mtime_ns for path in sweep.glob("runs/*/result.json")}
    broken.error.write_text("of another time\n")
    again = unet_repro(*SWEEP, BROKEN, cwd=sweep)
    assert again.returncode == 1
    assert "the loss is nan" in broken.error.read_text()
    assert {path: path.stat().st_mtime_ns for path in sweep.glob("runs/*/result.json")} == results


def test_status_shows_each_state_and_who_trains(sweep):
    partial, running = run_of(sweep, "Adam"), run_of(sweep, "slow")
    for folder in (partial, running):
        folder.result_file.unlink()
        folder.progress.write_text(json.dumps({"step": 2, "of": 8, "seconds": 100.0}))
    with hold(running.path):
        told = status(sweep)
    assert "done" in line_of(told, "SGD")
    assert "partial" in line_of(told, "Adam")
    assert "step 2 of 8" in line_of(told, "Adam")
    assert "running" in line_of(told, "slow")
    assert f"process {os.getpid()} on " in line_of(told, "slow")
    assert "failed" in line_of(told, "broken")
    assert "TrainingError: the loss is nan" in line_of(told, "broken")
    assert "4 runs: 1 done, 1 running, 1 partial, 1 failed" in told
    assert "time left: about" in told


def test_a_killed_worker_is_not_called_running(sweep):
    folder = run_of(sweep, "SGD")
    folder.result_file.unlink()
    killed = "from pathlib import Path; import os, sys; from unet_repro.runs.lease import hold\n"
    killed += "with hold(Path(sys.argv[1])): os._exit(1)"
    subprocess.run([sys.executable, "-c", killed, str(folder.path)], check=False)
    assert (folder.path / RECORD).exists()
    assert "partial" in line_of(status(sweep, "optimizer"), "SGD")


def test_watching_ends_when_all_is_done(sweep):
    shutil.rmtree(run_of(sweep, "broken").path)
    ledger = sweep / "runs/ledger/optimizer.json"
    ledger.write_text(json.dumps([entry for entry in json.loads(ledger.read_text()) if entry["arm"] != "broken"]))
    assert "3 runs: 3 done; nothing left to train" in status(sweep, "--watch")


def test_status_without_a_sweep_and_of_an_unknown_one_is_refused(tmp_path, sweep):
    empty = tmp_path / "empty"
    empty.mkdir()
    for folder, arguments, message in (
        (empty, [], "no sweep has been started"),
        (sweep, ["nothing"], "known comparisons: optimizer"),
    ):
        told = unet_repro("sweep-status", *arguments, cwd=folder)
        assert told.returncode == 2
        assert message in told.stderr


def test_status_does_not_wait_for_torch():
    slow = "import sys, unet_repro.commands.sweep_status\n"
    slow += "sys.exit(bool({'torch', 'lightning', 'hydra'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", slow], check=False).returncode == 0


def test_a_dry_run_shows_what_is_done_and_trains_and_writes_nothing(sweep):
    before = sorted(str(path) for path in sweep.rglob("*"))
    told = unet_repro(*SWEEP, "seed=0,1", "hydra.sweeper.dry_run=true", cwd=sweep)
    assert told.returncode == 0, told.stderr
    assert "6 runs: 3 done, 3 new; time left: about" in told.stdout
    assert "from what was trained in this folder" in told.stdout
    assert sorted(str(path) for path in sweep.rglob("*")) == before


def test_a_published_run_is_not_trained_again_but_joins_the_comparison(swept, tmp_path):
    (entry,) = (one for one in Ledger(swept[0] / "runs").read("optimizer") if one.arm == "Adam")
    published = record_of(RunFolder(swept[0] / "runs" / entry.run_id), [entry])
    record = RecordOfScale(tmp_path / "record")
    record.add([replace(published, arms={"few_images": "Adam, all"})])
    arms = "hydra.sweeper.only=['optimizer: Adam','optimizer: slow']"
    sweep = [*SWEEP, arms, "hydra.sweeper.record=record"]
    shown = unet_repro(*sweep, "hydra.sweeper.dry_run=true", cwd=tmp_path)
    assert "on record: 1 of 2 runs" in shown.stdout, shown.stderr
    assert [run.arms for run in record.records()] == [{"few_images": "Adam, all"}]
    done = unet_repro(*sweep, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert [one.arm for one in Ledger(tmp_path / "runs").read("optimizer")] == ["slow"]
    assert [run.arms for run in record.records()] == [{"few_images": "Adam, all", "optimizer": "Adam"}]
    again = unet_repro(*SWEEP, "hydra.sweeper.only=['optimizer: Adam']", "hydra.sweeper.record=record", cwd=tmp_path)
    assert again.returncode == 0, again.stderr
    assert "on record: 1 of 1 runs" in again.stdout


def test_a_dry_run_in_an_empty_folder_times_a_few_steps(tmp_path):
    told = unet_repro(*SWEEP, "hydra.sweeper.dry_run=true", cwd=tmp_path)
    assert told.returncode == 0, told.stderr
    assert "3 runs: 3 new; time left: about" in told.stdout
    assert "timed just now" in told.stdout
    assert not list(tmp_path.iterdir())


def test_the_suites_dry_run_needs_no_second_command(tmp_path):
    told = unet_repro("reproduce", "--dry-run", "--scale", "smoke", "--data", "synthetic", "--experiments", "optimizer",
                      "--jobs", "2", *STACK[1:], *NETWORK, cwd=tmp_path)  # fmt: skip
    assert told.returncode == 0, told.stderr
    assert "4 runs: 4 new; time left: about" in told.stdout
    assert "2 side by side" in told.stdout
    assert not list(tmp_path.iterdir())


def test_two_sweeps_started_at_once_share_the_work_and_both_end_well(tmp_path):
    longer = [*SWEEP, "trainer.max_steps=200", "trainer.val_every=100", "seed=0,1"]
    sweeps = [
        subprocess.Popen([sys.executable, "-m", "unet_repro", *longer], cwd=tmp_path, stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    ends = [process.communicate(timeout=300)[1] for process in sweeps]
    assert [process.returncode for process in sweeps] == [0, 0], ends
    results = list(tmp_path.glob("runs/*/provenance.json"))
    assert len(results) == 6
    assert all(json.loads(path.read_text())["attempts"] == 1 for path in results)


def test_a_sweep_waits_for_a_run_that_is_held_and_takes_it_over_when_its_holder_is_gone(sweep):
    folder = run_of(sweep, "SGD")
    folder.result_file.unlink()
    held = "from pathlib import Path; import sys, time; from unet_repro.runs.lease import hold\n"
    held += "with hold(Path(sys.argv[1])): print('held', flush=True); time.sleep(600)"
    holder = subprocess.Popen([sys.executable, "-c", held, str(folder.path)], stdout=subprocess.PIPE, text=True)
    assert holder.stdout.readline() == "held\n"
    waiting = subprocess.Popen(
        [sys.executable, "-m", "unet_repro", *SWEEP], cwd=sweep, stderr=subprocess.PIPE, text=True
    )
    for line in waiting.stderr:
        if "waiting for 1 runs that other processes are training" in line:
            break
    time.sleep(1)
    assert waiting.poll() is None
    holder.kill()
    waiting.communicate(timeout=120)  # while the dead holder is still a zombie: it is this process's child
    holder.communicate()
    assert waiting.returncode == 0
    assert folder.state == "done"


def test_a_launcher_that_loses_its_workers_is_started_again(tmp_path):
    """joblib gives up altogether when one of its processes is killed."""
    longer = [*SWEEP, "trainer.max_steps=300", "trainer.val_every=100", "trainer.save_every_s=0.1"]
    process = subprocess.Popen(
        [sys.executable, "-m", "unet_repro", *longer, "hydra/launcher=joblib", "hydra.launcher.n_jobs=2"],
        cwd=tmp_path, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    until = time.monotonic() + 120
    while not (partial := [path.parent for path in tmp_path.glob("runs/*/last.ckpt")]):
        assert time.monotonic() < until
        time.sleep(0.05)
    holder = RunFolder(partial[0]).holder()
    os.kill(holder.pid, 9)
    _, told = process.communicate(timeout=300)
    assert process.returncode == 0, told
    assert "the launcher failed" in told
    assert "Warning" not in told
    assert len(list(tmp_path.glob("runs/*/result.json"))) == 3


def test_the_suite_refuses_a_comparison_that_needs_a_search(tmp_path):
    told = unet_repro("reproduce", "--dry-run", "--experiments", "fair_optimizer", "--data", "synthetic", cwd=tmp_path)
    assert told.returncode == 2
    assert "there is no experiment 'fair_optimizer'" in told.stderr
