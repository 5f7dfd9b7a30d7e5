"""Random numbers as a function of where they are: Threefry-2x32 with 20 rounds.

Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as easy as 1, 2, 3" (SC11, 2011). Element p of a stream is
word p mod 2 of the block with counter p // 2, so any part of a stream can be computed alone, in any order.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from talweg.graph.tensor import Array

_ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))


def threefry_2x32(key: Array, counter: Array) -> Array:
    """20 rounds of Threefry. key: 2 words. counter: (..., 2) words. Answers (..., 2) words, all uint32.

    >>> words = threefry_2x32(np.zeros(2, np.uint32), np.zeros(2, np.uint32))   # the authors' test vector
    >>> [f"{w:08x}" for w in words]
    ['6b200159', '99ba4efe']
    """
    with np.errstate(over="ignore"):
        words = threefry(np.uint32(key[0]), np.uint32(key[1]), counter[..., 0], counter[..., 1])
    return np.stack(words, axis=-1)


def threefry(k0: Any, k1: Any, x0: Any, x1: Any) -> tuple[Any, Any]:
    """The rounds, on uint32 of NumPy or of any library that has its operators."""
    keys = (k0, k1, k0 ^ k1 ^ np.uint32(0x1BD11BDA))
    x0, x1 = x0 + keys[0], x1 + keys[1]
    for group in range(5):
        for turn in _ROTATIONS[group % 2]:
            x0 = x0 + x1
            x1 = (x1 << np.uint32(turn) | x1 >> np.uint32(32 - turn)) ^ x0
        x0 = x0 + keys[(group + 1) % 3]
        x1 = x1 + keys[(group + 2) % 3] + np.uint32(group + 1)
    return x0, x1


def key_of(seed: int) -> Array:
    """The two key words of an integer seed of up to 64 bits."""
    return np.array([seed & 0xFFFFFFFF, seed >> 32 & 0xFFFFFFFF], np.uint32)


def random_bits(key: Array, stream: int, step: int, count: int) -> Array:
    """`count` words of 32 random bits: those of `stream` at `step` under `key`."""
    key = threefry_2x32(np.asarray(key, np.uint32), np.array([stream, step], np.uint32))
    blocks = np.zeros(((count + 1) // 2, 2), np.uint32)
    blocks[:, 0] = np.arange(len(blocks), dtype=np.uint32)
    return threefry_2x32(key, blocks).reshape(-1)[:count]


def uniform_from_bits(bits: Array) -> Array:
    """The 24 high bits as a number in [0, 1): exact in float32, and so the same in float64."""
    return (bits >> np.uint32(8)).astype(np.float64) * 2.0**-24


class RandomStream:
    """Numbers for what happens outside a graph: initial weights and the order of rows.

    >>> a, b = RandomStream(7, stream=1), RandomStream(7, stream=1)
    >>> bool((a.uniform((2, 3)) == b.uniform((2, 3))).all())
    True
    """

    def __init__(self, seed: int, stream: int, step: int = 0) -> None:
        self._key, self._stream, self._step = key_of(seed), stream, step

    def uniform(self, shape: Sequence[int]) -> Array:
        """Uniform on [0, 1), float64."""
        count = int(np.prod(shape, dtype=np.int64))
        bits = random_bits(self._key, self._stream, self._step, count)
        self._step += 1
        return uniform_from_bits(bits).reshape(tuple(shape))

    def normal(self, shape: Sequence[int]) -> Array:
        """Standard normal, float64, by Box and Muller's transformation."""
        radius: Array = np.sqrt(-2 * np.log1p(-self.uniform(shape)))
        angle: Array = 2 * np.pi * self.uniform(shape)
        return np.asarray(radius * np.cos(angle))

    def permutation(self, count: int) -> Array:
        """0 .. count-1 in random order: sorted by 32 random bits each, equal ones by place."""
        bits = random_bits(self._key, self._stream, self._step, count)
        self._step += 1
        return np.argsort(bits, kind="stable")
