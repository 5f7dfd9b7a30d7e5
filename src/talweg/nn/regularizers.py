"""Regularizers: a penalty on weights, added to the loss. A number of its own, not divided by the batch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

from talweg import graph as g
from talweg.errors import UsageError
from talweg.graph import Tensor
from talweg.registry import Described, Registry, snake_case

REGULARIZERS: Registry[type[Regularizer]] = Registry("regularizer")


@dataclass(eq=False, repr=False)
class Regularizer(Described):
    """The base: subclasses write `penalty(w)`."""

    registry: ClassVar[Registry[Any]] = REGULARIZERS

    def __init_subclass__(cls) -> None:
        REGULARIZERS.register(cls.__name__, cls, snake_case(cls.__name__))

    def penalty(self, w: Tensor) -> Tensor:
        raise UsageError(f"{type(self).__name__} must define penalty(w)")

    def __call__(self, w: Any) -> Any:
        if isinstance(w, Tensor):
            return self.penalty(w)
        return g.evaluate([y := self.penalty(g.constant(w, "float"))])[y]


@dataclass(eq=False, repr=False)
class L1(Regularizer):
    r"""$\lambda \sum |w|$"""

    l1: float = 0.01

    def penalty(self, w: Tensor) -> Tensor:
        return self.l1 * g.sum(abs(w))


@dataclass(eq=False, repr=False)
class L2(Regularizer):
    r"""$\lambda \sum w^2$ (without the ½ of some textbooks)

    >>> float(L2(0.1)([1.0, 2.0]))
    0.5
    """

    l2: float = 0.01

    def penalty(self, w: Tensor) -> Tensor:
        return self.l2 * g.sum(g.square(w))


@dataclass(eq=False, repr=False)
class L1L2(Regularizer):
    r"""$\lambda_1 \sum |w| + \lambda_2 \sum w^2$"""

    l1: float = 0.0
    l2: float = 0.0

    def penalty(self, w: Tensor) -> Tensor:
        return self.l1 * g.sum(abs(w)) + self.l2 * g.sum(g.square(w))


def get(identifier: Any) -> Callable[[Tensor], Tensor] | None:
    """A regularizer from its name, its configuration, or any function of a tensor; None for none."""
    if identifier is None or isinstance(identifier, Regularizer):
        return identifier
    if isinstance(identifier, str):
        return REGULARIZERS.get(identifier)()
    if isinstance(identifier, dict):
        made: Regularizer = Regularizer.from_config(identifier)
        return made
    if callable(identifier):
        function: Callable[[Tensor], Tensor] = identifier
        return function
    raise UsageError(f"a regularizer must be a name, a Regularizer, a function of a tensor or None; got {identifier!r}")


def l1(l1: float = 0.01) -> L1:
    """`L1`, under Keras's short name."""
    return L1(l1)


def l2(l2: float = 0.01) -> L2:
    """`L2`, under Keras's short name."""
    return L2(l2)


def l1_l2(l1: float = 0.0, l2: float = 0.0) -> L1L2:
    """`L1L2`, under Keras's short name."""
    return L1L2(l1, l2)
