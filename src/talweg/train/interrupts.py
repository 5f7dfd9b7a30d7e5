"""Ctrl-C, heard between two slices of work rather than in the middle of a step."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any, TypeVar

T = TypeVar("T")


def interrupted(epochs: int, wanted: int) -> KeyboardInterrupt:
    """What a fit raises that Ctrl-C has ended."""
    return KeyboardInterrupt(
        f"Ctrl-C ended this fit after {epochs} of {wanted} epochs; the weights and model.history are kept. "
        "fit(..., on_interrupt='return') returns instead."
    )


class Interrupts:
    """While open, the first Ctrl-C sets `asked`; a second one raises KeyboardInterrupt, as if nobody had listened.

    Outside the main thread, where signals cannot be caught, and where the process ignores Ctrl-C, it does nothing.
    """

    def __init__(self) -> None:
        self.asked = False
        self._may_cut = False
        self._before: Any = None
        self._listens = False

    def __enter__(self) -> Interrupts:
        in_main = threading.current_thread() is threading.main_thread()
        if in_main and signal.getsignal(signal.SIGINT) not in (signal.SIG_IGN, None):
            self._before, self._listens = signal.signal(signal.SIGINT, self._heard), True
        return self

    def _heard(self, number: int, frame: FrameType | None) -> None:
        if self.asked or self._may_cut:
            self.asked = True
            raise KeyboardInterrupt
        self.asked = True

    def cutting(self, work: Callable[[], T]) -> T | None:
        """What `work`, which may be left anywhere, answers; None where Ctrl-C came, which leaves it at once."""
        self._may_cut = True
        try:
            return None if self.asked else work()
        except KeyboardInterrupt:
            if not self.asked:  # nor was it ours
                raise
            return None
        finally:
            self._may_cut = False

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._listens:
            signal.signal(signal.SIGINT, self._before)
