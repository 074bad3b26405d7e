import multiprocessing
import pickle

import pytest

from unet_repro.errors import RunError, TrainingError
from unet_repro.files import write_atomically
from unet_repro.runs.folder import RunFolder, open_run

MANIFEST = {"digest": "d" * 64, "source": "x"}


def test_the_state_follows_the_files(tmp_path):
    folder = RunFolder(tmp_path / "run")
    assert folder.state == "new"
    folder.begin({"seed": 0}, MANIFEST)
    assert folder.state == "new"
    folder.last.write_bytes(b"")
    assert folder.state == "partial"
    folder.fail("reason")
    assert folder.state == "failed"
    folder.begin({"seed": 0}, MANIFEST)
    assert folder.state == "partial"
    folder.finish({"seed": 0}, {"seconds": 1})
    assert folder.state == "done"
    assert folder.result() == {"seed": 0}


def test_a_run_refuses_other_data_than_it_was_begun_with(tmp_path):
    folder = RunFolder(tmp_path / "run")
    folder.begin({}, MANIFEST)
    with pytest.raises(RunError, match="data have changed"):
        folder.begin({}, {"digest": "e" * 64, "source": "x"})


@pytest.mark.parametrize(("val", "seen"), [(["b"], True), (["c"], False)])
def test_a_run_knows_whether_its_validation_images_were_trained_on(tmp_path, val, seen):
    folder = RunFolder(tmp_path / "run")
    assert not folder.trains_on_validation()
    folder.begin({}, {**MANIFEST, "split": {"train": ["a", "b"], "val": val, "test": []}})
    assert folder.trains_on_validation() is seen


def test_writing_fails_whole_and_leaves_the_old_file(tmp_path):
    path = tmp_path / "file"
    write_atomically(path, "old")
    with pytest.raises(RunError, match="cannot write"):
        write_atomically(path / "below a file", "new")
    assert path.read_text() == "old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]


def test_only_a_runs_folder_is_opened(tmp_path):
    with pytest.raises(RunError, match=r"no config\.yaml"):
        open_run(tmp_path)


def _hold(path, held, done):
    with RunFolder(path).hold():
        held.set()
        done.wait(30)


def test_a_lock_of_another_process_is_respected_and_freed_by_its_death(tmp_path):
    context = multiprocessing.get_context("spawn")
    held, done = context.Event(), context.Event()
    process = context.Process(target=_hold, args=(tmp_path / "run", held, done))
    process.start()
    assert held.wait(60)
    with pytest.raises(RunError, match="another process"), RunFolder(tmp_path / "run").hold():
        pass
    process.kill()
    process.join()
    with RunFolder(tmp_path / "run").hold():
        pass


def test_errors_survive_the_way_back_from_a_worker():
    error = pickle.loads(pickle.dumps(TrainingError("what", hint="how")))
    assert isinstance(error, TrainingError)
    assert str(error) == "what\n  hint: how"


def test_settings_and_history_come_back_from_their_files(tmp_path):
    folder = RunFolder(tmp_path / "run")
    assert folder.curves() == {}
    folder.begin({"seed": 0, "model": {"width": 8}}, MANIFEST)
    write_atomically(folder.history, "step,val/iou,extra\n5,0.25,\n10,0.5,\n")
    assert folder.settings() == {"seed": 0, "model": {"width": 8}}
    assert folder.history_rows() == [{"step": 5, "val/iou": 0.25}, {"step": 10, "val/iou": 0.5}]
    assert folder.curves() == {"step": [5, 10], "val/iou": [0.25, 0.5]}


@pytest.mark.parametrize("content", [None, b"", b"a: [", b"- 1", b"\xff\xfe"])
def test_damaged_settings_are_refused(content, tmp_path):
    folder = RunFolder(tmp_path)
    if content is not None:
        folder.config.write_bytes(content)
    with pytest.raises(RunError, match=r"config\.yaml is damaged(.|\n)*train again"):
        folder.settings()


@pytest.mark.parametrize(
    "content", [None, b"", b"step\n", b"step,a\nx,1\n", b"step,a\n,1\n", b"step\n1,2\n", b"\xff\n1\n"]
)
def test_a_damaged_history_is_refused(content, tmp_path):
    folder = RunFolder(tmp_path)
    if content is not None:
        folder.history.write_bytes(content)
    with pytest.raises(RunError, match=r"history\.csv is damaged(.|\n)*train again"):
        folder.history_rows()


@pytest.mark.parametrize("content", [b"", b"[1]", b"null", b"{", b"\xff", None])
def test_a_damaged_record_is_refused(content, tmp_path):
    folder = RunFolder(tmp_path)
    folder.manifest.mkdir() if content is None else folder.manifest.write_bytes(content)
    with pytest.raises(RunError, match=r"manifest\.json is damaged(.|\n)*train again"):
        folder.check_manifest(MANIFEST)


def test_a_record_without_its_digest_is_of_other_data(tmp_path):
    RunFolder(tmp_path).manifest.write_text("{}")
    with pytest.raises(RunError, match="the data have changed"):
        RunFolder(tmp_path).check_manifest(MANIFEST)
