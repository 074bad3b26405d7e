import itertools
import json
import multiprocessing
import os
import pickle
import signal
import subprocess
import sys
import time
from collections import defaultdict
from pathlib import Path

import pytest
from hydra.core.utils import JobReturn, JobStatus
from omegaconf import OmegaConf
from tiny import NETWORK, STACK, unet_repro

from hydra_plugins.unet_repro_launchers._local_slots import slots
from hydra_plugins.unet_repro_launchers._local_worker import packed
from unet_repro.errors import ConfigError
from unet_repro.runs.folder import RunFolder

SHORT = ["train", "-m", *STACK, *NETWORK]
LONG = [*SHORT, "trainer.max_steps=600", "trainer.val_every=100", "trainer.save_every_s=0.1"]
LOCAL = ["hydra/launcher=local", "hydra.launcher.jobs=2"]
LIMIT_S = 120  # of waiting for what has to come

linux = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")


def runs(folder):
    return [RunFolder(path) for path in sorted((folder / "runs").glob("*")) if path.name != "ledger"]


def files(folder, *names):
    return {(run.run_id, name): (run.path / name).read_bytes() for run in runs(folder) for name in names}


def until(condition):
    deadline = time.monotonic() + LIMIT_S
    while not (found := condition()):
        assert time.monotonic() < deadline, f"{condition} did not come true"
        time.sleep(0.05)
    return found


def session(process):
    """Processes that a command has started, itself included, zombies left out."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, _, leader = path.read_text().rpartition(")")[2].split()[:4]
        except OSError:
            continue
        if int(leader) == process.pid and state != "Z":
            found.append(int(path.parent.name))
    return found


class Sweep:
    """A sweep at work, in a session of its own."""

    def __init__(self, folder, *arguments):
        self.folder = folder
        self.process = subprocess.Popen(
            [sys.executable, "-m", "unet_repro", *LONG, *LOCAL, *arguments],
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for pid in session(self.process):
            os.kill(pid, signal.SIGKILL)
        self.process.communicate()

    def at_work(self, number, sign="progress.json"):
        """So many runs that are trained now, and have shown a sign of it."""

        def found():
            assert self.process.poll() is None, self.process.communicate()[0]
            now = [run for run in runs(self.folder) if run.running and (run.path / sign).exists()]
            return now if len(now) >= number else []

        return until(found)

    def ended(self):
        """Output and exit status, once all its processes are gone."""
        output, _ = self.process.communicate(timeout=LIMIT_S)
        until(lambda: not session(self.process))  # a process that stays fails the test here
        return output, self.process.returncode


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """Three longer runs, one after the other."""
    folder = tmp_path_factory.mktemp("undisturbed")
    done = unet_repro(*LONG, "seed=0,1,2", cwd=folder)
    assert done.returncode == 0, done.stderr
    return folder


def assert_equal_runs(folder, other):
    names = ("result.json", "history.csv")
    assert files(folder, *names) == files(other, *names)


def test_runs_side_by_side_equal_runs_one_by_one_and_print_to_their_own_logs(undisturbed, tmp_path):
    done = unet_repro(*LONG, *LOCAL, "seed=0,1,2", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert_equal_runs(tmp_path, undisturbed)
    logs = [run.log.read_text() for run in runs(tmp_path)]
    assert len({log.split(", ")[1] for log in logs}) == 3, "each run has a process of its own"
    assert "---" not in done.stdout + done.stderr


def test_a_raising_arm_is_a_failure_with_its_reason_and_the_others_finish(tmp_path):
    broken = "+experiment.arms.broken=['optimizer.lr=1e30']"
    done = unet_repro(*SHORT, *LOCAL, "experiment=optimizer", broken, cwd=tmp_path)
    assert done.returncode == 1
    assert "1 of 3 runs failed" in done.stderr
    assert "learning rate 1e+30" in done.stderr
    assert sorted(run.state for run in runs(tmp_path)) == ["done", "done", "failed"]
    (failed,) = [run for run in runs(tmp_path) if run.state == "failed"]
    assert "TrainingError" in failed.log.read_text()


@linux
def test_a_killed_worker_is_started_again_and_goes_on_while_the_others_are_left_alone(undisturbed, tmp_path):
    with Sweep(tmp_path, "seed=0,1,2", "trainer.num_workers=1") as sweep:  # its loader has to end too
        victim = sweep.at_work(1, "last.ckpt")[0]
        os.kill(victim.holder().pid, signal.SIGKILL)
        output, status = sweep.ended()
    assert status == 0, output
    assert f"the worker process of runs/{victim.run_id} was killed by SIGKILL" in output
    assert {run.run_id: run.outcome()["attempts"] for run in runs(tmp_path)} == {
        run.run_id: 1 + (run.run_id == victim.run_id) for run in runs(tmp_path)
    }
    assert_equal_runs(tmp_path, undisturbed)


@linux
def test_nothing_outlives_a_killed_sweep_and_the_same_command_finishes_it(undisturbed, tmp_path):
    with Sweep(tmp_path, "seed=0,1,2") as sweep:
        sweep.at_work(2)
        sweep.process.kill()
        sweep.ended()
    assert [run.state for run in runs(tmp_path)] == ["partial", "partial"], "no further run has begun"
    assert all("SIGTERM: stopping" in run.log.read_text() for run in runs(tmp_path)), "they wrote a checkpoint"
    done = unet_repro(*LONG, *LOCAL, "seed=0,1,2", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert_equal_runs(tmp_path, undisturbed)


@linux
@pytest.mark.parametrize(("signum", "to_all"), [(signal.SIGTERM, False), (signal.SIGTERM, True), (signal.SIGINT, True)])
def test_a_sweep_that_is_told_to_stop_lets_its_runs_write_their_checkpoints(signum, to_all, tmp_path):
    with Sweep(tmp_path, "seed=0,1,2") as sweep:
        at_work = sweep.at_work(2)
        if to_all:  # as a terminal does
            os.killpg(sweep.process.pid, signum)
        else:
            sweep.process.send_signal(signum)
        output, status = sweep.ended()
    assert status == 128 + signum, output
    assert "stopped; the same command resumes" in output
    assert "failed" not in output
    assert "Traceback" not in output
    assert len(runs(tmp_path)) == len(at_work) == 2, "no further run has begun"
    for run in runs(tmp_path):
        assert run.state == "partial"
        assert "SIGTERM: stopping" in run.log.read_text()


JOBS = """
import json, os, signal, sys, time
from pathlib import Path

