"""`Dataset` has the meaning of `tf.data.Dataset`."""

from __future__ import annotations

import gc
import itertools
import threading
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from talweg.data import AUTOTUNE, INFINITE, UNKNOWN, Dataset, ElementSpec
from talweg.errors import DataError, ShapeError, UsageError


def numbers(data: Dataset) -> list[int]:
    return [int(i) for i in data]


# ── Sources ──────────────────────────────────────────────────────────────────────────────────────────


def test_slices_of_arrays_tuples_and_dictionaries() -> None:
    x, y = np.arange(6, dtype=np.uint8).reshape(3, 2), [0.5, 1.5, 2.5]
    rows = list(Dataset.from_tensor_slices((x, {"y": y, "name": ["a", "b", "c"]})))
    assert len(rows) == 3
    first, second = rows[1]
    assert first.tolist() == [2, 3] and first.dtype == np.uint8
    assert second["y"].dtype == np.float32 and second["name"] == "b"
    assert len(Dataset.from_tensor_slices(np.zeros((4, 2)))) == 4
    assert [e.tolist() for e in Dataset.from_tensor_slices([[1, 2], [3, 4]])] == [[1, 2], [3, 4]]
    assert [e.shape for e in Dataset.from_tensors(x)] == [(3, 2)]


def test_slices_that_cannot_be() -> None:
    with pytest.raises(ShapeError, match=r"\[2, 3\]"):
        Dataset.from_tensor_slices(([1, 2], [1, 2, 3]))
    with pytest.raises(ShapeError, match="a single value"):
        Dataset.from_tensor_slices(3)
    with pytest.raises(DataError, match="lists of equal length"):
        Dataset.from_tensor_slices([[1, 2], [3]])


def test_generators_are_called_anew_for_each_pass() -> None:
    def count(stop: int) -> Iterator[tuple[int, list[float]]]:
        for i in range(stop):
            yield i, [0.5 * i]

    data = Dataset.from_generator(count, args=(3,))
    for _ in range(2):
        assert [(int(i), x.tolist()) for i, x in data] == [(0, [0.0]), (1, [0.5]), (2, [1.0])]
    assert data.cardinality() == UNKNOWN
    with pytest.raises(UsageError, match="generator: expected a function"):
        Dataset.from_generator(count(3))  # type: ignore[arg-type]


def test_range_and_zip() -> None:
    assert numbers(Dataset.range(3)) == [0, 1, 2] and numbers(Dataset.range(5, 0, -2)) == [5, 3, 1]
    a, b = Dataset.range(3), Dataset.range(10, 15)
    assert list(Dataset.zip(a, b)) == list(Dataset.zip((a, b))) == [(0, 10), (1, 11), (2, 12)]
    assert next(iter(Dataset.zip({"x": a, "y": b}))) == {"x": 0, "y": 10}
    assert len(Dataset.zip(a, b)) == len(Dataset.zip(a, b.repeat())) == 3
    with pytest.raises(UsageError, match="datasets"):
        Dataset.zip(a, [1, 2])


# ── Transformations ──────────────────────────────────────────────────────────────────────────────────


def test_map_filter_and_enumerate() -> None:
    pairs = Dataset.from_tensor_slices(([1, 2, 3], [4, 5, 6]))
    assert list(pairs.map(lambda a, b: a * b)) == [4, 10, 18]
    assert next(iter(pairs.map(lambda a, b: {"sum": a + b}))) == {"sum": 5}
    assert numbers(Dataset.range(10).filter(lambda i: i % 3 == 0)) == [0, 3, 6, 9]
    assert next(iter(pairs.filter(lambda a, b: b > 4).enumerate(7))) == (7, (2, 5))
    assert [e.dtype for e in Dataset.range(1).map(lambda i: [0.5, 1.0])] == [np.float32]
    assert list(Dataset.from_tensor_slices({"a": [1, 2]}).map(lambda e: e["a"] + 1)) == [2, 3]


@pytest.mark.parametrize("calls", [None, AUTOTUNE, 1, 4])
def test_map_keeps_the_order(calls: int | None) -> None:
    def slow_first(i: Any) -> Any:
        if i == 0:
            time.sleep(0.02)
        return i * i

    assert numbers(Dataset.range(20).map(slow_first, num_parallel_calls=calls)) == [i * i for i in range(20)]


@pytest.mark.parametrize("calls", [None, 3])
def test_errors_in_a_function_come_out(calls: int | None) -> None:
    def fail(i: Any) -> Any:
        if i == 5:
            raise ZeroDivisionError("at five")
        return i

    seen = []
    with pytest.raises(ZeroDivisionError, match="at five"):
        for i in Dataset.range(10).map(fail, num_parallel_calls=calls).prefetch(2):
            seen.append(int(i))
    assert seen == [0, 1, 2, 3, 4]


