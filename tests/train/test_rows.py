"""Arrays, labels and sources by themselves."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from talweg.data import Dataset
from talweg.train.labels import class_weights
from talweg.train.rows import Rows, as_array, as_float, example_weights, features
from talweg.train.sources import InMemory, Stream, is_stream


def test_features_keep_pixels_and_turn_the_rest_into_floats() -> None:
    pixels = np.zeros((5, 2), np.uint8)
    assert features(pixels, (2,), "float32").dtype == np.uint8
    for dtype in ("int64", "float16", "bool", "uint16"):
        assert features(pixels.astype(dtype), (2,), "float64").dtype == np.float64


@pytest.mark.parametrize(
    ("given_shape", "wanted", "got"),
    [
        ((5,), None, (5, 1)),
        ((5,), (1,), (5, 1)),
        ((5, 4, 4), (4, 4, 1), (5, 4, 4, 1)),
        ((5, 4, 4, 1), (4, 4), (5, 4, 4)),
    ],
)
def test_a_last_axis_of_one_may_be_lacking_or_too_many(given_shape: Any, wanted: Any, got: Any) -> None:
    assert features(np.zeros(given_shape), wanted, "float32").shape == got


def test_arrays_are_not_copied_without_need() -> None:
    x = np.ones((4, 2), np.float32)
    assert np.shares_memory(features(x, (2,), "float32"), x)
    rows = Rows({"x": x, "y": np.zeros(4)})
    assert np.shares_memory(rows.part(1, 3).feeds["x"], x) and len(rows.part(1, 3)) == 2


def test_what_is_an_array() -> None:
    assert as_array(range(3), "x").tolist() == [0, 1, 2]
    assert as_array([np.ones(2), np.zeros(2)], "x").shape == (2, 2)
    assert as_array(np.array([[1, 2.5]], object), "x").dtype == np.float64
    assert as_array(np.ma.masked_array([1.0, 2.0]), "x").tolist() == [1.0, 2.0]  # nothing is masked
    assert as_float(np.array([3e38, 1e-300]), "float32", "x").tolist() == [np.float32(3e38), 0.0]


def test_frames_and_tensors_of_others() -> None:
    import pandas as pd

    frame = pd.DataFrame({"a": [1, 2], "b": [True, False], "c": pd.array([1, 2], "Int64")})
    assert as_array(frame, "x").tolist() == [[1.0, 1.0, 1.0], [2.0, 0.0, 2.0]]
    torch = pytest.importorskip("torch")
    assert not is_stream(torch.ones(3)) and as_array(torch.ones(3), "x").shape == (3,)


def test_what_is_a_stream() -> None:
    batches: list[Any] = [iter([]), (i for i in ()), Dataset.range(3), zip([1], [2], strict=True), map(str, [])]
    arrays: list[Any] = [[1], (1,), np.ones(2), range(3), "text", b"", {1: 2}, {1}, 5, None]
    assert all(is_stream(b) for b in batches) and not any(is_stream(a) for a in arrays)


def test_weights() -> None:
    assert example_weights(None, 3, "float32") is None
    weight = example_weights([[1], [2], [0]], 3, "float32")
    assert weight is not None and weight.tolist() == [[1], [2], [0]] and weight.dtype == np.float32
    one_hot, classes = np.eye(3, dtype="f4")[[0, 2, 2]], np.array([0, 2, 2], np.int32)
    for y in (one_hot, classes):
        assert class_weights(y, {2: 5, 1: 7}, (3,), "float32").tolist() == [1, 5, 5]  # type: ignore[union-attr]
    rows = Rows({"x": np.ones((2, 1)), "y": np.ones(2), "sample_weight": np.array([2.0, 3.0])})
    assert rows.weighted(np.array([10.0, 1.0])).feeds["sample_weight"].tolist() == [20, 3]
    assert rows.weighted(None) is rows


# ── sources ───────────────────────────────────────────────────────────────────────────────────────────────


def visited(source: Any, number: int, done: int = 0, seed: int = 1) -> list[list[int]]:
    """The rows of an epoch, batch by batch."""
    batches = []
    for visit in source.epoch(seed, number, done):
        for at in range(0, len(visit.order), visit.batch_size):
            batches.append(visit.rows.feeds["x"][visit.order[at : at + visit.batch_size], 0].astype(int).tolist())
    return batches


def numbered(n: int) -> Rows:
    return Rows({"x": np.arange(n)[:, None].astype(float), "y": np.zeros(n)})


@pytest.mark.filterwarnings("ignore:x ran out of data")
@given(
    n=st.integers(1, 40),
    size=st.integers(1, 45),
    steps=st.none() | st.integers(1, 20),
    done=st.integers(0, 5),
    shuffle=st.booleans(),
)
def test_an_epoch_in_memory(n: int, size: int, steps: int | None, done: int, shuffle: bool) -> None:
    source = InMemory(numbered(n), size, shuffle, steps)
    whole = -(-n // size)
    in_a_pass = -(-whole // source.steps)  # epochs; the last may be short, which is told
    epochs = [visited(source, number) for number in range(2 * in_a_pass)]
    expected = [min(source.steps, whole - k * source.steps) for k in range(in_a_pass)]
    assert [len(epoch) for epoch in epochs] == 2 * expected and source.steps == (steps or whole)
    flat = [batch for epoch in epochs for batch in epoch]
    for start in range(0, len(flat) - whole + 1, whole):  # each pass visits every row once
        assert sorted(row for batch in flat[start : start + whole] for row in batch) == list(range(n))
    assert visited(source, 1, min(done, source.steps)) == epochs[1][min(done, source.steps) :]  # resumed


def test_one_batch_of_all_rows_needs_no_order() -> None:
    assert visited(InMemory(numbered(5), 8, shuffle=True), 3) == [[0, 1, 2, 3, 4]]
    assert visited(InMemory(numbered(9), 4), 3) == [[0, 1, 2, 3], [4, 5, 6, 7], [8]]


def check(x: Any, y: Any) -> Rows:
    return Rows({"x": np.asarray(x, float)[:, None], "y": np.asarray(y, float)})


def test_streams() -> None:
    data = Dataset.from_tensor_slices((np.arange(7), np.zeros(7))).batch(3)
    passes = [[0, 1, 2], [3, 4, 5], [6]]
    source = Stream(data, check, None)
    assert source.steps == 3 and [visited(source, i) for i in range(2)] == [passes, passes]
    assert visited(source, 2, done=2) == [[6]]
    source = Stream(data, check, 2)
    with pytest.warns(UserWarning, match="ran out of data"):
        assert [visited(source, i) for i in range(3)] == [passes[:2], passes[2:], passes[:2]]
    anew = Stream(data, check, 2, anew=True)
    assert [visited(anew, i) for i in range(2)] == [passes[:2], passes[:2]]
    once = Stream(iter(list(data)), check, 2)
    assert once.steps == 2 and [visited(once, i) for i in range(2)] == [passes[:2], passes[2:]]
