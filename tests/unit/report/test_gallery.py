from types import SimpleNamespace

import numpy as np

from unet_repro.report.gallery import shown_keys


def test_only_held_out_images_that_were_predicted_are_shown(tmp_path):
    run = SimpleNamespace(run_id="a", manifest={"split": {"val": ["s/0", "s/1", "s/2", "s/3", "s/4"]}})
    assert shown_keys(tmp_path, run) == []
    (tmp_path / "a/evaluations").mkdir(parents=True)
    for number, shown in ((1, ["s/0"]), (2, ["s/0", "s/1"]), (5, ["s/0", "s/2", "s/4"])):
        classes = {str(n): np.zeros((4, 4), np.uint8) for n in range(number)}
        np.savez(tmp_path / "a/evaluations/trial.npz", **classes)
        assert shown_keys(tmp_path, run) == shown
