"""What cases are made of: operands, the values that are drawn for them, and shapes."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from hypothesis import strategies as st

from talweg import graph as g
from talweg.graph import BATCH, Array, DType, Program, Shape, Tensor

Sampler = Callable[[np.random.Generator, tuple[int, ...]], Array]


@dataclass(frozen=True)
class Operand:
    """What an operation is applied to: its form, and how values for it are drawn."""

    shape: Shape
    draw: Sampler
    dtype: DType = "float"
    leaf: str = "input"

    def tensor(self, name: str) -> Tensor:
        make = g.state_tensor if self.leaf == "state" else g.input_tensor
        return make(name, self.shape, self.dtype)


@dataclass(frozen=True)
class Case:
    """One use of an operation: what writes it, its operands, and what should come out.

    oracle(rows, *arrays): the expected value. nan: "elementwise" (NaN stays where it is), "all" (an operand of NaN
    gives a result of NaN), "whole" (whole exponents: no slope along them), or "" where nothing of the kind is due.
    """

    write: Callable[..., Tensor]
    operands: tuple[Operand, ...]
    oracle: Callable[..., Any]
    nan: str = ""
    seed: int = 0

    @property
    def is_batched(self) -> bool:
        return any(BATCH in o.shape for o in self.operands)

    def tensors(self) -> tuple[Tensor, ...]:
        return tuple(o.tensor(f"x{i}") for i, o in enumerate(self.operands))

    def program(self, tensors: Sequence[Tensor], **outputs: Tensor) -> Program:
        states = tuple(t for t in tensors if t.op.name == "state")
        return Program("case", tuple(t for t in tensors if t not in states), states, outputs, {})

    def arrays(self, rows: int, precision: str) -> list[Array]:
        """Values for the operands, as the engine of that precision sees them."""
        random = np.random.default_rng([self.seed, rows])
        drawn = [o.draw(random, tuple(rows if d is BATCH else d for d in o.shape)) for o in self.operands]
        return [np.array(a, g.numpy_dtype(o.dtype, precision)) for a, o in zip(drawn, self.operands, strict=True)]


# ── values ────────────────────────────────────────────────────────────────────────────────────────────────


def between(low: float, high: float) -> Sampler:
    return lambda random, shape: random.uniform(low, high, shape)


wide = between(-2, 2)


def away_from_zero(random: np.random.Generator, shape: tuple[int, ...]) -> Array:
    return random.uniform(0.1, 2, shape) * random.choice([-1.0, 1.0], shape)


def away_from_whole(random: np.random.Generator, shape: tuple[int, ...]) -> Array:
    return random.integers(-3, 4, shape) + random.uniform(0.1, 0.9, shape)


def all_different(random: np.random.Generator, shape: tuple[int, ...]) -> Array:
    return (random.permutation(math.prod(shape)) / 4 - 1).reshape(shape)


def thirds(offset: float) -> Sampler:
    """Numbers on a grid; two samplers with different offsets are never within 0.1 of each other."""
    return lambda random, shape: random.integers(-4, 5, shape) / 2 + offset


def few_whole(random: np.random.Generator, shape: tuple[int, ...]) -> Array:
    return random.integers(-2, 3, shape).astype(float)


def truth(random: np.random.Generator, shape: tuple[int, ...]) -> Array:
    return random.random(shape) < 0.5


def numbers_below(n: int) -> Sampler:
    return lambda random, shape: random.integers(0, n, shape)


def words(random: np.random.Generator, shape: tuple[int, ...]) -> Array:
    return random.integers(0, 2**32, shape, dtype=np.uint64)


# ── shapes ────────────────────────────────────────────────────────────────────────────────────────────────

lengths = st.integers(1, 3)
seeds = st.integers(0, 2**16)


@st.composite
def shapes(draw: st.DrawFn, least: int = 0, most: int = 3, batch: bool = True) -> Shape:
    """Up to `most` axes; where there is one, the first may be the batch."""
    dims: list[Any] = draw(st.lists(lengths, min_size=least, max_size=most))
    if dims and batch and draw(st.booleans()):
        dims[0] = BATCH
    return tuple(dims)


def known(shape: Shape, rows: int) -> tuple[int, ...]:
    return tuple(rows if d is BATCH else d for d in shape)
