"""Estimators of scikit-learn, held to its own checks and used as its users do."""

from __future__ import annotations

import copy
import pickle
import warnings
from typing import Any

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits, load_iris
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

import talweg
from talweg import Input, Model, layers
from talweg.errors import DataError, UsageError
from talweg.sklearn import TalwegClassifier, TalwegRegressor

IRIS = load_iris(return_X_y=True)


@parametrize_with_checks([TalwegClassifier(), TalwegRegressor()])  # type: ignore[untyped-decorator]
def test_what_scikit_learn_demands(estimator: Any, check: Any) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        check(estimator)


def small(**options: Any) -> Any:
    return TalwegClassifier((8,), **{"epochs": 30, "batch_size": 16, "random_state": 3, **options})


def bits(estimator: Any) -> list[bytes]:
    return [w.tobytes() for w in estimator.model_.get_weights()]


def test_it_learns() -> None:
    network = TalwegClassifier((16,), epochs=60, batch_size=16, learning_rate=0.01, random_state=0)
    flowers = make_pipeline(StandardScaler(), network)
    assert cross_val_score(flowers, *IRIS, cv=3).mean() > 0.93
    tumours = make_pipeline(StandardScaler(), TalwegClassifier((8,), epochs=30, batch_size=32, random_state=0))
    assert cross_val_score(tumours, *load_breast_cancer(return_X_y=True), cv=3, scoring="roc_auc").mean() > 0.98
    x, y = load_diabetes(return_X_y=True)
    patients = make_pipeline(StandardScaler(), TalwegRegressor((16,), epochs=60, batch_size=32, random_state=0))
    assert cross_val_score(patients, x, (y - y.mean()) / y.std(), cv=3).mean() > 0.4


def test_a_grid_of_parameters() -> None:
    grid = {"hidden_layer_sizes": [(), (8, 8)], "optimizer": ["adam", talweg.optimizers.SGD(0.1, momentum=0.9)]}
    search = GridSearchCV(small(), grid, cv=2).fit(*IRIS)
    assert search.best_score_ > 0.9 and search.best_params_["hidden_layer_sizes"] in grid["hidden_layer_sizes"]


def test_a_random_state_decides_every_bit() -> None:
    one, same, other = small(dropout=0.2).fit(*IRIS), small(dropout=0.2).fit(*IRIS), small().set_params(random_state=4)
    assert bits(one) == bits(same) == bits(clone(one).fit(*IRIS)) == bits(one.fit(*IRIS)) != bits(other.fit(*IRIS))
    free = TalwegClassifier((8,), epochs=1)
    assert bits(free.fit(*IRIS)) != bits(free.fit(*IRIS))


@pytest.mark.parametrize("copied", [lambda e: pickle.loads(pickle.dumps(e)), copy.deepcopy])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_copy_answers_the_same(copied: Any, dtype: Any) -> None:
    x, y = IRIS[0].astype(dtype), IRIS[1]
    for estimator in (small(metrics=["accuracy"]), small(model=[layers.Dense(5, "relu"), layers.Dense(3, "softmax")])):
        again = copied(estimator.fit(x, y))
        assert again.predict_proba(x).dtype == dtype
        np.testing.assert_array_equal(again.predict_proba(x), estimator.predict_proba(x))
        assert bits(again.fit(x, y)) == bits(estimator)


def test_a_state_is_plain() -> None:
    """Pickle is scikit-learn's; what Talweg puts into it are arrays and JSON."""
    fitted = small(model=[layers.Dense(3, "softmax")]).fit(*IRIS)
    assert b"talweg.train" not in (told := pickle.dumps(fitted)) and b"talweg.nn" not in told


def test_networks_of_one_s_own() -> None:
    pictures, digits = load_digits(return_X_y=True)
    x = pictures[:300].reshape(-1, 8, 8, 1).astype(np.float32) / 16
    y = np.array([f"digit {d}" for d in digits[:300]])
    listed = [layers.Conv2D(4, 3, activation="relu"), layers.Flatten(), layers.Dense(10, "softmax")]

    def branching(shape: tuple[int, ...], outputs: int) -> Any:
        inputs = Input(shape)
        h = layers.Flatten()(inputs)
        return Model(inputs, layers.Dense(outputs, "softmax")(layers.Concatenate()([h, layers.Dense(8, "relu")(h)])))

    for model in (listed, branching, lambda shape, outputs: [layers.Flatten(), layers.Dense(outputs, "softmax")]):
        estimator = TalwegClassifier(model=model, epochs=30, learning_rate=0.01, random_state=0).fit(x, y)
        assert estimator.score(x, y) > 0.9 and set(estimator.predict(x)) <= set(y)
        assert bits(clone(estimator).fit(x, y)) == bits(estimator)
    assert not listed[0].variables  # the user's layers stay as they were
    one = small(model=[layers.Dense(1, "sigmoid")]).fit(IRIS[0][:100], IRIS[1][:100])
    assert one.predict_proba(IRIS[0]).shape == (150, 2)


def test_early_stopping_and_what_is_remembered() -> None:
    estimator = TalwegClassifier((32,), early_stopping=True, n_iter_no_change=2, tol=0.05, random_state=0).fit(*IRIS)
    assert estimator.n_iter_ == len(estimator.loss_curve_) == len(estimator.history_["val_loss"]) < 200
    assert estimator.loss_ == estimator.loss_curve_[-1] and list(estimator.classes_) == [0, 1, 2]


def test_classes_that_count_more() -> None:
    x = np.random.default_rng(0).normal(size=(400, 1))
    y = (x[:, 0] + np.random.default_rng(1).normal(size=400) > 1.8).astype(int)
    recall = {w: (small(class_weight=w).fit(x, y).predict(x)[y == 1]).mean() for w in (None, "balanced")}
    assert recall["balanced"] > recall[None] + 0.2
    heavy = small(class_weight={0: 1.0, 1: 3.0}).fit(x, y)
    assert bits(heavy) == bits(small().fit(x, y, sample_weight=np.where(y == 1, 3.0, 1.0)))


def test_several_numbers_and_names_of_features() -> None:
    pandas = pytest.importorskip("pandas")
    x = pandas.DataFrame(np.random.default_rng(2).normal(size=(80, 3)), columns=["a", "b", "c"])
    y = np.stack([x["a"] + x["b"], x["c"]], axis=1)
    estimator = TalwegRegressor((16,), epochs=200, learning_rate=0.01, random_state=0).fit(x, y)
    assert estimator.predict(x).shape == (80, 2) and estimator.score(x, y) > 0.9
    assert list(estimator.feature_names_in_) == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("estimator", "y", "message"),
    [
        (small(), np.zeros(150), r"y has one class only, 0\.0: there"),
        (small(precision="half"), IRIS[1], "precision must be 'auto'"),
        (small(model=7), IRIS[1], r"model must be a list of layers, or a function of \(input_shape, outputs\)"),
        (small(model=[layers.Dense(2, "softmax")]), IRIS[1], "class"),
    ],
)
def test_what_makes_no_sense_is_told(estimator: Any, y: Any, message: str) -> None:
    with pytest.raises((DataError, UsageError, ValueError), match=message):
        estimator.fit(IRIS[0], y)
