"""The learning curves of the report: one figure for each quantity of a history, training and validation together."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from talweg.insight.markup import Markup, joined, number, tag
from talweg.insight.svg import Axis, Chart, drawable, linear_axis, log_axis, spans_decades

MOST_DOTS = 40  # beyond so many epochs, dots would hide the line
MOST_TOLD = 300  # beyond so many epochs, values are not told one by one


@dataclass(frozen=True)
class Curve:
    """A quantity: its values in training and in validation, where there are any."""

    name: str
    training: list[float]
    validation: list[float]

    @property
    def title(self) -> str:
        return {"lr": "Learning rate"}.get(self.name, self.name.replace("_", " ").capitalize())

    @property
    def values(self) -> list[float]:
        return [*self.training, *self.validation]


def curves_of(history: Mapping[str, Sequence[Any]]) -> list[Curve]:
    """The quantities of a history, the loss first and the learning rate last; "val_x" belongs to "x".

    >>> [c.name for c in curves_of({"accuracy": [0.5], "learning_rate": [0.1], "loss": [2.0], "val_loss": [3.0]})]
    ['loss', 'accuracy', 'learning_rate']
    """
    names = list(dict.fromkeys(key.removeprefix("val_") for key in history))
    names.sort(key=lambda n: (n in ("learning_rate", "lr")) - (n == "loss"))
    found = [Curve(n, _numbers(history.get(n, ())), _numbers(history.get(f"val_{n}", ()))) for n in names]
    return [curve for curve in found if curve.values]


def best_epoch(curves: Sequence[Curve]) -> tuple[int, str] | None:
    """The epoch (from 1) with the lowest validation loss, or training loss where there is no other, and which."""
    loss = next((c for c in curves if c.name == "loss"), None)
    for values, said in [(loss.validation, "validation loss"), (loss.training, "training loss")] if loss else []:
        known = [(v, i) for i, v in enumerate(values, 1) if drawable(v)]
        if known:
            return min(known)[1], said
    return None


def learning_curves(history: Mapping[str, Sequence[Any]]) -> Markup:
    """All figures, with the sentences that say which epoch was best and what is missing from the lines."""
    curves = curves_of(history)
    if not curves:
        return tag("p", "No epochs were recorded.", class_="note")
    best = best_epoch(curves)
    epochs = max(len(c.training or c.validation) for c in curves)
    said = f"{epochs} epoch{'s' * (epochs != 1)}."
    if best is not None:
        said += f" The vertical line marks epoch {best[0]}, with the lowest {best[1]}."
    if not any(c.validation for c in curves):
        said += " No validation data was given, so overfitting cannot be seen here."
    figures = [_figure(curve, epochs, best) for curve in curves]
    return joined([tag("p", said), tag("div", *figures, class_="panels")])


def _figure(curve: Curve, epochs: int, best: tuple[int, str] | None) -> Markup:
    log = curve.name not in ("learning_rate", "lr") and "loss" in curve.name and spans_decades(curve.values)
    y = log_axis(curve.values) if log else linear_axis(curve.values)
    x = linear_axis([1, epochs], whole=True, tight=True) if epochs > 1 else Axis(0.5, 1.5, [1.0])
    chart = Chart(x, y, "epoch", f"{curve.title.lower()}{' (log scale)' if log else ''}")
    marks: list[Markup | None] = [None if best is None else chart.rule(best[0])]
    kinds = [("training", curve.training), ("validation", curve.validation)]
    for kind, values in kinds:
        marks.append(chart.line(list(enumerate(values, 1)), kind))
    for kind, values in kinds:  # above all lines
        marks.extend(_dots(chart, kind, values, best))
    keys = [tag("span", tag("i", class_=f"key {kind}"), kind) for kind, values in kinds if values]
    told = "; ".join(f"{kind} {_last(values)}" for kind, values in kinds if values)
    caption = tag(
        "figcaption", tag("b", curve.title), " ", *keys, tag("small", f"at the end: {told}", *_missing(curve))
    )
    return tag("figure", caption, chart.draw(*marks, says=f"{curve.title} by epoch. At the end: {told}."))


def _dots(chart: Chart, kind: str, values: list[float], best: tuple[int, str] | None) -> list[Markup]:
    """A point an epoch, or one for the best epoch only; where there are many, points that are seen when pointed at."""
    dots = []
    for epoch, value in enumerate(values, 1):
        if not chart.y.holds(value):
            continue
        is_best = best is not None and epoch == best[0]
        if is_best or len(values) <= MOST_TOLD:
            says = f"epoch {epoch}, {kind}: {number(value)}{' (best)' if is_best else ''}"
            shown = kind if is_best or len(values) <= MOST_DOTS else "unseen"
            dots.append(chart.dot(epoch, value, shown, 4.5 if is_best else 2.4 if shown == kind else 5, says))
    return dots


def _last(values: list[float]) -> str:
    return number(values[-1])


def _missing(curve: Curve) -> list[str]:
    """What cannot be drawn, said."""
    gaps = []
    for kind, values in (("training", curve.training), ("validation", curve.validation)):
        epochs = [i for i, v in enumerate(values, 1) if not drawable(v)]
        if epochs:
            first = "" if len(epochs) == len(values) else f", first in epoch {epochs[0]}"
            gaps.append(f". {kind.capitalize()} has no finite number in {len(epochs)} of {len(values)} epochs{first}")
    return gaps


def _numbers(values: Sequence[Any]) -> list[float]:
    """A history holds numbers; whatever else a callback put there is shown as missing."""
    out = []
    for value in values:
        try:
            out.append(float(value))
        except (TypeError, ValueError):
            out.append(math.nan)
    return out
