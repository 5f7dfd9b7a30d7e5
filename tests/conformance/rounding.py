"""How far rounding may take a result: a bound for each element of each node, carried along the graph beside its value.

Running error analysis (Wilkinson; Higham, "Accuracy and Stability of Numerical Algorithms", section 3.3), to first
order in the unit roundoff u:

- an operation on numbers that are off by e hands on what it makes of them at both ends, f(x + e) and f(x - e);
- a sum hands on the sum of errors and adds (terms + 1) u Σ |terms|, in whatever order it is taken; products likewise;
- other arithmetic adds 2 u |y|, or nothing where the result is a float32; an elementary function 4 u |y|, which is two
  units in the last place;
- where more than half of a number may be error, nothing is known of its inverse, root or logarithm;
- moving, choosing and comparing add nothing; where a truth value may turn, nothing is known of what it decides.

So cancellation is held against what cancelled and not against what is left, and nothing is tolerated that no order of
rounding could do. Values are float64 and count as exact. Bounds are given for float32; they are proportional to u, and
so 2^29 times smaller for float64.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

import numpy as np

from talweg.graph import Array, Tensor, topological_order
from talweg.graph.evaluate import plan

U = 2.0**-24
TINY = float(np.finfo(np.float32).tiny)  # an engine may take what is smaller for 0
SMALLER = {"float32": 1.0, "float64": 2.0**-29}

SUMS = {  # the operands whose products are summed; others say where
    **dict.fromkeys(("sum", "scatter_add", "max_pool2d_gradient"), 1),
    **dict.fromkeys(("dot", "conv2d", "conv2d_input_gradient", "conv2d_kernel_gradient"), 2),
}
FUNCTIONS = ("exp", "expm1", "log", "log1p", "tanh", "sigmoid", "erf", "sin", "cos", "power")
ROUNDED = {**dict.fromkeys(FUNCTIONS, 4), **dict.fromkeys(("add", "sub", "mul", "div", "sqrt", "cast"), 2)}
Meaning = Callable[..., Any]
POLES = {"div": 1, "sqrt": 0, "log": 0, "power": 0}  # the operand near whose 0 a result is anything
JUMPS = ("sign", "floor")

Values = dict[Tensor, Array]


def follow_errors(
    order: Iterable[Tensor], feeds: Mapping[Tensor, Array], errors: Mapping[Tensor, Array], rows: int
) -> tuple[Values, Values]:
    """The value of every node in float64, and how far from it float32 may be. errors: of `feeds`, where not 0."""
    values, off = dict(feeds), {t: np.asarray(errors.get(t, 0.0)) for t in feeds}
    with np.errstate(all="ignore"):
        for (node, *others), compute in plan(order, rows, "float64"):
            if node.op.name == "scan":
                for one in (node, *others):
                    values[one], off[one] = _error_of_loop(one, values, off, rows)
            elif node not in values:
                x, e = [values[i] for i in node.inputs], [off[i] for i in node.inputs]
                meaning = partial(_single, compute)
                values[node] = np.asarray(meaning(*x))
                off[node] = _error(node, meaning, x, e, values[node])
    return values, off


def _single(compute: Callable[..., list[Any]], *x: Array) -> Any:
    return compute(*x)[0]


def _error_of_loop(node: Tensor, values: Values, off: Values, rows: int) -> tuple[Array, Array]:
    """Step by step, as the body's own operations make it."""
    loop, output, axis = (node.attributes[k] for k in ("loop", "output", "axis"))
    n = len(loop.steps)
    leaves = dict(zip(loop.leaves, node.inputs, strict=True))
    now = {t: (values[x], np.broadcast_to(off[x], values[x].shape)) for t, x in leaves.items()}
    order = topological_order([*loop.following, output])
    length = now[loop.steps[0]][0].shape[axis]
    found = []
    for t in reversed(range(length)) if node.attributes["reverse"] else range(length):
        here = now | {x: tuple(np.take(v, t, axis) for v in now[x]) for x in loop.leaves[:n]}  # type: ignore[misc]
        got, e = follow_errors(order, {x: v for x, (v, _) in here.items()}, {x: d for x, (_, d) in here.items()}, rows)
        now |= {s: (got[x], e[x]) for s, x in zip(loop.carried, loop.following, strict=True)}
        found.append((got[output], np.broadcast_to(e[output], got[output].shape)))
    both = zip(*found[:: -1 if node.attributes["reverse"] else 1], strict=True)
    y, error = (np.stack(part, min(axis, output.rank)) for part in both)
    return y, error


