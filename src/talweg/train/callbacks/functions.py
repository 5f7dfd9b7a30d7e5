"""`LambdaCallback`: a callback made of functions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from talweg.errors import UnknownNameError, UsageError
from talweg.train.callbacks.base import Callback

HOOKS = tuple(name for name in vars(Callback) if name.startswith("on_"))


class LambdaCallback(Callback):
    """Calls the functions that it was given, each in place of the hook of that name.

    Hooks of an epoch or a batch take (number, logs), all others (logs).

    >>> shout = LambdaCallback(on_epoch_end=lambda epoch, logs: print(f"{epoch}: {logs['loss']:.2f}!"))
    >>> shout.on_epoch_end(3, {"loss": 0.5})
    3: 0.50!
    >>> LambdaCallback(on_epoch_ended=print)
    Traceback (most recent call last):
    ...
    talweg.errors.UnknownNameError: unknown hook 'on_epoch_ended': did you mean 'on_epoch_end'? Known: ...
    """

    sets_rates = True  # it may

    def __init__(
        self,
        on_epoch_begin: Callable[..., Any] | None = None,
        on_epoch_end: Callable[..., Any] | None = None,
        on_train_begin: Callable[..., Any] | None = None,
        on_train_end: Callable[..., Any] | None = None,
        on_train_batch_begin: Callable[..., Any] | None = None,
        on_train_batch_end: Callable[..., Any] | None = None,
        **others: Callable[..., Any] | None,
    ) -> None:
        super().__init__()
        given = {
            "on_epoch_begin": on_epoch_begin,
            "on_epoch_end": on_epoch_end,
            "on_train_begin": on_train_begin,
            "on_train_end": on_train_end,
            "on_train_batch_begin": on_train_batch_begin,
            "on_train_batch_end": on_train_batch_end,
            **others,
        }
        for name, function in given.items():
            if function is None:
                continue
            if name not in HOOKS:
                raise UnknownNameError("hook", name, HOOKS)
            if not callable(function):
                raise UsageError(f"{name} must be a function; got {function!r}")
            setattr(self, name, function)
