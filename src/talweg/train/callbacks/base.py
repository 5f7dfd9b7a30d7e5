"""What a callback is: something that is told what happens in a fit, and may ask for it to stop."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, ClassVar

from talweg.errors import UsageError, warn

if TYPE_CHECKING:
    from talweg.train.model import Model

Logs = dict[str, Any]

BATCH_HOOKS = {
    "train": ("on_batch_begin", "on_batch_end", "on_train_batch_begin", "on_train_batch_end"),
    "test": ("on_test_batch_begin", "on_test_batch_end"),
    "predict": ("on_predict_batch_begin", "on_predict_batch_end"),
}
"""Where one of these is written, `fit`, `evaluate` or `predict` comes back to Python after every batch."""


class Callback:
    """The base, with Keras's names: subclasses write what they want to be told of.

    `self.model` is the model, `self.params` what `fit` was asked for. ``self.model.stop_training = True`` ends the fit
    after this epoch (this batch, in a batch's hook); so do `stop_evaluating` and `stop_predicting`. A callback that
    writes a batch's hook makes `fit`, `evaluate` or `predict` come back to Python after every batch, which costs time.

    `remembers` names the attributes that must outlive an interruption: `BackupAndRestore` keeps them.
    """

    def __init_subclass__(cls) -> None:
        own = [name for name in vars(cls) if name.startswith("on_") and not hasattr(Callback, name)]
        if own and not cls.__module__.startswith("talweg."):
            known = sorted(name for name in vars(Callback) if name.startswith("on_"))
            near = difflib.get_close_matches(own[0], known, 1)
            meant = f" Did you mean {near[0]}?" if near else ""
            warn(f"{cls.__name__}.{own[0]} is no hook, and nothing calls it.{meant} The hooks are {', '.join(known)}")

    remembers: ClassVar[tuple[str, ...]] = ()
    told_last: ClassVar[bool] = False
    """Whether it is told of everything after the callbacks that are not, in whatever order `fit` was given them."""

    handles_divergence: ClassVar[bool] = False
    """Whether it says so itself where a loss is no finite number: `fit` then gives no warning."""

    sets_rates: ClassVar[bool] = False
    """Whether it sets the optimizer's learning rate."""

    companions: tuple[Callback, ...] = ()
    """All callbacks of the fit, this one among them."""

    def __init__(self) -> None:
        self.model: Model = None  # type: ignore[assignment]
        self.params: dict[str, Any] = {}

    def set_model(self, model: Model) -> None:
        self.model = model

    def set_params(self, params: dict[str, Any]) -> None:
        self.params = params

    @property
    def wants_batches(self) -> bool:
        """Whether `fit` must come back to Python after every batch: where a batch's hook is written."""
        return self.writes("train")

    def writes(self, kind: str) -> bool:
        """Whether a hook of the batches of "train", "test" or "predict" is written, in the class or on this object."""
        own = (
            getattr(getattr(self, hook), "__func__", None) is not getattr(Callback, hook) for hook in BATCH_HOOKS[kind]
        )
        return any(own)

    def state(self) -> dict[str, Any]:
        """What must outlive an interruption: numbers, texts, arrays, and lists and dicts of them."""
        return {name: getattr(self, name) for name in self.remembers}

    def resume(self, state: dict[str, Any]) -> None:
        """Goes on from a `state`; comes after `on_train_begin`."""
        for name in self.remembers:
            setattr(self, name, state[name])

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Before the first epoch."""

    def on_train_end(self, logs: Logs | None = None) -> None:
        """After the last, however the fit ended."""

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Before an epoch; `epoch` counts from 0."""

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """After an epoch and its validation; `logs` may be added to, for the callbacks that follow and the history."""

    def on_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Before a batch of training."""

    def on_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """After a batch of training; `logs` holds the means so far."""

    def on_train_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """The same as `on_batch_begin`."""
        self.on_batch_begin(batch, logs)

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """The same as `on_batch_end`."""
        self.on_batch_end(batch, logs)

    def on_test_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Before a batch of an evaluation or validation."""

    def on_test_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """After a batch of an evaluation or validation; `logs` holds the means so far."""

    def on_predict_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Before a batch of a prediction."""

    def on_predict_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """After a batch of a prediction; `logs` holds what was answered, as "outputs"."""

    def on_test_begin(self, logs: Logs | None = None) -> None:
        """Before an evaluation or validation."""

    def on_test_end(self, logs: Logs | None = None) -> None:
        """After an evaluation or validation."""

    def on_predict_begin(self, logs: Logs | None = None) -> None:
        """Before a prediction."""

    def on_predict_end(self, logs: Logs | None = None) -> None:
        """After a prediction."""

    def on_compile_begin(self, logs: Logs | None = None) -> None:
        """Before a wait for the compiler, where the native engine meets a program that is new to it. Talweg's own."""

    def on_progress(self, done: int, steps: int, logs: Logs | None = None) -> None:
        """About twenty times a second in an epoch: `done` of `steps` batches are over. Talweg's own; costs nothing."""


class CallbackList:
    """Several callbacks told as one, in order."""

    def __init__(self, callbacks: Iterable[Any], model: Model, params: dict[str, Any]) -> None:
        self.callbacks = list(callbacks)
        self._begun: list[Any] = []
        for c in self.callbacks:
            if not isinstance(c, Callback):
                hint = f" Did you mean {c.__name__}()?" if isinstance(c, type) and issubclass(c, Callback) else ""
                raise UsageError(f"callbacks must be Callback objects; got {c!r}.{hint}")
        self.callbacks.sort(key=lambda c: c.told_last)
        for c in self.callbacks:
            c.companions = tuple(self.callbacks)
            c.set_model(model)
            c.set_params(params)

    @property
    def wants_batches(self) -> bool:
        """Whether any callback wants to be told of every batch of training."""
        return any(c.wants_batches for c in self.callbacks)

    def writes(self, kind: str) -> bool:
        """Whether any callback wants to be told of every batch of "test" or "predict"."""
        return any(c.writes(kind) for c in self.callbacks)

    @property
    def may_set_rates(self) -> bool:
        """Whether any callback may set the learning rate: one that does, or one that is not of this library."""
        ours = [type(c).__module__.partition(".")[0] == "talweg" for c in self.callbacks]
        return not all(ours) or any(c.sets_rates for c in self.callbacks)

    @property
    def handle_divergence(self) -> bool:
        """Whether any callback tells of a loss that is no finite number."""
        return any(c.handles_divergence for c in self.callbacks)

    def tell(self, hook: str, *arguments: Any) -> None:
        """Calls the hook of each. `on_train_end` is for those that heard of the beginning, and reaches each of them."""
        if hook == "on_train_end":
            self._end(arguments)
            return
        for c in self.callbacks:
            if hook == "on_train_begin":
                self._begun.append(c)
            getattr(c, hook)(*arguments)

    def _end(self, arguments: tuple[Any, ...]) -> None:
        with ExitStack() as ends:  # calls all, the last that was pushed first, and raises what one of them raised
            for c in reversed(self._begun):
                ends.callback(c.on_train_end, *arguments)
        self._begun.clear()
