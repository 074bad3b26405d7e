"""Options stand anywhere among the settings; what is wrong is an error in this project's form."""

import numpy as np
import pytest

from unet_repro.cli import main
from unet_repro.commands.hydra_app import compose
from unet_repro.commands.inspect import _pixel_size
from unet_repro.commands.options import parser
from unet_repro.config import check
from unet_repro.errors import ConfigError


def test_options_stand_before_between_and_after_settings():
    asked = parser("inspect").parse_args(["--no-timing", "a=1", "--images", "2", "b=2"])
    assert (asked.overrides, asked.images, asked.no_timing) == (["a=1", "b=2"], 2, True)


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [(["--foo"], "inspect --help"), (["--images", "x"], "inspect --help"), (["--out", "-x"], "--OPTION=-VALUE")],
)
def test_a_wrong_option_is_refused_with_a_hint(arguments, hint):
    with pytest.raises(ConfigError) as caught:
        parser("inspect").parse_args(arguments)
    assert hint in caught.value.hint


@pytest.mark.parametrize(
    ("arguments", "says"), [([], "a verb is required"), (["trian"], "did you mean train?"), (["--x"], "no verb --x")]
)
def test_a_missing_or_unknown_verb_is_refused(arguments, says, capsys):
    with pytest.raises(SystemExit) as end:
        main(arguments)
    assert end.value.code == 2
    assert says in capsys.readouterr().err


def test_the_size_of_pixels_is_that_of_the_chosen_series(tmp_path):
    (tmp_path / "images").mkdir()
    np.savez(tmp_path / "images/a.npz", a=np.zeros((3, 9, 9)), b=np.zeros((9, 9)))
    config = check(compose("train", ["data=folder", f"data.root={tmp_path}", "data.series=a"]))
    assert _pixel_size(config) == "unknown"
