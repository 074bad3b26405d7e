"""The settings that evaluation chose are kept by checkpoint."""

import pytest

from unet_repro.errors import RunError
from unet_repro.inference.instance_settings import InstanceSettings
from unet_repro.runs.folder import RunFolder
from unet_repro.runs.object_settings import read_choice, write_choice


def test_each_checkpoint_has_its_own_choice(tmp_path):
    folder = RunFolder(tmp_path)
    assert read_choice(folder, "best") is None
    best, last = InstanceSettings(0.7, "watershed", 500, 30), InstanceSettings(0.3)
    write_choice(folder, "best", best, 4)
    write_choice(folder, "last", last, 4)
    assert read_choice(folder, "best") == best
    assert read_choice(folder, "last") == last


@pytest.mark.parametrize(
    "text", ["{", "[]", '{"best": {"settings": {"size": 1}}}', '{"best": {"settings": {"threshold": 7}}}']
)
def test_a_damaged_file_is_reported(tmp_path, text):
    folder = RunFolder(tmp_path)
    folder.objects.write_text(text)
    with pytest.raises(RunError, match="is damaged"):
        read_choice(folder, "best")
