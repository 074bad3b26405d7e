"""A W&B sweep: W&B's own agent trains runs with ``examples/sweep.yaml``, and the recording server has them."""

import json
import os
import subprocess
import sys

import pytest
import yaml
from tiny import NETWORK, STACK
from wandb_server import serving

from unet_repro.conf_files import conf_dir
from unet_repro.runs.folder import RunFolder

SWEEP = conf_dir().parent / "examples" / "sweep.yaml"
RATE = 0.01
# W&B's command line; its agent waits for five seconds between two looks at its run and at the server.
WANDB = "import wandb.wandb_agent as its; its.Agent.POLL_INTERVAL = 0.2; from wandb.cli.cli import cli; cli()"


@pytest.fixture(scope="module")
def swept(tmp_path_factory):
    """The server and the folder after one run that was asked for twice."""
    folder = tmp_path_factory.mktemp("sweep")
    (folder / "bin").mkdir()
    program = folder / "bin" / "unet-repro"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m unet_repro "$@"\n')
    program.chmod(0o755)
    sweep = yaml.safe_load(SWEEP.read_text())
    small = [*STACK, *(one for one in NETWORK if not one.startswith("logger"))]
    sweep["command"][3:4] = small  # in place of data=isbi2012
    (folder / "sweep.yaml").write_text(yaml.safe_dump(sweep))
    with pytest.MonkeyPatch.context() as patch, serving(folder / "home", patch) as server:
        patch.setenv("PATH", f"{folder / 'bin'}:{os.environ['PATH']}")
        server.trials = [{"optimizer.lr": RATE, "weight_map": "none"}] * 2
        for arguments in (["sweep", "sweep.yaml"], ["agent", "team/unet-repro/0"]):
            done = subprocess.run(
                [sys.executable, "-c", WANDB, *arguments],
                cwd=folder, capture_output=True, text=True, timeout=200, check=False,
            )  # fmt: skip
            assert done.returncode == 0, done.stderr
        yield server, folder


def only_run(folder):
    (path,) = (folder / "runs").glob("*/result.json")
    return RunFolder(path.parent)


def test_the_agent_trains_the_run_that_a_command_line_would(swept):
    _, folder = swept
    settings = only_run(folder).settings()
    assert settings["optimizer"]["lr"] == RATE
    assert settings["weight_map"]["_target_"] == "unet_repro.data.weight_maps.none"


def test_each_run_of_the_sweep_has_its_history_also_if_it_was_trained_before(swept):
    server, folder = swept
    recorded = [row["val/loss"] for row in only_run(folder).history_rows()]
    assert list(server.runs) == ["trial1", "trial0"]
    for run_id, made in server.runs.items():
        assert made["sweep"] == "0"
        assert json.loads(made["config"])["compare"]["value"]["lr"] == RATE
        assert [row["val/loss"] for row in server.history(run_id) if "val/loss" in row] == recorded
        assert server.summary(run_id)["val/loss"] == recorded[-1]
        assert server.summary(run_id)["final/val/loss"] == recorded[-1]
