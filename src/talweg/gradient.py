"""Backpropagation: the chain rule, walked from a loss back to what it depends on. Graph in, graph out."""

from __future__ import annotations

from collections.abc import Sequence

from talweg.errors import GraphError
from talweg.graph import Tensor, ones_like, topological_order, zeros_like


def gradient(loss: Tensor, wrt: Sequence[Tensor]) -> list[Tensor]:
    """∂loss/∂w for each w in `wrt`, as graphs with the shapes of `wrt`.

    The graph is walked once, from `loss` to its leaves. A tensor that is used several times receives the sum of what
    its users send back (Rumelhart, Hinton and Williams, 1986). Raises `GraphError` if `loss` is not a float scalar.

    >>> from talweg.graph import constant, evaluate
    >>> w = constant(2.0)
    >>> [slope] = gradient(w * w * w, [w])
    >>> float(evaluate([slope])[slope])
    12.0
    """
    if loss.shape != () or loss.dtype != "float":
        raise GraphError(f"a gradient is taken of one float number; got {loss!r}. Sum or average it first.")
    order = topological_order([loss])
    leads_to_wrt = set(wrt)
    for node in order:
        if any(x in leads_to_wrt for x in node.inputs):
            leads_to_wrt.add(node)

    received: dict[Tensor, Tensor] = {loss: ones_like(loss)}
    for node in reversed(order):
        if node not in received or node not in leads_to_wrt or node.op.gradient is None:
            continue
        shares = node.op.gradient(received[node], node, *node.inputs, **node.attributes)
        for source, share in zip(node.inputs, shares, strict=True):
            if share is not None and source in leads_to_wrt:
                received[source] = received[source] + share if source in received else share
    return [received.get(w, zeros_like(w)) for w in wrt]
