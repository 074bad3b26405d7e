"""The count of finished runs in a sweep's progress bar."""

import json

from unet_repro.runs.folder import RunFolder
from unet_repro.runs.ledger import Entry
from unet_repro.sweep.progress import SweepProgress


def test_a_run_is_counted_when_its_result_is_written(tmp_path):
    entry = Entry("optimizer", "a", 0, "cpu", "isbi2012", "", "aaa", (), 1.0, "k")
    folder = RunFolder(tmp_path / "aaa")
    folder.path.mkdir()
    updates = []
    progress = SweepProgress([entry], tmp_path, lambda: updates.append(folder.is_done))
    folder.progress.write_text(json.dumps({"step": 60, "of": 60, "seconds": 1.0}))  # the last step, without a result
    progress._refresh()
    assert (progress._count_done(), progress._cost_done(), updates) == (0, 1.0, [])
    folder.result_file.write_text("{}")
    progress._refresh()
    assert (progress._count_done(), updates) == (1, [True])
