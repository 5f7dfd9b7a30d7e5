"""Chance, as a function: the same (seed, stream, step, position) gives the same number on every engine."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from talweg.errors import GraphError
from talweg.graph.random import random_bits, uniform_from_bits
from talweg.graph.tensor import Array, Dim, DType, Shape, Tensor, operation


def _meaning(seed: Array, step: Array, shape: Sequence[int], stream: int, dtype: np.dtype[np.floating]) -> Array:
    bits = random_bits(seed, stream, int(step), int(np.prod(shape, dtype=np.int64)))
    return uniform_from_bits(bits).reshape(shape).astype(dtype)


def _dtype(seed: Tensor, step: Tensor, shape: Shape, stream: int, dtype: DType) -> DType:
    if (seed.dtype, seed.shape, step.dtype, step.shape) != ("uint", (2,), "uint", ()):
        raise GraphError("the seed must be uint [2] and the step uint []")
    return dtype


_random_uniform = operation(
    "random_uniform",
    "random",
    r"u \sim \mathcal{U}[0, 1)",
    _meaning,
    shape=lambda seed, step, shape, stream, dtype: tuple(shape),
    dtype=_dtype,
    reason="Threefry needs shifts and rotations of 32-bit words, of which no float formula can be made.",
)


def random_uniform(seed: Tensor, step: Tensor, shape: Sequence[Dim], stream: int) -> Tensor:
    """Numbers in [0, 1). seed: uint (2,). step: uint (). `stream` tells one use of chance in a program from another."""
    return _random_uniform(seed, step, shape=tuple(shape), stream=stream, dtype="float")
