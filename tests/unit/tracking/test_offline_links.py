"""Links to offline runs: one for each run, to its latest folder, also after the runs were moved."""

import shutil

from unet_repro.tracking.links import link_offline_run


def offline_run(runs_dir, run_id, time="20260101_000000"):
    path = runs_dir / run_id / "wandb" / f"offline-run-{time}-{run_id}" / f"run-{run_id}.wandb"
    path.parent.mkdir(parents=True)
    path.touch()
    return path


def linked(runs_dir):
    return sorted(path.relative_to(runs_dir / "wandb").as_posix() for path in (runs_dir / "wandb").glob("*/*.wandb"))


def test_all_runs_of_a_folder_are_in_one_place(tmp_path):
    for run_id in "ab":
        for _ in range(2):  # the second time there is nothing left to do
            path = tmp_path / run_id / f"wandb/offline-run-20260101_000000-{run_id}/run-{run_id}.wandb"
            link_offline_run(path if path.exists() else offline_run(tmp_path, run_id))
    assert linked(tmp_path) == [f"offline-run-20260101_000000-{run_id}/run-{run_id}.wandb" for run_id in "ab"]


def test_a_run_that_was_written_again_has_one_link(tmp_path):
    link_offline_run(offline_run(tmp_path, "a"))
    shutil.rmtree(tmp_path / "a")
    link_offline_run(offline_run(tmp_path, "a", time="20260202_000000"))
    assert [path.name for path in (tmp_path / "wandb").iterdir()] == ["offline-run-20260202_000000-a"]


def test_links_survive_a_move_of_the_runs(tmp_path):
    link_offline_run(offline_run(tmp_path / "there", "a"))
    (tmp_path / "there").rename(tmp_path / "here")
    assert linked(tmp_path / "here") == ["offline-run-20260101_000000-a/run-a.wandb"]


def test_a_place_that_cannot_be_written_is_a_note_and_no_error(tmp_path, capsys):
    path = offline_run(tmp_path, "a")
    (tmp_path / "wandb").touch()
    link_offline_run(path)
    assert "cannot be created" in capsys.readouterr().err
