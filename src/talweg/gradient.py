"""Backpropagation: the chain rule, walked from a loss back to what it depends on. Graph in, graph out."""

from __future__ import annotations

from collections.abc import Sequence

from talweg.errors import GraphError
from talweg.graph import Tensor, ones_like, zeros_like
from talweg.graph.backward import backward


def gradient(loss: Tensor, wrt: Sequence[Tensor]) -> list[Tensor]:
    """∂loss/∂w for each w in `wrt`, as graphs with the shapes of `wrt`.

    The walk itself is `talweg.graph.backward`. Raises `GraphError` if `loss` is not a float scalar.

    >>> from talweg.graph import constant, evaluate
    >>> w = constant(2.0)
    >>> [slope] = gradient(w * w * w, [w])
    >>> float(evaluate([slope])[slope])
    12.0
    """
    if loss.shape != () or loss.dtype != "float":
        raise GraphError(f"a gradient is taken of one float number; got {loss!r}. Sum or average it first.")
    return [zeros_like(w) if d is None else d for w, d in zip(wrt, backward({loss: ones_like(loss)}, wrt), strict=True)]
