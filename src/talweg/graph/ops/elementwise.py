"""Elementwise operations: each element of the result depends on the same element of each operand.

All operands have one shape; `broadcast` (movement) makes it so. In a gradient rule g is what was received, y the node
itself, x (or a, b) its inputs; the answer has one entry for each input.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from talweg.errors import GraphError
from talweg.graph.tensor import Array, DType, Operation, Tensor, TensorLike, elementwise, operation, same_dtype


def _floats(*inputs: Tensor, **_: Any) -> DType:
    if any(x.dtype != "float" for x in inputs):
        raise GraphError(f"operands must be float; got {', '.join(x.dtype for x in inputs)}; cast first")
    return "float"


def _bool(*inputs: Tensor, **_: Any) -> DType:
    same_dtype(*inputs)
    return "bool"


# ── of one operand ────────────────────────────────────────────────────────────────────────────────────────

neg = operation("neg", "elementwise", r"-x", np.negative, gradient=lambda g, y, x: [-g])
abs_ = operation("abs", "elementwise", r"|x|", np.abs, gradient=lambda g, y, x: [g * sign(x)])
sign: Operation = operation("sign", "elementwise", r"\operatorname{sgn} x", np.sign)
floor = operation("floor", "elementwise", r"\lfloor x \rfloor", np.floor, dtype=_floats)
sqrt = operation(
    "sqrt",
    "elementwise",
    r"\sqrt{x}",
    np.sqrt,
    dtype=_floats,
    gradient=lambda g, y, x: [g * 0.5 / y],
)
exp = operation("exp", "elementwise", r"e^{x}", np.exp, dtype=_floats, gradient=lambda g, y, x: [g * y])
expm1 = operation(
    "expm1",
    "elementwise",
    r"e^{x} - 1",
    np.expm1,
    dtype=_floats,
    gradient=lambda g, y, x: [g * exp(x)],
    reason="exp(x) - 1 has no correct digit left near 0, where ELU and SELU spend their time.",
)
log = operation("log", "elementwise", r"\ln x", np.log, dtype=_floats, gradient=lambda g, y, x: [g / x])
log1p = operation(
    "log1p",
    "elementwise",
    r"\ln(1 + x)",
    np.log1p,
    dtype=_floats,
    gradient=lambda g, y, x: [g / (1 + x)],
    reason="log(1 + x) rounds small x away; the stable softplus is written with it.",
)
tanh = operation("tanh", "elementwise", r"\tanh x", np.tanh, dtype=_floats, gradient=lambda g, y, x: [g * (1 - y * y)])


def _sigmoid(x: Array) -> Array:
    z = np.exp(-np.abs(x))  # never overflows
    probability: Array = np.where(x >= 0, 1, z) / (1 + z)
    return probability


sigmoid = operation(
    "sigmoid",
    "elementwise",
    r"\frac{1}{1 + e^{-x}}",
    _sigmoid,
    dtype=_floats,
    gradient=lambda g, y, x: [g * y * (1 - y)],
    reason="1/(1 + exp(-x)) has gradient inf/inf for large negative x, and ½ + ½ tanh(x/2) loses small probabilities.",
)
erf = operation(
    "erf",
    "elementwise",
    r"\operatorname{erf} x",
    meaning=lambda x: np.vectorize(math.erf, otypes=[x.dtype])(x),
    dtype=_floats,
    gradient=lambda g, y, x: [g * (2 / math.sqrt(math.pi)) * exp(-x * x)],
)
sin = operation("sin", "elementwise", r"\sin x", np.sin, dtype=_floats, gradient=lambda g, y, x: [g * cos(x)])
cos: Operation = operation(
    "cos", "elementwise", r"\cos x", np.cos, dtype=_floats, gradient=lambda g, y, x: [g * -sin(x)]
)
stop_gradient = operation("stop_gradient", "elementwise", r"\operatorname{stop}(x)", lambda x: x)


def _cast_gradient(g: Tensor, y: Tensor, x: Tensor, dtype: DType) -> list[Tensor | None]:
    return [g if x.dtype == "float" else None]


_cast = operation(
    "cast",
    "elementwise",
    r"x",
    lambda x, dtype: x.astype(dtype),
    dtype=lambda x, dtype: dtype,
    gradient=_cast_gradient,
)


def cast(x: Tensor, dtype: DType) -> Tensor:
    """`x` as `dtype`; floats are cut towards zero on the way to integers, truth values become 0 and 1."""
    return x if x.dtype == dtype else _cast(x, dtype=dtype)


# ── of two ────────────────────────────────────────────────────────────────────────────────────────────────

add = operation("add", "elementwise", r"a + b", np.add, gradient=lambda g, y, a, b: [g, g])
sub = operation("sub", "elementwise", r"a - b", np.subtract, gradient=lambda g, y, a, b: [g, -g])
mul = operation("mul", "elementwise", r"a \, b", np.multiply, gradient=lambda g, y, a, b: [g * b, g * a])
div = operation(
    "div",
    "elementwise",
    r"a / b",
    np.divide,
    dtype=_floats,
    gradient=lambda g, y, a, b: [g / b, -g * y / b],
)


def _power_gradient(g: Tensor, y: Tensor, a: Tensor, b: Tensor) -> list[Tensor | None]:
    # b a^(b-1) is written so that a⁰ = 1 gives slope 0 also at a = 0; ln a is asked for only where a > 0.
    slope = where(equal(b, 0.0), 0.0, b * power(a, b - 1))
    log_a = where(a > 0, log(where(a > 0, a, 1.0)), 0.0)
    return [g * slope, g * y * log_a]


power = operation("power", "elementwise", r"a^{b}", np.power, dtype=_floats, gradient=_power_gradient)


def _extremum_gradient(g: Tensor, y: Tensor, a: Tensor, b: Tensor) -> list[Tensor | None]:
    # Equal operands share the gradient, as in PyTorch and JAX; so softplus, written with maximum, has slope ½ at 0.
    share = where(equal(a, b), 0.5 * g, g)
    return [where(equal(y, a), share, 0.0), where(equal(y, b), share, 0.0)]


maximum_ = operation("maximum", "elementwise", r"\max(a, b)", np.maximum, gradient=_extremum_gradient)
minimum_ = operation("minimum", "elementwise", r"\min(a, b)", np.minimum, gradient=_extremum_gradient)
less = operation("less", "elementwise", r"a < b", np.less, dtype=_bool)
less_equal = operation("less_equal", "elementwise", r"a \le b", np.less_equal, dtype=_bool)
equal_ = operation("equal", "elementwise", r"a = b", np.equal, dtype=_bool)

# ── of three ──────────────────────────────────────────────────────────────────────────────────────────────


def _where_dtype(condition: Tensor, a: Tensor, b: Tensor) -> DType:
    if condition.dtype != "bool":
        raise GraphError(f"the condition must be bool; got {condition.dtype}")
    return same_dtype(a, b)


where_ = operation(
    "where",
    "elementwise",
    r"\begin{cases} a & c \\ b & \text{otherwise} \end{cases}",
    np.where,
    dtype=_where_dtype,
    gradient=lambda g, y, c, a, b: [None, where(c, g, 0.0), where(c, 0.0, g)],
)

# ── the same, taking numbers and broadcasting as the operators of Tensor do ───────────────────────────────


def maximum(a: TensorLike, b: TensorLike) -> Tensor:
    """The larger of the two, element by element; numbers will do, and shapes are broadcast."""
    return elementwise("maximum", a, b)


def minimum(a: TensorLike, b: TensorLike) -> Tensor:
    """The smaller of the two, element by element."""
    return elementwise("minimum", a, b)


def equal(a: TensorLike, b: TensorLike) -> Tensor:
    """Whether the two are equal, element by element: a `bool` tensor."""
    return elementwise("equal", a, b)


def where(condition: Tensor, a: TensorLike, b: TensorLike) -> Tensor:
    """`a` where the `bool` tensor `condition` holds, else `b`, element by element."""
    return elementwise("where", condition, a, b)
