"""Every metric, streamed over unequal batches: by itself, in a compiled program, and as Keras and scikit-learn have it.

Relative tolerance 1e-5 (Keras accumulates in float32). Where they disagree:
- `F1Score` and `FBetaScore`: macro by default (Keras: one value a class). For one column and no threshold both classes
  count, as in scikit-learn's macro average (Keras: every prediction is positive then).
- `AUC` is Keras's sum over 200 thresholds; scikit-learn's, over all, lies within 0.01 of it here.
- `Precision` and `Recall` of several columns count every cell, as in Keras; scikit-learn asks how to average.
- Correlations along axis 0 are over all examples (Keras: the mean of each batch's), and 0 where nothing varies.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from conformance.engines import every_engine
from conformance.metrics import CASES, CLASS, GUESS, REAL, ROWS, SIZES, WEIGHTS, N
from support import oracle
from talweg import graph as g
from talweg.engines import Engine
from talweg.errors import DataError, ShapeError, UnknownNameError, UsageError
from talweg.graph import BATCH, Array, Program
from talweg.nn import metrics
from talweg.nn.layers import Rescaling
from talweg.nn.metrics import METRICS, Metric
from talweg.train.saved import load
from talweg.train.sequential import Sequential

random = np.random.default_rng(6)
ids = [f"{c.name}{c.options or ''}-{list(c.y.shape)}" for c in CASES]
every_case = pytest.mark.parametrize(("name", "options", "y", "p", "keras_form", "sklearn_form"), CASES, ids=ids)
weighted_or_not = pytest.mark.parametrize("w", [None, WEIGHTS], ids=["plain", "weighted"])
FIRST = {c.name: c for c in reversed(CASES)}


def test_every_metric_has_cases_and_every_case_a_judge() -> None:
    assert set(FIRST) == set(METRICS)
    assert not [name for name in METRICS if name.startswith("_")], "a base is no metric"
    assert not [c for c in CASES if c.keras is None and c.sklearn is None]


def made(name: str, options: dict[str, Any]) -> Metric:
    metric: Metric = METRICS.get(name)(**options)
    return metric


def given(name: str, y: Array, p: Array, w: Array | None) -> tuple[Any, ...]:
    """What is added: values alone for what has no labels."""
    return (p, w) if name in ("Mean", "Sum") else (y, p, w)


def batches() -> list[slice]:
    ends = np.cumsum(SIZES)
    return [slice(end - size, end) for size, end in zip(SIZES, ends, strict=True)]


def streamed(metric: Any, *parts: Array | None) -> Any:
    for rows in batches():
        metric.update_state(*(None if part is None else part[rows] for part in parts))
    return metric.result()


@weighted_or_not
@every_case
def test_streamed_against_keras(
    name: str, options: dict[str, Any], y: Array, p: Array, keras_form: Any, sklearn_form: Any, w: Array | None
) -> None:
    ours = streamed(made(name, options), *given(name, y, p, w))
    together = made(name, options)(*given(name, y, p, w))
    np.testing.assert_allclose(ours, together, 1e-6, err_msg="batches must not matter")
    if keras_form is not None:
        keras = oracle("keras")
        theirs = keras.ops.convert_to_numpy(streamed(keras_form(keras.metrics), *given(name, y, p, w)))
        np.testing.assert_allclose(ours, theirs, 1e-5, 1e-6)


@weighted_or_not
@every_case
def test_against_scikit_learn(
    name: str, options: dict[str, Any], y: Array, p: Array, keras_form: Any, sklearn_form: Any, w: Array | None
) -> None:
    if sklearn_form is None:
        return  # Keras judged it
    import sklearn.metrics

    ours = made(name, options)(y, p, w)
    coarse = name == "AUC" and "label_weights" not in options
    np.testing.assert_allclose(ours, sklearn_form(sklearn.metrics, y, p, w), 1e-5, 0.01 if coarse else 1e-6)


@every_engine
@weighted_or_not
@every_case
def test_in_a_program(
    *,
    name: str,
    options: dict[str, Any],
    y: Array,
    p: Array,
    keras_form: Any,
    sklearn_form: Any,
    w: Any,
    engine: Engine,
) -> None:
    """Accumulators as states, batches of 4 with a last one of 3: the outcome is that of the metric by itself."""
    metric = made(name, options)
    true = g.input_tensor("y", (BATCH, *y.shape[1:]), "int" if y.dtype.kind == "i" else "float")
    pred = g.input_tensor("p", (BATCH, *p.shape[1:]))
    weight = g.input_tensor("w", (BATCH,))
    s = {k: g.state_tensor(k, shape) for k, shape in metric.accumulators(pred).items()}
    new = metric.added(true, pred, s, None if w is None else weight)
    outcome = metric.outcome(new)
    program = Program("metric", (true, pred, weight), tuple(s.values()), {"m": outcome}, {s[k]: new[k] for k in s})
    g.check(program)
    session = engine.compile(program, {k: np.zeros(t.shape) for k, t in s.items()})
    data = {"y": y, "p": p, "w": np.ones(N) if w is None else w}
    found = session.run(data, random.permutation(N), 4)["m"]
    by_itself = metric(*given(name, y, p.astype(engine.precision), w))  # a metric counts in what it is given
    np.testing.assert_allclose(found, by_itself, 1e-4 if engine.precision == "float32" else 1e-6, 1e-6)
    assert metric.shown == (found.size == 1) and found.shape == by_itself.shape


@pytest.mark.parametrize("name", list(METRICS))
def test_nothing_seen_and_nothing_right(name: str) -> None:
    _, options, y, p, *_ = FIRST[name]
    metric = made(name, options)
    with pytest.raises(UsageError, match="nothing was added yet"):
        metric.result()
    metric(*given(name, y, p, None))
    metric.reset_state()
    with pytest.raises(UsageError, match="nothing was added yet"):
        metric.result()
    assert np.isfinite(metric(*given(name, y, p, np.zeros(N)))).all(), "no weight at all is 0, not 0 / 0"
    with pytest.raises(DataError, match="sample_weight must be one number for each of the 23"):
        metric.update_state(*given(name, y, p, np.ones(N - 1)))


@every_case
def test_a_metric_is_written_as_json(
    name: str, options: dict[str, Any], y: Array, p: Array, keras_form: Any, sklearn_form: Any
) -> None:
    metric = made(name, options)
    again = metrics.get(json.loads(json.dumps(metric.to_config())))
    assert type(again) is type(metric) and again.label == metric.label
    np.testing.assert_array_equal(again(*given(name, y, p, None)), metric(*given(name, y, p, None)))


@pytest.mark.parametrize("name", ["R2Score", "PearsonCorrelation", "ConcordanceCorrelation"])
def test_a_large_mean_costs_no_digits(name: str) -> None:
    """In float32, batch by batch: numbers around 4096 that vary by one, in 16ths, so that they are exact."""
    y, noise = (np.round(random.normal(size=400) * s * 16) / 16 for s in (1.0, 0.3))
    options = {} if name == "R2Score" else {"axis": 0}
    metric = made(name, options)
    pred, true, w = g.input_tensor("p", (BATCH,)), g.input_tensor("y", (BATCH,)), g.constant(np.ones(40), "float")
    s = {k: g.state_tensor(k, shape) for k, shape in metric.accumulators(pred).items()}
    states: dict[Any, Any] = {k: np.zeros(t.shape, np.float32) for k, t in s.items()}
    for rows in np.split(np.arange(400), 10):
        fed = {true: np.float32(4096 + y[rows]), pred: np.float32(4096 + y[rows] + noise[rows])}
        fixed = {t: g.constant(fed[t]) for t in (true, pred)}
        new = metric.accumulate(fixed[true], fixed[pred], w, {k: g.constant(v) for k, v in states.items()})
        states = {k: g.evaluate([t])[t] for k, t in new.items()}
    outcome = metric.outcome({k: g.constant(v) for k, v in states.items()})
    np.testing.assert_allclose(g.evaluate([outcome])[outcome], made(name, options)(y, y + noise), 1e-5)


def test_edges_of_scores() -> None:
    assert made("Precision", {})([[1.0]], [[0.1]]) == 0, "nothing was predicted positive"
    assert made("Recall", {})([[0.0]], [[0.1]]) == 0, "there is no positive"
    assert made("R2Score", {})([[1.0], [1.0]], [[1.0], [2.0]]) == 0, "an output that never varies counts 0, as in Keras"
    assert made("R2Score", {"num_regressors": 9})([1.0, 2.0], [1.0, 2.5]) == 0.5, "too few examples to adjust by"
    assert made("PearsonCorrelation", {})([[1.0, 2.0]], [[3.0, 3.0]]) == 0, "what does not vary goes with nothing"
    assert made("BinaryAccuracy", {})([[1.0], [0.0]], [[0.5], [0.5]]) == 0.5, "0.5 is not above the threshold"
    assert made("SparseTopKCategoricalAccuracy", {"k": 2})([0], [[np.nan, 0.1, 0.2]]) == 0, "a NaN is no hit"
    assert made("AUC", {})([0, 1], [-3.0, 7.0]) == 1, "predictions beyond 0 and 1 count as these"
    assert made("MatthewsCorrelation", {})([0, 0], [0.1, 0.2]) == 0
    assert made("Mean", {})(3.0) == 3 and made("Sum", {})([[1.0, 2.0], [3.0, 4.0]], [1.0, 0.5]) == 6.5
    matrix = made("ConfusionMatrix", {})(CLASS, ROWS)
    assert matrix.sum() == N and (matrix.sum(1) == np.bincount(CLASS)).all()


WRONG: list[tuple[str, dict[str, Any], str]] = [
    ("F1Score", {"average": "mean"}, "average must be"),
    ("F1Score", {"average": 3}, "average must be"),
    ("FBetaScore", {"beta": 0.0}, "beta must be"),
    ("FBetaScore", {"threshold": 2.0}, "threshold must be"),
    ("AUC", {"num_thresholds": 1}, "num_thresholds"),
    ("AUC", {"curve": "DET"}, "curve must be one of ROC, PR, PRGAIN"),
    ("AUC", {"num_labels": 3}, "multi_label=True"),
    ("AUC", {"thresholds": [0.5, 1.5]}, r"AUC: thresholds must be a number in \[0, 1\]; got \[0.5, 1.5\]"),
    ("AUC", {"label_weights": [1.0, -1.0]}, "label_weights must be"),
    ("Precision", {"thresholds": -0.1}, "thresholds must be"),
    ("Precision", {"thresholds": []}, "thresholds must be"),
    ("Precision", {"top_k": 0}, "top_k must be"),
    ("Precision", {"top_k": 1.5}, r"top_k must be a number in {1, 2, \.\.\.}"),
    ("Recall", {"class_id": -1}, "class_id must be"),
    ("BinaryAccuracy", {"threshold": "half"}, "threshold must be"),
    ("TopKCategoricalAccuracy", {"k": 0}, "k must be"),
    ("BinaryCrossentropy", {"label_smoothing": 1.5}, "label_smoothing must be"),
    ("RecallAtPrecision", {"precision": 1.5}, "precision must be"),
    ("PrecisionAtRecall", {"recall": 0.5, "num_thresholds": 0}, "num_thresholds must be"),
    ("IoU", {"num_classes": 2, "target_class_ids": [2]}, "target_class_ids must be class numbers from 0 to 1"),
    ("IoU", {"num_classes": 2, "target_class_ids": 2}, "target_class_ids must be class numbers from 0 to 1"),
    ("MeanIoU", {"num_classes": 0}, "num_classes must be"),
    ("BinaryIoU", {"threshold": "half"}, "threshold must be"),
    ("R2Score", {"class_aggregation": "mean"}, "class_aggregation must be"),
    ("R2Score", {"num_regressors": -1}, "num_regressors must"),
]


@pytest.mark.parametrize(("name", "options", "message"), WRONG)
def test_arguments_that_make_no_sense(name: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        made(name, options)


def test_shapes_that_do_not_fit() -> None:
    for name, options in (("AUC", {"multi_label": True, "num_labels": 2}), ("Recall", {"class_id": 3})):
        with pytest.raises(ShapeError, match=r"predictions of shape|takes \(batch, 2\)"):
            made(name, options)(np.ones((4, 3)), np.ones((4, 3)))
    with pytest.raises(ShapeError, match="labels of shape"):
        made("F1Score", {"threshold": 0.5})(np.ones(4), np.ones((4, 3)))
    with pytest.raises(ShapeError, match="labels of shape"):
        made("MeanIoU", {"num_classes": 2})(np.ones((4, 2)), np.ones((4, 3)))


# ── by name ───────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("y", "p", "expected"),
    [
        ((BATCH,), (BATCH, 1), "BinaryAccuracy"),
        ((BATCH, 1), (BATCH, 1), "BinaryAccuracy"),
        ((BATCH,), (BATCH, 3), "SparseCategoricalAccuracy"),
        ((BATCH, 1), (BATCH, 3), "SparseCategoricalAccuracy"),
        ((BATCH, 3), (BATCH, 3), "CategoricalAccuracy"),
    ],
)
def test_accuracy_fits_the_labels(y: Any, p: Any, expected: str) -> None:
    found = metrics.get("accuracy", g.input_tensor("p", p), g.input_tensor("y", y))
    assert type(found).__name__ == expected and found.label == "accuracy"


def test_a_formula_is_a_metric_and_leaves_no_trace_in_the_table() -> None:
    before = list(METRICS)
    t = g.input_tensor("t", (BATCH, 2))

    def largest_error(y_true: g.Tensor, y_pred: g.Tensor) -> g.Tensor:
        return g.max(abs(y_true - y_pred), axis=-1)

    metric = metrics.get(largest_error, t, t)
    assert metric.label == "largest_error"
    np.testing.assert_allclose(metric(REAL, GUESS), np.abs(REAL - GUESS).max(-1).mean(), 1e-6)
    metrics.get("categorical_crossentropy", t, t)
    assert list(METRICS) == before
    with pytest.raises(UnknownNameError, match="did you mean 'accuracy'"):  # and not `Accuracy`, which is another
        metrics.get("acuracy", t, t)
    with pytest.raises(UnknownNameError, match="did you mean 'AUC'"):
        metrics.get("AUG", t, t)
    with pytest.raises(UsageError, match="a metric must be"):
        metrics.get(3, t, t)
    for alias in ("mae", "mse", "rmse", "mape", "msle", "r2", "f1", "mcc", "kld", "bce", "logcosh", "huber"):
        assert metrics.get(alias, t, t).label == alias
    with pytest.raises(UsageError, match=r"needs to be told: metrics\.MeanIoU\(num_classes=\.\.\.\)"):
        metrics.get("mean_io_u")
    with pytest.raises(UsageError, match=r"needs to be told: metrics\.MeanIoU\(num_classes=\.\.\.\)"):
        metrics.get(METRICS.get("MeanIoU"))
    assert type(metrics.get("accuracy")) is METRICS.get("Accuracy")


@pytest.mark.parametrize("name", list(METRICS))
def test_every_metric_measures_a_model(name: str, tmp_path: Path) -> None:
    """What `evaluate` says in batches is what it says by itself; and a model is saved with it."""
    _, options, y, p, *_ = FIRST[name]
    loss = "mse" if y.shape == p.shape else "sparse_categorical_crossentropy"
    model = Sequential([Rescaling(1.0, input_shape=p.shape[1:] or (1,))], seed=0)
    model.compile("sgd", loss, metrics=[made(name, options)])
    told = model.evaluate(p, y, batch_size=4, verbose=0, return_dict=True)
    by_itself = made(name, options)
    np.testing.assert_allclose(told[by_itself.label], by_itself(*given(name, y, p, None)), 1e-5)
    model.save(tmp_path / "model.talweg")
    again = load(tmp_path / "model.talweg").evaluate(p, y, batch_size=4, verbose=0, return_dict=True)
    np.testing.assert_array_equal(again[by_itself.label], told[by_itself.label])


def test_crossentropy_fits_the_labels_too() -> None:
    y, p = g.input_tensor("y", (BATCH,), "int"), g.input_tensor("p", (BATCH, 3))
    assert isinstance(metrics.get("ce", p, y), METRICS.get("SparseCategoricalCrossentropy"))
