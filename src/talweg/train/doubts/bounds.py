"""Between which numbers a tensor's values lie, whatever its inputs are: read off the operations that make it.

What cannot be told lies between -∞ and ∞. A loss that wants probabilities can so be told from the formula of a network
whether it gets them, by whatever layers or functions they were made.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from talweg.graph import Tensor

Bounds = tuple[float, float]

ANY: Bounds = (-math.inf, math.inf)
DEEPEST = 24  # operations between the tensor and what is looked at: what lies deeper counts as unknown

MOVES = ("broadcast", "reshape", "transpose", "slice", "stop_gradient", "cast", "take", "max", "max_pool2d", "concat")
"""Operations whose values are values of their operands."""
LINEAR = ("broadcast", "reshape", "transpose", "slice", "neg")
OF_THEIR_OWN: dict[str, Bounds] = {
    **dict.fromkeys(("sigmoid", "random_uniform", "equal", "less", "less_equal"), (0.0, 1.0)),
    **dict.fromkeys(("tanh", "erf", "sin", "cos", "sign"), (-1.0, 1.0)),
    **dict.fromkeys(("exp", "abs", "sqrt"), (0.0, math.inf)),
}


def bounds(x: Tensor, deepest: int = DEEPEST) -> Bounds:
    """The least and the largest value that `x` can have, as far as its last operations tell.

    >>> from talweg import graph as g
    >>> z = g.input_tensor("z", (g.BATCH, 3))
    >>> e = g.exp(z)
    >>> bounds(z), bounds(1.0 / (1.0 + g.exp(-z))), bounds(e / g.sum(e, -1, keepdims=True))
    ((-inf, inf), (0.0, 1.0), (0.0, 1.0))
    """
    name = x.op.name
    if name == "constant":
        value = np.asarray(x.attributes["value"])
        return (float(value.min()), float(value.max())) if value.size else ANY
    if name in OF_THEIR_OWN:
        return OF_THEIR_OWN[name]
    if deepest == 0 or not x.inputs:
        return ANY
    if name == "div" and is_part(*x.inputs) and bounds(x.inputs[0], deepest - 1)[0] >= 0:
        return 0.0, 1.0
    if name == "where" and (cut := _cut(x)) is not None:
        return cut
    given = [bounds(y, deepest - 1) for y in (x.inputs[1:] if name == "where" else x.inputs)]
    if name in MOVES or name == "where":
        return min(low for low, _ in given), max(high for _, high in given)
    if name == "pad":
        return min(0.0, given[0][0]), max(0.0, given[0][1])
    return _of_arithmetic(name, given)


def _of_arithmetic(name: str, given: Sequence[Bounds]) -> Bounds:
    """By the rules of intervals."""
    (a, b), (c, d) = given[0], given[-1]
    if name == "sum":
        return (0.0 if a >= 0 else -math.inf), (0.0 if b <= 0 else math.inf)
    if name == "neg":
        return -b, -a
    if name == "add":
        return a + c, b + d
    if name == "sub":
        return a - d, b - c
    if name == "maximum":
        return max(a, c), max(b, d)
    if name == "minimum":
        return min(a, c), min(b, d)
    if name == "div" and c > 0:
        (c, d), name = (1 / d, 1 / c), "mul"
    if name == "mul":
        corners = [0.0 if p == 0 or q == 0 else p * q for p in (a, b) for q in (c, d)]
        return min(corners), max(corners)
    return ANY


def is_part(x: Tensor, total: Tensor) -> bool:
    """Whether `total` is a sum of `x`, in x's shape: x / total is then a share."""
    while total.op.name in ("broadcast", "reshape"):
        total = total.inputs[0]
    return total.op.name == "sum" and total.inputs[0] is x


def _cut(x: Tensor) -> Bounds | None:
    """Of where(y <= c, a, y), as ReLU is written: no less than c, or a."""
    condition, first, second = x.inputs
    if condition.op.name not in ("less", "less_equal") or condition.inputs[0] is not second:
        return None
    floor, low = bounds(condition.inputs[1], 2), bounds(first, 2)
    return min(floor[0], low[0]), max(bounds(second, 4)[1], low[1])


def is_sum_of_products(x: Tensor) -> bool:
    """Whether `x` is a plain sum of products with weights, and so of any size and sign: what a last layer without an
    activation answers.

    >>> from talweg import graph as g
    >>> x, w = g.input_tensor("x", (g.BATCH, 4)), g.state_tensor("w", (4, 2))
    >>> is_sum_of_products(x @ w + 1.0), is_sum_of_products(g.tanh(x @ w)), is_sum_of_products(x)
    (True, False, False)
    """
    for _ in range(DEEPEST):
        name = x.op.name
        if name in ("dot", "conv2d"):
            return any(_made_of(y) == "state" for y in x.inputs)
        if name in ("add", "sub"):
            return any(is_sum_of_products(y) for y in x.inputs)
        is_fixed = [_is_fixed(y) for y in x.inputs]
        if name == "mul" and is_fixed[0]:
            x = x.inputs[1]
        elif name in (*LINEAR, "mul", "div") and (name in LINEAR or is_fixed[1]):
            x = x.inputs[0]
        else:
            return False
    return False


def _is_fixed(x: Tensor, deepest: int = 8) -> bool:
    """Whether `x` is the same for all examples: of constants and weights alone."""
    if not x.inputs:
        return x.op.name in ("state", "constant")
    return deepest > 0 and all(_is_fixed(y, deepest - 1) for y in x.inputs)


def _made_of(x: Tensor) -> str:
    """The operation that made the values of `x`, but for moves and signs."""
    while x.op.name in LINEAR:
        x = x.inputs[0]
    return x.op.name
