"""Random numbers: the published test vectors, and that a number depends on where it is and on nothing else."""

from __future__ import annotations

import math

import numpy as np
import pytest

from conformance.cases import threefry
from talweg import graph as g
from talweg.errors import GraphError
from talweg.graph.random import RandomStream, key_of, random_bits, threefry_2x32, uniform_from_bits

# "threefry 2x32 20" in kat_vectors of the Random123 library of the paper's authors: counter, key, result
KNOWN = [
    ((0x00000000, 0x00000000), (0x00000000, 0x00000000), (0x6B200159, 0x99BA4EFE)),
    ((0xFFFFFFFF, 0xFFFFFFFF), (0xFFFFFFFF, 0xFFFFFFFF), (0x1CB996FC, 0xBB002BE7)),
    ((0x243F6A88, 0x85A308D3), (0x13198A2E, 0x03707344), (0xC4923A9C, 0x483DF7A0)),
]


@pytest.mark.parametrize(("counter", "key", "expected"), KNOWN)
def test_the_published_vectors(counter: tuple[int, int], key: tuple[int, int], expected: tuple[int, int]) -> None:
    found = threefry_2x32(np.array(key, np.uint32), np.array(counter, np.uint32))
    assert tuple(found.tolist()) == expected and found.dtype == np.uint32
    assert tuple(threefry(key, counter)) == expected, "the oracle of the conformance suite itself"


def test_any_part_can_be_computed_alone() -> None:
    key = key_of(99)
    whole = random_bits(key, 3, 5, 101)
    for count in (0, 1, 2, 50):
        np.testing.assert_array_equal(random_bits(key, 3, 5, count), whole[:count])
    for other in (random_bits(key, 4, 5, 101), random_bits(key, 3, 6, 101), random_bits(key_of(98), 3, 5, 101)):
        assert (other == whole).mean() < 0.05
    assert not np.array_equal(random_bits(key, 1, 2, 9), random_bits(key, 2, 1, 9)), "stream and step are not confused"


def test_seeds_of_64_bits() -> None:
    assert key_of(2**32 * 7 + 5).tolist() == [5, 7]
    assert key_of(-1).tolist() == [2**32 - 1] * 2


def test_uniform_numbers_are_exact_in_float32() -> None:
    bits = np.array([0, 255, 256, 2**32 - 1], np.uint32)
    assert uniform_from_bits(bits).tolist() == [0.0, 0.0, 2.0**-24, 1 - 2.0**-24]
    u = RandomStream(1, 2).uniform((10_000,))
    np.testing.assert_array_equal(u.astype(np.float32).astype(np.float64), u)
    assert u.min() >= 0 and u.max() < 1 and abs(u.mean() - 0.5) < 4 / math.sqrt(12 * u.size)
    counts = np.histogram(u, 20, (0, 1))[0]
    assert ((counts - 500) ** 2 / 500).sum() < 45, "χ² with 19 degrees of freedom: p > 0.001"


def test_normal_numbers() -> None:
    z = RandomStream(5, 2).normal((40_000,))
    n = z.size
    assert abs(z.mean()) < 4 / math.sqrt(n) and abs(z.var() - 1) < 4 * math.sqrt(2 / n)
    assert abs((z**3).mean()) < 4 * math.sqrt(15 / n) and abs((z**4).mean() - 3) < 4 * math.sqrt(96 / n)
    seed, step = g.input_tensor("seed", (2,), "uint"), g.input_tensor("step", (), "uint")
    y = g.random_normal(seed, step, (20_000,), stream=8)
    for precision in ("float32", "float64"):
        value = g.evaluate([y], {seed: key_of(3), step: np.array(1, np.uint32)}, precision=precision)[y]
        assert np.isfinite(value).all() and abs(value.std() - 1) < 0.02 and abs(value.mean()) < 0.03


def test_the_graph_and_the_stream_have_the_same_numbers() -> None:
    seed, step = g.input_tensor("seed", (2,), "uint"), g.input_tensor("step", (), "uint")
    y = g.random_uniform(seed, step, (3, 4), stream=6)
    value = g.evaluate([y], {seed: key_of(12), step: np.array(4, np.uint32)})[y]
    np.testing.assert_array_equal(value, RandomStream(12, 6, step=4).uniform((3, 4)))
    with pytest.raises(GraphError, match="the seed must be uint"):
        g.random_uniform(step, step, (3,), stream=0)


def test_permutations() -> None:
    stream = RandomStream(7, 0)
    first, second = stream.permutation(200), stream.permutation(200)
    assert sorted(first) == sorted(second) == list(range(200)) and not np.array_equal(first, second)
    np.testing.assert_array_equal(RandomStream(7, 0).permutation(200), first)
    np.testing.assert_array_equal(RandomStream(7, 0, step=1).permutation(200), second)
    assert RandomStream(7, 0).permutation(0).size == 0
    places = np.array([RandomStream(s, 0).permutation(6).tolist().index(0) for s in range(600)])
    assert ((np.bincount(places, minlength=6) - 100) ** 2 / 100).sum() < 20.5, "χ² with 5 degrees: p > 0.001"
