"""The loop: epochs of slices of steps. What happens inside a slice is the engine's."""

from __future__ import annotations

import functools
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from talweg.engines.base import Session
from talweg.errors import UsageError
from talweg.graph import Array
from talweg.graph.random import key_of
from talweg.optim import UpdateRule
from talweg.optim.schedules import Schedule
from talweg.train.callbacks.base import CallbackList
from talweg.train.doubts.divergence import DivergenceWatch
from talweg.train.history import History
from talweg.train.interrupts import Interrupts
from talweg.train.rows import Rows
from talweg.train.sources import InMemory, Source

SLICE_SECONDS = 0.05  # how long the engine works before progress is shown and Ctrl-C heard

Logs = dict[str, Any]
Validate = Callable[[], Logs]


class Trainee(Protocol):
    """What the loop reads of a model, and writes of it."""

    epochs_trained: int
    stop_training: bool
    stop_evaluating: bool

    @property
    def optimizer(self) -> UpdateRule: ...


@dataclass
class Plan:
    """What a fit was asked to do."""

    source: Source
    epochs: int
    initial_epoch: int
    validation_freq: int | frozenset[int]
    seed: int
    schedule: Schedule | None = None  # the rate's formula, where the program holds one
    validation: Source | None = None

    def pass_over(self, epochs: int, validations: int) -> None:
        """Takes the data to where so many epochs and validations have left it."""
        self.source.pass_over(epochs)
        if self.validation is not None:
            self.validation.pass_over(validations)

    def validates(self, epoch: int) -> bool:
        """Whether validation follows the epoch of that number, from 0."""
        freq = self.validation_freq
        return (epoch + 1) % freq == 0 if isinstance(freq, int) else epoch + 1 in freq


@dataclass
class Progress:
    """Where a fit stands: epochs that the model was trained for in all, steps in all, batches of the epoch at hand.

    Epochs and validations of this fit are counted from its first beginning, through all interruptions.
    """

    epochs_trained: int
    iterations: int
    batches_done: int = 0
    epochs: int = 0
    validations: int = 0
    last_rate: float = math.nan  # the learning rate of the step before


@dataclass
class Fitting:
    """A fit while it runs. `BackupAndRestore` writes down where it stands, and before the first epoch sets it."""

    session: Session
    plan: Plan
    progress: Progress


class Pace:
    """How many steps make a slice of about `SLICE_SECONDS`, learnt from the slices before."""

    def __init__(self) -> None:
        self.steps = 1

    def took(self, steps: int, seconds: float) -> None:
        """Hears how long so many steps took. A slice grows fourfold at most: the first steps may not be typical."""
        self.steps = int(max(1, min(4 * self.steps, steps * SLICE_SECONDS / max(seconds, 1e-9))))


def run_epochs(
    fitting: Fitting, trainee: Trainee, callbacks: CallbackList, validate: Validate | None, history: History
) -> None:
    """Trains until the last epoch, a callback's stop or Ctrl-C. A loss that is no number is told, and trained on.

    An epoch that Ctrl-C cut short, in training or in validation, is not in the history.
    """
    plan, progress, session, pace = fitting.plan, fitting.progress, fitting.session, Pace()
    watch = DivergenceWatch(trainee.optimizer, history, is_told=not callbacks.handle_divergence)
    with Interrupts() as interrupts:
        for epoch in range(plan.initial_epoch, plan.epochs):
            began = time.perf_counter()
            callbacks.tell("on_epoch_begin", epoch, {})
            if progress.batches_done == 0:  # else an interrupted epoch goes on
                forget_metrics(session)
            outputs: dict[str, Array] = {}
            seen = progress.batches_done
            for outputs in _slices(fitting, trainee, callbacks, pace, interrupts):
                callbacks.tell(
                    "on_progress", progress.batches_done, plan.source.steps or progress.batches_done, logs_of(outputs)
                )
                watch.look(outputs["loss"].item(), epoch, seen + 1, progress.batches_done)
                seen = progress.batches_done
                if interrupts.asked:
                    break
            if interrupts.asked and progress.batches_done != plan.source.steps:
                history.params["interrupted"] = True
                return
            progress.epochs_trained += 1
            progress.epochs += 1
            trainee.epochs_trained, progress.batches_done = progress.epochs_trained, 0
            logs = logs_of(outputs)
            if validate is not None and plan.validates(epoch):
                callbacks.tell("on_test_begin", {})
                measured = interrupts.cutting(validate)
                if measured is None:
                    history.params["interrupted"] = True
                    return
                progress.validations += 1
                watch.look_at_validation(measured["loss"], epoch)
                callbacks.tell("on_test_end", measured)
                logs = dict(sorted([*logs.items(), *((f"val_{name}", value) for name, value in measured.items())]))
            callbacks.tell("on_epoch_end", epoch, logs)
            history.add(epoch, logs, time.perf_counter() - began, progress.last_rate)
            if interrupts.asked:
                history.params["interrupted"] = True
            if trainee.stop_training or interrupts.asked:
                return


