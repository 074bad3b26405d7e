from types import SimpleNamespace

import torch

from unet_repro.runs.folder import RunFolder
from unet_repro.runs.recorder import CheckpointInMemory, Recorder
from unet_repro.runs.stopping import StopRequest


def test_what_is_laid_aside_before_a_validation_copies_the_training_and_shares_the_best_weights(tmp_path):
    memory, weights = CheckpointInMemory(None), torch.zeros(3)
    recorder = Recorder(
        RunFolder(tmp_path), lease=None, memory=memory, stop=StopRequest(), val_every=2, save_every_s=1e9
    )
    recorder.best_weights = {"w": torch.ones(3)}

    def save_checkpoint(path):
        memory.save_checkpoint({"state_dict": {"w": weights}, "callbacks": {"Recorder": recorder.state_dict()}}, path)

    recorder.on_train_batch_end(SimpleNamespace(global_step=3, max_steps=8, save_checkpoint=save_checkpoint))
    weights += 1
    aside = recorder._before_validation

    assert aside["state_dict"]["w"].tolist() == [0, 0, 0]
    assert aside["callbacks"]["Recorder"]["best_weights"]["w"] is recorder.best_weights["w"]
    assert aside["callbacks"]["Recorder"]["rows"] is not recorder.rows
