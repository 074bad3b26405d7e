import contextlib
import os
import pickle
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from hydra.core.utils import JobStatus
from omegaconf import OmegaConf
from slurm_cluster import Cluster, NoSlurmError
from submitit.core.utils import JobPaths
from tiny import NETWORK, STACK, unet_repro

from hydra_plugins.unet_repro_launchers._slurm_watch import Watch
from hydra_plugins.unet_repro_launchers.slurm_launcher import SlurmLauncher
from unet_repro.conf_files import conf_dir
from unet_repro.errors import ConfigError
from unet_repro.runs.folder import RunFolder
from unet_repro.runs.stopping import StopRequest

pytestmark = pytest.mark.slurm

SHORT = ["train", "-m", *STACK, *NETWORK]
LONG = [*SHORT, "trainer.max_steps=300", "trainer.val_every=50", "trainer.save_every_s=0.1"]
SLURM = ["hydra/launcher=slurm", "hydra.launcher.cpus_per_task=1", "hydra.launcher.mem_gb=1", "hydra.launcher.poll_s=1"]
# SLURM looks at limits every 30 s and warns by as much too early: 10 to 40 s after the start of a job of one minute.
ONE_MINUTE = ["hydra.launcher.timeout_min=1", "hydra.launcher.signal_delay_s=20"]
TINY = [*(one for one in STACK if not one.startswith("data=")), *NETWORK]
LIMIT_S = 120  # of waiting for what has to come
STOPPING = "SIGUSR2: stopping after this step with a checkpoint"


@pytest.fixture(scope="module")
def cluster():
    with tempfile.TemporaryDirectory(prefix="slurm") as folder:
        try:
            running = Cluster(Path(folder)).__enter__()
        except NoSlurmError as reason:
            pytest.skip(str(reason))
        try:
            yield running
        finally:
            running.__exit__()


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """Three longer runs, one after the other."""
    folder = tmp_path_factory.mktemp("undisturbed")
    done = unet_repro(*LONG, "seed=0,1,2", cwd=folder)
    assert done.returncode == 0, done.stderr
    return folder


def runs(folder):
    return [RunFolder(path.parent) for path in sorted((folder / "runs").glob("*/config.yaml"))]


def files(folder):
    assert {run.state for run in runs(folder)} <= {"done", "failed"}
    return {
        (run.run_id, name): (run.path / name).read_bytes()
        for run in runs(folder)
        if run.state == "done"
        for name in ("result.json", "history.csv")
    }


class Sweep:
    """A sweep that waits for its jobs."""

    def __init__(self, cluster, folder, *arguments):
        self.cluster, self.folder = cluster, folder
        self.output = folder / "output.txt"
        with self.output.open("w") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "unet_repro", *LONG, *SLURM, *arguments],
                cwd=folder,
                env={**os.environ, **cluster.environment},
                stdout=output,
                stderr=output,
            )

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.cluster.ask("scancel", "--user=root", "--signal=KILL")

    def until(self, condition, *, ended=False):
        """Waits; meanwhile requeued jobs start at once."""
        deadline = time.monotonic() + LIMIT_S
        while not (found := condition()):
            assert ended or self.process.poll() is None, self.output.read_text()
            assert time.monotonic() < deadline, f"it did not come true; {self.cluster.jobs()}"
            self.cluster.hurry()
            time.sleep(0.2)
        return found

    def frozen(self, number, but=()):
        """So many workers, stopped in the middle of their training once there is a checkpoint: (run, job, pid)."""
        caught = {}

        def catch():
            for run in runs(self.folder):
                if run.run_id not in caught and run.last.exists() and run.running:
                    pid = run.holder().pid
                    if (job := job_of(pid)) not in but:
                        os.kill(pid, signal.SIGSTOP)
                        caught[run.run_id] = (run, job, pid)
            return len(caught) >= number

        self.until(catch)
        assert all(run.state == "partial" for run, _, _ in caught.values())
        return list(caught.values())

    def ended(self):
        """Output and exit status."""
        self.until(lambda: self.process.poll() is not None, ended=True)
        return self.output.read_text(), self.process.returncode


