"""The loop: epochs of slices of steps. What happens inside a slice is the engine's."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np

from talweg.engines.base import Session
from talweg.errors import DataError
from talweg.graph import Array
from talweg.graph.random import RandomStream, key_of
from talweg.train.callbacks.base import CallbackList
from talweg.train.history import History
from talweg.train.interrupts import Interrupts
from talweg.train.rows import Rows

SLICE_SECONDS = 0.05  # how long the engine works before progress is shown and Ctrl-C heard
ORDER_STREAM = 0  # the stream of random numbers that shuffles; see `Context.streams` for the others

Rate = float | Callable[[int], float] | None
Validate = Callable[[], dict[str, float]]


@dataclass
class Plan:
    """What a fit was asked to do. `stream` gives batches where there is no data set in memory."""

    rows: Rows | None
    stream: Callable[[], Iterator[Rows]] | None
    batch_size: int
    epochs: int
    initial_epoch: int
    shuffle: bool
    steps_per_epoch: int | None
    validation_freq: int
    seed: int

    @property
    def steps(self) -> int | None:
        """Batches in an epoch, where that is known beforehand."""
        if self.rows is None:
            return self.steps_per_epoch
        whole = -(-len(self.rows) // self.batch_size)
        return whole if self.steps_per_epoch is None else min(whole, self.steps_per_epoch)


@dataclass
class Progress:
    """What outlives an epoch: how many were trained in all, and what the rate and the wish to stop are read from."""

    epochs_trained: int
    rate: Callable[[], Rate]
    iterations: int
    stop: Callable[[], bool]


def run_epochs(
    session: Session,
    plan: Plan,
    progress: Progress,
    callbacks: CallbackList,
    validate: Validate | None,
    history: History,
) -> None:
    """Trains until the last epoch, a callback's stop or Ctrl-C. An epoch that Ctrl-C cut short is not in the history."""
    with Interrupts() as interrupts:
        for epoch in range(plan.initial_epoch, plan.epochs):
            began = time.perf_counter()
            callbacks.tell("on_epoch_begin", epoch, {})
            _forget_metrics(session)
            logs: dict[str, Any] = {}
            for done, outputs in _slices(session, plan, progress, callbacks):
                logs = {k: v.item() if v.size == 1 else v for k, v in outputs.items() if k != "learning_rate"}
                callbacks.tell("on_progress", done, plan.steps or done, logs)
                if interrupts.asked:
                    history.params["interrupted"] = True
                    return
            progress.epochs_trained += 1
            if validate is not None and (epoch + 1) % plan.validation_freq == 0:
                logs |= {f"val_{k}": v for k, v in validate().items()}
            callbacks.tell("on_epoch_end", epoch, logs)
            history.add(epoch, logs, time.perf_counter() - began)
            if progress.stop():
                return


def _slices(session: Session, plan: Plan, progress: Progress, callbacks: CallbackList) -> Iterator[tuple[int, Any]]:
    """Runs one epoch, answering after each slice how many batches are done and the outputs so far."""
    by_batch, done = callbacks.wants_batches, 0
    for rows, order in _pieces(plan, progress.epochs_trained):
        data, at, steps, limit = rows.feeds(), 0, 1, None
        size = plan.batch_size if plan.rows is not None else len(order)
        if plan.rows is not None and plan.steps_per_epoch is not None:
            limit = plan.steps_per_epoch * size
        while at < len(order[:limit]):
            piece = order[at : at + steps * size][: None if limit is None else limit - at]
            if by_batch:
                callbacks.tell("on_train_batch_begin", done, {})
            began = time.perf_counter()
            count = -(-len(piece) // size)
            outputs = session.run(data, piece, size, *_settings(plan, progress, count))
            seconds = time.perf_counter() - began
            at, done, progress.iterations = at + len(piece), done + count, progress.iterations + count
            if by_batch:
                logs = {k: v.item() for k, v in outputs.items() if v.size == 1 and k != "learning_rate"}
                callbacks.tell("on_train_batch_end", done - 1, logs)
            else:
                steps = int(max(1, min(4 * steps, count * SLICE_SECONDS / max(seconds, 1e-9))))
            yield done, outputs
            if by_batch and progress.stop():
                return
    if done == 0:
        raise DataError("the data set gave no batches to train on")


def _pieces(plan: Plan, epochs_trained: int) -> Iterator[tuple[Rows, Array]]:
    """Rows in memory with the order in which an epoch visits them: once for a data set, batch by batch for a stream."""
    if plan.rows is not None:
        n = len(plan.rows)
        yield plan.rows, epoch_order(plan.seed, epochs_trained, n) if plan.shuffle else np.arange(n)
    elif plan.stream is not None:
        for batch in islice(plan.stream(), plan.steps_per_epoch):
            yield batch, np.arange(len(batch))


def epoch_order(seed: int, epoch: int, rows: int) -> Array:
    """The order in which an epoch visits the rows: a function of the seed and the epoch's number, so a run can resume."""
    return RandomStream(seed, ORDER_STREAM, step=epoch).permutation(rows)


def _settings(plan: Plan, progress: Progress, steps: int) -> tuple[dict[str, Array], dict[str, Array]]:
    """The inputs that are not rows: those that stay, and those that change at each step."""
    rate = progress.rate()
    settings = {"seed": key_of(plan.seed)}
    if rate is None:  # a schedule: its formula is in the program
        return settings, {}
    if callable(rate):
        steps_ahead = range(progress.iterations, progress.iterations + steps)
        return settings, {"learning_rate": np.array([float(rate(t)) for t in steps_ahead])}
    return settings | {"learning_rate": np.asarray(rate)}, {}


def _forget_metrics(session: Session) -> None:
    session.load(
        {
            s.name: np.zeros(s.shape)
            for s in session.program.states  # type: ignore[arg-type]
            if s.name.startswith("metrics/")
        }
    )


def measure(session: Session, pieces: Iterator[Rows], batch_size: int | None) -> dict[str, Any]:
    """Loss and metrics over all rows of all pieces."""
    _forget_metrics(session)
    outputs: dict[str, Array] = {}
    for rows in pieces:
        outputs = session.run(rows.feeds(), np.arange(len(rows)), batch_size or len(rows))
    if not outputs:
        raise DataError("the data set gave no batches to evaluate on")
    return {k: v.item() if v.size == 1 else v for k, v in outputs.items()}
