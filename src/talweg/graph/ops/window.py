"""Windows: what slides over the height and width of pictures, (batch, height, width, channels).

Every window lies wholly within its picture: padding is an operation of its own, which `conv2d` and `max_pool2d` write.
A convolution, its gradient along the input and its gradient along the kernel are one sum of products
Σ x · k · y, read in three directions; so each one's gradients are the other two.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from talweg.errors import ShapeError, UsageError
from talweg.graph.ops.elementwise import _floats, equal, where
from talweg.graph.ops.movement import pad
from talweg.graph.ops.movement import slice as part_of
from talweg.graph.tensor import Array, Operation, Shape, Tensor, constant, operation

Pair = tuple[int, int]
"""Along the height and along the width."""


# ── which windows there are ───────────────────────────────────────────────────────────────────────────────


def _reach(size: Pair, dilation: Pair) -> Pair:
    """The height and width that a window spans: with dilation d, its elements are d apart."""
    return (size[0] - 1) * dilation[0] + 1, (size[1] - 1) * dilation[1] + 1


def _places(height: int, width: int, size: Pair, strides: Pair, dilation: Pair = (1, 1)) -> Pair:
    """How many windows fit, downwards and across. Raises `ShapeError` where not even one does."""
    reach = _reach(size, dilation)
    if min(*size, *strides, *dilation) < 1:
        raise ShapeError(f"size {size}, strides {strides} and dilation {dilation} must be whole numbers above 0")
    if reach[0] > height or reach[1] > width:
        spread = "" if reach == size else f" ({size[0]} x {size[1]}, {dilation[0]} and {dilation[1]} apart)"
        raise ShapeError(
            f"a window of {reach[0]} x {reach[1]}{spread} is larger than its input of {height} x {width}: "
            "take a smaller window, pad the input (padding='same'), or shrink it less before"
        )
    return (height - reach[0]) // strides[0] + 1, (width - reach[1]) // strides[1] + 1


def _picture(x: Tensor, what: str = "the input") -> tuple[int, int, int]:
    """Height, width and channels of x; raises `ShapeError` where it has not these axes after the batch's."""
    if x.rank != 4 or not all(isinstance(d, int) for d in x.shape[1:]):
        raise ShapeError(f"{what} must be (batch, height, width, channels); got {list(x.shape)}")
    return x.shape[1:]  # type: ignore[return-value]


def _windows(x: Array, size: Pair, strides: Pair, dilation: Pair = (1, 1)) -> Array:
    """Every window of x, without a copy: (batch, rows, columns, channels, height, width)."""
    every = np.lib.stride_tricks.sliding_window_view(x, _reach(size, dilation), (1, 2))
    chosen: Array = every[:, :: strides[0], :: strides[1], :, :: dilation[0], :: dilation[1]]
    return chosen


# ── convolution, and its two gradients ────────────────────────────────────────────────────────────────────


def _kernel(kernel: Tensor, groups: int, channels: int | None = None) -> tuple[Pair, int, int]:
    """The window of a kernel, the channels that it reads and those that it makes; `channels`: what the input has."""
    if kernel.rank != 4 or not all(isinstance(d, int) for d in kernel.shape):
        raise ShapeError(f"the kernel must be (height, width, inputs / groups, outputs); got {list(kernel.shape)}")
    height, width, inputs, outputs = (d for d in kernel.shape if isinstance(d, int))
    if groups < 1 or outputs % groups:
        raise ShapeError(f"{outputs} outputs cannot be made in {groups} groups: groups must divide their number")
    if channels not in (None, inputs * groups):
        each = f" of each of {groups} groups" if groups > 1 else ""
        raise ShapeError(f"a kernel of {list(kernel.shape)} reads {inputs} channels{each}; the input has {channels}")
    return (height, width), inputs * groups, outputs


def _conv2d_shape(x: Tensor, kernel: Tensor, strides: Pair, dilation: Pair, groups: int) -> Shape:
    height, width, channels = _picture(x)
    size, _, outputs = _kernel(kernel, groups, channels)
    return (x.shape[0], *_places(height, width, size, strides, dilation), outputs)


def _conv2d_meaning(x: Array, kernel: Array, strides: Pair, dilation: Pair, groups: int) -> Array:
    windows = _windows(x, kernel.shape[:2], strides, dilation)
    pairs = zip(np.split(windows, groups, 3), np.split(kernel, groups, 3), strict=True)
    return np.concatenate([np.tensordot(w, k, ((4, 5, 3), (0, 1, 2))) for w, k in pairs], 3)


