"""Where the elements of a tensor lie in memory: row-major (some matrices by columns), the innermost axis padded.

What the padding holds is nobody's business: loops may compute in it, and nothing that counts reads it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

from talweg.graph import BATCH, DType, Shape

PADDING = 8  # elements: half an AVX-512 vector of float32, a whole one of float64
LINE = 16  # elements: a line of the cache, a whole AVX-512 vector
WIDE = 64  # elements of a row, from which on it fills whole lines
SLACK = 16  # elements after each tensor that a loop of whole vectors may touch
C_TYPE: dict[DType, str] = {
    "float": "real",
    "int": "int32_t",
    "uint": "uint32_t",
    "uint8": "uint8_t",
    "bool": "int32_t",
}

Index = tuple[str, ...]  # for each axis, a C expression


def padded(n: int) -> int:
    """n, rounded up to whole vectors; where that costs little, to whole lines of the cache."""
    step = LINE if n > WIDE else PADDING
    return -(-n // step) * step


@dataclass(frozen=True)
class Layout:
    """A buffer for a tensor of `shape`, with room for `capacity` rows where that has a batch axis.

    inner is the axis along which neighbours lie side by side (None for a single number); `width` its padded length.
    by_columns: whether that is the first axis, and not the last.
    """

    shape: Shape
    dtype: DType
    capacity: int
    by_columns: bool = False

    @cached_property
    def order(self) -> tuple[int, ...]:
        """The axes, the outermost first."""
        axes = range(len(self.shape))
        return tuple(reversed(axes)) if self.by_columns else tuple(axes)

    @cached_property
    def lengths(self) -> tuple[int, ...]:
        return tuple(self.capacity if d is BATCH else d for d in self.shape)

    @cached_property
    def inner(self) -> int | None:
        long = [a for a in self.order if self.shape[a] != 1]
        return long[-1] if long else None

    @property
    def width(self) -> int:
        return 1 if self.inner is None else padded(self.lengths[self.inner])

    @cached_property
    def strides(self) -> tuple[int, ...]:
        """Elements from one index to the next along each axis; 0 for axes of length 1."""
        out, step = [0] * len(self.shape), 1
        for a in reversed(self.order):
            if self.shape[a] != 1:
                out[a] = step
                step *= self.width if a == self.inner else self.lengths[a]
        return tuple(out)

    @property
    def size(self) -> int:
        """Elements, padding included."""
        outer = [n for a, n in enumerate(self.lengths) if a != self.inner]
        return math.prod(outer) * self.width

    @property
    def is_dense(self) -> bool:
        """Whether nothing is padded."""
        return self.size == math.prod(self.lengths)

    def offset(self, index: Index) -> str:
        """The place of an element, as C."""
        terms = [_times(i, s) for i, s in zip(index, self.strides, strict=True) if s and i != "0"]
        return " + ".join(terms) or "0"


def _times(index: str, stride: int) -> str:
    wrapped = index if index.isidentifier() or index.isdigit() else f"({index})"
    return wrapped if stride == 1 else f"{wrapped}*{stride}"
