"""Doubts about the rows of a fit: their order, their scale, and those that validation gets."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from talweg.errors import DataWarning, TalwegWarning
from talweg.graph import Array, Tensor
from talweg.train.programs import WEIGHT, X, Y, feed
from talweg.train.rows import Rows
from talweg.train.sources import InMemory, Source

if TYPE_CHECKING:
    from talweg.train.model import Model

FEW = 50  # rows of which no order is told: it may be chance, or a table of logic
CHANCE = 0.05  # how likely it may be that mixed rows look so, for nothing to be told
LOOKED_AT = 64  # rows, evenly among all, by which two sets or a scale are told
BYTES = 100  # a largest whole number from which on inputs look like the bytes of images
MANY_INPUTS = 49  # 7 x 7: fewer are rather a table's columns than pixels

Doubts = Iterator[TalwegWarning]
SHUFFLE = "order = numpy.random.default_rng(0).permutation(len(x)); x, y = x[order], y[order]"


# ── order ─────────────────────────────────────────────────────────────────────────────────────────────────


def of_order(model: Model, source: Source, rows: Rows, kept: Rows | None) -> Doubts:
    """Of rows that lie in the order of their labels, where training goes by it or validation is cut off it."""
    names = model.output_names
    for name, aim in zip(names, model.aims, strict=True):
        key = feed(Y, name, names)
        if key not in rows.feeds or len(rows) < FEW:
            continue
        y = rows.feeds[key]
        is_one_hot = _is_one_hot(y)
        if y.ndim > 1 and y[0].size > 1 and not is_one_hot:
            continue
        are_classes = is_one_hot or (aim.loss is not None and aim.loss.targets != "values")
        labels = _numbered(y, is_one_hot)
        if kept is not None:
            yield from _of_tail(labels, _numbered(kept.feeds[key], is_one_hot), are_classes)
        if are_classes and isinstance(source, InMemory) and source.goes_in_order and _is_by_class(labels):
            yield DataWarning(
                "the rows lie in the order of their classes, and shuffle=False keeps it: what one batch teaches, the "
                f"next class unlearns. Leave out shuffle=False, or mix the rows first: {SHUFFLE}."
            )


def _of_tail(y: Array, tail: Array, are_classes: bool) -> Doubts:
    """Of the last rows, which `validation_split` keeps for validation."""
    whole = np.concatenate([y, tail])
    if are_classes:
        unseen = _put_away(y, tail)
        if len(unseen):
            shown = ", ".join(f"{v:g}" for v in unseen[:5]) + (", ..." if len(unseen) > 5 else "")
            said = f"with classes that training never sees: {shown}"
        elif _is_by_class(whole):
            said = "and they lie in the order of their classes: validation holds the last of them only"
        else:
            return
    elif _is_monotone(whole):
        said = "and they lie in the order of y: validation holds values that training never sees"
    else:
        return
    yield DataWarning(f"validation_split keeps the last rows, {said}. Mix the rows first: {SHUFFLE}.")


def _put_away(y: Array, tail: Array) -> Array:
    """The classes of the tail only, where it is hardly chance: of many rare ones a mixed tail has some, too."""
    classes, counts = np.unique(np.concatenate([y, tail]), return_counts=True)
    share = len(tail) / (len(y) + len(tail))
    return classes[~np.isin(classes, y) & (len(classes) * share**counts < CHANCE)]


def _is_one_hot(y: Array) -> bool:
    if y.ndim != 2 or y.shape[1] == 1:
        return False
    return bool(((y == 0) | (y == 1)).all() and (y.sum(axis=1) == 1).all())


def _numbered(y: Array, is_one_hot: bool) -> Array:
    """One number for each row: its label, or its class."""
    return y.argmax(axis=1) if is_one_hot else y.reshape(len(y))


def _is_by_class(y: Array) -> bool:
    """Whether all rows of a class stand together."""
    changes = int((y[1:] != y[:-1]).sum())
    return changes > 0 and changes + 1 == len(np.unique(y))


def _is_monotone(y: Array) -> bool:
    steps = np.diff(y)
    return bool((steps >= 0).all() or (steps <= 0).all()) and bool(steps.any())


# ── scale ─────────────────────────────────────────────────────────────────────────────────────────────────


def of_scale(model: Model, rows: Rows) -> Doubts:
    """Of the bytes of images that reach weights as they are."""
    names = model.input_names
    for name, placeholder in zip(names, model.inputs, strict=True):
        x = rows.feeds[feed(X, name, names)]
        width = int(np.prod(x.shape[1:]))
        if width < MANY_INPUTS or not _look_like_bytes(_some(x)):
            continue
        if (layer := _first_weights(model, placeholder.tensor)) is not None:
            which = f"x[{name!r}]" if len(names) > 1 else "x"
            yield DataWarning(
                f"{which} holds whole numbers up to {_some(x).max():g}, as images do, which reach the weights of "
                f"{layer!r} as they are and make training unsteady. Divide {which} by 255, or begin the network "
                "with Rescaling(1 / 255)."
            )


def _some(x: Array) -> Array:
    return x[:: max(1, len(x) // LOOKED_AT)][:LOOKED_AT]


def _look_like_bytes(x: Array) -> bool:
    low, high = x.min(), x.max()
    return bool(low >= 0 and BYTES <= high <= 255) and (x.dtype.kind in "iu" or bool((x == np.floor(x)).all()))


def _first_weights(model: Model, placeholder: Tensor) -> str | None:
    """The layer that multiplies the input itself, moved at most, by weights; None where something is done before."""
    waiting, seen = [y.tensor for y in model.outputs], set[int]()
    while waiting:
        y = waiting.pop()
        if id(y) in seen:
            continue
        seen.add(id(y))
        if y.op.name in ("dot", "conv2d") and any(_moved(x) is placeholder for x in y.inputs):
            weights = next((w for w in map(_moved, y.inputs) if w.op.name == "state"), None)
            if weights is not None:
                return weights.name.rpartition("/")[0]
        waiting += y.inputs
    return None


def _moved(x: Tensor) -> Tensor:
    """What `x` is, before it was moved."""
    while x.op.name in ("reshape", "transpose", "broadcast", "pad", "cast", "slice"):
        x = x.inputs[0]
    return x


# ── validation ────────────────────────────────────────────────────────────────────────────────────────────


def of_validation(rows: Rows, validated: Rows) -> Doubts:
    """Of validation on the training's own rows."""
    names = [name for name in rows.feeds if not name.startswith(WEIGHT)]
    if all(name in validated.feeds and _are_equal(validated.feeds[name], rows.feeds[name]) for name in names):
        yield DataWarning(
            "validation_data is the training data itself, so validation tells nothing of new examples. Give rows that "
            "are not trained on, or validation_split=0.2."
        )


def _are_equal(a: Array, b: Array) -> bool:
    return a.shape == b.shape and (a is b or np.array_equal(_some(a), _some(b)))
