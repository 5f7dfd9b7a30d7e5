"""`PlotTraining`: the curves of a fit while it runs."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from talweg.errors import UsageError
from talweg.train.callbacks.arguments import number
from talweg.train.callbacks.base import Callback, Logs
from talweg.train.history import as_png, matplotlib_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class PlotTraining(Callback):
    """Draws `History.plot` as training goes: live in a notebook, elsewhere into a PNG file that is written anew.

    path                where the picture goes; in a notebook none is written unless a path is given
    metrics, log_scale  as in `History.plot`
    every               seconds between two drawings at least: drawing costs about 0.2 s

    Raises `MissingExtraError` at once where matplotlib is not installed.
    """

    def __init__(
        self,
        path: str | os.PathLike[str] | None = None,
        metrics: Iterable[str] | str | None = None,
        log_scale: bool = False,
        every: float = 2.0,
    ) -> None:
        super().__init__()
        matplotlib_figure()
        if path is not None and not os.fspath(path):
            raise UsageError("path must name a file, or be left out; got an empty one")
        self.metrics = metrics if metrics is None or isinstance(metrics, str) else list(metrics)
        self.log_scale, self.every = bool(log_scale), number(every, "every", 0)
        self.path = path
        self._screen: Any = None

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self._drawn_at, self._screen, self._epochs_drawn = -float("inf"), None, 0
        self._is_notebook = in_notebook()

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        # Not at an epoch's end: the history has it only after all callbacks were told.
        if time.monotonic() - self._drawn_at >= self.every:
            self._draw()

    def on_train_end(self, logs: Logs | None = None) -> None:
        self._draw()

    def _draw(self) -> None:
        history = self.model.history
        if history is None or len(history.epoch) == self._epochs_drawn:
            return
        path = self.path if self.path is not None or self._is_notebook else "training.png"
        figure = history.plot(path, self.metrics, self.log_scale)
        if self._is_notebook:
            self._show(figure)
        self._drawn_at, self._epochs_drawn = time.monotonic(), len(history.epoch)

    def _show(self, figure: Figure) -> None:
        from IPython.display import Image, display

        picture = Image(data=as_png(figure))
        if self._screen is None:
            self._screen = display(picture, display_id=True)
        else:
            self._screen.update(picture)


def in_notebook() -> bool:
    """Whether this runs in a notebook's kernel, which can show pictures."""
    try:
        from IPython import get_ipython
    except ImportError:
        return False
    shell = get_ipython()
    return shell is not None and hasattr(shell, "kernel")