def test_batches() -> None:
    data = Dataset.from_tensor_slices((np.arange(10).reshape(5, 2), np.arange(5)))
    assert [(x.shape, y.tolist()) for x, y in data.batch(2)] == [((2, 2), [0, 1]), ((2, 2), [2, 3]), ((1, 2), [4])]
    assert [len(y) for _, y in data.batch(2, drop_remainder=True)] == [2, 2]
    assert (len(data.batch(2)), len(data.batch(2, drop_remainder=True)), len(data.batch(9))) == (3, 2, 1)
    assert numbers(Dataset.range(7).batch(3).unbatch()) == list(range(7))
    assert next(iter(Dataset.range(4).batch(2).batch(2))).tolist() == [[0, 1], [2, 3]]
    names = next(iter(Dataset.from_tensor_slices([b"a\0", b"b"]).batch(2)))
    assert names.tolist() == [b"a\0", b"b"]
    uneven = Dataset.from_generator(lambda: ([0] * n for n in (2, 2, 3)))
    with pytest.raises(ShapeError, match=r"first of the batch has shape \(2,\) and number 2 has \(3,\)"):
        list(uneven.batch(3))
    mixed = Dataset.from_generator(lambda: iter([(1, 2), 3]))
    with pytest.raises(DataError, match="one structure"):
        list(mixed.batch(2))


def test_repeat_take_skip_and_concatenate() -> None:
    data = Dataset.range(3)
    assert numbers(data.repeat(2)) == [0, 1, 2, 0, 1, 2]
    assert numbers(data.repeat().take(7)) == numbers(data.repeat(-1).take(7)) == [0, 1, 2, 0, 1, 2, 0]
    assert numbers(data.repeat(0)) == numbers(data.take(0)) == numbers(data.skip(-1)) == []
    assert numbers(data.take(-1)) == numbers(data.take(99)) == [0, 1, 2]
    assert numbers(data.skip(2)) == [2] and numbers(data.skip(9)) == []
    assert numbers(data.concatenate(Dataset.range(2))) == [0, 1, 2, 0, 1]
    assert numbers(Dataset.range(0).repeat()) == []  # and does not spin for ever
    assert numbers(data.filter(lambda i: i > 5).repeat()) == []


def test_cardinality() -> None:
    data = Dataset.range(10)
    assert data.repeat().cardinality() == INFINITE and len(data.repeat(3)) == 30
    assert data.filter(lambda i: True).cardinality() == UNKNOWN
    assert len(data.repeat().take(4)) == len(data.take(4)) == 4 and len(data.skip(3)) == 7
    assert data.filter(lambda i: True).take(3).cardinality() == UNKNOWN
    assert data.concatenate(data.repeat()).cardinality() == INFINITE
    assert len(data.concatenate(data)) == 20
    for endless, word in ((data.repeat(), "no end"), (data.batch(2).unbatch(), "only iterating")):
        assert bool(endless)
        with pytest.raises(TypeError, match=word):
            len(endless)
    assert len(data.map(lambda i: i).shuffle(2).cache().prefetch(1).enumerate()) == 10


@pytest.mark.parametrize(
    "make",
    [
        lambda d: d.batch(0),
        lambda d: d.batch(2.0),
        lambda d: d.shuffle(0),
        lambda d: d.shuffle(3, seed=-1),
        lambda d: d.take(-2),
        lambda d: d.skip(-2),
        lambda d: d.repeat(-2),
        lambda d: d.prefetch(-3),
        lambda d: d.map(lambda i: i, num_parallel_calls=0),
    ],
)
def test_arguments_without_sense(make: Any) -> None:
    with pytest.raises(UsageError, match="expected"):
        make(Dataset.range(3))


# ── Shuffle ──────────────────────────────────────────────────────────────────────────────────────────


@given(n=st.integers(0, 60), size=st.integers(1, 70), seed=st.integers(0, 2**40))
def test_shuffle_is_that_of_tf_data(n: int, size: int, seed: int) -> None:
    """A permutation, the same for the same seed, in which nothing comes more than size-1 places early."""
    order = numbers(Dataset.range(n).shuffle(size, seed=seed))
    assert sorted(order) == list(range(n))
    assert all(value <= place + size - 1 for place, value in enumerate(order))
    assert order == numbers(Dataset.range(n).shuffle(size, seed=seed))
    if size == 1:
        assert order == list(range(n))


def test_shuffle_is_uniform_with_a_whole_buffer() -> None:
    counts: Counter[tuple[int, ...]] = Counter()
    data = Dataset.range(3).shuffle(3, seed=0)
    for _ in range(3000):
        counts[tuple(numbers(data))] += 1
    assert len(counts) == 6 and all(abs(count - 500) < 110 for count in counts.values())  # 5 sigma


def test_shuffle_reads_only_what_it_needs() -> None:
    read = []

    def source() -> Iterator[int]:
        for i in itertools.count():
            read.append(i)
            yield i

    next(iter(Dataset.from_generator(source).shuffle(5)))
    assert read == [0, 1, 2, 3, 4]