def report(config):
    started = time.monotonic()
    time.sleep(0.3)
    names = ("CUDA_VISIBLE_DEVICES", "OMP_NUM_THREADS")
    Path(f"{config.seed}.json").write_text(
        json.dumps({"start": started, "end": time.monotonic(), **{name: os.environ.get(name) for name in names}})
    )

def die(config):
    if config.seed == 1:
        print("last words")
        os.kill(os.getpid(), signal.SIGKILL)

def leave(config):
    if config.seed == 1:
        sys.exit("no")

if __name__ == "__main__":
    from unet_repro.commands import hydra_app
    import jobs
    hydra_app.run(getattr(jobs, sys.argv[1]), verb="train", arguments=sys.argv[2:])
"""


def run_jobs(folder, name, *arguments):
    (folder / "jobs.py").write_text(JOBS)
    command = [sys.executable, "jobs.py", name, *SHORT[1:], *LOCAL, *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=LIMIT_S, check=False)


def test_a_worker_that_dies_again_and_again_is_a_failure_with_its_reason(tmp_path):
    done = run_jobs(tmp_path, "die", "seed=0,1,2", "hydra.launcher.max_restarts=2")
    assert done.returncode == 1
    assert "1 of 3 runs failed" in done.stderr
    assert "was killed by SIGKILL (out of memory?), 3 times in a row without a new checkpoint" in done.stderr
    (failed,) = [run for run in runs(tmp_path) if run.state == "failed"]
    assert "killed by SIGKILL" in failed.error.read_text().splitlines()[0]
    assert failed.log.read_text().count("last words") == 3
    assert str(failed.log.relative_to(tmp_path)) in done.stderr


def test_a_job_that_exits_is_a_failure(tmp_path):
    done = run_jobs(tmp_path, "leave", "seed=0,1")
    assert done.returncode == 1
    assert "the job ended its process with 'no'" in done.stderr


def test_each_job_has_a_gpu_and_one_thread_of_its_own(tmp_path):
    done = run_jobs(tmp_path, "report", "seed=0,1,2,3", "hydra.launcher.gpus=[3,5]")
    assert done.returncode == 0, done.stderr
    reports = [json.loads((tmp_path / f"{seed}.json").read_text()) for seed in range(4)]
    assert {report["OMP_NUM_THREADS"] for report in reports} == {"1"}
    by_device = defaultdict(list)
    for report in reports:
        by_device[report["CUDA_VISIBLE_DEVICES"]].append((report["start"], report["end"]))
    assert set(by_device) == {"3", "5"}
    for intervals in by_device.values():
        ordered = sorted(intervals)
        assert all(end <= start for (_, end), (start, _) in itertools.pairwise(ordered))


def config(accelerator="cpu", threads=None, devices=1):
    return OmegaConf.create({"trainer": {"accelerator": accelerator, "threads": threads, "devices": devices}})


def test_there_are_as_many_places_as_the_cores_allow(monkeypatch):
    monkeypatch.setattr("joblib.cpu_count", lambda: 8)
    auto = {"jobs": None, "threads": 1, "gpus": "auto"}
    assert slots(config(), **auto) == [None] * 8
    assert slots(config(threads=2), **auto) == [None] * 4
    assert slots(config(devices=2), **auto) == [None] * 4
    assert slots(config(threads=16), **auto) == [None]
    assert slots(config(), **{**auto, "threads": None}) == [None]
    assert slots(config(), **{**auto, "jobs": 3}) == [None] * 3


def test_there_is_a_place_for_each_visible_gpu(monkeypatch):
    monkeypatch.setattr("torch.cuda.device_count", lambda: 4)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    auto = {"jobs": None, "threads": 1, "gpus": "auto"}
    assert slots(config("gpu"), **auto) == ["0", "1", "2", "3"]
    assert slots(config("gpu", devices=2), **auto) == ["0,1", "2,3"]
    assert slots(config("gpu"), **{**auto, "jobs": 2}) == ["0", "1"]
    assert slots(config("gpu"), **{**auto, "gpus": None, "jobs": 2}) == [None, None]
    with pytest.raises(ConfigError, match="trainer.devices=5, but the launcher has only 4 GPUs"):
        slots(config("gpu", devices=5), **auto)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,GPU-5a,7,6")
    assert slots(config("gpu"), **auto) == ["2", "GPU-5a", "7", "6"]
    with pytest.raises(ConfigError, match="enough for only 4"):
        slots(config("gpu"), **{**auto, "jobs": 5})
    with pytest.raises(ConfigError, match="gpus=0 is not a list"):
        slots(config("gpu"), **{**auto, "gpus": 0})
    with pytest.raises(ConfigError, match="jobs=0"):
        slots(config("gpu"), **{**auto, "jobs": 0})


@pytest.mark.parametrize("command", ["train -m seed=0,1", "search experiment=optimizer"])
def test_runs_that_would_share_a_gpu_are_refused_before_any_starts(tmp_path, command):
    settings = [*STACK, *NETWORK, "trainer.accelerator=gpu", "hydra/launcher=joblib", "hydra.launcher.n_jobs=2"]
    refused = unet_repro(*command.split(), *settings, cwd=tmp_path)
    assert refused.returncode == 2, refused.stderr
    assert "hydra/launcher=joblib would train 2 runs at once on the same GPU" in refused.stderr
    assert "hydra/launcher=local" in refused.stderr
    assert not runs(tmp_path)


class TwoArgumentsError(Exception):
    def __init__(self, first, second):
        super().__init__(first)


@pytest.mark.parametrize("value", [TwoArgumentsError("what was wrong", 2), OSError(multiprocessing.Lock())])
def test_an_error_that_cannot_be_pickled_is_told_by_its_text(value):
    returned = pickle.loads(packed(JobReturn(status=JobStatus.FAILED, _return_value=value)))
    assert returned.status == JobStatus.FAILED
    assert str(returned._return_value) == f"{type(value).__name__}: {value}"
