"""One C rule for each operation that is computed element by element: operands in, an expression out."""

from __future__ import annotations

from collections.abc import Callable

from talweg.engines.native.layout import C_TYPE
from talweg.graph import Tensor

Rule = Callable[..., str]


def _function(name: str) -> Rule:
    return lambda node, *operands: f"{name}({', '.join(operands)})"


def _infix(sign: str) -> Rule:
    return lambda node, a, b: f"({a} {sign} {b})"


def _cast(node: Tensor, x: str) -> str:
    return f"(int32_t)({x} != 0)" if node.dtype == "bool" else f"({C_TYPE[node.dtype]}){x}"


ELEMENTWISE: dict[str, Rule] = {
    "neg": lambda node, x: f"(-{x})",
    "abs": _function("t_abs"),
    "sign": _function("t_sign"),
    "floor": _function("t_floor"),
    "sqrt": _function("t_sqrt"),
    "exp": _function("t_exp"),
    "expm1": _function("t_expm1"),
    "log": _function("t_log"),
    "log1p": _function("t_log1p"),
    "tanh": _function("t_tanh"),
    "sigmoid": _function("t_sigmoid"),
    "erf": _function("t_erf"),
    "sin": _function("t_sin"),
    "cos": _function("t_cos"),
    "stop_gradient": lambda node, x: x,
    "cast": _cast,
    "add": _infix("+"),
    "sub": _infix("-"),
    "mul": _infix("*"),
    "div": _infix("/"),
    "power": _function("t_power"),
    "maximum": _function("t_max"),
    "minimum": _function("t_min"),
    "less": _infix("<"),
    "less_equal": _infix("<="),
    "equal": _infix("=="),
    "where": lambda node, c, a, b: f"({c} ? {a} : {b})",
}

MOVEMENT = ("reshape", "transpose", "broadcast", "slice", "pad", "concat", "take")
COSTLY = ("exp", "expm1", "log", "log1p", "tanh", "sigmoid", "erf", "sin", "cos", "power", "div", "sqrt")
LEAVES = ("input", "state", "constant", "batch_size")
