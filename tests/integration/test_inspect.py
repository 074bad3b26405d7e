"""Own images inspected, planned and trained: through the command line and as configurations."""

import cv2
import numpy as np
import pytest
import yaml
from tiny import tiny, unet_repro

from unet_repro.commands.hydra_app import compose
from unet_repro.config import check
from unet_repro.errors import ConfigError
from unet_repro.inspection.planned import plan_overrides, planned
from unet_repro.runs.identity import numbers_of
from unet_repro.sweep.plan import plan as sweep_plan
from unet_repro.train import train
from unet_repro.training.build import DataReader

FAST = ["trainer.max_steps=2", "trainer.val_every=2", "trainer.threads=1", "trainer.progress=false",
        "logger.mode=disabled"]  # fmt: skip


def own_images(root, num, size, *, pitch=24):
    """Discs of a random size on a grid, so that images are alike, as neighbours of a stack are."""
    rows, columns = np.mgrid[:size, :size]
    for folder in ("images", "labels"):
        (root / folder).mkdir(parents=True)
    for number in range(num):
        rng = np.random.default_rng(number)
        labels = np.zeros((size, size), np.uint8)
        for index, (row, column) in enumerate(np.ndindex(size // pitch, size // pitch), start=1):
            labels[(rows - pitch * row - 12) ** 2 + (columns - pitch * column - 12) ** 2 < rng.integers(5, 10) ** 2] = (
                index
            )
        image = np.clip(60 + 90 * (labels > 0) + rng.normal(0, 12, labels.shape), 0, 255).astype(np.uint8)
        cv2.imwrite(str(root / f"images/{number:02}.png"), image)
        cv2.imwrite(str(root / f"labels/{number:02}.png"), 255 * (labels > 0).astype(np.uint8))
    return [f"data.root={root}", "data=folder"]


def test_inspect_prints_facts_warnings_and_plan_and_draws_a_page(tmp_path):
    own_images(tmp_path / "my images, 2", 4, 96)
    said = unet_repro("inspect", "data=folder", "data.root=my images, 2", "--out", "a/page.html", cwd=tmp_path)
    assert said.returncode == 0, said.stderr
    for each in (
        "4 of 96 x 96 pixels, grey, uint8",
        "pixel size unknown",
        "objects  64, 16 in an image",
        "split    2 train, 1 validate",
        "4 labelled images are few",
        "depth  3",
        "time   ",
    ):
        assert each in said.stdout
    page = (tmp_path / "a/page.html").read_text()
    assert page.count("data:image/png;base64,") == 4 + 2 + 6, "images, weight maps of those that train, tiles"
    assert 'src="http' not in page
    assert "labels are " in page, "the reasons of their meaning"
    assert not (tmp_path / "runs").exists()


def test_inspect_says_what_it_knows_before_an_error(tmp_path):
    own_images(tmp_path / "mine", 2, 24)
    said = unet_repro("inspect", "data=folder", "data.root=mine", "split=contiguous", "--no-timing", cwd=tmp_path)
    assert said.returncode != 0
    assert "2 of 24 x 24 pixels" in said.stdout
    assert "hint:" in said.stderr


def test_own_data_trains_as_planned_and_records_the_plan(tmp_path, capsys):
    data = own_images(tmp_path / "mine", 1, 150)
    composed = compose("train", [*data, "experiment=own_data", "model.width=2", f"runs_dir={tmp_path / 'runs'}", *FAST])
    result = train(composed)
    settings = yaml.safe_load((tmp_path / "runs" / result["run_id"] / "config.yaml").read_text())
    assert settings["plan"]["depth"] == settings["model"]["depth"] == 2, "at depth 3 the gap leaves 32 of 150 pixels"
    assert settings["tiles"]["size"] == settings["plan"]["tile"]
    assert (settings["model"]["width"], settings["plan"]["reasons"]["width"]) == (2, "as set")
    assert "mostly mirrored" in settings["plan"]["reasons"]["depth"]
    said = capsys.readouterr().err
    assert "inspected: 1 labelled images, 36 objects" in said
    assert "plan: depth 2, width 2" in said
    assert train(composed)["run_id"] == result["run_id"], "the plan of the same data is the same"


@pytest.fixture(scope="module")
def few(tmp_path_factory):
    """Arguments for six images."""
    return own_images(tmp_path_factory.mktemp("own") / "mine", 6, 96)


def test_what_was_planned_is_part_of_the_identity_but_the_plan_is_not(few):
    read = DataReader()
    config = planned(compose("train", ["experiment=own_data", *few]), read)
    written_out = [f"model.depth={config.model['depth']}", f"tiles.size={config.tiles['size']}",
                   f"tiles.budget={config.tiles['budget']}", "plan=null"]  # fmt: skip
    same = planned(compose("train", ["experiment=own_data", *written_out, *few]), read)
    assert numbers_of(same) == numbers_of(config)
    assert same.plan is None
    assert check(compose("train", ["experiment=own_data", *few])).tiles["size"] == 396, "before the plan"


def test_a_sweep_hands_its_plan_to_its_jobs(few):
    (entry,) = sweep_plan(lambda overrides: compose("train", overrides), [["experiment=own_data", *few, "seed=1"]])
    config = planned(compose("train", list(entry.overrides)), DataReader())
    assert config.plan is not None
    assert plan_overrides(config.plan) == [one for one in entry.overrides if one.startswith("+plan.")]
    assert config.tiles["size"] == config.plan["tile"] == 188


def test_a_plan_is_not_set_by_hand(few):
    with pytest.raises(ConfigError, match="made from the images") as error:
        planned(compose("train", ["experiment=own_data", *few, "+plan.depth=2"]), DataReader())
    assert "model.depth" in str(error.value.hint)


def test_a_configuration_without_plan_is_only_checked(tmp_path):
    def read(_):
        raise AssertionError("the data are not read")

    assert planned(tiny(tmp_path), read).plan is None


@pytest.mark.slow
@pytest.mark.parametrize("launcher", ["basic", "local"])
def test_a_sweep_says_once_what_it_found_in_the_data(launcher, tmp_path):
    own_images(tmp_path / "mine", 4, 96)
    options = ["data=folder", "data.root=mine", "model.width=2", "model.depth=2", "tiles.size=84", "tiles.budget=1x84"]
    jobs = ["hydra.launcher.jobs=2"] if launcher == "local" else []
    said = unet_repro("train", "-m", *options, *FAST, "seed=0,1", f"hydra/launcher={launcher}", *jobs, cwd=tmp_path)
    assert said.returncode == 0, said.stderr
    assert len(list(tmp_path.glob("runs/*/result.json"))) == 2
    everything = said.stdout + said.stderr
    assert everything.count("note: labels are masks") == 1
    assert everything.count("inspected: 4 labelled images") == 1
