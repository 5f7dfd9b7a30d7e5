"""The learning-rate range test: one short training with a rate that grows, to see where the loss falls fastest.

Smith, "Cyclical learning rates for training neural networks" (2017), with an exponentially growing rate and a smoothed
loss. The rate is an input of the compiled program, so nothing is compiled for it; the steps are done in the session
alone, so the model's weights, its optimizer's memory and its counts are afterwards what they were.
"""

from __future__ import annotations

import itertools
import math
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from talweg.disk.writing import written_whole
from talweg.engines.base import Session
from talweg.errors import UsageError, argument
from talweg.graph.random import key_of
from talweg.train.arguments import whole
from talweg.train.history import QUIET, TRAINING, VALIDATION, as_png, matplotlib_figure
from talweg.train.intake import training_source, unbuilt_on_error
from talweg.train.loop import forget_metrics
from talweg.train.sources import Source

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from talweg.train.model import Model

WORSE = 4.0  # a smoothed loss so many times the best ends the test
FEWEST = 10  # steps from which something can be said


@dataclass(frozen=True)
class RateSearch:
    """What `lr_find` answers: step by step the rate, the loss of the batch before the step, and the smoothed loss.

    suggestion  the rate at which the smoothed loss falls fastest, per factor of the rate; None where it never falls
    diverged    whether the loss became so large, or no number, that the test ended before its largest rate
    """

    rates: list[float]
    losses: list[float]
    smoothed: list[float]
    suggestion: float | None
    diverged: bool

    @property
    def lowest(self) -> float:
        """The rate at which the smoothed loss was lowest: too large to train with, and a bound for schedules."""
        return self.rates[int(np.argmin(self.smoothed))]

    def plot(self, path: str | os.PathLike[str] | None = None) -> Figure:
        """Loss over rate, with the suggestion marked; a matplotlib figure, also written to `path` where one is given.

        Raises `MissingExtraError` without matplotlib.
        """
        figure = matplotlib_figure()(figsize=(6.4, 4.0), dpi=110, layout="constrained")
        axis = figure.add_subplot()
        axis.plot(self.rates, self.losses, color=QUIET, linewidth=0.8, alpha=0.6, label="loss of each batch")
        axis.plot(self.rates, self.smoothed, color=TRAINING, linewidth=1.8, label="smoothed")
        if self.suggestion is not None:
            at = self.smoothed[self.rates.index(self.suggestion)]
            axis.plot([self.suggestion], [at], "o", color=VALIDATION, label=f"falls fastest: {self.suggestion:.2g}")
        axis.set(xscale="log", xlabel="learning rate", ylabel="loss")
        low, high = min(self.smoothed), max(self.smoothed)
        axis.set_ylim(low - 0.05 * (high - low), high + 0.05 * (high - low) or None)
        axis.grid(True, color="#e6e6e6", linewidth=0.7)
        axis.spines[["top", "right"]].set_visible(False)
        axis.legend(frameon=False, fontsize=9)
        if path is not None:
            with written_whole(path) as file:
                figure.savefig(file, format=os.path.splitext(os.fspath(path))[1].lstrip(".") or "png")
        figure._repr_png_ = lambda: as_png(figure)  # type: ignore[attr-defined]
        return figure

    def __repr__(self) -> str:
        said = "no rate at which the loss falls" if self.suggestion is None else f"suggestion {self.suggestion:.3g}"
        return f"<RateSearch of {len(self.rates)} steps, {self.rates[0]:.2g} to {self.rates[-1]:.2g}: {said}>"


