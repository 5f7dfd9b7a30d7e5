"""Callbacks that end a fit: no more improvement, good enough, flat, or broken."""

from __future__ import annotations

import math
from typing import Any

from talweg.errors import DataError
from talweg.graph import Array
from talweg.train.callbacks.arguments import number, optional_number, verbosity, whole
from talweg.train.callbacks.base import Callback, Logs
from talweg.train.callbacks.monitor import Monitor, Watcher


class EarlyStopping(Monitor):
    """Ends the fit when a quantity has not improved for `patience` epochs, as in Keras.

    monitor, min_delta, mode  see `Monitor`
    patience                  epochs without improvement until the fit ends
    baseline                  a value that must be beaten too before patience starts afresh
    restore_best_weights      puts the weights of the best epoch back at *any* end of the fit: patience lost, the last
                              epoch over, Ctrl-C, another callback's stop, an error
    start_from_epoch          epochs at the beginning that do not count

    A value that is NaN never counts as the best (Keras takes one that comes first, and then waits for ever).

    >>> EarlyStopping(patience=-1)
    Traceback (most recent call last):
    ...
    talweg.errors.UsageError: patience must be a whole number of at least 0; got -1
    """

    remembers = ("wait", "stopped_epoch", "best", "best_epoch", "best_weights")

    def __init__(
        self,
        monitor: str = "val_loss",
        min_delta: float = 0,
        patience: int = 0,
        verbose: int = 0,
        mode: str = "auto",
        baseline: float | None = None,
        restore_best_weights: bool = False,
        start_from_epoch: int = 0,
    ) -> None:
        super().__init__(monitor, mode, min_delta)
        self.patience = whole(patience, "patience")
        self.verbose = verbosity(verbose)
        self.baseline = optional_number(baseline, "baseline")
        self.restore_best_weights = bool(restore_best_weights)
        self.start_from_epoch = whole(start_from_epoch, "start_from_epoch")
        self._forget()

    def _forget(self) -> None:
        self.wait, self.stopped_epoch, self.best_epoch = 0, 0, 0
        self.best: float | None = None
        self.best_weights: list[Array] | None = None

    def on_train_begin(self, logs: Logs | None = None) -> None:
        super().on_train_begin(logs)
        self._forget()

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        value = self.current(epoch, logs)
        if value is None or epoch < self.start_from_epoch:
            return
        if self.best_weights is None and self.restore_best_weights:  # better these than none, should no epoch count
            self._keep(epoch)
        self.wait += 1
        if self.is_better(value, self.best):
            self.best = value
            self._keep(epoch)
            if self.baseline is None or self.is_better(value, self.baseline):
                self.wait = 0
        elif self.wait >= self.patience and epoch > 0:
            self.stopped_epoch = epoch
            self.model.stop_training = True

    def _keep(self, epoch: int) -> None:
        self.best_epoch = epoch
        if self.restore_best_weights:
            self.best_weights = self.model.get_weights()

    def on_train_end(self, logs: Logs | None = None) -> None:
        if self.stopped_epoch and self.verbose:
            print(f"Epoch {self.stopped_epoch + 1}: early stopping")
        if self.best_weights is not None:
            if self.verbose:
                print(f"Restoring model weights from the end of the best epoch: {self.best_epoch + 1}.")
            self.model.set_weights(self.best_weights)


class StopBelow(Watcher):
    """Ends the fit when a quantity is below `threshold`: the network is good enough.

    >>> StopBelow(0.01).threshold
    0.01
    """

    def __init__(self, threshold: float, monitor: str = "loss") -> None:
        super().__init__(monitor)
        self.threshold = number(threshold, "threshold")

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        value = self.current(epoch, logs)
        if value is not None and value < self.threshold:
            self.model.stop_training = True


class StopWhenFlat(Watcher):
    """Ends the fit when a quantity has changed by less than `delta` between epochs, `epochs` times in a row.

    That is |l_t − l_{t−1}| < delta; the default is the rule of thumb of many courses, 0.001 for 10 epochs.
    """

    remembers = ("flat_epochs", "last")

    def __init__(self, delta: float = 1e-3, epochs: int = 10, monitor: str = "loss") -> None:
        super().__init__(monitor)
        self.delta = number(delta, "delta", 0)
        self.epochs = whole(epochs, "epochs", 1)
        self.flat_epochs, self.last = 0, math.nan

    def on_train_begin(self, logs: Logs | None = None) -> None:
        super().on_train_begin(logs)
        self.flat_epochs, self.last = 0, math.nan

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        value = self.current(epoch, logs)
        if value is None:
            return
        self.flat_epochs = self.flat_epochs + 1 if abs(value - self.last) < self.delta else 0
        self.last = value
        if self.flat_epochs >= self.epochs:
            self.model.stop_training = True


class TerminateOnNaN(Callback):
    """Ends the fit when the loss is NaN or infinite; with `raise_error`, by a `DataError`.

    It looks whenever the engine comes back to Python, about twenty times a second, so it costs nothing. What it sees is
    the mean loss of the epoch so far, from which a single NaN does not vanish.
    """

    handles_divergence = True

    def __init__(self, raise_error: bool = False) -> None:
        super().__init__()
        self.raise_error = bool(raise_error)

    def on_progress(self, done: int, steps: int, logs: Logs | None = None) -> None:
        loss: Any = (logs or {}).get("loss")
        if loss is None or math.isfinite(loss) or self.model.stop_training:
            return
        found = f"the loss is {loss} after batch {done}"
        if self.raise_error:
            raise DataError(f"{found}: try a smaller learning rate, clipnorm=1, or scaled inputs")
        print(f"\nTerminateOnNaN: {found}, so training ends")
        self.model.stop_training = True