def _slices(
    fitting: Fitting, trainee: Trainee, callbacks: CallbackList, pace: Pace, interrupts: Interrupts
) -> Iterator[dict[str, Array]]:
    """Runs one epoch, answering the outputs so far after each slice."""
    plan, progress, session = fitting.plan, fitting.progress, fitting.session
    by_batch = callbacks.wants_batches
    for visit in plan.source.epoch(plan.seed, progress.epochs_trained, progress.batches_done):
        data, size, at = visit.rows.feeds, visit.batch_size, 0
        if not _ready(session, min(size, len(visit.rows)), callbacks, interrupts):
            return
        while at < len(visit.order):
            piece = visit.order[at : at + (1 if by_batch else pace.steps) * size]
            steps = -(-len(piece) // size)
            if by_batch:
                callbacks.tell("on_train_batch_begin", progress.batches_done, {})
            settings, per_step = settings_for(trainee.optimizer, plan, progress.iterations, steps)
            began = time.perf_counter()
            outputs = session.run(data, piece, size, settings, per_step)
            pace.took(steps, time.perf_counter() - began)
            at += len(piece)
            progress.batches_done += steps
            progress.iterations += steps
            progress.last_rate = outputs["learning_rate"].item()
            if by_batch:
                callbacks.tell("on_train_batch_end", progress.batches_done - 1, logs_of(outputs))
            yield outputs
            if trainee.stop_training:
                return


def _ready(session: Session, batch_size: int, callbacks: CallbackList, interrupts: Interrupts) -> bool:
    """Whether batches of so many rows can be run, after a wait for the compiler if need be; Ctrl-C ends that."""
    if session.prepare(batch_size):
        return True
    callbacks.tell("on_compile_begin", {})
    return interrupts.cutting(lambda: session.prepare(batch_size, wait=True)) is True


def schedule_of(rule: UpdateRule) -> Schedule | None:
    """The rule's schedule, where its rate is one: the program then holds its formula."""
    return rule.learning_rate if isinstance(rule.learning_rate, Schedule) else None


def settings_for(
    rule: UpdateRule, plan: Plan, iterations: int, steps: int
) -> tuple[dict[str, Array], dict[str, Array]]:
    """The inputs that are not rows: those that stay, and those that change at each step.

    The rate is read anew each time, so a callback may assign it. Raises `UsageError` where it is no rate, or where the
    program holds a schedule's formula and another rate was assigned.
    """
    settings = {"seed": key_of(plan.seed)}
    rate = rule.learning_rate
    if plan.schedule is not None:
        if rate is not plan.schedule:
            raise UsageError(
                f"learning_rate was set to {rate!r} during a fit that began with the schedule {plan.schedule!r}. "
                "Set it between two fits, or compile with a number."
            )
        return settings, {}
    if not callable(rate):
        return settings | {"learning_rate": np.asarray(rate)}, {}
    rates = [float(rate(rule.steps_in(t))) for t in range(iterations, iterations + steps)]
    for t, value in enumerate(rates, iterations):
        if not (math.isfinite(value) and value >= 0):
            raise UsageError(
                f"learning_rate must be a finite number of at least 0; the function gave {value} at step {t}"
            )
    return settings, {"learning_rate": np.array(rates)}


def one_batch(session: Session, rows: Rows, rule: UpdateRule, seed: int, iterations: int) -> dict[str, Array]:
    """A step by itself, with metrics of its own."""
    forget_metrics(session)
    plan = Plan(InMemory(rows, len(rows)), 1, 0, 1, seed, schedule_of(rule))
    settings, per_step = settings_for(rule, plan, iterations, steps=1)
    return session.run(rows.feeds, np.arange(len(rows)), len(rows), settings, per_step)


def forget_metrics(session: Session) -> None:
    """Sets the accumulators of loss and metrics back to 0."""
    kept = [s for s in session.program.states if s.name.startswith("metrics/")]
    session.load({s.name: np.zeros(s.shape) for s in kept})


def logs_of(outputs: dict[str, Array]) -> Logs:
    """Outputs as callbacks and histories have them: numbers, in the order of their names, as in Keras 3."""
    return {k: v.item() if v.size == 1 else v for k, v in sorted(outputs.items()) if k != "learning_rate"}


def measure(session: Session, source: Source, trainee: Trainee, callbacks: CallbackList) -> Logs:
    """Loss and metrics over one epoch of `source`."""
    forget_metrics(session)
    trainee.stop_evaluating = False
    outputs: dict[str, Array] = {}
    batches = Batches("test", callbacks)
    for visit in source.epoch(seed=0, number=0):
        for outputs in in_slices(session, visit.rows, visit.order, visit.batch_size, batches):
            batches.end(functools.partial(logs_of, outputs))
            if trainee.stop_evaluating:
                return logs_of(outputs)
    return logs_of(outputs)


class Batches:
    """Tells callbacks of each batch of "test" or "predict", if one of them asks for it: `told`. Else does nothing."""

    def __init__(self, kind: str, callbacks: CallbackList) -> None:
        self._kind, self._callbacks, self._number = kind, callbacks, 0
        self.told = callbacks.writes(kind)

    def begin(self) -> None:
        if self.told:
            self._callbacks.tell(f"on_{self._kind}_batch_begin", self._number, {})

    def end(self, logs: Callable[[], Logs]) -> None:
        if self.told:
            self._callbacks.tell(f"on_{self._kind}_batch_end", self._number, logs())
            self._number += 1


def in_slices(
    session: Session, rows: Rows, order: Array, batch_size: int, batches: Batches
) -> Iterator[dict[str, Array]]:
    """Runs without settings in slices, like a training epoch, so that Ctrl-C is heard; answers the outputs of each.

    Where callbacks are told of batches, a slice is one, and whoever takes its outputs tells of its end.
    """
    data, pace, at = rows.feeds, Pace(), 0
    session.prepare(min(batch_size, len(rows)), wait=True)
    while at < len(order):
        piece = order[at : at + (1 if batches.told else pace.steps) * batch_size]
        batches.begin()
        began = time.perf_counter()
        outputs = session.run(data, piece, batch_size)
        pace.took(-(-len(piece) // batch_size), time.perf_counter() - began)
        at += len(piece)
        yield outputs
