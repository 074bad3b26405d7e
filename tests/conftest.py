"""What all tests share: one thread, default signals, a home of their own, small samples."""

import gc
import signal
from collections.abc import Callable, Iterator

import unet_repro  # noqa: F401  # first, before torch: it makes waiting threads sleep

# isort: split
import cv2
import numpy as np
import pytest
import torch
from hypothesis import settings
from scipy import ndimage

from unet_repro.data.sample import Part, Sample

settings.register_profile("untimed", deadline=None)  # a busy machine is no failure
settings.load_profile("untimed")


def pytest_configure() -> None:
    """No garbage collections while tests and libraries are imported."""
    gc.disable()


def pytest_collection_finish() -> None:
    """Later ones skip what is imported."""
    gc.freeze()
    gc.enable()


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)
    cv2.setNumThreads(1)


@pytest.fixture(scope="session", autouse=True)
def _default_signals() -> Iterator[None]:
    """Ctrl-C is heard, here and in the processes that tests start: what cron or ``&`` starts inherits it as ignored."""
    handlers = {signal.SIGINT: signal.default_int_handler, signal.SIGQUIT: signal.SIG_DFL}
    ignored = [signum for signum in handlers if signal.getsignal(signum) is signal.SIG_IGN]
    for signum in ignored:
        signal.signal(signum, handlers[signum])
    yield
    for signum in ignored:
        signal.signal(signum, signal.SIG_IGN)


@pytest.fixture(scope="session", autouse=True)
def _own_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Caches, settings and credentials of the person who runs the tests are neither read nor written."""
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(home))
        patch.setenv("XDG_CACHE_HOME", str(home / ".cache"))
        patch.setenv("XDG_CONFIG_HOME", str(home / ".config"))
        yield


@pytest.fixture(scope="session")
def make_samples() -> Callable[..., list[Sample]]:
    """Makes labelled uint8 images of smooth noise, bright in cells of a few pixels, as one sequence."""

    def make(
        num: int = 5,
        size: tuple[int, ...] = (40, 44),
        *,
        sequence: str = "stack",
        part: Part = "train",
        labelled: bool = True,
        seed: int = 0,
    ) -> list[Sample]:
        rng = np.random.default_rng(seed)
        samples = []
        for number in range(num):
            smooth = ndimage.gaussian_filter(rng.standard_normal(size[-2:]), 3)
            labels, _ = ndimage.label(smooth > 0)
            noisy = 128 + 400 * smooth + rng.normal(0, 10, size)
            samples.append(
                Sample(
                    key=f"{sequence}/{number:02d}",
                    sequence=sequence,
                    part=part,
                    image=noisy.clip(0, 255).astype(np.uint8),
                    labels=labels.astype(np.int32) if labelled else None,
                )
            )
        return samples

    return make
