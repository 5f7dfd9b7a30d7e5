"""Layers that make one of several: ``Add()([x, y])``."""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from talweg import graph as g
from talweg.errors import ShapeError, UsageError
from talweg.graph import Tensor
from talweg.nn.layers.arguments import axes, axis
from talweg.nn.layers.base import Context, Layer
from talweg.nn.layers.symbolic import KerasTensor
from talweg.registry import setting


@dataclass(eq=False, repr=False)
class _Merging(Layer):
    """The base: `merge` makes one of a list of tensors, x_i: (batch, ...)."""

    takes_several = True
    supports_masking = True
    fewest: ClassVar[int] = 1
    most: ClassVar[int | None] = None

    def call(self, x: Any, p: Any, context: Context) -> Tensor:
        if not isinstance(x, (list, tuple)) or len(x) < self.fewest:
            raise UsageError(
                f"layer {self.title!r}: {type(self).__name__} takes a list of {self.fewest} or more, "
                f"{type(self).__name__}()([x, y]); got {len(x) if isinstance(x, (list, tuple)) else 'one tensor'}"
            )
        if self.most is not None and len(x) > self.most:
            raise UsageError(f"layer {self.title!r}: {type(self).__name__} takes {self.most} inputs; got {len(x)}")
        masks = [context.masks.get(t) for t in x]
        return self.merge(self.completed(list(x), masks) if any(m is not None for m in masks) else list(x))

    def completed(self, x: list[Tensor], masks: list[Tensor | None]) -> list[Tensor]:
        """The inputs with something neutral at steps that do not count in one of them, where Keras does so."""
        return x

    def merge(self, x: list[Tensor]) -> Tensor:
        raise UsageError(f"{type(self).__name__} must define merge(x)")

    def compute_mask(self, x: list[Tensor], mask: list[Tensor | None]) -> Tensor | None:
        """A step counts if it does in one of the inputs; all of them, where an input has no mask."""
        return None if None in mask else functools.reduce(_either, mask)  # type: ignore[arg-type]


@dataclass(eq=False, repr=False)
class _Elementwise(_Merging):
    """Element by element. Axes of length 1 are stretched; axes that one lacks come after the batch's, as in Keras."""

    fold: ClassVar[Callable[[Tensor, Tensor], Tensor]]

    def merge(self, x: list[Tensor]) -> Tensor:
        rank = max(t.rank for t in x)
        wide = [g.reshape(t, (t.shape[0], *[1] * (rank - t.rank), *t.shape[1:])) for t in x]
        try:
            return functools.reduce(type(self).fold, wide)
        except ShapeError:
            shapes = ", ".join(str(list(t.shape[1:])) for t in x)
            raise ShapeError(
                f"layer {self.title!r}: {type(self).__name__} takes inputs of one shape, or with axes of length 1; "
                f"got {shapes}"
            ) from None


@dataclass(eq=False, repr=False)
class Add(_Elementwise):
    r"""$y = \sum_i x_i$: a residual connection is ``Add()([x, layer(x)])``."""

    fold = operator.add


@dataclass(eq=False, repr=False)
class Subtract(_Elementwise):
    """$y = x_1 - x_2$."""

    fewest, most = 2, 2
    fold = operator.sub


@dataclass(eq=False, repr=False)
class Multiply(_Elementwise):
    r"""$y = \prod_i x_i$, element by element: a gate is ``Multiply()([x, sigmoid])``. A masked step counts as 1."""

    fold = operator.mul

    def completed(self, x: list[Tensor], masks: list[Tensor | None]) -> list[Tensor]:
        somewhere = self.compute_mask(x, masks)
        ones = [_kept(m, t, 1.0) for t, m in zip(x, masks, strict=True)]
        return ones if somewhere is None else [_kept(somewhere, ones[0], 0.0), *ones[1:]]


@dataclass(eq=False, repr=False)
class Average(_Elementwise):
    r"""$y = \frac{1}{n} \sum_i x_i$."""

    fold = operator.add

    def merge(self, x: list[Tensor]) -> Tensor:
        return super().merge(x) * (1 / len(x))


class _Extreme(_Elementwise):
    """Of the inputs that count at a step; where none does, of the first."""

    def completed(self, x: list[Tensor], masks: list[Tensor | None]) -> list[Tensor]:
        one = x[0]
        for t, mask in reversed(list(zip(x, masks, strict=True))):
            one = _kept(mask, t, one)
        return [_kept(mask, t, one) for t, mask in zip(x, masks, strict=True)]


@dataclass(eq=False, repr=False)
class Maximum(_Extreme):
    r"""$y = \max_i x_i$, element by element. Where two are equal, each gets half the gradient (decision 001)."""

    fold = g.maximum


@dataclass(eq=False, repr=False)
class Minimum(_Extreme):
    r"""$y = \min_i x_i$, element by element."""

    fold = g.minimum


