"""Completion is tried in the shells themselves, in a terminal of their own; zsh and fish where they are installed."""

import os
import pty
import select
import shutil
import subprocess
import sys
import time

import pytest

from unet_repro import conf_files
from unet_repro.commands.completion import candidates
from unet_repro.commands.verbs import VERBS

SETUP = {
    "bash": (["bash", "--norc", "-i"], "source <(unet-repro completion bash)"),
    "zsh": (["zsh", "-f", "-i"], "autoload -U compinit; compinit -u -D; source <(unet-repro completion zsh)"),
}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with two runs, and a program that fails when torch is imported."""
    for run_id in ("aaaaaaaaaaaa", "bbbbbbbbbbbb"):
        (tmp_path / "runs" / run_id).mkdir(parents=True)
        (tmp_path / "runs" / run_id / "config.yaml").write_text("{}\n")
    (tmp_path / "runs/ledger").mkdir()
    (tmp_path / "runs/ledger/optimizer.json").write_text("[]")
    (tmp_path / "other/ledger").mkdir(parents=True)
    (tmp_path / "other/ledger/norms.json").write_text("[]")
    (tmp_path / "other/cccccccccccc").mkdir()
    (tmp_path / "other/cccccccccccc/config.yaml").write_text("{}\n")
    (tmp_path / "bin").mkdir()
    for name in ("torch", "hydra", "omegaconf", "numpy"):
        (tmp_path / "bin" / f"{name}.py").write_text(f"raise ImportError('{name} was imported to complete a word')")
    program = tmp_path / "bin/unet-repro"
    path = f"{tmp_path / 'bin'}:{':'.join(sys.path)}"
    program.write_text(f'#!/bin/sh\nPYTHONPATH="{path}" exec {sys.executable} -m unet_repro "$@"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def typed(shell, line, awaited):
    """What a terminal shows after a line with tabs is typed; ends as soon as it shows ``awaited``."""
    command, setup = SETUP[shell]
    process, terminal = pty.fork()
    if process == 0:
        os.execvpe(command[0], command, {**os.environ, "TERM": "dumb", "PS1": "> "})
    shown = ""

    def show_until(text):
        nonlocal shown
        until = time.monotonic() + 60
        while text not in shown and time.monotonic() < until:
            if select.select([terminal], [], [], 0.1)[0]:
                shown += os.read(terminal, 4096).decode(errors="replace")

    try:
        os.write(terminal, f"stty -echo; {setup}; stty echo; echo rea''dy\n".encode())
        show_until("ready")
        shown = ""
        os.write(terminal, line.encode())
        show_until(awaited)
    finally:
        os.kill(process, 9)
        os.waitpid(process, 0)
        os.close(terminal)
    return shown


@pytest.mark.parametrize("shell", SETUP)
@pytest.mark.parametrize(
    ("line", "completed"),
    [
        ("unet-repro subm\t", "unet-repro submit-isbi "),
        ("unet-repro train optimizer.mom\t", "unet-repro train optimizer.momentum="),
        ("unet-repro train optimizer=sg\t", "unet-repro train optimizer=sgd "),
        ("unet-repro evaluate run=runs/a\t", "unet-repro evaluate run=runs/aaaaaaaaaaaa "),
        ("unet-repro reproduce --dr\t", "unet-repro reproduce --dry-run "),
    ],
)
def test_a_shell_completes_verbs_settings_options_and_runs(folder, shell, line, completed):
    if shutil.which(shell) is None:
        pytest.skip(f"needs {shell}")
    assert completed in typed(shell, line, completed)


@pytest.mark.skipif(shutil.which("fish") is None, reason="needs fish")
@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("unet-repro subm", ["submit-isbi"]),
        ("unet-repro train optimizer=a", ["optimizer=adam", "optimizer=adamw"]),
        ("unet-repro evaluate run=", ["run=runs/aaaaaaaaaaaa", "run=runs/bbbbbbbbbbbb"]),
    ],
)
def test_fish_completes_them_too(folder, line, words):
    done = subprocess.run(
        ["fish", "--no-config", "-c", f"unet-repro completion fish | source; complete -C '{line}'"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.split() == words


def test_each_shells_script_is_valid_for_it(folder):
    for shell in ("bash", "zsh", "fish"):
        done = subprocess.run(["unet-repro", "completion", shell], capture_output=True, text=True, check=True)
        if shutil.which(shell):
            subprocess.run([shell, "-n"], input=done.stdout, text=True, check=True)
    refused = subprocess.run(["unet-repro", "completion"], capture_output=True, text=True, check=False)
    assert refused.returncode == 2
    assert "one of bash, zsh, fish" in refused.stderr


@pytest.mark.parametrize("verb", VERBS)
def test_every_option_of_every_verb_is_offered(verb):
    offered = {word.strip() for word in candidates(f"unet-repro {verb} -")}
    assert "--help" in offered
    assert "--line" not in offered
    if VERBS[verb].config:
        words = candidates(f"unet-repro {verb} ")
        assert {f"{one.key}=" for one in conf_files.own_settings(VERBS[verb].config)} <= set(words)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("unet-repro train optimizer=sgd,a", ["optimizer=sgd,adam ", "optimizer=sgd,adamw "]),
        ("unet-repro train optimizer=adam optimizer.be", ["optimizer.betas="]),
        ("unet-repro train ++model.wid", ["++model.width="]),
        ("unet-repro train augment.flip=t", ["augment.flip=true "]),
        ("unet-repro train hydra/launcher=l", ["hydra/launcher=local "]),
        ("unet-repro reproduce --experiments core,", []),
        ("unet-repro reproduce --launcher s", ["slurm "]),
        ("unet-repro sweep-status o", ["optimizer "]),
        ("unet-repro evaluate comparison=", ["comparison=optimizer "]),
        ("unet-repro evaluate runs_dir=other comparison=", ["comparison=norms "]),
        ("unet-repro evaluate runs_dir=other run=", ["run=other/cccccccccccc "]),
        ("unet-repro weights data=u", ["data=u373 "]),
        ("unet-repro fetch h", ["hela "]),
        ("unet-repro predict output=ru", ["output=runs/"]),
        ("unet-repro runs ru", ["runs/"]),
        ("unet-repro train 'open", []),
        ("unet-repro nothing ", []),
    ],
)
def test_words(folder, line, words):
    found = candidates(line)
    assert found == words or (not words and all(word.startswith("core,") for word in found))


def test_a_folder_of_ones_own_is_completed(folder):
    (folder / "mine/experiment").mkdir(parents=True)
    (folder / "mine/experiment/special.yaml").write_text("# @package _global_\nseed: 3\n")
    assert candidates("unet-repro train --config-dir mine experiment=sp") == [
        "experiment=special ",
        "experiment=split ",
    ]
    assert candidates("unet-repro train --config-dir m") == ["mine/"]
