import re
import subprocess
import sys

import pytest

from unet_repro import conf_files
from unet_repro.commands import help as help_texts
from unet_repro.commands.verbs import VERBS

SLOW = ("torch", "lightning", "hydra", "omegaconf", "pydantic", "wandb", "matplotlib", "scipy", "numpy")


@pytest.mark.parametrize("verb", VERBS)
def test_the_help_of_a_verb_imports_nothing_slow_and_has_three_examples(verb, tmp_path):
    for name in SLOW:
        (tmp_path / f"{name}.py").write_text(f"raise ImportError('{name} was imported for the help')")
    done = subprocess.run(
        [sys.executable, "-m", "unet_repro", verb, "--help"],
        env={"PYTHONPATH": f"{tmp_path}:{':'.join(sys.path)}"}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"usage: unet-repro {verb}")
    examples = done.stdout.partition("examples:\n")[2].partition("\n\n")[0]
    assert examples.rstrip().count(f"  unet-repro {verb}") == 3


@pytest.mark.parametrize("verb", [name for name, verb in VERBS.items() if verb.config])
def test_the_help_lists_every_setting_of_the_verb_with_default_and_comment(verb):
    config = VERBS[verb].config
    text = re.sub(r"\s+", " ", help_texts.text(verb, [], width=100))
    for one in conf_files.own_settings(config):
        assert f"{one.key}={one.value} {one.comment}".strip() in text
    assert ("optimizer=sgd" in text) == (config == "train")


def test_the_help_shows_the_settings_of_the_options_that_are_given():
    text = help_texts.text("train", ["optimizer=adam", "scale=paper"], width=100)
    assert "optimizer.betas=[0.9, 0.999]" in text
    assert "optimizer.momentum" not in text
    assert "model.width=64" in text
    assert "rates.adam=" in text
    assert "(adam, adamw, sgd)" in text
    assert max(map(len, help_texts.text("train", [], width=80).splitlines())) < 140  # long values only


def test_the_help_of_search_shows_the_settings_of_the_search():
    text = help_texts.text("search", [], width=100)
    assert "hydra.sweeper.trials=20" in text
    assert "dry_run" not in text


def test_the_help_finds_a_users_own_files(tmp_path):
    (tmp_path / "experiment").mkdir()
    (tmp_path / "experiment/mine.yaml").write_text("# @package _global_\nmodel:\n  width: 5\n")
    text = help_texts.text("train", ["--config-dir", str(tmp_path), "experiment=mine"], width=100)
    assert "model.width=5" in text
    assert "mine" in text.partition("experiment=mine")[2]
