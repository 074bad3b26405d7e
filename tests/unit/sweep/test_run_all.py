import pytest
from hydra.core.utils import JobReturn, JobStatus

from unet_repro.errors import ConfigError, RunError, RunHeld, Stopped
from unet_repro.runs.folder import RunFolder
from unet_repro.runs.ledger import Entry
from unet_repro.sweep import run_all as rounds
from unet_repro.sweep.run_all import train_all


def entries(*run_ids):
    return [Entry("optimizer", f"arm {name}", 0, "cpu", "d", "", name, (), 1.0, "k") for name in run_ids]


class Launcher:
    """Plays one act a launch: what each run comes to, or an error of the launcher as a whole."""

    def __init__(self, folder, *acts):
        self.folder, self.acts, self.launched, self.lines = folder, list(acts), [], []

    def __call__(self, asked):
        self.launched.append([entry.run_id for entry in asked])
        act = self.acts.pop(0)
        returns = [self._play(entry.run_id, act.get(entry.run_id)) for entry in asked]
        if "error" in act:
            raise act["error"]
        return returns

    def _play(self, run_id, outcome):
        run = RunFolder(self.folder / run_id)
        run.path.mkdir(exist_ok=True)
        if outcome == "done":
            run.result_file.write_text("{}")
            return JobReturn(status=JobStatus.COMPLETED)
        if outcome == "checkpoint":
            run.last.write_bytes(bytes(len(self.launched)))
        if isinstance(outcome, RunError) and not isinstance(outcome, RunHeld):
            run.fail(str(outcome))
        return JobReturn(status=JobStatus.FAILED, _return_value=outcome)

    def sweep(self, *run_ids):
        return train_all(entries(*run_ids), self.folder, self, show_line=self.lines.append)


BROKEN = RuntimeError("a worker was lost")


def test_finished_runs_are_not_launched(tmp_path):
    Launcher(tmp_path, {"a": "done"}).sweep("a")
    launcher = Launcher(tmp_path, {"b": "done"})
    assert launcher.sweep("a", "b") == []
    assert launcher.launched == [["b"]]
    assert Launcher(tmp_path).sweep("a", "b") == []


def test_a_failure_names_arm_seed_reason_and_file_and_the_next_sweep_tries_it_again(tmp_path):
    (line,) = Launcher(tmp_path, {"a": "done", "b": RunError("too little", hint="give more")}).sweep("a", "b")
    assert line.startswith("optimizer, arm b, seed 0: too little")
    assert line.endswith(f"see {tmp_path / 'b' / 'error.txt'}")
    again = Launcher(tmp_path, {"b": "done"})
    assert again.sweep("a", "b") == []
    assert again.launched == [["b"]]


def test_a_launcher_that_breaks_off_is_started_again_for_what_is_left(tmp_path):
    launcher = Launcher(tmp_path, {"a": "done", "error": BROKEN}, {"b": "done", "c": "done"})
    assert launcher.sweep("a", "b", "c") == []
    assert launcher.launched == [["a", "b", "c"], ["b", "c"]]
    assert "a worker was lost" in launcher.lines[0]


def test_it_is_started_again_as_long_as_some_run_gets_further(tmp_path):
    further = {"a": "checkpoint", "error": BROKEN}
    launcher = Launcher(tmp_path, further, further, further, {"error": BROKEN}, {"a": "done", "b": "done"})
    assert launcher.sweep("a", "b") == []
    assert len(launcher.launched) == 5


def test_it_is_given_up_when_it_breaks_off_twice_without_any_progress(tmp_path):
    launcher = Launcher(tmp_path, {"a": "done", "error": BROKEN}, {"error": BROKEN}, {"error": BROKEN})
    failures = launcher.sweep("a", "b", "c")
    assert len(failures) == 2
    assert all("RuntimeError: a worker was lost" in line for line in failures)
    assert launcher.acts == []


def test_a_launcher_that_ends_its_work_before_it_breaks_off_has_failed_nothing(tmp_path):
    launcher = Launcher(tmp_path, {"a": "done", "error": BROKEN})
    assert launcher.sweep("a") == []
    assert launcher.lines == []


@pytest.mark.parametrize(
    "error", [ConfigError("two GPUs are one too many", hint="use 1"), Stopped(15), KeyboardInterrupt()]
)
def test_what_the_launcher_refuses_and_a_stop_come_through_as_they_are(tmp_path, error):
    with pytest.raises(type(error)):
        Launcher(tmp_path, {"error": error}).sweep("a")


def test_held_runs_are_waited_for_and_launched_again_once_they_are_free(tmp_path, monkeypatch):
    running = [True, True, False]
    monkeypatch.setattr(RunFolder, "running", property(lambda folder: running.pop(0)))
    monkeypatch.setattr(rounds, "POLL_S", 0)
    held = RunHeld("another process trains it", hint="wait")
    launcher = Launcher(tmp_path, {"a": held, "b": "done"}, {"a": "done"})
    assert launcher.sweep("a", "b") == []
    assert launcher.launched == [["a", "b"], ["a"]]
    assert launcher.lines == ["waiting for 1 runs that other processes are training"]
    assert running == []


def test_a_held_run_that_its_holder_finishes_is_done(tmp_path, monkeypatch):
    looks = []

    def running(folder):
        looks.append(folder.run_id)
        if len(looks) == 2:
            folder.result_file.write_text("{}")
        return True

    monkeypatch.setattr(RunFolder, "running", property(running))
    monkeypatch.setattr(rounds, "POLL_S", 0)
    launcher = Launcher(tmp_path, {"a": RunHeld("another process trains it", hint="wait")})
    assert launcher.sweep("a") == []
    assert launcher.launched == [["a"]]
