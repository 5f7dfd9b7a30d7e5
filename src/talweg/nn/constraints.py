"""Constraints: what is done to a weight after each step of training, to bring it back to where it may be."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

from talweg import graph as g
from talweg.errors import UsageError
from talweg.graph import Tensor
from talweg.registry import Described, Registry, setting, snake_case

CONSTRAINTS: Registry[type[Constraint]] = Registry("constraint")

EPSILON = 1e-7  # beside a norm, so that a weight of zeros stays one


def _axes(value: Any) -> int | tuple[int, ...]:
    return value if isinstance(value, int) else tuple(value)


def length(w: Tensor, axis: int | tuple[int, ...]) -> Tensor:
    """$\\sqrt{\\sum w^2}$ along `axis`, which stays as an axis of length 1."""
    return g.sqrt(g.sum(g.square(w), axis=axis, keepdims=True))


@dataclass(eq=False, repr=False)
class Constraint(Described):
    """The base: subclasses write `projected(w)`, with w's shape."""

    registry: ClassVar[Registry[Any]] = CONSTRAINTS

    def __init_subclass__(cls) -> None:
        CONSTRAINTS.register(cls.__name__, cls, snake_case(cls.__name__))

    def projected(self, w: Tensor) -> Tensor:
        raise UsageError(f"{type(self).__name__} must define projected(w)")

    def __call__(self, w: Any) -> Any:
        if isinstance(w, Tensor):
            return self.projected(w)
        return g.evaluate([y := self.projected(g.constant(w, "float"))])[y]


@dataclass(eq=False, repr=False)
class MaxNorm(Constraint):
    r"""$w \min(n, c) / (n + 10^{-7})$, n the length of w along `axis`, c `max_value` (Srebro and Shraibman, 2005).

    axis: 0 for the inputs of each unit of a `Dense`; (0, 1, 2) for each filter of a `Conv2D`.

    >>> MaxNorm(1.0)([[3.0, 0.1], [4.0, 0.0]]).round(4).tolist()
    [[0.6, 0.1], [0.8, 0.0]]
    """

    max_value: float = 2
    axis: int | tuple[int, ...] = setting(_axes, 0)

    def projected(self, w: Tensor) -> Tensor:
        n = length(w, self.axis)
        return w * (g.minimum(n, self.max_value) / (n + EPSILON))


@dataclass(eq=False, repr=False)
class NonNeg(Constraint):
    """max(w, 0)"""

    def projected(self, w: Tensor) -> Tensor:
        return g.maximum(w, 0.0)


@dataclass(eq=False, repr=False)
class UnitNorm(Constraint):
    r"""$w / (n + 10^{-7})$, n the length of w along `axis`."""

    axis: int | tuple[int, ...] = setting(_axes, 0)

    def projected(self, w: Tensor) -> Tensor:
        return w / (length(w, self.axis) + EPSILON)


@dataclass(eq=False, repr=False)
class MinMaxNorm(Constraint):
    r"""$w \, (r \operatorname{clip}(n, a, b) + (1 - r)\, n) / (n + 10^{-7})$, n the length of w along `axis`.

    Each step goes a share r, `rate`, of the way to a length from a, `min_value`, to b, `max_value`.
    """

    min_value: float = 0.0
    max_value: float = 1.0
    rate: float = 1.0
    axis: int | tuple[int, ...] = setting(_axes, 0)

    def projected(self, w: Tensor) -> Tensor:
        n = length(w, self.axis)
        wanted = self.rate * g.clip(n, self.min_value, self.max_value) + (1 - self.rate) * n
        return w * (wanted / (n + EPSILON))


def get(identifier: Any) -> Callable[[Tensor], Tensor] | None:
    """A constraint from its name, its configuration, or any function of a tensor; None for none."""
    if identifier is None or isinstance(identifier, Constraint):
        return identifier
    if isinstance(identifier, str):
        return CONSTRAINTS.get(identifier)()
    if isinstance(identifier, dict):
        made: Constraint = Constraint.from_config(identifier)
        return made
    if callable(identifier):
        function: Callable[[Tensor], Tensor] = identifier
        return function
    raise UsageError(f"a constraint must be a name, a Constraint, a function of a tensor or None; got {identifier!r}")


# Keras's short names.
max_norm, non_neg, unit_norm, min_max_norm = MaxNorm, NonNeg, UnitNorm, MinMaxNorm