def job_of(pid):
    variables = dict(
        entry.split("=", 1) for entry in Path(f"/proc/{pid}/environ").read_text().split("\0") if "=" in entry
    )
    task = variables.get("SLURM_ARRAY_TASK_ID")
    return variables["SLURM_JOB_ID"] if task is None else f"{variables['SLURM_ARRAY_JOB_ID']}_{task}"


def is_told(pid):
    """Whether a frozen process has a signal to come, or went on because of one: SLURM sends SIGCONT with some."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except FileNotFoundError:
        return True
    status = dict(line.split(":", 1) for line in lines)
    return int(status["ShdPnd"], 16) != 0 or "T" not in status["State"]


def thaw(pid):
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGCONT)


def attempts(folder):
    return {run.run_id: run.outcome()["attempts"] for run in runs(folder)}


def log(folder, job):
    return (folder / "runs" / "slurm" / job / f"{job}_0_log.err").read_text()


def test_runs_through_slurm_equal_runs_one_by_one_and_a_failing_one_does_not_stop_them(cluster, tmp_path):
    there, here = tmp_path / "there", tmp_path / "here"
    there.mkdir()
    here.mkdir()
    one_by_one = unet_repro(*SHORT, "optimizer.lr=0.01,0.02", cwd=here)
    assert one_by_one.returncode == 0, one_by_one.stderr
    done = unet_repro(*SHORT, *SLURM, "optimizer.lr=1e30,0.01,0.02", cwd=there, **cluster.environment)
    assert done.returncode == 1
    assert "1 of 3 runs failed" in done.stderr
    assert "learning rate 1e+30" in done.stderr
    assert sorted(run.state for run in runs(there)) == ["done", "done", "failed"]
    assert files(there) == files(here)


def test_requeued_killed_and_too_slow_for_the_time_limit_runs_end_with_the_same_bits(cluster, undisturbed, tmp_path):
    with Sweep(cluster, tmp_path, "seed=0,1,2", *ONE_MINUTE) as sweep:
        (_, requeued, _), (_, warned, slow) = sweep.frozen(2)
        cluster.ask("scontrol", "requeue", requeued)
        ((_, killed, pid),) = sweep.frozen(1, but=[requeued, warned])  # it has taken the place
        os.kill(pid, signal.SIGKILL)
        sweep.until(lambda: is_told(slow))  # of the limit of one minute
        thaw(slow)
        sweep.until(lambda: STOPPING in log(tmp_path, warned))  # before the end, which removes the folder
        output, status = sweep.ended()
    assert status == 0, output
    assert f"SLURM job {killed} ended as FAILED without a result; requeued" in output
    assert min(attempts(tmp_path).values()) == 2
    assert files(tmp_path) == files(undisturbed)


def test_a_preempted_run_ends_with_the_same_bits(cluster, undisturbed, tmp_path):
    with Sweep(cluster, tmp_path, "seed=0") as sweep:
        ((run, job, pid),) = sweep.frozen(1)
        cluster.ask("sbatch", "--partition=urgent", "--ntasks=2", "--output=/dev/null", "--wrap=sleep 0.5")
        sweep.until(lambda: is_told(pid))
        thaw(pid)
        sweep.until(lambda: STOPPING in log(tmp_path, job))
        output, status = sweep.ended()
    assert status == 0, output
    assert attempts(tmp_path) == {run.run_id: 2}
    assert files(tmp_path).items() <= files(undisturbed).items()


def test_stopping_the_sweep_cancels_its_jobs_which_write_their_checkpoints(cluster, tmp_path):
    with Sweep(cluster, tmp_path, "seed=0,1,2") as sweep:
        frozen = sweep.frozen(2)
        sweep.process.send_signal(signal.SIGINT)
        output, status = sweep.ended()
        for _, _, pid in frozen:
            thaw(pid)
        sweep.until(lambda: set(cluster.jobs().values()) <= {"CANCELLED", "COMPLETED", "FAILED"}, ended=True)
    assert status == 128 + signal.SIGINT, output
    assert "cancelling SLURM job" in output
    assert "stopped; the same command resumes" in output
    assert "Traceback" not in output
    for run, job, _ in frozen:
        assert run.state == "partial"
        assert "stopped with a checkpoint" in log(tmp_path, job)
    assert len(runs(tmp_path)) == 2, "no further run has begun"


def test_a_job_that_dies_again_and_again_is_a_failure_with_the_path_of_its_log(cluster, tmp_path):
    with Sweep(
        cluster, tmp_path, "seed=0,1", "hydra.launcher.setup=['exit 3']", "hydra.launcher.max_restarts=1"
    ) as sweep:
        output, status = sweep.ended()
    assert status == 1
    assert "2 of 2 runs failed" in output
    assert "ended as FAILED without a result, 2 times in a row without a new checkpoint" in output
    assert "_0_log.err" in output


def make(folder, cluster, *settings):
    """``make reproduce-ablations`` of tiny runs, in a folder of its own, with this Python."""
    program = folder / ".venv" / "bin" / "unet-repro"
    program.parent.mkdir(parents=True, exist_ok=True)
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m unet_repro "$@" {" ".join([*TINY, *SLURM[1:]])}\n')
    program.chmod(0o755)
    makefile = conf_dir().parent / "Makefile"
    return subprocess.run(
        ["make", "-f", str(makefile), "READY=", "reproduce-ablations", "LAUNCHER=slurm", *settings],
        cwd=folder, env={**os.environ, **cluster.environment}, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip


def test_make_submits_and_leaves_and_later_collects_without_ordering_anything_twice(cluster, tmp_path):
    suite = ["SCALE=smoke", "DATA=synthetic", "EXPERIMENTS=optimizer", "SEEDS=1"]
    before = set(cluster.jobs())
    submitted = make(tmp_path, cluster, *suite, "WAIT=0")
    assert submitted.returncode == 0, submitted.stderr
    assert "in SLURM's queue: 2 runs" in submitted.stdout
    assert not (tmp_path / "reports").exists()
    ordered = set(cluster.jobs()) - before
    assert len(ordered) == 2
    collected = make(tmp_path, cluster, *suite)
    assert collected.returncode == 0, collected.stderr
    assert set(cluster.jobs()) - before == ordered, "each run has one job"
    assert [run.state for run in runs(tmp_path)] == ["done"] * 2
    assert (tmp_path / "reports/ablations/index.html").exists()
    assert not (tmp_path / "runs/slurm").exists(), "the orders are tidied"


def test_a_partition_that_is_not_there_is_refused_with_slurms_words(cluster, tmp_path):
    done = unet_repro(*SHORT, *SLURM, "hydra.launcher.partition=nope", cwd=tmp_path, **cluster.environment)
    assert done.returncode != 0
    assert "SLURM rejected the jobs: sbatch: error: invalid partition specified: nope" in done.stderr
    assert "Traceback" not in done.stderr


class Orders:
    """Two jobs, as Hydra knows them, on as many GPUs as devices; none for 0."""

    first, overrides = 0, ((), ())

    def __init__(self, runs_dir, devices=0):
        self.settings = {
            "runs_dir": str(runs_dir),
            "trainer": {"accelerator": "gpu" if devices else "cpu", "devices": devices or 1},
        }

    def config(self, index):
        return OmegaConf.create({**self.settings, "hydra": {"job": {"name": f"run{index}"}}})


def launcher(folder, **settings):
    fixed = {"poll_s": 1, "max_restarts": 0, "wait": True, "submitit_folder": str(folder / "%j"), "max_num_timeout": 1}
    made = SlurmLauncher(**{**fixed, "gpus_per_node": "auto", **settings})
    made.config = OmegaConf.create({"hydra": {"sweep": {"dir": str(folder)}}})
    return made


@pytest.mark.parametrize(("devices", "asked", "given"), [(0, "auto", None), (2, "auto", 2), (2, 1, 1), (2, None, None)])
def test_a_job_asks_for_as_many_gpus_as_its_run_has_devices(tmp_path, devices, asked, given):
    params = launcher(tmp_path, gpus_per_node=asked)._sbatch(Orders(tmp_path, devices))
    assert params.get("gpus_per_node") == given


def test_a_job_has_as_many_threads_as_cpus_before_the_users_own_lines(tmp_path):
    params = launcher(tmp_path, cpus_per_task=3, setup=["module load cuda"])._sbatch(Orders(tmp_path))
    assert params["setup"][0] == "export OMP_NUM_THREADS=3"
    assert params["setup"][-1] == "module load cuda"
    assert params["srun_args"] == ["--cpus-per-task=3"]


def program(folder, name, text):
    path = folder / "bin" / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


@pytest.fixture
def programs(tmp_path, monkeypatch):
    """Stand-ins for SLURM's programs, that do nothing."""
    for name in ("sbatch", "srun", "squeue", "scontrol"):
        program(tmp_path, name, "exit 0")
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")


