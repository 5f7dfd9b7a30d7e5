"""Splits, scaling and encoding: nothing of the test part reaches the training part."""

from __future__ import annotations

import json
import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from support import oracle
from talweg.data import Scaling, normalize, scale, to_categorical, train_test_split
from talweg.errors import DataError, ShapeError, UnknownNameError, UsageError

# ── Splits ───────────────────────────────────────────────────────────────────────────────────────────


@given(
    n=st.integers(5, 300),
    test=st.floats(0.05, 0.45),
    validation=st.one_of(st.just(0.0), st.floats(0.05, 0.45)),
    seed=st.integers(0, 2**31),
)
def test_every_row_goes_to_one_part(n: int, test: float, validation: float, seed: int) -> None:
    rows = np.arange(n)
    try:
        parts = train_test_split(rows, test_size=test, validation_size=validation, seed=seed)
    except UsageError as error:
        assert "leave none for training" in str(error)
        return
    assert len(parts) == (3 if validation else 2)
    assert sorted(np.concatenate(parts)) == list(range(n))
    assert len(parts[-1]) == int(np.ceil(round(test * n, 9)))
    again = train_test_split(rows, test_size=test, validation_size=validation, seed=seed)
    for a, b in zip(parts, again, strict=True):
        np.testing.assert_array_equal(a, b)


def test_three_parts_of_several_arrays_stay_together() -> None:
    x = np.arange(200).reshape(100, 2)
    frame = pd.DataFrame({"a": range(0, 200, 2)})
    names = [str(i) for i in range(100)]
    parts = train_test_split(x, frame, names, test_size=0.2, validation_size=0.1)
    assert [len(part) for part in parts] == [70, 10, 20] * 3
    for k in range(3):
        first, table, texts = parts[k], parts[3 + k], parts[6 + k]
        assert isinstance(table, pd.DataFrame) and isinstance(texts, list)
        assert first[:, 0].tolist() == table["a"].tolist() == [2 * int(t) for t in texts]


@given(st.lists(st.integers(0, 4), min_size=4, max_size=80), st.floats(0.05, 0.9), st.integers(0, 2**31), st.booleans())
def test_the_parts_are_scikit_learn_s(labels: list[int], test: float, seed: int, is_stratified: bool) -> None:
    """The same rows in the same order: runs and results of before stay what they were."""
    theirs = pytest.importorskip("sklearn.model_selection").train_test_split
    size, rows = math.ceil(test * len(labels)), np.arange(len(labels))
    stratify = labels if is_stratified else None
    try:
        ours = train_test_split(rows, test_size=size, stratify=stratify, seed=seed)
    except (DataError, UsageError):  # too few rows, or too few of a class
        return
    expected = theirs(rows, test_size=size, stratify=stratify, random_state=seed)
    assert [part.tolist() for part in ours] == [part.tolist() for part in expected]


def test_stratified_parts_have_the_proportions_of_the_whole() -> None:
    y = np.repeat([0, 1, 2], [500, 300, 200])
    one_hot = np.eye(3)[y]
    for labels in (y, one_hot, y.astype(str), y[:, None], list(y)):
        for part in train_test_split(y, test_size=0.2, validation_size=0.1, stratify=labels):
            np.testing.assert_allclose(np.bincount(part) / len(part), [0.5, 0.3, 0.2], atol=0.01)


