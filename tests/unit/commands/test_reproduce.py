import pytest

from unet_repro.commands import reproduce
from unet_repro.errors import ConfigError


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--hours", "8"], "sequential trial only"),
        (["--scale", "laptop", "--seeds", "3", "--record"], "sequential trial only"),
        (["--scale", "laptop", "--hours", "0"], "--hours 0: must be positive"),
    ],
)
def test_options_of_the_sequential_trial_are_not_ignored_elsewhere(arguments, message):
    with pytest.raises(ConfigError, match=message):
        reproduce.main(arguments)
