"""Weights, in every shape that Keras takes, and how they meet the values that they weigh.

One number for all; one for each example, (n,) or (n, 1); one for each of an example's values, (n, d, ...); or what
broadcasts to these. Weights (n,) always belong to examples. Keras lays them along the last axis of values with several,
which is an error unless that happens to be as long.
"""

from __future__ import annotations

from talweg import graph as g
from talweg.errors import DataError, ShapeError
from talweg.graph import Shape, Tensor
from talweg.graph.tensor import broadcast_shape


def ranked(values: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
    """Both, where one has a last axis of 1 more than the other: without it, or (n,) as (n, 1) beside it, as in Keras.

    >>> values, weights = ranked(g.constant([5.0, 7.0]), g.constant([[1.2], [3.4]]))
    >>> values.shape, weights.shape
    ((2, 1), (2, 1))
    """
    more = values.rank - weights.rank
    if more == 1 and values.shape[-1] == 1:
        return (values, g.expand_dims(weights, -1)) if weights.rank == 1 else (_squeezed(values), weights)
    if more == -1 and weights.shape[-1] == 1:
        return (g.expand_dims(values, -1), weights) if values.rank == 1 else (values, _squeezed(weights))
    return values, weights


def beside(weights: Tensor, values: Tensor) -> Tensor:
    """The weights in a shape that multiplies `values`: (n,) as (n, 1, ...).

    Raises `DataError` where they fit neither examples nor values, or would make more of the values than there are.
    """
    missing = values.rank - weights.rank
    leads = all(w in (1, v) for w, v in zip(weights.shape, values.shape, strict=False))
    if missing > 0 and weights.rank and leads:
        weights = g.reshape(weights, (*weights.shape, *[1] * missing))
    try:
        together = broadcast_shape(values.shape, weights.shape)
    except ShapeError:
        together = (-1,)
    if values.rank and _long(together) != _long(values.shape):
        examples = "examples" if not isinstance(values.shape[0], int) else f"{values.shape[0]} examples"
        each = "" if values.rank == 1 else f", or one for each of the values {list(values.shape)}"
        raise DataError(
            f"sample_weight must be one number for each of the {examples}{each}; it has shape {list(weights.shape)}"
        )
    return weights


def by_example(weights: Tensor | None, examples: g.Dim) -> Tensor:
    """Weights (n,) where they are that, however they were given; 1 each where there are none. Others stay as they are.

    >>> by_example(g.constant([[0.5], [2.0]]), 2).shape, by_example(None, 2).shape
    ((2,), (2,))
    """
    if weights is None:
        weights = g.constant(1.0)
    if all(d == 1 for d in weights.shape):
        return g.broadcast_to(g.reshape(weights, ()), (examples,))
    if weights.shape[0] == examples and all(d == 1 for d in weights.shape[1:]):
        return g.reshape(weights, (examples,))
    return weights


def weighted(values: Tensor, weights: Tensor | None) -> Tensor:
    """wᵢ Lᵢ, or Lᵢ where there are no weights; a weight goes to all that belongs to its example."""
    if weights is None:
        return values
    values, weights = ranked(values, weights)
    return values * beside(weights, values)


def total(weights: Tensor, values: Tensor, counts: Tensor | None = None) -> Tensor:
    """Σ w over what the values hold; of weights of the values' rank only as many as were given, as in Keras.

    counts: how much each value counts, where that differs.
    """
    values, weights = ranked(values, weights)
    fitted = beside(weights, values)
    if counts is not None:
        return g.sum(fitted * g.reshape(counts, values.shape))
    spread = 0 < weights.rank < values.rank
    return g.sum(g.broadcast_to(fitted, values.shape) if spread else fitted)


def _squeezed(x: Tensor) -> Tensor:
    return g.reshape(x, x.shape[:-1])


def _long(shape: Shape) -> list[object]:
    return [d for d in shape if d != 1]