@pytest.mark.parametrize(
    ("arrays", "options", "error", "message"),
    [
        ([], {}, UsageError, "at least one array"),
        ([[1, 2, 3], [1, 2]], {}, ShapeError, r"\[3, 2\]"),
        ([[1]], {}, DataError, "at least 2 rows"),
        ([range(10)], {"test_size": 0.0}, UsageError, "test_size: expected a fraction"),
        ([range(10)], {"test_size": 1.5}, UsageError, "test_size"),
        ([range(10)], {"test_size": 10}, UsageError, "test_size"),
        ([range(10)], {"test_size": True}, UsageError, "test_size"),
        ([range(10)], {"test_size": 0.5, "validation_size": 0.5}, UsageError, "leave none for training"),
        ([range(10)], {"stratify": [0] * 9}, ShapeError, "a label for each of 10 rows"),
        ([range(10)], {"stratify": [0] * 9 + [7]}, DataError, "class '7' has 1"),
        ([range(10)], {"stratify": [0] * 8 + [7] * 2, "validation_size": 0.2}, DataError, "at least 3 rows.*'7' has 2"),
        ([range(10)], {"stratify": range(10)}, DataError, "a number to be predicted"),
        ([range(20)], {"stratify": [0, 1, 2, 3] * 5, "test_size": 2}, DataError, "test part has 2 rows for 4 classes"),
    ],
)
def test_splits_that_cannot_be(arrays: list, options: dict, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        train_test_split(*arrays, **options)


# ── Scaling ──────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("method", ["standard", "minmax"])
def test_scaling_is_fitted_on_the_training_part_alone(method: str) -> None:
    random = np.random.default_rng(0)
    train, test = random.normal(50, 9, (200, 3)), random.normal(-1e6, 1e5, (40, 3))
    scaled, scaled_test, scaling = scale(train, test, method=method)
    alone, scaling_alone = scale(train, method=method)
    assert scaling == scaling_alone  # the test part has no say
    np.testing.assert_array_equal(scaled, alone)
    assert scaled.dtype == scaled_test.dtype == np.float32
    if method == "standard":
        np.testing.assert_allclose([scaled.mean(0), scaled.std(0)], [[0] * 3, [1] * 3], atol=1e-6)
    else:
        np.testing.assert_allclose([scaled.min(0), scaled.max(0)], [[0] * 3, [1] * 3], atol=1e-6)
    np.testing.assert_allclose(scaling.invert(scaled_test), test, rtol=1e-4)
    assert Scaling.from_config(json.loads(json.dumps(scaling.to_config()))) == scaling


def test_scaling_of_pictures_and_constants() -> None:
    images = np.random.default_rng(0).integers(0, 256, (20, 4, 4), np.uint8)
    images[:, 0, 0] = 7
    scaled, scaling = scale(images)
    assert scaled.shape == (20, 4, 4) and scaling.shape == (4, 4)
    assert np.isfinite(scaled).all() and (scaled[:, 0, 0] == 0).all()
    assert np.isfinite(scale(images, method="minmax")[0]).all()


def test_scaling_of_bad_input() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'standard'"):
        scale([[1.0]], method="standart")
    with pytest.raises(DataError, match=r"train: expected finite numbers, but the value at \[1, 0\] is nan"):
        scale([[1.0], [np.nan]])
    with pytest.raises(DataError, match="x: expected finite"):
        scale([[1.0], [2.0]], [[np.inf]])
    with pytest.raises(DataError, match="array of numbers"):
        scale([["a"]])
    with pytest.raises(DataError, match="at least one example"):
        scale(np.zeros((0, 2)))
    with pytest.raises(ShapeError, match=r"examples of shape \(1,\)"):
        scale([[1.0], [2.0]], [[1.0, 2.0]])
    for broken in ({}, {"method": "standard", "shape": [2], "offset": [0.0], "scale": [1.0]}):
        with pytest.raises(DataError, match="config"):
            Scaling.from_config(broken)
    with pytest.raises(DataError, match="non-zero"):
        Scaling.from_config({"method": "standard", "shape": [1], "offset": [0.0], "scale": [0.0]})


# ── Encoding ─────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "labels", [[0, 2, 1], [[0], [3]], [[0, 1], [2, 1]], 2, [True, False], [1.0, 0.0], [[[1], [0]]]]
)
def test_to_categorical_as_keras(labels: object) -> None:
    keras = oracle("keras")
    for classes in (None, 5):
        expected = keras.utils.to_categorical(np.array(labels), classes)
        found = to_categorical(labels, classes)  # type: ignore[arg-type]
        assert found.dtype == expected.dtype and found.shape == expected.shape
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(
    ("labels", "classes", "message"),
    [
        ([0, 3], 3, "from 0 to 2, but they go from 0 to 3"),
        ([-1, 0], None, "they go from -1"),
        ([0.5], None, "expected class numbers"),
        ([np.nan], None, "expected class numbers"),
        (["a"], None, "expected class numbers"),
        ([], None, "no labels"),
    ],
)
def test_to_categorical_refuses_what_keras_hides(labels: list, classes: int | None, message: str) -> None:
    with pytest.raises(DataError, match=message):
        to_categorical(labels, classes)


@pytest.mark.parametrize(("axis", "order"), [(-1, 2), (1, 1), (0, 2), (1, np.inf), (2, 2)])
def test_normalize(axis: int, order: float) -> None:
    x = np.random.default_rng(0).normal(size=(3, 4, 5))
    x[0] = 0
    found = normalize(x, axis, order)
    norms = np.linalg.norm(found, order, axis)
    assert np.all(np.isclose(norms, 1) | (np.linalg.norm(x, order, axis) == 0))
    if axis != 0:  # Keras takes axis 0 for the last: "axis or -1"
        np.testing.assert_allclose(found, oracle("keras").utils.normalize(x, axis, order))
