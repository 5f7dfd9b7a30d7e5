"""How a training looks while it runs: a table that grows over a bar in a terminal, a line an epoch in a pipe."""

from __future__ import annotations

import time
from typing import Any

from talweg.cli.output import Output
from talweg.escapes import on_one_line
from talweg.train.callbacks.base import Callback, Logs
from talweg.train.callbacks.progress import number

MOST_LINES = 20  # of epochs in a terminal; the bar shows those between
COLUMN = 9


class EpochDisplay(Callback):
    """Shows epochs to come and epochs gone. In a pipe every epoch has its line."""

    def __init__(self, output: Output) -> None:
        super().__init__()
        self.output = output
        self._bar: Any = None
        self._task: Any = None
        self._names: list[str] = []
        self._began = self._shown = 0.0
        self._epoch = 0

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self._epochs = self.params["epochs"]
        if self.output.is_terminal:
            from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

            columns = (
                TextColumn("{task.description}", markup=False),
                BarColumn(bar_width=24),
                TextColumn("{task.fields[values]}", markup=False),
                TimeRemainingColumn(compact=True),
            )
            self._bar = Progress(*columns, console=self.output.console, transient=True)
            self._bar.start()
            self._task = self._bar.add_task("", total=self._epochs, values="")

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        self._epoch, self._began = epoch, time.perf_counter()

    def on_compile_begin(self, logs: Logs | None = None) -> None:
        kept = "; it is kept for the next time" if self.model.engine.name == "native" else ""
        said = f"compiling the training step{kept}"
        if self._bar is None:
            self.output.say(said)
            self.output.console.file.flush()
        else:
            self._bar.update(self._task, description=said)

    def on_progress(self, done: int, steps: int, logs: Logs | None = None) -> None:
        if self._bar is not None:
            values = "  ".join(f"{on_one_line(k)} {number(v)}" for k, v in _shown(logs).items())
            at = self._epoch + done / max(steps, 1)
            self._bar.update(
                self._task, completed=at, description=f"epoch {self._epoch + 1}/{self._epochs}", values=values
            )

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        values, seconds = _shown(logs), time.perf_counter() - self._began
        if self._bar is None:
            listed = " - ".join(f"{on_one_line(k)}: {number(v)}" for k, v in values.items())
            self.output.say(f"epoch {epoch + 1}/{self._epochs} - {_time(seconds)} - {listed}")
            self.output.console.file.flush()
            return
        every = -(-self._epochs // MOST_LINES)
        if (epoch + 1) % every and epoch + 1 != self._epochs and not self.model.stop_training:
            return
        if not self._names:
            self._names = list(values)
            heads = "".join(f"  {on_one_line(name):>{COLUMN}}" for name in self._names)
            self.output.say(f"{'epoch':>7}{heads}  {'time':>7}", style="bold")
        cells = "".join(f"  {number(values[n]):>{max(COLUMN, len(n))}}" for n in self._names if n in values)
        self.output.say(f"{epoch + 1:>7}{cells}  {_time(seconds):>7}")

    def on_train_end(self, logs: Logs | None = None) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None


def _shown(logs: Logs | None) -> dict[str, float]:
    return {k: v for k, v in (logs or {}).items() if isinstance(v, int | float)}


def _time(seconds: float) -> str:
    """
    >>> _time(0.0042), _time(2.5), _time(75)
    ('4 ms', '2.5 s', '75.0 s')
    """
    return f"{seconds * 1e3:.0f} ms" if seconds < 1 else f"{seconds:.1f} s"