def test_without_slurm_the_error_says_so(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ConfigError, match="hydra/launcher=slurm, but sbatch was not found"):
        launcher(tmp_path)._submit(Orders(tmp_path), [0])


def test_a_misspelt_setting_is_refused(tmp_path, programs):
    with pytest.raises(ConfigError, match="Unknown argument 'partitoin'"):
        launcher(tmp_path, partitoin="main")._submit(Orders(tmp_path), [0])


@pytest.mark.parametrize(
    ("squeue", "told"),
    [
        (
            "printf '7_0|CANCELLED\\n7_1|NODE_FAIL\\n'",
            ["ended as CANCELLED without", "Requested operation is disabled"],
        ),
        ("echo 'slurm_load_jobs error: Invalid job id specified' >&2; exit 1", ["ended as unknown without"] * 2),
    ],
)
def test_jobs_that_end_without_an_answer_are_failures_of_their_runs(tmp_path, programs, squeue, told):
    program(tmp_path, "squeue", squeue)
    program(tmp_path, "scontrol", f'echo "$@" >> {tmp_path}/asked; echo Requested operation is disabled >&2; exit 1')
    (tmp_path / "run0").mkdir()
    jobs = [SimpleNamespace(job_id=name, paths=JobPaths(tmp_path / "%j", name)) for name in ("7_0", "7_1")]
    returns = Watch(jobs, Orders(tmp_path), poll_s=0.01, max_restarts=1).returns(StopRequest())
    assert [returned.status for returned in returns] == [JobStatus.FAILED] * 2
    for returned, reason, job in zip(returns, told, jobs, strict=True):
        assert reason in str(returned._return_value)
        assert str(job.paths.stderr) in str(returned._return_value)
    assert RunFolder(tmp_path / "run0").state == "failed"
    asked = tmp_path / "asked"
    assert (asked.read_text() if asked.exists() else "") == ("requeue 7_1\n" if "NODE_FAIL" in squeue else "")


