"""Sweeps through a real SLURM: requeued, preempted, out of time, cancelled, they end as undisturbed ones do."""

import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
from slurm_cluster import ask, cluster, jobs, start_requeued_now, why_not
from tiny import NETWORK, STACK, unet_repro

from unet_repro.runs.folder import RunFolder

pytestmark = [pytest.mark.slurm, pytest.mark.skipif(why_not() is not None, reason=str(why_not()))]

SWEEP = [
    "train", "-m", *STACK, *NETWORK, "trainer.max_steps=600", "trainer.val_every=150", "trainer.save_every_s=0.2",
    "model.width=4", "optimizer=adam", "seed=0,1,2",
]  # fmt: skip
SLURM = [
    "hydra/launcher=slurm", "hydra.launcher.cpus_per_task=1", "hydra.launcher.mem_gb=1", "hydra.launcher.poll_s=0.3",
    "hydra.launcher.timeout_min=10",
]  # fmt: skip


@pytest.fixture(scope="module")
def slurm():
    folder = Path(tempfile.mkdtemp(prefix="slurm-", dir="/tmp"))
    try:
        with cluster(folder) as environment:
            yield environment
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def calm(tmp_path_factory):
    """Result and history of each run of the sweep, trained here without SLURM or disturbance."""
    folder = tmp_path_factory.mktemp("calm")
    done = unet_repro(*SWEEP, "hydra/launcher=local", "hydra.launcher.jobs=2", cwd=folder)
    assert done.returncode == 0, done.stderr
    return contents(folder)


def contents(folder):
    return {
        path.parent.name: (path.read_bytes(), (path.parent / "history.csv").read_bytes())
        for path in folder.glob("runs/*/result.json")
    }


@pytest.fixture
def start(slurm, tmp_path):
    """Starts the sweep through SLURM; whatever is left of it at the end is stopped."""
    started = []

    def begin(*overrides: str) -> "subprocess.Popen[str]":
        process = subprocess.Popen(
            [sys.executable, "-m", "unet_repro", *SWEEP, *SLURM, *overrides], cwd=tmp_path, env=slurm,
            stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True,
        )  # fmt: skip
        started.append(process)
        return process

    yield begin
    for process in started:
        process.kill()
        process.communicate()
    ask(slurm, "scancel", "--user=root")
    until = time.monotonic() + 30
    while any(state in ("RUNNING", "COMPLETING") for state in jobs(slurm).values()) and time.monotonic() < until:
        time.sleep(0.2)


def training(folder) -> list[RunFolder]:
    """Runs that have a checkpoint and are at work."""
    runs = [RunFolder(path.parent) for path in folder.glob("runs/*/last.ckpt")]
    return [run for run in runs if run.running and run.state == "partial"]


def wait_until(what, *, timeout_s: float = 120) -> None:
    until = time.monotonic() + timeout_s
    while not what():
        assert time.monotonic() < until, "it did not happen"
        time.sleep(0.05)


def finish(process, slurm, *, timeout_s: float = 240) -> str:
    """Lets the sweep end; requeued jobs do not wait."""
    until = time.monotonic() + timeout_s
    while process.poll() is None and time.monotonic() < until:
        start_requeued_now(slurm)
        time.sleep(0.5)
    _, told = process.communicate(timeout=10)
    assert process.returncode == 0, told
    return told


def restarts(slurm) -> int:
    return sum(
        int(word.removeprefix("Restarts="))
        for word in ask(slurm, "scontrol", "-o", "show", "job").split()
        if word.startswith("Restarts=")
    )


def test_requeued_jobs_go_on_and_end_as_if_undisturbed(slurm, start, calm, tmp_path):
    before = restarts(slurm)
    process = start()
    for _ in range(2):
        wait_until(lambda: training(tmp_path))
        for job, state in jobs(slurm).items():
            if state == "RUNNING":
                ask(slurm, "scontrol", "requeue", job)
        wait_until(lambda: "RUNNING" not in jobs(slurm).values())
        start_requeued_now(slurm)
    finish(process, slurm)
    assert restarts(slurm) >= before + 2
    assert contents(tmp_path) == calm


def test_a_time_limit_that_is_too_short_leads_to_requeue_and_the_same_result(slurm, start, calm, tmp_path):
    before = restarts(slurm)
    # SLURM counts in minutes; the warning comes 50 s early, so each attempt has about 10 s, start included.
    process = start("hydra.launcher.timeout_min=1", "hydra.launcher.signal_delay_s=50", "trainer.save_every_s=1000")
    finish(process, slurm)
    assert restarts(slurm) > before
    assert contents(tmp_path) == calm


def test_a_preempted_job_writes_a_checkpoint_and_goes_on(slurm, start, calm, tmp_path):
    before = restarts(slurm)
    process = start("trainer.save_every_s=1000")
    wait_until(lambda: sum(state == "RUNNING" for state in jobs(slurm).values()) == 2)
    wait_until(lambda: len(list(tmp_path.glob("runs/*/progress.json"))) >= 2)
    time.sleep(1)
    ask(slurm, "sbatch", "--partition=urgent", "--cpus-per-task=2", "--mem=1", "--output=/dev/null", "--wrap=sleep 1")
    wait_until(lambda: any(run.state == "partial" for run in map(RunFolder, tmp_path.glob("runs/*"))))
    finish(process, slurm)
    assert restarts(slurm) > before
    assert contents(tmp_path) == calm


def test_a_failing_arm_and_a_cancelled_job_cost_the_others_nothing(slurm, start, calm, tmp_path):
    process = start("optimizer.lr=1e-3,1e30", "seed=0,1")
    wait_until(lambda: training(tmp_path))
    cancelled = next(job for job, state in jobs(slurm).items() if state == "RUNNING")
    ask(slurm, "scancel", cancelled)
    _, told = process.communicate(timeout=200)
    assert process.returncode == 1
    assert "learning rate 1e+30" in told
    assert f"SLURM job {cancelled} ended as CANCELLED without a result" in told
    done = unet_repro(*SWEEP, "seed=0,1", "hydra/launcher=local", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert all(calm[run_id] == content for run_id, content in contents(tmp_path).items())


def test_stopping_the_sweep_cancels_its_jobs(slurm, start, tmp_path):
    process = start("trainer.max_steps=60000")
    wait_until(lambda: training(tmp_path))
    process.send_signal(signal.SIGTERM)
    _, told = process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGTERM
    assert "cancelled" in told
    wait_until(lambda: not set(jobs(slurm).values()) & {"RUNNING", "PENDING", "COMPLETING"})


def test_what_slurm_refuses_is_told(slurm, start):
    process = start("hydra.launcher.partition=nowhere")
    _, told = process.communicate(timeout=60)
    assert process.returncode == 2
    assert "SLURM refuses the jobs" in told
    assert "invalid partition specified: nowhere" in told
    assert "Traceback" not in told


def test_without_slurm_the_launcher_says_so(tmp_path):
    done = unet_repro(*SWEEP, *SLURM, cwd=tmp_path, PATH=str(tmp_path))
    assert done.returncode == 2
    assert "there is no SLURM here" in done.stderr
    assert "hydra/launcher=local" in done.stderr
