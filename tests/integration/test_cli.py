import resource
import signal
import subprocess
import sys
import time

import pytest
from tiny import NETWORK, STACK, unet_repro

from unet_repro.commands.verbs import VERBS

TINY = [*STACK, *NETWORK]


@pytest.fixture(autouse=True)
def no_data(monkeypatch):
    monkeypatch.delenv("UNET_REPRO_DATA", raising=False)


def error_of(done):
    """The message of a call that must fail politely."""
    assert done.returncode != 0, done.stdout
    assert "Traceback" not in done.stderr, done.stderr
    return done.stderr


def test_the_help_lists_the_verbs_without_importing_torch(tmp_path):
    (tmp_path / "torch.py").write_text("raise ImportError('torch was imported for the help')")
    done = unet_repro("--help", cwd=tmp_path, PYTHONPATH=f"{tmp_path}:{':'.join(sys.path)}")
    assert done.returncode == 0, done.stderr
    for verb in VERBS:
        assert verb in done.stdout


def test_tiles_lists_legal_sizes(tmp_path):
    done = unet_repro("tiles", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "572" in done.stdout
    assert "388" in done.stdout
    one = unet_repro("tiles", "572", cwd=tmp_path)
    assert "300.9" in one.stdout


def test_tiles_names_the_neighbours_of_512_which_is_an_error_only_for_scripts(tmp_path):
    done = unet_repro("tiles", "512", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "512 is not a legal size; the nearest legal sizes: 508, 524" in done.stdout
    message = error_of(unet_repro("tiles", "512", "--check", cwd=tmp_path))
    assert "508 or 524" in message


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["train", *TINY, "tiles.size=85"], "84 or 88"),
        (["train", *TINY, "tiles.size=388", "tiles.budget=1x388"], "larger than the mirrored image allows"),
        (["train", *TINY, "optimiser=adam"], "optimiser"),
        (["train", *TINY, "optimizer.lrr=1"], "there is no setting optimizer.lrr\n  hint: did you mean optimizer.lr?"),
        (["train", *TINY, "optimizer=adm"], "there is no optimizer=adm\n  hint: did you mean adam?"),
        (["train", *TINY, "model.norm=none,batch"], "hint: add -m to train each of them"),
        (["train", *TINY, "model.norm=[none"], "cannot read 'model.norm=[none'"),
        (["train", *TINY, "--epochs"], "there is no option --epochs"),
        (["train", "-m", *TINY, "optimizer=adam,sdg"], "there is no optimizer=sdg"),
        (["train", "data=folder"], "data.root is required\n  hint: add data.root="),
        (["predict", "run=x"], "input is required"),
        (["evaluate", "rum=x"], "did you mean run?"),
        (["train", *TINY, "model.width=wide"], "model.width"),
        (["train", "data=hela"], "unet-repro fetch"),
        (["train", "data=folder", "data.root=nowhere", *NETWORK], "nowhere"),
        (["train", *TINY, "optimizer.lr=-1"], "optimizer"),
        (["train", *TINY, "trainer=gpu"], "torch sees 0 CUDA GPUs"),
        (["train", *TINY, "split.val_share=-3"], "val_share"),
        (["evaluate", "run=nowhere"], "not a run's folder"),
        (["evaluate"], "run="),
        (["report"], "no runs"),
        (["reproduce", "--experiments", "tilesize"], "tile_size"),
        (["reproduce", "--seeds", "0"], "seeds"),
        (["fetch", "nothing"], "nothing"),
        (["weights", "data=hela"], "unet-repro fetch"),
        (["tain"], "tain"),
    ],
)
def test_bad_input_is_told_without_a_traceback_and_leaves_nothing(tmp_path, arguments, says):
    message = error_of(unet_repro(*arguments, cwd=tmp_path))
    assert says in message
    assert not list(tmp_path.rglob("*.ckpt"))
    assert not list(tmp_path.rglob("config.yaml"))


def test_debug_shows_the_traceback(tmp_path):
    done = unet_repro("--debug", "tiles", "512", "--check", cwd=tmp_path)
    assert done.returncode != 0
    assert "Traceback" in done.stderr
    assert "GeometryError" in done.stderr


