"""SIGTERM and SIGHUP: what a scheduler sends before it kills, and what a terminal sends as it closes.

They end a command as Ctrl-C does, after the steps at hand: locks are given back, compilers ended, temporary files
removed, and a training run stays as its last checkpoint has it. The exit code is 128 and the signal's number, as a
shell has it. A second signal ends the process at once.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

HEARD = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]


class Ended(BaseException):
    """A signal asks the command to end. It is no `Exception`, so nobody takes it for an error."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.exit_code = 128 + number


@contextmanager
def signals_as_exceptions() -> Iterator[None]:
    """Within it, the first such signal raises `Ended`. What is ignored (`nohup`) stays ignored."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    ours = [number for number in HEARD if signal.getsignal(number) == signal.SIG_DFL]

    def heard(number: int, frame: FrameType | None) -> None:
        for each in ours:
            signal.signal(each, signal.SIG_DFL)
        raise Ended(number)

    try:
        for number in ours:
            signal.signal(number, heard)
        yield
    finally:
        for number in ours:
            signal.signal(number, signal.SIG_DFL)
