"""Callbacks that change the learning rate between epochs."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from talweg.errors import UsageError
from talweg.train.callbacks.arguments import number, verbosity, whole
from talweg.train.callbacks.base import Callback, Logs
from talweg.train.callbacks.monitor import Monitor


def rate_of(callback: Callback) -> float:
    """The optimizer's learning rate; raises `UsageError` where it is a schedule, which no callback may overwrite."""
    rate: Any = callback.model.optimizer.learning_rate
    if not isinstance(rate, (int, float)):
        raise UsageError(
            f"{type(callback).__name__} sets the learning rate, but the optimizer's is given by {rate!r}; "
            "compile with a number, or leave the callback out"
        )
    return float(rate)


class LearningRateScheduler(Callback):
    """Before each epoch sets the learning rate to ``schedule(epoch)`` or ``schedule(epoch, rate)``, as in Keras.

    schedule  a function of the epoch's number (0 at the first) and, if it takes two arguments, of the present rate

    >>> halved = LearningRateScheduler(lambda epoch, rate: rate if epoch < 10 else rate / 2)
    """

    sets_rates = True

    def __init__(self, schedule: Callable[..., float], verbose: int = 0) -> None:
        super().__init__()
        if not callable(schedule):
            raise UsageError(f"schedule must be a function of (epoch) or (epoch, learning_rate); got {schedule!r}")
        self.schedule = schedule
        self.verbose = verbosity(verbose)
        self._takes_rate = _takes_two(schedule)

    def on_train_begin(self, logs: Logs | None = None) -> None:
        rate_of(self)  # says now, rather than after an epoch, that there is a schedule already

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        before = rate_of(self)
        found = self.schedule(epoch, before) if self._takes_rate else self.schedule(epoch)
        if getattr(found, "size", 0) == 1:
            found = found.item()  # type: ignore[attr-defined]
        rate = number(found, f"the answer of schedule for epoch {epoch}", 0)
        self.model.optimizer.learning_rate = rate
        if self.verbose:
            print(f"\nEpoch {epoch + 1}: LearningRateScheduler setting learning rate to {rate}.")

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        if logs is not None:
            logs["learning_rate"] = rate_of(self)


def _takes_two(function: Callable[..., Any]) -> bool:
    try:
        inspect.signature(function).bind(0, 0.1)
    except TypeError:
        return False
    except ValueError:  # a function without a signature, written in C
        return True
    return True


class ReduceLROnPlateau(Monitor):
    """Multiplies the learning rate by `factor` when a quantity has not improved for `patience` epochs, as in Keras.

    monitor, min_delta, mode  see `Monitor`
    factor                    new rate = rate · factor, below 1
    patience                  epochs without improvement until the rate is reduced
    cooldown                  epochs after a reduction in which none are counted
    min_lr                    the rate never becomes less than this
    """

    remembers = ("wait", "cooldown_counter", "best")

    def __init__(
        self,
        monitor: str = "val_loss",
        factor: float = 0.1,
        patience: int = 10,
        verbose: int = 0,
        mode: str = "auto",
        min_delta: float = 1e-4,
        cooldown: int = 0,
        min_lr: float = 0.0,
    ) -> None:
        super().__init__(monitor, mode, min_delta)
        self.factor = number(factor, "factor", 0)
        if self.factor >= 1:
            raise UsageError(f"factor must be below 1, or the learning rate is not reduced; got {factor!r}")
        self.patience = whole(patience, "patience")
        self.verbose = verbosity(verbose)
        self.cooldown = whole(cooldown, "cooldown")
        self.min_lr = number(min_lr, "min_lr", 0)
        self.wait, self.cooldown_counter = 0, 0

    def on_train_begin(self, logs: Logs | None = None) -> None:
        super().on_train_begin(logs)
        rate_of(self)
        self.wait, self.cooldown_counter, self.best = 0, 0, None

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        rate = rate_of(self)
        if logs is not None:
            logs["learning_rate"] = rate
        value = self.current(epoch, logs)
        if value is None:
            return
        if self.cooldown_counter > 0:
            self.cooldown_counter -= 1
            self.wait = 0
        if self.is_better(value, self.best):
            self.best, self.wait = value, 0
        elif self.cooldown_counter == 0:
            self.wait += 1
            if self.wait >= self.patience and rate > self.min_lr:
                self._reduce(rate, epoch)

    def _reduce(self, rate: float, epoch: int) -> None:
        reduced = max(rate * self.factor, self.min_lr)
        self.model.optimizer.learning_rate = reduced
        self.cooldown_counter, self.wait = self.cooldown, 0
        if self.verbose:
            print(f"\nEpoch {epoch + 1}: ReduceLROnPlateau reducing learning rate to {reduced}.")
