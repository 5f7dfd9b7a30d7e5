"""Slopes by central differences: (f(x + h) - f(x - h)) / 2h, the judge of every gradient."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from talweg.gradient import gradient
from talweg.graph import Array, Tensor, evaluate, topological_order
from talweg.graph.evaluate import follow, plan

H = 1e-5  # in float64 the error is about h⁴ + 1e-16 / h, so 1e-11 for slopes of order 1, however they bend
RTOL, ATOL = 1e-6, 1e-8


def central_differences(f: Callable[[Array], float], x: Array, h: float = H) -> Array:
    """The slope of `f`, a number, along every element of `x`."""
    out = np.zeros_like(x)
    for at in np.ndindex(x.shape):
        there, back = x.copy(), x.copy()
        there[at] += h
        back[at] -= h
        out[at] = (f(there) - f(back)) / (2 * h)
    return out


def assert_gradients(
    loss: Tensor, wrt: Sequence[Tensor], feeds: Mapping[Tensor, Array], rows: int = 0, h: float = H
) -> None:
    """`talweg.gradient` of `loss` agrees with central differences in float64, relative tolerance 1e-6."""
    slopes = gradient(loss, wrt)
    computed = evaluate(slopes, feeds, rows, "float64")
    steps = plan(topological_order([loss]), rows, "float64")
    for w, slope in zip(wrt, slopes, strict=True):

        def f(value: Array, w: Tensor = w) -> float:
            return float(follow(steps, {**feeds, w: value})[loss])

        near, far = (central_differences(f, np.asarray(feeds[w], np.float64), step) for step in (h, 2 * h))
        expected = (4 * near - far) / 3  # Richardson's: the error in h² is gone
        assert computed[slope].shape == expected.shape
        np.testing.assert_allclose(computed[slope], expected, RTOL, ATOL, err_msg=f"slope of {loss} along {w}")
