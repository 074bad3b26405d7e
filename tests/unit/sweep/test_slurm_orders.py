import os

import pytest

from unet_repro.commands.sweep_status import look
from unet_repro.errors import RunError
from unet_repro.runs.folder import RunFolder
from unet_repro.runs.ledger import Entry, Ledger
from unet_repro.sweep.slurm_orders import live_orders, read_orders, remove_orders, write_order

QUEUE = "7_0|COMPLETED\n7_1|PENDING\n7_2|RUNNING\n7_3|COMPLETING\n"


@pytest.fixture
def runs_dir(tmp_path, monkeypatch):
    """Four runs a, b, c and d with jobs 7_0 to 7_3, of which the last has answered, and a SLURM that knows them."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "queue").write_text(QUEUE)
    squeue = tmp_path / "bin" / "squeue"
    squeue.write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/asked\ncat {tmp_path}/queue\n')
    squeue.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    for number, run_id in enumerate("abcd"):
        folder = tmp_path / "runs" / "slurm" / f"7_{number}"
        folder.mkdir(parents=True)
        write_order(folder, job_id=f"7_{number}", run_id=run_id)
    (tmp_path / "runs/slurm/7_3/7_3_0_result.pkl").touch()
    (tmp_path / "runs/slurm/7").mkdir()
    (tmp_path / "runs/slurm/7/7_submission.sh").touch()
    (tmp_path / "runs/slurm/.submission_file_abc.sh").symlink_to(tmp_path / "runs/slurm/7/7_submission.sh")
    return tmp_path / "runs"


def test_jobs_in_the_queue_without_an_answer_are_live(runs_dir):
    live = live_orders(runs_dir)
    assert {run_id: (order.job_id, state) for run_id, (order, state) in live.items()} == {
        "b": ("7_1", "PENDING"),
        "c": ("7_2", "RUNNING"),
    }
    assert (runs_dir.parent / "asked").read_text().split()[-1] == "--jobs=7"


def test_without_slurm_or_its_response_nothing_is_live(runs_dir, monkeypatch):
    (runs_dir.parent / "bin" / "squeue").write_text("#!/bin/sh\nexit 1\n")
    assert live_orders(runs_dir) == {}
    with pytest.raises(RunError, match="SLURM does not respond"):  # before submitting, which would be a second job
        live_orders(runs_dir, required=True)
    monkeypatch.setenv("PATH", "")
    assert live_orders(runs_dir) == {}


def test_orders_of_finished_runs_are_removed_unless_their_job_is_live(runs_dir):
    (runs_dir / "slurm" / "7_9").mkdir()  # of another command, which is just writing it
    remove_orders(runs_dir, {"a", "b", "d"})
    assert [order.run_id for order in read_orders(runs_dir)] == ["b", "c"]
    assert (runs_dir / "slurm" / "7_9").exists()
    assert (runs_dir / "slurm" / "7" / "7_submission.sh").exists()


def test_the_folder_of_the_orders_goes_with_the_last_of_them(runs_dir):
    (runs_dir.parent / "queue").write_text("")
    remove_orders(runs_dir, set("abcd"))
    assert not (runs_dir / "slurm").exists()


def test_the_status_shows_the_jobs_of_runs_that_wait(runs_dir):
    for run_id in "ab":
        Ledger(runs_dir).record([Entry("e", run_id, 0, "cpu", "synthetic", "", run_id, (), 1.0, "c")])
    RunFolder(runs_dir / "a").path.mkdir()
    RunFolder(runs_dir / "a").error.write_text("RunError: no memory\n")
    found = {run.entry.run_id: run.note for run in look(runs_dir, [], live_orders(runs_dir))}
    assert found["b"] == "SLURM job 7_1 pending"
    assert found["a"].startswith("RunError: no memory")
