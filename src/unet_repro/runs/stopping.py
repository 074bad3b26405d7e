"""Stop signals: recorded on arrival, handled where the next checkpoint can be written."""

import os
import signal
import threading
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any

# SLURM and submitit warn with a user signal; it is a stop request only if a handler is installed.
_ALWAYS = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGINT") if hasattr(signal, name))
_WHERE_HANDLED = tuple(getattr(signal, name) for name in ("SIGUSR1", "SIGUSR2") if hasattr(signal, name))


class StopRequest:
    """Records SIGTERM, SIGINT (Ctrl-C) and a scheduler's warning during its ``with`` block.

    A second Ctrl-C stops at once. Outside the main thread, where Python forbids handlers, nothing is recorded.

    Attributes:
        asked: Number of the received signal, or ``None``.
    """

    def __init__(self) -> None:
        self.asked: int | None = None
        self._before: dict[int, Any] = {}

    def __enter__(self) -> "StopRequest":
        if threading.current_thread() is threading.main_thread():
            before = {signum: signal.getsignal(signum) for signum in (*_ALWAYS, *_WHERE_HANDLED)}
            self._before = {
                signum: handler
                for signum, handler in before.items()
                # None: installed outside Python, which could not install it again
                if callable(handler) or (signum in _ALWAYS and handler not in (signal.SIG_IGN, None))
            }
        self.listen()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for signum, handler in self._before.items():
            signal.signal(signum, handler)

    def listen(self) -> None:
        """Installs the handlers (again): Lightning installs its own SIGTERM handler when a fit begins."""
        for signum in self._before:
            signal.signal(signum, self._note)

    def previous_handler(self, signum: int) -> Callable[[int, FrameType | None], Any] | None:
        """The handler that was installed before, such as a scheduler's, which requeues the job."""
        handler = self._before.get(signum)
        return handler if callable(handler) and handler is not signal.default_int_handler else None

    def _note(self, signum: int, frame: FrameType | None) -> None:  # noqa: ARG002
        if self.asked is not None and signum == signal.SIGINT:
            raise KeyboardInterrupt
        self.asked = signum
        name = signal.Signals(signum).name
        # Not through sys.stderr: the handler may run while it is being written to.
        os.write(2, f"\n{name}: stopping after this step with a checkpoint (Ctrl-C again stops at once)\n".encode())
