"""Stop signals."""

import signal

from unet_repro.runs.stopping import StopRequest


def test_a_handler_from_outside_python_is_left_alone(monkeypatch):
    before = signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr(signal, "getsignal", lambda signum: None)
    with StopRequest() as stop:
        assert stop.previous_handler(signal.SIGTERM) is None
    monkeypatch.undo()
    assert signal.getsignal(signal.SIGTERM) is before