def _conv2d_gradient(g: Tensor, y: Tensor, x: Tensor, kernel: Tensor, **how: Any) -> list[Tensor | None]:
    return [
        _conv2d_input_gradient(g, kernel, shape=x.shape[1:3], **how),
        _conv2d_kernel_gradient(x, g, shape=kernel.shape[:2], **how),
    ]


_conv2d: Operation = operation(
    "conv2d",
    "window",
    r"\sum_{u,v,c} x_{is+ud,\, js+vd,\, c} \, k_{uvco}",
    _conv2d_meaning,
    shape=_conv2d_shape,
    dtype=_floats,
    gradient=_conv2d_gradient,
    reason="As slices and products it is a node for each element of the window, and a copy of the input for each node.",
)


def _input_gradient_shape(g: Tensor, kernel: Tensor, strides: Pair, dilation: Pair, groups: int, shape: Pair) -> Shape:
    size, inputs, outputs = _kernel(kernel, groups)
    due = (*_places(*shape, size, strides, dilation), outputs)
    if _picture(g, "the gradient") != due:
        raise ShapeError(f"the gradient of each picture must be {list(due)}; got {list(g.shape[1:])}")
    return (g.shape[0], *shape, inputs)


def _input_gradient_meaning(g: Array, kernel: Array, strides: Pair, dilation: Pair, groups: int, shape: Pair) -> Array:
    (kh, kw, inputs, _), (rows, columns) = kernel.shape, g.shape[1:3]
    pairs = zip(np.split(g, groups, 3), np.split(kernel, groups, 3), strict=True)
    sent = np.concatenate([np.tensordot(part, k, ((3,), (3,))) for part, k in pairs], 5)  # (batch, i, j, u, v, c)
    out = np.zeros((len(g), *shape, inputs * groups), g.dtype)
    for u, v in np.ndindex(kh, kw):  # element (u, v) of every window at once: no two of these are in one place
        down = slice(u * dilation[0], u * dilation[0] + (rows - 1) * strides[0] + 1, strides[0])
        across = slice(v * dilation[1], v * dilation[1] + (columns - 1) * strides[1] + 1, strides[1])
        out[:, down, across] += sent[:, :, :, u, v]
    return out


def _input_gradient_gradient(
    g: Tensor, y: Tensor, sent: Tensor, kernel: Tensor, shape: Pair, **how: Any
) -> list[Tensor | None]:
    return [_conv2d(g, kernel, **how), _conv2d_kernel_gradient(g, sent, shape=kernel.shape[:2], **how)]


_conv2d_input_gradient: Operation = operation(
    "conv2d_input_gradient",
    "window",
    r"\sum_{i,j,o \,:\, p = is+ud,\, q = js+vd} g_{ijo} \, k_{uvco}",
    _input_gradient_meaning,
    shape=_input_gradient_shape,
    dtype=_floats,
    gradient=_input_gradient_gradient,
    reason="The gradient of conv2d along its input; as a conv2d it would multiply the zeros that strides pad it with.",
)