@dataclass(eq=False, repr=False)
class Concatenate(_Merging):
    """One after another along `axis`, counted with the batch's; all other axes must be equal.

    >>> from talweg.nn.layers import Input
    >>> Concatenate()([Input((2,)), Input((3,))]).shape
    (None, 5)
    """

    axis: int = setting(axis, -1)

    def merge(self, x: list[Tensor]) -> Tensor:
        [axis] = self.counted(self.axis, x[0].rank)
        return x[0] if len(x) == 1 else g.concat(x, axis)

    def compute_mask(self, x: list[Tensor], mask: list[Tensor | None]) -> Tensor | None:
        given = [m for m in mask if m is not None]
        [axis] = self.counted(self.axis, x[0].rank)
        if not given or axis >= given[0].rank:
            return super().compute_mask(x, mask)
        every = g.constant(True)  # of an input without a mask each step counts
        whole = [
            g.broadcast_to(every, t.shape[: given[0].rank]) if m is None else m for t, m in zip(x, mask, strict=True)
        ]
        return g.concat(whole, axis)


@dataclass(eq=False, repr=False)
class Dot(_Merging):
    r"""$y_{b\,i\,j} = \sum_k u_{b\,i\,k} \, v_{b\,j\,k}$: the products of two batches, example by example.

    axes: the axis summed over, one for both or one for each, counted with the batch's. u (batch, ..., k, ...) and
    v (batch, ..., k, ...) make (batch, u's other axes, v's other axes), (batch, 1) where none are left.
    normalize: both are first divided by their length along that axis, so that y is the cosine of their angle.
    """

    fewest, most = 2, 2

    axes: Any = setting(functools.partial(axes, name="axes"))
    normalize: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if isinstance(self.axes, tuple) and len(self.axes) != 2:
            raise UsageError(f"Dot: axes is one axis, or one of each input; got {self.axes!r}")

    def merge(self, x: list[Tensor]) -> Tensor:
        axes = self.axes if isinstance(self.axes, tuple) else (self.axes, self.axes)
        u, v = (_with_last(t, *self.counted(axis, t.rank)) for t, axis in zip(x, axes, strict=True))
        if u.shape[-1] != v.shape[-1]:
            raise ShapeError(
                f"layer {self.title!r}: Dot sums over axes of one length; axes {list(axes)} of "
                f"{list(x[0].shape[1:])} and {list(x[1].shape[1:])} have {u.shape[-1]} and {v.shape[-1]}"
            )
        if self.normalize:
            u, v = (t / g.sqrt(g.maximum(g.sum(g.square(t), axis=-1, keepdims=True), 1e-14)) for t in (u, v))
        batch, *of_u, k = u.shape
        of_v = v.shape[1:-1]
        u = g.reshape(u, (batch, *of_u, *[1] * len(of_v), k))
        v = g.reshape(v, (batch, *[1] * len(of_u), *of_v, k))
        return g.sum(u * v, axis=-1, keepdims=not (of_u or of_v))

    def compute_mask(self, x: list[Tensor], mask: list[Tensor | None]) -> None:
        return None


def _with_last(x: Tensor, axis: int) -> Tensor:
    """`x` with `axis` as its last."""
    return g.transpose(x, [*(a for a in range(x.rank) if a != axis), axis])


def _kept(mask: Tensor | None, x: Tensor, otherwise: Any) -> Tensor:
    """x where the mask, if there is one, says that it counts."""
    return x if mask is None else g.where(g.reshape(mask, (*mask.shape, *[1] * (x.rank - mask.rank))), x, otherwise)


def _either(a: Tensor, b: Tensor) -> Tensor:
    return g.where(a, True, b)


# ── Keras's functions ─────────────────────────────────────────────────────────────────────────────────────


def add(inputs: Sequence[KerasTensor], **options: Any) -> Any:
    """``Add(**options)(inputs)``."""
    return Add(**options)(inputs)


def subtract(inputs: Sequence[KerasTensor], **options: Any) -> Any:
    """``Subtract(**options)(inputs)``."""
    return Subtract(**options)(inputs)


def multiply(inputs: Sequence[KerasTensor], **options: Any) -> Any:
    """``Multiply(**options)(inputs)``."""
    return Multiply(**options)(inputs)


def average(inputs: Sequence[KerasTensor], **options: Any) -> Any:
    """``Average(**options)(inputs)``."""
    return Average(**options)(inputs)


def maximum(inputs: Sequence[KerasTensor], **options: Any) -> Any:
    """``Maximum(**options)(inputs)``."""
    return Maximum(**options)(inputs)


def minimum(inputs: Sequence[KerasTensor], **options: Any) -> Any:
    """``Minimum(**options)(inputs)``."""
    return Minimum(**options)(inputs)


def concatenate(inputs: Sequence[KerasTensor], axis: int = -1, **options: Any) -> Any:
    """``Concatenate(axis, **options)(inputs)``."""
    return Concatenate(axis, **options)(inputs)


def dot(inputs: Sequence[KerasTensor], axes: Any = -1, **options: Any) -> Any:
    """``Dot(axes, **options)(inputs)``."""
    return Dot(axes, **options)(inputs)
