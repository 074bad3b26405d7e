import errno
import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest

from unet_repro.errors import RunError, RunHeld
from unet_repro.runs import lease
from unet_repro.runs.folder import RunFolder
from unet_repro.runs.lease import RECORD, hold, read_holder


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    monkeypatch.setattr(lease, "BEAT_S", 0.05)
    monkeypatch.setattr(lease, "SILENT_S", 0.5)


def write_record(folder, **changed):
    """The record of a worker on another machine, unless changed."""
    holder = {"host": "node7", "boot": "another boot", "pid": os.getpid(), "born": 1, "token": "theirs", **changed}
    (folder / RECORD).write_text(json.dumps(holder))


def test_a_holder_is_named_while_it_works_and_gone_after(tmp_path):
    folder = RunFolder(tmp_path / "run")
    assert not folder.running
    with folder.hold():
        assert folder.running
        assert folder.holder().pid == os.getpid()
        with pytest.raises(RunHeld, match=f"another process is training .*process {os.getpid()} on"), folder.hold():
            pass
        assert folder.running
    assert not folder.running
    assert folder.holder() is None


def test_a_dead_worker_of_this_machine_is_replaced_at_once(tmp_path):
    write_record(tmp_path, boot=lease._boot(), pid=2**22 - 1)
    assert not RunFolder(tmp_path).running
    with hold(tmp_path):
        assert read_holder(tmp_path).token != "theirs"


def test_a_process_number_that_was_used_again_is_no_worker(tmp_path):
    write_record(tmp_path, boot=lease._boot(), born=1)
    assert not RunFolder(tmp_path).running


@pytest.mark.skipif(sys.platform != "linux", reason="psutil counts from the boot on Linux only")
def test_a_clock_that_is_set_makes_no_worker_a_dead_one(tmp_path, monkeypatch):
    with hold(tmp_path):
        booted = psutil.boot_time()
        monkeypatch.setattr(psutil._psplatform, "boot_time", lambda: booted + 86400)
        assert RunFolder(tmp_path).running


def test_a_zombie_is_no_worker(tmp_path):
    ended = subprocess.Popen([sys.executable, "-c", ""])
    born = lease._born(ended.pid)
    os.waitid(os.P_PID, ended.pid, os.WEXITED | os.WNOWAIT)
    write_record(tmp_path, boot=lease._boot(), pid=ended.pid, born=born)
    assert not RunFolder(tmp_path).running
    ended.wait()


def test_a_silent_worker_of_another_machine_is_replaced_after_a_while(tmp_path):
    write_record(tmp_path)
    assert RunFolder(tmp_path).running
    started = time.monotonic()
    with hold(tmp_path):
        assert time.monotonic() - started >= 0.5
        assert read_holder(tmp_path).token != "theirs"
    assert not list(tmp_path.glob(".*.part"))


def test_a_living_worker_of_another_machine_is_left_alone(tmp_path):
    write_record(tmp_path)
    ended = threading.Event()

    def beat():
        while not ended.wait(0.02):
            os.utime(tmp_path / RECORD)

    thread = threading.Thread(target=beat)
    thread.start()
    try:
        with pytest.raises(RunHeld, match="node7"), hold(tmp_path):
            pass
        assert read_holder(tmp_path).token == "theirs"
    finally:
        ended.set()
        thread.join()


def test_of_many_that_find_a_silent_worker_one_takes_over(tmp_path, monkeypatch):
    monkeypatch.setattr(lease.FileLock, "acquire", lambda self: (_ for _ in ()).throw(NotImplementedError))
    monkeypatch.setattr(lease.FileLock, "release", lambda self: None)
    write_record(tmp_path)
    outcomes, together = [], threading.Barrier(8)

    def take():
        together.wait()
        try:
            with hold(tmp_path):
                outcomes.append("held")
                time.sleep(1.5)
        except RunHeld:
            outcomes.append("refused")

    threads = [threading.Thread(target=take) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["held"] + ["refused"] * 7


def test_a_holder_that_lost_its_place_is_told_and_leaves_the_new_record(tmp_path):
    with hold(tmp_path) as mine:
        mine.check()
        write_record(tmp_path)
        time.sleep(0.3)
        with pytest.raises(RunHeld, match="node7.* has taken over"):
            mine.check()
    assert read_holder(tmp_path).token == "theirs"


def test_a_file_system_that_fails_to_answer_costs_no_worker_its_place(tmp_path, monkeypatch):
    honest, failing = Path.read_text, threading.Event()

    def read_text(self, *arguments, **options):
        if failing.is_set() and self.name == RECORD:
            raise OSError(errno.ESTALE, "stale file handle")
        return honest(self, *arguments, **options)

    monkeypatch.setattr(Path, "read_text", read_text)
    with hold(tmp_path) as held:
        failing.set()
        time.sleep(0.2)
        held.check()
        held.confirm()
        failing.clear()
        before = (tmp_path / RECORD).stat().st_mtime_ns
        time.sleep(0.3)
        assert (tmp_path / RECORD).stat().st_mtime_ns > before  # the heart still beats


def test_a_worker_that_was_suspended_notices_its_successor_at_once(tmp_path, monkeypatch):
    monkeypatch.setattr(lease, "BEAT_S", 60.0)
    with hold(tmp_path) as held:
        write_record(tmp_path)
        held.check()
        with pytest.raises(RunHeld, match="process .* on node7 has taken over"):
            held.confirm()
        with pytest.raises(RunHeld):
            held.check()


def test_a_folder_that_cannot_be_made_is_an_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="cannot write"), hold(tmp_path / "file" / "run"):
        pass


def test_errors_of_the_block_come_through_as_they_are_and_free_the_run(tmp_path):
    with pytest.raises(FileNotFoundError, match="mine"), hold(tmp_path):
        raise FileNotFoundError("mine")
    with hold(tmp_path):
        pass
