"""Regularizers: a penalty on weights, added to the loss. A number of its own, not divided by the batch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from talweg import graph as g
from talweg.errors import ShapeError, UsageError
from talweg.graph import Tensor
from talweg.registry import Described, Registry, setting, snake_case

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


def _mode(value: Any) -> str:
    if value not in ("rows", "columns"):
        raise UsageError(f"OrthogonalRegularizer: mode must be 'rows' or 'columns'; got {value!r}")
    return str(value)


@dataclass(eq=False, repr=False)
class OrthogonalRegularizer(Regularizer):
    r"""λ times the mean of $|\cos(w_i, w_j)|$ over all pairs of rows (or columns) of a matrix: 0 where they are
    orthogonal.

    Raises `ShapeError` for a weight that is no matrix. As in Keras; a row of zeros has cosine 0 with all.

    >>> float(OrthogonalRegularizer(1.0)([[3.0, 0.0], [4.0, 4.0]])).__round__(4)        # cos 45°
    0.7071
    """

    factor: float = 0.01
    mode: str = setting(_mode, "rows")

    def penalty(self, w: Tensor) -> Tensor:
        if w.rank != 2:
            raise ShapeError(f"OrthogonalRegularizer takes a matrix; got a weight of shape {list(w.shape)}")
        rows = w if self.mode == "rows" else g.transpose(w)
        n: Any = rows.shape[0]
        units = rows / g.sqrt(g.maximum(g.sum(g.square(rows), axis=1, keepdims=True), 1e-12))
        cosines = (units @ g.transpose(units)) * (1.0 - np.eye(n))  # each pair is there twice
        return self.factor * g.sum(abs(cosines)) / max(n * (n - 1.0), 1.0)


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


def orthogonal_regularizer(factor: float = 0.01, mode: str = "rows") -> OrthogonalRegularizer:
    """`OrthogonalRegularizer`, under Keras's short name."""
    return OrthogonalRegularizer(factor, mode)