def test_a_slurm_that_does_not_answer_is_waited_for(tmp_path, programs, capsys):
    program(tmp_path, "squeue", f"[ -e {tmp_path}/back ] && exit 0; touch {tmp_path}/back; echo no >&2; exit 1")
    job = SimpleNamespace(job_id="7", paths=JobPaths(tmp_path / "%j", "7"))
    (returned,) = Watch([job], Orders(tmp_path), poll_s=0.01, max_restarts=1).returns(StopRequest())
    assert capsys.readouterr().err == "SLURM is not responding; waiting\nSLURM is responding again\n"
    assert "ended as unknown" in str(returned._return_value)


def test_an_answer_that_is_an_error_or_cannot_be_read_is_a_failure(tmp_path, programs):
    jobs = [SimpleNamespace(job_id=name, paths=JobPaths(tmp_path / "%j", name, 0)) for name in ("7_0", "7_1")]
    for job, content in zip(jobs, [pickle.dumps(("error", "Traceback\nKeyError: 'x'\n")), b"half"], strict=True):
        job.paths.folder.mkdir()
        job.paths.result_pickle.write_bytes(content)
    returns = Watch(jobs, Orders(tmp_path), poll_s=0.01, max_restarts=1).returns(StopRequest())
    assert "SLURM job 7_0 failed: KeyError: 'x'" in str(returns[0]._return_value)
    assert "SLURM job 7_1 left an answer that cannot be read" in str(returns[1]._return_value)


def test_a_lost_answer_of_a_finished_run_does_not_matter(tmp_path, programs):
    (tmp_path / "run0").mkdir()
    (tmp_path / "run0" / "result.json").write_text('{"run_id": "run0"}')
    job = SimpleNamespace(job_id="7", paths=JobPaths(tmp_path / "%j", "7"))
    (returned,) = Watch([job], Orders(tmp_path), poll_s=0.01, max_restarts=1).returns(StopRequest())
    assert returned.return_value == {"run_id": "run0"}
