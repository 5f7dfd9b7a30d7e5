"""The progress line, in Keras's form: one that grows in a terminal, a line an epoch elsewhere."""

from __future__ import annotations

import sys
import time
from typing import Any

from talweg.escapes import on_one_line
from talweg.train.callbacks.base import Callback, Logs

BAR = 20  # characters


class ProgressLine(Callback):
    """Shows how an epoch goes, and what it came to.

    With more than 100 epochs, of less than half a second each, not every epoch gets a line: in a terminal one line is
    written again and again, elsewhere about twenty are written in all.
    """

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self._verbose = 1 if self.params["verbose"] in ("auto", True) else self.params["verbose"]
        self._epochs = self.params["epochs"]
        self._is_terminal = sys.stdout.isatty()
        self._shown_at, self._began, self._seconds = 0.0, 0.0, 0.0
        self._width = 0

    @property
    def _is_brief(self) -> bool:
        return self._epochs > 100 and self._seconds < 0.5

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        self._epoch, self._began = epoch, time.perf_counter()
        if self._verbose == 1 and not self._is_brief:
            print(f"Epoch {epoch + 1}/{self._epochs}")

    def on_progress(self, done: int, steps: int, logs: Logs | None = None) -> None:
        now = time.perf_counter()
        if self._verbose == 1 and self._is_terminal and not self._is_brief and now - self._shown_at > 0.1:
            self._shown_at = now
            left = (now - self._began) / done * (steps - done)
            self._write(f"{_bar(done, steps)} {left:.0f}s left - {_values(logs)}", end=False)

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        self._seconds = time.perf_counter() - self._began
        steps = self.params["steps"]
        step = f" {_time(self._seconds / steps)}/step" if steps else ""
        if self._verbose == 2:
            print(f"Epoch {epoch + 1}/{self._epochs} - {self._seconds:.0f}s{step} - {_values(logs)}")
        elif not self._is_brief:
            bar = f"{_bar(steps, steps)} " if steps else ""
            self._write(f"{bar}{self._seconds:.0f}s{step} - {_values(logs)}", end=True)
        elif self._is_terminal:
            self._write(f"Epoch {epoch + 1}/{self._epochs} - {_values(logs)}", end=False)
        elif (epoch + 1) % max(1, self._epochs // 20) == 0:
            print(f"Epoch {epoch + 1}/{self._epochs} - {_values(logs)}")

    def on_train_end(self, logs: Logs | None = None) -> None:
        if self._width:
            print()
        sys.stdout.flush()

    def _write(self, text: str, end: bool) -> None:
        """Over the line that stands there, in a terminal."""
        if self._is_terminal:
            print(f"\r{text:<{self._width}}", end="\n" if end else "", flush=True)
            self._width = 0 if end else len(text)
        elif end:
            print(text)

    @staticmethod
    def print_result(logs: Logs) -> None:
        """One line with the outcome of an evaluation."""
        print(_values(logs))


def _bar(done: int, steps: int) -> str:
    filled = int(BAR * done / steps)
    return f"{done:>{len(str(steps))}}/{steps} {'━' * filled}{'─' * (BAR - filled)}"


def _time(seconds: float) -> str:
    return f"{seconds * 1e3:.0f}ms" if seconds >= 0.001 else f"{seconds * 1e6:.0f}us"


def _values(logs: Logs | None) -> str:
    return " - ".join(f"{on_one_line(k)}: {number(v)}" for k, v in (logs or {}).items() if isinstance(v, (int, float)))


def number(value: Any) -> str:
    """Four decimals, or powers of ten where these would show nothing; as Keras writes it.

    >>> number(0.51412), number(0.00012), number(12.0)
    ('0.5141', '1.2000e-04', '12.0000')
    """
    return f"{value:.4f}" if abs(value) > 1e-3 or value == 0 else f"{value:.4e}"
