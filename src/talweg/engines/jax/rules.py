"""What computes each operation of the closed table on JAX. A rule takes what the operation's meaning in NumPy takes."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import jax
import numpy as np
from jax import lax
from jax import numpy as jnp

from talweg.graph import Tensor, topological_order
from talweg.graph.evaluate import follow, plan
from talweg.graph.loop import Loop
from talweg.graph.random import threefry

Value = Any  # an array of JAX's, or what stands for one while a program is traced
Pair = tuple[int, int]


def values(order: Iterable[Tensor], feeds: Mapping[Tensor, Value], rows: int, precision: str) -> dict[Tensor, Value]:
    """The value of every node of a topological order, with the batch axis `rows` long."""
    return follow(plan(order, rows, precision, RULES), feeds, jnp.asarray)


# ── movement ──────────────────────────────────────────────────────────────────────────────────────────────


def _row_numbers(indices: Value, rows: int) -> Value:
    """The indices, moved into 0..rows - 1; what a byte cannot count to is no bound for bytes."""
    return jnp.clip(indices, 0, min(rows - 1, np.iinfo(indices.dtype).max))


def _take(x: Value, indices: Value, paired: int) -> Value:
    if paired:
        return jax.vmap(lambda a, i: _take(a, i, paired - 1))(x, indices)
    return jnp.take(x, _row_numbers(indices, len(x)), 0, mode="clip")


def _scatter_add(x: Value, indices: Value, rows: int, paired: int) -> Value:
    if paired:
        return jax.vmap(lambda a, i: _scatter_add(a, i, rows, paired - 1))(x, indices)
    return jnp.zeros((rows, *x.shape[indices.ndim :]), x.dtype).at[_row_numbers(indices, rows)].add(x)


# ── chance ────────────────────────────────────────────────────────────────────────────────────────────────


def _random_uniform(seed: Value, step: Value, shape: tuple[int, ...], stream: int, dtype: Any) -> Value:
    count = math.prod(shape)
    blocks = jnp.arange((count + 1) // 2, dtype="uint32")
    key = threefry(seed[0], seed[1], np.uint32(stream), step)
    bits = jnp.stack(threefry(*key, blocks, jnp.zeros_like(blocks)), 1).ravel()[:count]
    return ((bits >> 8).astype(dtype) * 2.0**-24).reshape(shape)


# ── windows ───────────────────────────────────────────────────────────────────────────────────────────────


def _windows(x: Value, size: Pair, strides: Pair, dilation: Pair = (1, 1)) -> Value:
    """Every window of x: (batch, rows, columns, elements of the window, channels)."""
    starts = [[i * d for i in range(n)] for n, d in zip(size, dilation, strict=True)]
    rows, columns = (n - last[-1] for n, last in zip(x.shape[1:3], starts, strict=True))
    down, across = strides
    every = [x[:, u : u + rows : down, v : v + columns : across] for u in starts[0] for v in starts[1]]
    return jnp.stack(every, 3)


def _conv2d(x: Value, kernel: Value, strides: Pair, dilation: Pair, groups: int) -> Value:
    if jax.default_backend() != "cpu":
        return lax.conv_general_dilated(
            *(x, kernel, strides, "VALID"),
            rhs_dilation=dilation,
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
            feature_group_count=groups,
        )

    def of_one_group(x: Value, kernel: Value) -> Value:  # on a CPU XLA's own is slower, in a loop 8 times
        windows = _windows(x, kernel.shape[:2], strides, dilation)
        return windows.reshape(*windows.shape[:3], -1) @ kernel.reshape(-1, kernel.shape[3])

    apart = (t.reshape(*t.shape[:3], groups, -1) for t in (x, kernel))
    y = jax.vmap(of_one_group, 3, 3)(*apart)
    return y.reshape(*y.shape[:3], -1)


def _backwards(linear: Callable[[Value], Value], shape: tuple[int, ...], g: Value) -> Value:
    """∂L/∂x for y = linear(x), where g = ∂L/∂y and x has that shape."""
    [slope] = jax.linear_transpose(linear, jnp.zeros(shape, g.dtype))(g)
    return slope


def _conv2d_input_gradient(g: Value, kernel: Value, groups: int, shape: Pair, **how: Any) -> Value:
    x = (len(g), *shape, kernel.shape[2] * groups)
    return _backwards(lambda x: _conv2d(x, kernel, groups=groups, **how), x, g)


def _conv2d_kernel_gradient(x: Value, g: Value, groups: int, shape: Pair, **how: Any) -> Value:
    kernel = (*shape, x.shape[3] // groups, g.shape[3])
    return _backwards(lambda kernel: _conv2d(x, kernel, groups=groups, **how), kernel, g)


def _max_pool2d_gradient(g: Value, x: Value, y: Value, size: Pair, strides: Pair) -> Value:
    windows = _windows(x, size, strides)
    first = jnp.argmax(windows, 3, keepdims=True)  # of equal ones the first; a NaN counts as the largest
    wins = first == jnp.arange(windows.shape[3])[:, None]
    return _backwards(lambda x: _windows(x, size, strides), x.shape, jnp.where(wins, g[:, :, :, None], 0))


# ── loops ─────────────────────────────────────────────────────────────────────────────────────────────────


def _scan(
    *inputs: Value, loop: Loop, output: Sequence[Tensor], axis: int, reverse: bool, size: int, dtype: Any
) -> list[Value]:
    n, m = len(loop.steps), len(loop.carried)
    fixed = dict(zip(loop.constants, inputs[n + m :], strict=True))
    order = topological_order([*loop.following, *output])

    def step(now: tuple[Value, ...], elements: list[Value]) -> Any:
        feeds = {**fixed, **dict(zip(loop.carried, now, strict=True)), **dict(zip(loop.steps, elements, strict=True))}
        found = values(order, feeds, size, dtype.name)
        return tuple(found[s] for s in loop.following), [found[o] for o in output]

    _, stacks = lax.scan(step, inputs[n : n + m], [jnp.moveaxis(x, axis, 0) for x in inputs[:n]], reverse=reverse)
    return [jnp.moveaxis(y, 0, min(axis, o.rank)) for y, o in zip(stacks, output, strict=True)]


# ── the table ─────────────────────────────────────────────────────────────────────────────────────────────

RULES: dict[str, Callable[..., Value]] = {
    # leaves: the others have their values given
    "batch_size": lambda size, dtype: jnp.asarray(size, dtype),
    # elementwise
    "neg": jnp.negative,
    "abs": jnp.abs,
    "sign": jnp.sign,
    "floor": jnp.floor,
    "sqrt": jnp.sqrt,
    "exp": jnp.exp,
    "expm1": jnp.expm1,
    "log": jnp.log,
    "log1p": jnp.log1p,
    "tanh": jnp.tanh,
    "sigmoid": jax.nn.sigmoid,
    "erf": lax.erf,
    "sin": jnp.sin,
    "cos": jnp.cos,
    "stop_gradient": lambda x: x,
    "cast": lambda x, dtype: x.astype(dtype),
    "add": jnp.add,
    "sub": jnp.subtract,
    "mul": jnp.multiply,
    "div": jnp.divide,
    "power": jnp.power,
    "maximum": jnp.maximum,
    "minimum": jnp.minimum,
    "less": jnp.less,
    "less_equal": jnp.less_equal,
    "equal": jnp.equal,
    "where": jnp.where,
    # reductions
    "sum": lambda x, axes: jnp.sum(x, axes, dtype=x.dtype),
    "max": lambda x, axes: jnp.max(x, axes),
    "argmax": lambda x, axis: jnp.argmax(x, axis).astype("int32"),
    # contraction
    "dot": lambda a, b, axes: jnp.tensordot(a, b, axes),
    # movement
    "reshape": lambda x, shape: jnp.reshape(x, shape),
    "transpose": lambda x, permutation: jnp.transpose(x, permutation),
    "broadcast": lambda x, shape: jnp.broadcast_to(x, shape),
    "pad": lambda x, padding, value: lax.pad(x, np.asarray(value, x.dtype), padding),
    "slice": lambda x, ranges: x[tuple(slice(*r) for r in ranges)],
    "concat": lambda *inputs, axis: jnp.concatenate(inputs, axis),
    "take": _take,
    "scatter_add": _scatter_add,
    # chance
    "random_uniform": _random_uniform,
    # windows
    "conv2d": _conv2d,
    "conv2d_input_gradient": _conv2d_input_gradient,
    "conv2d_kernel_gradient": _conv2d_kernel_gradient,
    "max_pool2d": lambda x, size, strides: jnp.max(_windows(x, size, strides), 3),
    "max_pool2d_gradient": _max_pool2d_gradient,
    # loops: several nodes at once, as in NumPy
    "scan": _scan,
}