def test_train_evaluate_and_the_record_on_disk(tmp_path):
    done = unet_repro("train", *TINY, "logger.mode=offline", "trainer.progress=true", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "8/8" in done.stderr
    (run,) = (path.parent for path in tmp_path.glob("runs/*/result.json"))
    assert run.name in done.stdout
    assert done.stdout.startswith("data: synthetic images, generated from a seed\n")
    again = unet_repro("train", *TINY, "logger.mode=offline", cwd=tmp_path)
    assert again.returncode == 0, again.stderr
    assert f"already done: run {run.name}" in again.stdout
    listed = unet_repro("runs", cwd=tmp_path)
    assert listed.returncode == 0, listed.stderr
    assert "model.width=2" in next(line for line in listed.stdout.splitlines() if run.name in line)
    assert list(run.glob("wandb/offline-run-*/*.wandb"))
    assert not (tmp_path / "outputs").exists()
    measured = unet_repro("evaluate", f"run={run}", cwd=tmp_path)
    assert measured.returncode == 0, measured.stderr
    assert "V_rand" in measured.stdout
    assert {path.name for path in run.glob("measures-val-best*")} == {
        "measures-val-best.json",
        "measures-val-best.md",
        "measures-val-best-images.csv",
        "measures-val-best-thresholds.csv",
        "measures-val-best-cases.jpg",
    }
    tested = unet_repro("evaluate", f"run={run}", "part=test", "checkpoint=last", cwd=tmp_path)
    assert tested.returncode == 0, tested.stderr
    assert (run / "measures-test-last.json").exists()
    assert "'train', 'val' or 'test'" in error_of(unet_repro("evaluate", f"run={run}", "part=all", cwd=tmp_path))


def test_a_run_that_cannot_be_written_says_so_before_training(tmp_path):
    (tmp_path / "runs").write_text("in the way")
    message = error_of(unet_repro("train", *TINY, cwd=tmp_path))
    assert "cannot write" in message
    assert "runs_dir" in message


def test_a_full_disk_leaves_nothing_half_written(tmp_path):
    def small_files_only():
        resource.setrlimit(resource.RLIMIT_FSIZE, (12_000, 12_000))

    done = subprocess.run(
        [sys.executable, "-m", "unet_repro", "train", *TINY, "model.width=4"],
        cwd=tmp_path, capture_output=True, text=True, preexec_fn=small_files_only, check=False,
    )  # fmt: skip
    message = error_of(done)
    assert "cannot save the checkpoint" in message or "cannot write" in message
    assert "hint:" in message
    assert not list(tmp_path.rglob("*.ckpt"))
    assert not list(tmp_path.rglob("*.tmp"))
    assert not list(tmp_path.rglob("result.json"))
    again = unet_repro("train", *TINY, "model.width=4", cwd=tmp_path)
    assert again.returncode == 0, again.stderr


@pytest.mark.parametrize("sweep", [[], ["-m"]], ids=["one run", "sweep"])
def test_ctrl_c_stops_at_once_with_a_word_and_the_same_command_goes_on(tmp_path, sweep):
    long = [option for option in TINY if "max_steps" not in option and "val_every" not in option]
    command = [
        "train",
        *sweep,
        *long,
        "trainer.max_steps=3000",
        "trainer.val_every=10",
        "seed=1",
        "trainer.save_every_s=1",
    ]
    command += ["model.norm=none,batch"] if sweep else []
    running = subprocess.Popen(
        [sys.executable, "-m", "unet_repro", *command],
        cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    while not list(tmp_path.glob("runs/*/last.ckpt")):
        assert running.poll() is None, running.communicate()
        time.sleep(0.1)
    running.send_signal(signal.SIGINT)
    try:
        _, told = running.communicate(timeout=60)
    finally:
        running.kill()
    assert running.returncode == 130
    assert "the same command resumes" in told
    assert "Traceback" not in told
    assert not list(tmp_path.glob("runs/*/result.json"))
    assert len(list(tmp_path.glob("runs/*/last.ckpt"))) == 1


def test_weights_draws_every_map(tmp_path):
    done = unet_repro("weights", *STACK, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "reports/weights.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("arguments", [["--help"], ["train", "--help"], ["tiles", "572"]])
def test_a_reader_that_has_read_enough_gets_no_traceback(arguments):
    process = subprocess.Popen(
        [sys.executable, "-m", "unet_repro", *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    process.stdout.close()
    assert process.stderr.read() == ""
    process.stderr.close()
    process.wait()
