from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from unet_repro.data.sample import Sample
from unet_repro.data.splits import Split
from unet_repro.errors import ConfigError, DataError
from unet_repro.search import compare as final
from unet_repro.search.search import Arm


@dataclass
class Read:
    samples: list[Sample]
    split: Split
    name: str = "d"


def arm(monkeypatch, *, test_labels):
    pixels = np.zeros((4, 4), np.uint8)
    samples = [
        Sample("train/0", "s", "train", pixels, pixels.astype(np.int32)),
        Sample("test/0", "s", "test", pixels, test_labels),
    ]
    monkeypatch.setattr(Arm, "trained", lambda *_: None)
    read = Read(samples, Split(("train/0",), (), ("test/0",)))
    return Arm("Adam", (), SimpleNamespace(), Path("s.journal"), lambda _: None, lambda _: read)


def test_a_comparison_needs_a_test_part_with_labels(monkeypatch):
    unlabelled = arm(monkeypatch, test_labels=None)
    final.check_final([unlabelled], [])
    with pytest.raises(DataError, match=r"no labelled images(.|\n)*split=held_out"):
        final.check_final([unlabelled], [0])
    final.check_final([arm(monkeypatch, test_labels=np.zeros((4, 4), np.int32))], [0, 1])


def test_a_seed_named_twice_is_refused(monkeypatch):
    with pytest.raises(ConfigError, match="duplicate"):
        final.check_final([arm(monkeypatch, test_labels=None)], [1, 1])
