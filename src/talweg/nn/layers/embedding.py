"""The embedding layer: a row of numbers that is learned for each of a set of things."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from talweg import graph as g
from talweg.errors import DataError
from talweg.graph import Array, Tensor
from talweg.nn import constraints, initializers, regularizers
from talweg.nn.layers.base import Context, Layer, Parameter
from talweg.registry import setting


@dataclass(eq=False, repr=False)
class Embedding(Layer):
    r"""$y_{n \dots} = E_{x_{n \dots}}$: row x of a table E (input_dim, output_dim).

    x: (batch, ...). y: (batch, ..., output_dim). x holds whole numbers from 0 to input_dim - 1: words of a vocabulary,
    for instance; fractions are cut off. In float32, numbers from 2^24 on cannot be told apart.

    Raises `UsageError` for an input_dim or output_dim below 1. A number outside 0..input_dim - 1 has no row: where a
    model's input goes straight into the layer, `fit`, `evaluate` and `predict` raise `DataError`; elsewhere its y is
    NaN, so that the loss shows it (as with JAX in Keras; TensorFlow and PyTorch stop).

    mask_zero: 0 stands for no word, and the steps where it is are masked; see `Masking`.

    Bengio et al., "A neural probabilistic language model" (2003).

    >>> from talweg.nn.layers import Input
    >>> Embedding(1000, 16)(Input((12,))).shape
    (None, 12, 16)
    """

    has_input_dim = True
    ranges: ClassVar[Mapping[str, str]] = {"input_dim": "{1, 2, ...}", "output_dim": "{1, 2, ...}"}

    input_dim: int = field()  # not a Layer's: that is the length of an example
    output_dim: int = field()
    embeddings_initializer: Any = setting(initializers.get, "uniform")
    embeddings_regularizer: Any = setting(regularizers.get, None)
    embeddings_constraint: Any = setting(constraints.get, None)
    mask_zero: bool = False

    def compute_mask(self, x: Tensor, mask: Tensor | None) -> Tensor | None:
        return g.where(g.equal(x, 0.0), False, True) if self.mask_zero else None

    def parameters(self, input_shape: tuple[int, ...]) -> Iterable[Parameter]:
        yield self.weight("embeddings", (self.input_dim, self.output_dim))

    def examine(self, x: Array, argument: str) -> None:
        low, high = x.min(), x.max()
        if low < 0 or high >= self.input_dim:
            hint = "Count from 0." if low < 0 else f"Give it input_dim={int(high) + 1}, or make one number of the rare."
            raise DataError(
                f"{argument} has numbers from {low:g} to {high:g}, and layer {self.title!r} has rows "
                f"0..{self.input_dim - 1}. {hint}"
            )

    def call(self, x: Tensor, p: Any, context: Context) -> Tensor:
        has_row = g.where(x >= 0, x < self.input_dim, False)
        rows = g.take(p.embeddings, g.cast(g.where(has_row, x, 0.0), "int"))
        return g.where(g.expand_dims(has_row, -1), rows, float("nan"))