def _kernel_gradient_shape(x: Tensor, g: Tensor, strides: Pair, dilation: Pair, groups: int, shape: Pair) -> Shape:
    height, width, inputs = _picture(x)
    places, outputs = _places(height, width, shape, strides, dilation), _picture(g, "the gradient")[2]
    if g.shape[:3] != (x.shape[0], *places):
        raise ShapeError(f"the gradient must begin with {[x.shape[0], *places]}; got {list(g.shape)}")
    if groups < 1 or inputs % groups or outputs % groups:
        raise ShapeError(f"{groups} groups must divide {inputs} inputs and {outputs} outputs")
    return (*shape, inputs // groups, outputs)


def _kernel_gradient_meaning(x: Array, g: Array, strides: Pair, dilation: Pair, groups: int, shape: Pair) -> Array:
    pairs = zip(np.split(_windows(x, shape, strides, dilation), groups, 3), np.split(g, groups, 3), strict=True)
    sums = [np.tensordot(w, part, ((0, 1, 2), (0, 1, 2))) for w, part in pairs]  # each (c, u, v, o)
    return np.concatenate(sums, 3).transpose(1, 2, 0, 3)


def _kernel_gradient_gradient(
    g: Tensor, y: Tensor, x: Tensor, sent: Tensor, shape: Pair, **how: Any
) -> list[Tensor | None]:
    return [_conv2d_input_gradient(sent, g, shape=x.shape[1:3], **how), _conv2d(x, g, **how)]


_conv2d_kernel_gradient: Operation = operation(
    "conv2d_kernel_gradient",
    "window",
    r"\sum_{n,i,j} x_{n,\, is+ud,\, js+vd,\, c} \, g_{nijo}",
    _kernel_gradient_meaning,
    shape=_kernel_gradient_shape,
    dtype=_floats,
    gradient=_kernel_gradient_gradient,
    reason="The gradient of conv2d along its kernel: one sum over the batch and all windows, where slices need many.",
)


# ── the largest of each window, and its gradient ──────────────────────────────────────────────────────────


def _max_pool2d_shape(x: Tensor, size: Pair, strides: Pair) -> Shape:
    height, width, channels = _picture(x)
    return (x.shape[0], *_places(height, width, size, strides), channels)


_max_pool2d: Operation = operation(
    "max_pool2d",
    "window",
    r"\max_{u,v} x_{is+u,\, js+v,\, c}",
    meaning=lambda x, size, strides: np.max(_windows(x, size, strides), (4, 5)),
    shape=_max_pool2d_shape,
    dtype=_floats,
    gradient=lambda g, y, x, size, strides: [_max_pool2d_gradient(g, x, y, size=size, strides=strides)],
    reason="As a maximum of slices its gradient would be shared between equal elements; frameworks pick the first.",
)


def _pool_gradient_shape(g: Tensor, x: Tensor, y: Tensor, size: Pair, strides: Pair) -> Shape:
    pooled = _max_pool2d_shape(x, size, strides)
    if g.shape != pooled or y.shape != pooled:
        raise ShapeError(f"gradient {list(g.shape)} and maximum {list(y.shape)} must have the shape {list(pooled)}")
    return x.shape


def _pool_gradient_meaning(g: Array, x: Array, y: Array, size: Pair, strides: Pair) -> Array:
    windows = _windows(x, size, strides)
    first = np.argmax(windows.reshape(*y.shape, -1), -1)  # of equal ones the first; a NaN counts as the largest
    out = np.zeros_like(x)
    for u, v in np.ndindex(size):
        down = slice(u, u + (y.shape[1] - 1) * strides[0] + 1, strides[0])
        across = slice(v, v + (y.shape[2] - 1) * strides[1] + 1, strides[1])
        out[:, down, across] += np.where(first == u * size[1] + v, g, 0)
    return out


def _pool_gradient_gradient(
    g: Tensor, sent: Tensor, received: Tensor, x: Tensor, y: Tensor, size: Pair, strides: Pair
) -> list[Tensor | None]:
    """What g has at the place of each window's winner. Where the winner is, x and y say; it does not move with them."""
    total, found = constant(0.0), constant(False)
    rows, columns = _places(*_picture(x)[:2], size, strides)
    for u, v in np.ndindex(size):
        down = (u, u + (rows - 1) * strides[0] + 1, strides[0])
        across = (v, v + (columns - 1) * strides[1] + 1, strides[1])
        x_uv, g_uv = (part_of(t, [None, down, across, None]) for t in (x, g))
        wins = where(equal(x_uv, x_uv), equal(x_uv, y), True)  # the first NaN, too
        total = total + where(where(found, False, wins), g_uv, 0.0)
        found = where(wins, True, found)
    return [total, None, None]


_max_pool2d_gradient: Operation = operation(
    "max_pool2d_gradient",
    "window",
    r"\sum_{i,j \,:\, (p,q) = \arg\max_{u,v} x_{is+u,\, js+v}} g_{ij}",
    _pool_gradient_meaning,
    shape=_pool_gradient_shape,
    dtype=_floats,
    gradient=_pool_gradient_gradient,
    reason="The gradient of max_pool2d: windows may overlap, so it adds up at places that the values choose.",
)


# ── the same, padding the input ───────────────────────────────────────────────────────────────────────────

Padding = str | Sequence[Pair]


def pair(value: Any, name: str) -> Pair:
    """Two whole numbers above 0 from one or two. Raises `UsageError`, naming the argument.

    >>> pair(3, "strides"), pair([1, 2], "strides")
    ((3, 3), (1, 2))
    """
    both = (value, value) if isinstance(value, (int, np.integer)) else value
    if not isinstance(both, Sequence) or isinstance(both, str) or len(both) != 2:
        raise UsageError(f"{name} must be a whole number above 0, or two: (height, width); got {value!r}")
    if any(not isinstance(n, (int, np.integer)) or isinstance(n, bool) or n < 1 for n in both):
        raise UsageError(f"{name} must be a whole number above 0, or two: (height, width); got {value!r}")
    return int(both[0]), int(both[1])


def conv2d(
    x: Tensor,
    kernel: Tensor,
    strides: int | Sequence[int] = 1,
    padding: Padding = "valid",
    dilation: int | Sequence[int] = 1,
    groups: int = 1,
) -> Tensor:
    r"""$y_{nijo} = \sum_{u,v,c} x_{n,\, is+ud,\, js+vd,\, c} \, k_{uvco}$, the convolution of Keras and PyTorch.

    x: (batch, height, width, inputs). kernel: (height, width, inputs / groups, outputs). Output group g reads input
    group g. padding: "valid" (none), "same" (zeros, so that with strides of 1 the size stays; one more at the end where
    their number is odd), or ((top, bottom), (left, right)). Raises `ShapeError` where kernel and input do not fit.

    Engines may leave out what is multiplied by the zeros of a border. So where the kernel, or the gradient that comes
    back, holds NaN or infinity, it is not defined which results and gradients at the border become NaN with it.

    >>> from talweg.graph import BATCH, input_tensor
    >>> conv2d(input_tensor("x", (BATCH, 28, 28, 1)), input_tensor("k", (3, 3, 1, 32)), strides=2, padding="same")
    <conv2d [batch, 14, 14, 32] float>
    """
    steps, apart = pair(strides, "strides"), pair(dilation, "dilation")
    size, _, _ = _kernel(kernel, groups)
    return _conv2d(_padded(x, size, padding, 0.0, steps, apart), kernel, strides=steps, dilation=apart, groups=groups)


def conv2d_transpose(
    x: Tensor,
    kernel: Tensor,
    strides: int | Sequence[int] = 1,
    cropping: Sequence[Pair] = ((0, 0), (0, 0)),
    dilation: int | Sequence[int] = 1,
) -> Tensor:
    r"""$y_{npqo} = \sum_{i,j,c} x_{nijc} \, k_{uvoc}$ where $p = is + ud$ and $q = js + vd$: `conv2d` backwards.

    Each number of x is spread over a window of y. x: (batch, rows, columns, inputs). kernel: (height, width, outputs,
    inputs). y is (rows - 1) · stride + reach of the window high, less `cropping`, ((top, bottom), (left, right)); a
    number below 0 adds zeros instead.
    """
    steps, apart = pair(strides, "strides"), pair(dilation, "dilation")
    size, _, _ = _kernel(kernel, 1)
    rows, columns, _ = _picture(x)
    reach = _reach(size, apart)
    whole = (rows - 1) * steps[0] + reach[0], (columns - 1) * steps[1] + reach[1]
    y = _conv2d_input_gradient(x, kernel, strides=steps, dilation=apart, groups=1, shape=whole)
    added = [(max(-before, 0), max(-after, 0)) for before, after in cropping]
    y = pad(y, [(0, 0), *added, (0, 0)]) if any(map(any, added)) else y
    kept = [(max(a, 0), n - max(b, 0)) for (a, b), n in zip(cropping, _picture(y), strict=False)]
    return part_of(y, [None, *kept, None])


def max_pool2d(
    x: Tensor, size: int | Sequence[int] = 2, strides: int | Sequence[int] | None = None, padding: Padding = "valid"
) -> Tensor:
    r"""$y_{nijc} = \max_{u,v} x_{n,\, is+u,\, js+v,\, c}$ over windows of `size`, `strides` apart (by default `size`).

    x: (batch, height, width, channels). padding: as of `conv2d`, but with -∞, which no number loses to. A window
    with a NaN has the largest element NaN. Raises `ShapeError` where a window is larger than the input.
    """
    window = pair(size, "size")
    steps = window if strides is None else pair(strides, "strides")
    return _max_pool2d(_padded(x, window, padding, -math.inf, steps), size=window, strides=steps)


def _padded(x: Tensor, size: Pair, padding: Padding, value: float, strides: Pair, dilation: Pair = (1, 1)) -> Tensor:
    """`x` with `value` around it, as `padding` says."""
    if isinstance(padding, str) and padding not in ("valid", "same"):
        raise UsageError(f"padding must be 'valid', 'same' or ((top, bottom), (left, right)); got {padding!r}")
    edges: Any = [(0, 0), (0, 0)] if padding == "valid" else padding
    if padding == "same":  # as many windows as there are strides: ⌈length / stride⌉
        edges = []
        for length, span, step in zip(_picture(x), _reach(size, dilation), strides, strict=False):
            missing = max((math.ceil(length / step) - 1) * step + span - length, 0)
            edges.append((missing // 2, missing - missing // 2))
    return x if all(tuple(e) == (0, 0) for e in edges) else pad(x, [(0, 0), *edges, (0, 0)], value)
