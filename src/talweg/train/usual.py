"""The data that a model is for, where none are at hand: their form, and random rows of it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from talweg.nn.losses import kind_of
from talweg.train.programs import Form, X, Y, feed
from talweg.train.rows import Rows

if TYPE_CHECKING:
    from talweg.train.model import Model


def form(model: Model, with_labels: bool = True) -> Form:
    """Numbers in the shapes of the inputs, and for each output with an aim what its loss takes as labels."""
    names = model.input_names
    arrays: dict[str, Any] = {
        feed(X, name, names): (x.example_shape, "float") for name, x in zip(names, model.inputs, strict=True)
    }
    names = model.output_names
    for name, aim, y in zip(names, model.aims, model.outputs, strict=True) if with_labels else ():
        if aim.needs_labels:
            kind = None if aim.loss is None else kind_of(aim.loss.targets, (), y.tensor.shape)
            shape = y.tensor.shape if aim.loss is None else aim.loss.label_shape(y.tensor.shape)
            arrays[feed(Y, name, names)] = (shape[1:], "int" if kind in ("classes", "sequences") else "float")
    return Form(arrays)


def random_rows(model: Model, n: int) -> Rows:
    """`n` rows of the usual form: numbers from 0 to 1, and class numbers."""
    random, arrays = np.random.default_rng(0), form(model).arrays
    feeds = {name: random.random((n, *shape)).astype(model.precision) for name, (shape, _) in arrays.items()}
    names = model.output_names
    for name, y in zip(names, model.outputs, strict=True):
        if (label := feed(Y, name, names)) in arrays and arrays[label][1] == "int":
            classes = math.prod(y.example_shape) // math.prod(arrays[label][0])
            feeds[label] = random.integers(0, classes, feeds[label].shape, np.int32)
    return Rows(feeds)
