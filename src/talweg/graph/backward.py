"""The chain rule, walked backwards from tensors whose slopes are known. `talweg.gradient` is this, for a loss."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from talweg.graph.tensor import Tensor, together, topological_order


def backward(slopes: Mapping[Tensor, Tensor], wrt: Sequence[Tensor]) -> list[Tensor | None]:
    """∂L/∂w for each w in `wrt`, where `slopes` has ∂L/∂y for some tensors y; None where none of them depends on w.

    The graph is walked once, from the y to the leaves. A tensor that is used several times receives the sum of what its
    users send back (Rumelhart, Hinton and Williams, 1986).
    """
    order = topological_order(slopes)
    leads_to_wrt = set(wrt)
    for node in order:
        if any(x in leads_to_wrt for x in node.inputs):
            leads_to_wrt.add(node)

    received = dict(slopes)
    for nodes in reversed(together(order)):
        asked = [node for node in nodes if node in received and node in leads_to_wrt]
        if not asked or (rule := asked[0].op.gradient) is None:
            continue
        y: Any = asked if asked[0].op.kin else asked[0]
        g: Any = [received[node] for node in asked] if asked[0].op.kin else received[asked[0]]
        shares = rule(g, y, *asked[0].inputs, **asked[0].attributes)
        for source, share in zip(asked[0].inputs, shares, strict=True):
            if share is not None and source in leads_to_wrt:
                received[source] = received[source] + share if source in received else share
    return [received.get(w) for w in wrt]