def _error(node: Tensor, meaning: Meaning, x: list[Array], e: list[Array], y: Array) -> Array:
    name = node.op.name
    if name == "constant":
        return np.asarray(np.where(y.astype(np.float32) == y, 0.0, U * np.abs(y, dtype=float)))
    if name in SUMS and node.dtype == "float":
        error = _error_of_sums(meaning, x, e, SUMS[name])
        return np.where(_may_change(node, meaning, x, e), np.inf, error) if name == "max_pool2d_gradient" else error
    if name == "equal":  # a tie is made, by a maximum and what it was taken of, and rounding keeps it
        return np.asarray((x[0] != x[1]) & (np.abs(x[0] - x[1]) <= e[0] + e[1]), float)
    error = np.zeros(y.shape) if name == "argmax" else _carried(node, meaning, x, e, y)
    if name in POLES:
        at = POLES[name]
        error = np.where(e[at] > np.abs(x[at]) / 2, np.inf, error)
    if name in ROUNDED and y.dtype.kind == "f":
        is_exact = (error == 0) & (y.astype(np.float32) == y) & (name not in FUNCTIONS)
        error = error + np.where(is_exact, 0.0, ROUNDED[name] * U * np.abs(y) + TINY * (y != 0))
    return error


def _carried(node: Tensor, meaning: Meaning, x: list[Array], e: list[Array], y: Array) -> Array:
    """How far y moves as operands go to the ends of their errors; infinitely, where it jumps."""
    moved = [i for i, error in enumerate(e) if error.any()]
    is_elementwise = node.op.family == "elementwise"
    away = np.zeros(y.shape)
    for signs in itertools.product((1, -1), repeat=len(moved)) if is_elementwise else ((1,) * 9, (-1,) * 9):
        there = list(x)
        for i, sign in zip(moved, signs, strict=False):
            there[i] = _moved(x[i], e[i], sign)
        away = np.maximum(away, _distance(np.asarray(meaning(*there)), y))
    if node.op.name in JUMPS or y.dtype.kind in "iu":
        return np.where(away > 0, np.inf, away)
    for i in moved:
        if x[i].dtype == bool and is_elementwise and y.dtype != bool:
            away = np.where((e[i] > 0) & (away > 0), np.inf, away)
    return away


def _error_of_sums(meaning: Meaning, x: list[Array], e: list[Array], factors: int) -> Array:
    sizes, rest = [np.abs(v) for v in x[:factors]], x[factors:]
    terms = meaning(*sizes, *rest)
    is_exact = not any(d.any() for d in e[:factors])
    carried = 0.0 if is_exact else meaning(*(s + d for s, d in zip(sizes, e, strict=False)), *rest) - terms
    count = meaning(*map(np.ones_like, sizes), *rest)
    error = np.asarray(carried + (count + 1) * U * terms + TINY * (terms != 0))
    return np.where(np.isnan(error), np.inf, error)


def _may_change(node: Tensor, meaning: Meaning, x: list[Array], e: list[Array]) -> Array:
    """Where the winner of a window may be another: each of its places in turn has the best of its error."""
    g, pictures, pooled = x
    before, changes = meaning(g, pictures, pooled), np.zeros(pictures.shape, bool)
    places = np.indices(pictures.shape[1:3])[..., None]
    for u, v in np.ndindex(size := node.attributes["size"]) if e[1].any() else ():
        best = (places[0] % size[0] == u) & (places[1] % size[1] == v)
        changes |= meaning(g, np.where(best, pictures + e[1], pictures - e[1]), pooled) != before
    return changes


def _moved(x: Array, e: Array, sign: int) -> Array:
    """x at one end of its error; a truth value that may turn is turned at the one and kept at the other."""
    if x.dtype == bool:
        return np.asarray(x ^ (e > 0)) if sign > 0 else x
    return np.asarray((x + sign * e).astype(x.dtype))


def _distance(a: Array, b: Array) -> Array:
    """|a - b|, 0 where both are the same infinity or no number, and infinite where only one is a number."""
    same = (a == b) | ((a != a) & (b != b))
    apart = np.abs(a.astype(float) - b.astype(float))
    return np.where(same, 0.0, np.where(np.isnan(apart), np.inf, apart))