def lr_find(
    model: Model,
    x: Any = None,
    y: Any = None,
    batch_size: int | None = None,
    sample_weight: Any = None,
    class_weight: Any = None,
    *,
    min_lr: float = 1e-6,
    max_lr: float = 10.0,
    steps: int = 100,
    smoothing: float = 0.85,
) -> RateSearch:
    """Tries rates from `min_lr` to `max_lr`, one a batch; the model is as before afterwards.

    x, y, batch_size, sample_weight and class_weight are as in `Model.fit`; the data is gone through as often as `steps`
    needs. smoothing: how much of the running mean of the loss stays at each step. Raises `UsageError` for a range that
    is none, and for a rule that searches for itself.

    >>> from talweg.nn.layers import Dense
    >>> from talweg.train.sequential import Sequential
    >>> model = Sequential([Dense(1, input_shape=(1,))], seed=0)
    >>> model.compile("sgd", "mse", engine="reference")
    >>> found = model.lr_find([[-1.0], [0.0], [1.0]], [-3.0, -1.0, 1.0], batch_size=3)
    >>> 0.01 < found.suggestion < 1, found.diverged
    (True, True)
    """
    if not 0 < min_lr < max_lr < math.inf:
        raise UsageError(
            f"{argument('min_lr')} must be above 0 and below {argument('max_lr')}; got {min_lr!r} and {max_lr!r}"
        )
    if not 0 <= smoothing < 1:
        raise UsageError(f"smoothing must be from 0 to below 1; got {smoothing!r}")
    rule, size = model.optimizer, whole(32 if batch_size is None else batch_size, "batch_size", 1)
    if rule.searches:
        raise UsageError(f"{type(rule).__name__} finds its own steps; there is no rate to be found for it")
    grown = [float(rate) for rate in np.geomspace(min_lr, max_lr, whole(steps, "steps", FEWEST))]
    asked = rule.learning_rate
    try:
        rule.learning_rate = min_lr  # a number: the program then takes the rate as an input
        with unbuilt_on_error(model):
            source, _ = training_source(model, (x, y, sample_weight), size, True, class_weight, 0.0, None)
            session = model._session("train", source.form)
        return _tried(_losses(session, source, model.seed, grown), grown, smoothing)
    finally:
        rule.learning_rate = asked


def _tried(found: Iterator[float], grown: list[float], smoothing: float) -> RateSearch:
    """The losses as far as they are numbers and not far worse than the best, and what they say."""
    losses: list[float] = []
    diverged, means = False, list[float]()
    for loss in found:
        means = _running([*losses, loss], smoothing)
        diverged = not math.isfinite(loss) or (len(losses) >= FEWEST and means[-1] > WORSE * min(means) > 0)
        if diverged:
            break
        losses.append(loss)
    if len(losses) < FEWEST:
        raise UsageError(
            f"the loss is no number after {len(losses)} steps, at rates from {grown[0]:g} on: lower min_lr"
        )
    rates = grown[: len(losses)]
    smoothed = _running(_running(losses, smoothing)[::-1], smoothing)[::-1]  # there and back: not behind its time
    return RateSearch(rates, losses, smoothed, _steepest(rates, smoothed), diverged)


def _running(values: list[float], smoothing: float) -> list[float]:
    """Their exponentially weighted running means, without bias to the first."""
    mean, out = 0.0, []
    for count, value in enumerate(values, 1):
        mean = smoothing * mean + (1 - smoothing) * value
        out.append(mean / (1 - smoothing**count))
    return out


def _losses(session: Session, source: Source, seed: int, rates: list[float]) -> Iterator[float]:
    """The loss of each batch before the step that is then done with it at its rate; as many epochs as it takes."""
    coming = iter(rates)
    for number in itertools.count():
        for visit in source.epoch(seed, number):
            session.prepare(min(visit.batch_size, len(visit.rows)), wait=True)
            for at in range(0, len(visit.order), visit.batch_size):
                if (rate := next(coming, None)) is None:
                    return
                forget_metrics(session)
                settings = {"seed": key_of(seed), "learning_rate": np.asarray(rate)}
                batch = visit.order[at : at + visit.batch_size]
                yield float(session.run(visit.rows.feeds, batch, visit.batch_size, settings)["loss"])


def _steepest(rates: list[float], smoothed: list[float]) -> float | None:
    """Where the smoothed loss falls fastest over the logarithm of the rate, before its lowest point."""
    lowest = int(np.argmin(smoothed))
    slopes = np.gradient(smoothed, np.log(rates))[: lowest + 1]
    steepest = int(np.argmin(slopes))
    return rates[steepest] if slopes[steepest] < 0 else None
