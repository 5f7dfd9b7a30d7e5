"""Tensors: what may be written, what it becomes, and what the errors say."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from talweg import graph as g
from talweg.errors import GraphError, ShapeError
from talweg.graph import BATCH, TABLE, Tensor, broadcast_shape, constant, input_tensor, state_tensor
from talweg.graph.tensor import operation

X, W, K = input_tensor("x", (BATCH, 3)), state_tensor("w", (3, 4)), input_tensor("i", (BATCH,), "int")


@pytest.mark.parametrize(
    ("y", "shape", "dtype"),
    [
        (X + 1, (BATCH, 3), "float"),
        (1 - X, (BATCH, 3), "float"),
        (2**X, (BATCH, 3), "float"),
        (X**2, (BATCH, 3), "float"),
        (-X / 3, (BATCH, 3), "float"),
        (3 / X, (BATCH, 3), "float"),
        (abs(X), (BATCH, 3), "float"),
        (X + np.ones(3), (BATCH, 3), "float"),
        (X > 0, (BATCH, 3), "bool"),
        (X <= X, (BATCH, 3), "bool"),
        (K + 1, (BATCH,), "int"),
        (X @ W, (BATCH, 4), "float"),
        (g.sum(X, 0), (3,), "float"),
        (g.sum(X, axis=-1, keepdims=True), (BATCH, 1), "float"),
        (g.mean(X), (), "float"),
        (g.argmax(X), (BATCH,), "int"),
        (g.one_hot(K, 5), (BATCH, 5), "float"),
        (g.take(W, K), (BATCH, 4), "float"),
        (g.expand_dims(X, -1), (BATCH, 3, 1), "float"),
        (g.softmax(X), (BATCH, 3), "float"),
        (g.logsumexp(X), (BATCH,), "float"),
        (g.variance(X, 0), (3,), "float"),
        (g.concat([X, X]), (BATCH, 6), "float"),
        (g.pad(X, [(0, 0), (1, 2, 1)]), (BATCH, 8), "float"),
        (g.slice(X, [None, (1, 3)]), (BATCH, 2), "float"),
        (g.transpose(X), (3, BATCH), "float"),
        (g.reshape(X, (BATCH, 3, 1, 1)), (BATCH, 3, 1, 1), "float"),
    ],
)
def test_shapes_and_dtypes(y: Tensor, shape: tuple[Any, ...], dtype: str) -> None:
    assert (y.shape, y.dtype) == (shape, dtype)


@pytest.mark.parametrize(
    ("write", "error", "message"),
    [
        (lambda: X + W, ShapeError, "do not broadcast"),
        (lambda: X @ X, ShapeError, "dot: .*differ in length"),
        (lambda: X + K, ShapeError, "do not broadcast"),
        (lambda: K + g.cast(K, "uint"), GraphError, "add: operands have different dtypes: int, uint; cast"),
        (lambda: g.sqrt(K), GraphError, "sqrt: operands must be float; got int; cast first"),
        (lambda: g.reshape(X, (BATCH, 4)), ShapeError, r"reshape: cannot reshape \[batch, 3\] to \[batch, 4\]"),
        (lambda: g.reshape(X, (3, BATCH)), ShapeError, "reshape"),
        (lambda: g.reshape(X, (BATCH, BATCH)), ShapeError, "two batch axes"),
        (lambda: g.reshape(X, (3,)), ShapeError, "reshape"),
        (lambda: g.sum(X, 2), ShapeError, "axis 2 is out of range"),
        (lambda: g.sum(X > 0), GraphError, "truth values cannot be summed"),
        (lambda: g.pad(X, [(1, 0), (0, 0)]), ShapeError, "the batch axis cannot be padded"),
        (lambda: g.pad(X, [(1, 0)]), ShapeError, "must have an entry for each"),
        (lambda: g.slice(X, [(0, 1), None]), ShapeError, "the batch axis can only be taken whole"),
        (lambda: g.slice(X, [None, (2, 5)]), ShapeError, "does not lie in an axis of length 3"),
        (lambda: g.concat([X, X], 0), ShapeError, "do not join along axis 0"),
        (lambda: g.concat([X, g.sum(X, 1)]), ShapeError, "do not join"),
        (lambda: g.concat([W, g.sum(W, 1)]), ShapeError, "do not join"),
        (lambda: g.take(W, X), GraphError, "take: indices must be integers; got float"),
        (lambda: g.where(X, X, X), GraphError, "the condition must be bool"),
        (lambda: g.transpose(X, (0, 0)), ShapeError, "is no order of the 2 axes"),
        (lambda: TABLE["add"](X, g.sum(X, 1)), ShapeError, "add: operands have different shapes"),
        (lambda: TABLE["broadcast"](X, shape=(3,)), ShapeError, "cannot broadcast"),
        (lambda: bool(X > 0), GraphError, r"cannot decide an `if`.*where"),
        (lambda: np.asarray(X), GraphError, "has no value yet"),
        (lambda: np.mean(X), GraphError, r"in place of NumPy's, such as talweg\.graph\.mean"),
        (lambda: constant("three"), GraphError, "a constant must be numbers"),
        (lambda: constant(2**31), GraphError, "within -2147483648..2147483647"),
        (lambda: constant(-1, "uint"), GraphError, "within 0..4294967295"),
        (lambda: operation("add", "elementwise", "a", np.add), GraphError, "declared twice"),
    ],
)
def test_what_cannot_be_written(write: Callable[[], Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        write()


def test_constants_cannot_be_changed_and_do_not_follow_their_array() -> None:
    array = np.ones(3)
    c = constant(array)
    array[0] = 7
    assert c.attributes["value"].tolist() == [1, 1, 1]
    with pytest.raises(ValueError, match="read-only"):
        c.attributes["value"][0] = 7


def test_broadcast_shapes() -> None:
    assert broadcast_shape((BATCH, 1, 4), (3, 1), ()) == (BATCH, 3, 4)
    for wrong in (((2,), (3,)), ((BATCH,), (2,))):
        with pytest.raises(ShapeError):
            broadcast_shape(*wrong)


def test_what_changes_nothing_writes_nothing() -> None:
    assert g.reshape(X, (BATCH, 3)) is X and g.transpose(X, (0, 1)) is X and g.cast(X, "float") is X
    assert g.broadcast_to(X, X.shape) is X and g.slice(X, [None, (0, 3)]) is X and g.sum(constant(1.0)).is_leaf is False
    assert X.named("other") is X, "leaves keep their names"
    y = g.tanh(X).named("y").written_as("tanh", X)
    assert y.name == "y" and y.origin is not None and y.origin.function == "tanh" and y.named("z").origin is y.origin


def test_order_puts_inputs_first_also_in_a_deep_graph() -> None:
    y = X
    for _ in range(5000):  # deeper than Python's stack
        y = y + 1
    order = g.topological_order([y, g.sum(X)])
    place = {t: i for i, t in enumerate(order)}
    assert all(place[x] < place[t] for t in order for x in t.inputs) and len(place) == len(order)
    assert order == g.topological_order([y, order[-1]])


def test_evaluate_says_what_was_not_fed() -> None:
    with pytest.raises(GraphError, match="input 'x' was not fed"):
        g.evaluate([X + 1])
    y = X * 2
    assert g.evaluate([y + 1], {y: np.array([[1.0, 2.0, 3.0]])}, 1)[y].tolist() == [[1, 2, 3]], "any node can be given"


@pytest.mark.parametrize("rows", [0, 1, 4])
def test_any_number_of_rows(rows: int) -> None:
    y = g.sum(X * g.batch_size(), 0)
    assert g.evaluate([y], {X: np.ones((rows, 3))}, rows)[y].tolist() == [rows * rows] * 3
