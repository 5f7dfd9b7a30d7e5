"""Single examples in the report: the mistakes first, as pictures or as rows of a table."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from talweg.errors import ShapeError
from talweg.graph import Array
from talweg.insight.markup import Markup, joined, name, number, percent, table, tag
from talweg.insight.png import data_url, is_image, to_pixels, value_range
from talweg.insight.scores import NO_CLASS, Classification

MOST_PICTURES = 24
MOST_ROWS = 20
MOST_FEATURES = 12


def mistakes(c: Classification, x: Any, shape: tuple[int, ...], features: Sequence[str] | None = None) -> Markup:
    """The most confidently wrong examples; where none is wrong, those that the network was least sure of."""
    wrong = np.flatnonzero(c.wrong)
    if len(wrong):
        order = wrong[np.argsort(-c.confidence[wrong], kind="stable")]
        said = f"{len(wrong):,} of {len(c.true):,} test examples are wrong. The most confident mistakes come first"
    else:
        order = np.argsort(c.confidence, kind="stable")
        said = f"There is no mistake among {len(c.true):,} test examples. The least confident answers come first"
    most = MOST_PICTURES if is_image(shape) else MOST_ROWS
    shown = order[:most]
    said += f"; {len(shown)} are shown." if len(order) > most else "."

    def caption(i: int) -> Markup:
        said = ["predicted ", tag("b", _class(c, c.predicted[i])), f" {percent(c.confidence[i])}"]
        return joined([*said, tag("br"), _truth(c, i)])

    def alternative(i: int) -> str:
        return f"predicted {_plain(c, c.predicted[i])}, true {_plain(c, c.true[i])}"

    if is_image(shape):
        return joined([tag("p", said), _pictures(x, shape, shown, caption, alternative)])
    head = ["row", "predicted", "true", "probability of predicted", "probability of true"]
    cells = [
        [_class(c, c.predicted[i]), _class(c, c.true[i]), percent(c.confidence[i]), percent(c.probability_of_truth[i])]
        for i in shown
    ]
    return joined([tag("p", said), _rows(x, shown, head, cells, features)])


def largest_errors(true: Array, predicted: Array, x: Any, shape: tuple[int, ...], features: Any = None) -> Markup:
    """The examples with the largest absolute error, over all outputs together. true, predicted: (n, outputs)."""
    with np.errstate(over="ignore", invalid="ignore"):
        difference = predicted - true
    error = np.nan_to_num(np.abs(difference), nan=np.inf).max(axis=1)
    most = MOST_PICTURES if is_image(shape) else MOST_ROWS
    shown = np.argsort(-error, kind="stable")[:most]

    def values(row: Array) -> str:
        return ", ".join(number(v) for v in row[:4]) + (", …" if len(row) > 4 else "")

    def caption(i: int) -> Markup:
        return joined([f"predicted {values(predicted[i])}", tag("br"), f"true {values(true[i])}"])

    said = tag("p", f"The {len(shown)} examples with the largest error, the largest first.")
    if is_image(shape):
        return joined(
            [said, _pictures(x, shape, shown, caption, lambda i: f"predicted {values(predicted[i])}")],
        )
    head = ["row", "predicted", "true", "error"]
    cells = [[values(predicted[i]), values(true[i]), values(difference[i])] for i in shown]
    return joined([said, _rows(x, shown, head, cells, features)])


def _pictures(
    x: Any,
    shape: tuple[int, ...],
    shown: Array,
    caption: Callable[[int], Markup],
    alternative: Callable[[int], str],
) -> Markup:
    images = np.asarray(x)
    if images.size != len(images) * int(np.prod(shape)):
        raise ShapeError(f"x_test has examples of shape {list(images.shape[1:])}; input_shape is {list(shape)}")
    images = images.reshape(len(images), *shape)
    low, high = value_range(images)
    figures = [
        tag(
            "figure",
            tag("img", src=data_url(to_pixels(images[i], low, high)), alt=f"test example {i}: {alternative(i)}"),
            tag("figcaption", caption(i)),
        )
        for i in shown
    ]
    return tag("div", *figures, class_="pictures")


def _rows(x: Any, shown: Array, head: list[str], cells: list[list[Any]], features: Sequence[str] | None) -> Markup:
    given = getattr(x, "columns", None)
    rows = np.asarray(x)
    rows = rows.reshape(len(rows), -1)
    names = [str(f) for f in (features if features is not None else given if given is not None else [])]
    names += [f"x{i}" for i in range(len(names), rows.shape[1])]
    few = names[: min(MOST_FEATURES, rows.shape[1])]
    body = [[i, *cell, *(_value(v) for v in rows[i, : len(few)])] for i, cell in zip(shown, cells, strict=True)]
    more = rows.shape[1] - len(few)
    note = tag("p", f"Each row has {more:,} more column{'s' * (more != 1)}.", class_="note") if more else None
    return joined([table([*head, *(name(f, 30) for f in few)], body, "Test examples", "numbers"), note])


def _class(c: Classification, index: int) -> Markup:
    return tag("i", "no class") if index == NO_CLASS else name(c.names[index], 40)


def _plain(c: Classification, index: int) -> str:
    return "no class" if index == NO_CLASS else c.names[index][:60]


def _truth(c: Classification, i: int) -> Markup:
    if not c.wrong[i]:
        return tag("span", "right", class_="right")
    return joined(["true ", tag("b", _class(c, c.true[i])), f" {percent(c.probability_of_truth[i])}"])


def _value(value: Any) -> Any:
    if isinstance(value, str):
        return name(value, 40)
    try:
        return number(value)
    except (TypeError, ValueError):
        return name(value, 40)
