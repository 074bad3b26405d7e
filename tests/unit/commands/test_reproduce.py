import shlex

import pytest

from unet_repro.commands import reproduce
from unet_repro.errors import ConfigError


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--hours", "8"], "sequential trial only"),
        (["--scale", "laptop", "--seeds", "3", "--record"], "sequential trial only"),
        (["--scale", "laptop", "--hours", "0"], "--hours 0: must be positive"),
        (["--scale", "laptop", "--experiments", "kfold"], "no claim about kfold"),
        (
            ["--scale", "laptop", "--data", "isbi2012", "--record", "model.width=16"],
            "are not published: model.width=16",
        ),
    ],
)
def test_options_of_the_sequential_trial_are_not_ignored_elsewhere(arguments, message):
    with pytest.raises(ConfigError, match=message):
        reproduce.main(arguments)


def test_an_override_replaces_the_suites_own_setting_and_the_report_is_of_its_folder(monkeypatch, capsys, tmp_path):
    trained, reported = [], []
    monkeypatch.setattr(reproduce.hydra_app, "run", lambda task, *, verb, arguments: trained.append(arguments))
    monkeypatch.setattr(reproduce, "report", lambda runs_dir, experiments: reported.append(runs_dir))
    own = [f"runs_dir={tmp_path}", "hydra.launcher.jobs=1", "model.width=4", "model.width=2"]
    reproduce.main(["--scale", "smoke", "--data", "synthetic", "--experiments", "weight_map", *own])
    (given,) = trained
    for key, value in {"runs_dir": str(tmp_path), "hydra.launcher.jobs": "1", "model.width": "2"}.items():
        assert [one for one in given if one.startswith(f"{key}=")] == [f"{key}={value}"]
    assert shlex.split(capsys.readouterr().out) == ["unet-repro", "train", *given]
    assert reported == [tmp_path]