def test_reshuffling_each_iteration() -> None:
    anew, fixed = (
        Dataset.range(20).shuffle(20, seed=3),
        Dataset.range(20).shuffle(20, 3, reshuffle_each_iteration=False),
    )
    assert numbers(anew) != numbers(anew)
    assert numbers(fixed) == numbers(fixed)
    first, second = (Dataset.range(20).shuffle(20, seed=3) for _ in range(2))
    assert [numbers(first) for _ in range(3)] == [numbers(second) for _ in range(3)]
    twice = numbers(Dataset.range(20).shuffle(20, seed=3).repeat(2))
    assert sorted(twice[:20]) == sorted(twice[20:]) and twice[:20] != twice[20:]
    assert numbers(Dataset.range(50).shuffle(50)) != numbers(Dataset.range(50).shuffle(50))  # no seed


def test_looking_at_the_spec_changes_nothing() -> None:
    plain, looked_at = (Dataset.range(20).shuffle(20, seed=3).cache().batch(4) for _ in range(2))
    assert looked_at.element_spec == ElementSpec((4,), "int64")
    assert [b.tolist() for b in plain] == [b.tolist() for b in looked_at]
    assert Dataset.range(0).element_spec is None
    spec = Dataset.from_tensor_slices((np.zeros((5, 2, 3), np.uint8), ["a"] * 5)).prefetch(2).element_spec
    assert spec == (ElementSpec((2, 3), "uint8"), ElementSpec((), "str"))


# ── Cache and prefetch ───────────────────────────────────────────────────────────────────────────────


def test_cache_runs_the_steps_before_it_once() -> None:
    calls = []
    data = Dataset.range(4).map(lambda i: calls.append(int(i)) or i).cache()
    next(iter(data))
    assert calls == [0]
    assert numbers(data) == numbers(data) == numbers(data.repeat(2))[4:] == [0, 1, 2, 3]
    assert calls == [0, 0, 1, 2, 3]


def prefetch_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "talweg-prefetch"]


def wait_until_none() -> None:
    for thread in prefetch_threads():
        thread.join()  # one that does not end is ended, with this test, by pytest's own limit


@pytest.mark.parametrize("size", [0, 1, 3, 100, AUTOTUNE])
def test_prefetch_changes_nothing_but_time(size: int) -> None:
    assert numbers(Dataset.range(50).prefetch(size)) == list(range(50))
    wait_until_none()


def test_prefetch_runs_ahead_but_no_further_than_asked() -> None:
    made, enough = [], threading.Event()

    def make(i: Any) -> Any:
        made.append(int(i))
        if len(made) == 5:
            enough.set()
        return i

    iterator = iter(Dataset.range(100).map(make).prefetch(3))
    next(iterator)
    enough.wait()
    time.sleep(0.05)  # in which it could make a sixth, which would be wrong
    assert len(made) == 5  # one given out, three waiting, one in the hand of the thread
    iterator.close()  # type: ignore[attr-defined]


def test_prefetch_ends_when_the_consumer_stops() -> None:
    closed = []

    def source() -> Iterator[int]:
        try:
            yield from itertools.count()
        finally:
            closed.append(True)

    data = Dataset.from_generator(source).prefetch(2)
    for i in data:
        if i == 3:
            break
    gc.collect()
    wait_until_none()
    assert numbers(data.take(2)) == [0, 1]
    gc.collect()
    wait_until_none()
    assert len(closed) == 2


def test_prefetch_starts_no_thread_before_it_is_asked() -> None:
    iterator = iter(Dataset.range(5).prefetch(2))
    assert not prefetch_threads()
    assert next(iterator) == 0
    del iterator
    gc.collect()
    wait_until_none()


def test_threads_of_map_end_too() -> None:
    before = set(threading.enumerate())
    for i in Dataset.range(1000).map(lambda i: i, num_parallel_calls=3):
        if i == 5:
            break
    gc.collect()
    for thread in set(threading.enumerate()) - before:
        thread.join()


def test_an_epoch_as_fit_will_see_it() -> None:
    x, y = np.random.default_rng(0).random((100, 8)), np.arange(100)
    data = (
        Dataset.from_tensor_slices((x, y))
        .shuffle(100, seed=0)
        .map(lambda a, b: (a * 2, b, 1.0))
        .batch(32)
        .prefetch(AUTOTUNE)
    )
    for _ in range(2):
        batches = list(data)
        assert [batch[0].shape for batch in batches] == [(32, 8)] * 3 + [(4, 8)]
        labels = np.concatenate([batch[1] for batch in batches])
        assert sorted(labels) == list(range(100))
        np.testing.assert_array_equal(np.concatenate([batch[0] for batch in batches]), x[labels] * 2)
        assert batches[0][2].dtype == np.float32
    assert len(data) == 4
