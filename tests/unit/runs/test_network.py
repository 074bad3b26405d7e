"""A run predicts without the images it was trained on, or says what is missing."""

import json

import numpy as np
import pytest
import torch

from unet_repro.commands.hydra_app import compose
from unet_repro.config import check, make
from unet_repro.data.normalise import Normalisation
from unet_repro.errors import ConfigError, DataError, RunError, TrainingError
from unet_repro.files import write_atomically
from unet_repro.inference.overlap_tile import plan_tiles, predict
from unet_repro.runs.checkpoint import write_checkpoint
from unet_repro.runs.folder import RunFolder
from unet_repro.runs.network import describe_network, open_network

CONFIG = ["data=folder", "data.root=gone", "model.width=2", "model.depth=2"]


@pytest.fixture
def run(tmp_path):
    """A run's folder with what a prediction needs, and nothing else."""
    import dataclasses

    import yaml

    folder = RunFolder(tmp_path / "abc")
    config = check(compose("train", CONFIG))
    write_atomically(folder.config, yaml.safe_dump(dataclasses.asdict(config)))
    describe_network(folder, Normalisation((1.0, 2.0, 3.0), (0.5, 0.5, 0.25)), ("background", "cell"))
    net = make("model", config.model, in_channels=3, num_classes=2)
    write_checkpoint(folder.best, {"state_dict": {f"net.{name}": value for name, value in net.state_dict().items()}})
    return folder, net


def test_weights_statistics_and_names_come_back(run):
    folder, net = run
    network = open_network(folder.path)
    assert network.normalisation == Normalisation((1.0, 2.0, 3.0), (0.5, 0.5, 0.25))
    assert network.class_names == ("background", "cell")
    assert network.in_channels == 3
    assert network.run_id == "abc"
    assert not network.net.training
    x = torch.zeros(1, 3, 44, 44)
    torch.testing.assert_close(network.net(x), net.eval()(x), rtol=0, atol=0)


def test_a_run_given_as_text_predicts_stored_images_of_any_size(run):
    folder, net = run
    network = open_network(str(folder.path))
    image = np.random.default_rng(0).integers(0, 9, (3, 70, 50)).astype(np.uint8)
    scores = predict(net, network.normalisation.apply(image), plan_tiles((70, 50), 2))
    probabilities = network.predict_proba(image)
    np.testing.assert_allclose(probabilities, scores.softmax(0).numpy(), atol=1e-6)
    classes = network.predict(image)
    assert (classes.shape, classes.dtype) == ((70, 50), np.uint8)
    np.testing.assert_array_equal(classes, probabilities.argmax(0))
    turned = network.predict_proba(np.rot90(image, axes=(1, 2)), views=4)
    np.testing.assert_allclose(np.rot90(network.predict_proba(image, views=4), axes=(1, 2)), turned, atol=1e-6)


def test_arrays_that_cannot_be_predicted_are_refused(run):
    network = open_network(run[0].path)
    image = np.zeros((3, 40, 40))
    for wrong, message in (
        (image[0], "has 1 channel, but"),
        (image[:, :0], "shape"),
        (image[None], "shape"),
        (image + np.nan, "NaN"),
    ):
        with pytest.raises(DataError, match=message):
            network.predict(wrong)
    with pytest.raises(ConfigError, match="views=3"):
        network.predict(image, views=3)


def test_a_run_without_its_checkpoint_is_refused(run):
    folder, _ = run
    with pytest.raises(RunError, match=r"there is no checkpoint .*last\.ckpt"):
        open_network(folder.path, "last")


def test_a_folder_that_is_no_run_is_refused(tmp_path):
    with pytest.raises(RunError, match="not a run's folder"):
        open_network(tmp_path)


def test_an_older_run_says_how_to_make_what_it_lacks(run):
    folder, _ = run
    folder.network.unlink()
    with pytest.raises(RunError, match="unet-repro evaluate run="):
        open_network(folder.path)


@pytest.mark.parametrize("content", ["{", "[]", json.dumps({"mean": ["x"], "std": [1], "class_names": []})])
def test_a_damaged_description_is_refused(run, content):
    folder, _ = run
    folder.network.write_text(content)
    with pytest.raises(RunError, match="is damaged"):
        open_network(folder.path)


def test_a_checkpoint_of_another_architecture_is_refused(run):
    folder, _ = run
    describe_network(folder, Normalisation((1.0,), (0.5,)), ("background", "cell"))
    with pytest.raises(TrainingError, match="another architecture"):
        open_network(folder.path)


def test_a_checkpoint_that_carries_code_is_never_run(run, tmp_path):
    folder, _ = run

    class Payload:
        def __reduce__(self):
            return open, (str(tmp_path / "owned"), "w")

    torch.save({"state_dict": {}, "payload": Payload()}, folder.best)
    with pytest.raises(RunError, match="damaged or not a checkpoint"):
        open_network(folder.path)
    assert not (tmp_path / "owned").exists()
