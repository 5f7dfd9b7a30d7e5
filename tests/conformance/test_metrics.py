"""Every metric, streamed over unequal batches: by itself, in a compiled program, and as Keras and scikit-learn have it.

Relative tolerance 1e-5 (Keras accumulates in float32). Where they disagree:
- `F1Score`: macro by default (Keras: one value a class), and micro counts each example once, so it is the accuracy. For
  one column it looks at both classes, as scikit-learn's macro average does (Keras: only the positive one).
- `AUC` is Keras's sum over 200 thresholds; scikit-learn's, over all, lies within 0.01 of it here.
- `Precision` and `Recall` of several columns count every cell, as in Keras; scikit-learn asks how to average.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from conformance.engines import every_engine
from support import oracle
from talweg import graph as g
from talweg.engines import Engine
from talweg.errors import UnknownNameError, UsageError
from talweg.graph import BATCH, Array, Program
from talweg.nn import metrics
from talweg.nn.metrics import METRICS, Metric

random = np.random.default_rng(5)
N = 23
SIZES = (9, 1, 8, 5)  # the batches that the rows come in
WEIGHTS = random.choice([0.0, 0.5, 1.0, 2.0], N)
BITS = (random.random((N, 1)) < 0.4).astype(float)
CHANCES = np.clip(BITS * 0.3 + random.uniform(0.1, 0.6, (N, 1)), 0, 1)
MANY_BITS = (random.random((N, 3)) < 0.5).astype(float)
MANY_CHANCES = np.clip(MANY_BITS * 0.25 + random.uniform(0, 0.7, (N, 3)), 0, 1)
CLASS = np.concatenate([[0, 1, 2], random.integers(0, 3, N - 3)])
ROWS = random.dirichlet([1, 1, 1], N) + np.eye(3)[CLASS] * 0.3
ONE_HOT = np.eye(3)[CLASS]
REAL = random.normal(2, 3, (N, 2))
GUESS = REAL + random.normal(size=(N, 2))

Keras = Callable[[Any], Any]
Sklearn = Callable[[Any, Array, Array, Array | None], Any]

# metric, options, labels, predictions, Keras's, scikit-learn's (None where there is none that means the same)
CASES: list[tuple[str, dict[str, Any], Array, Array, Keras | None, Sklearn | None]] = [
    (
        *("BinaryAccuracy", {}, BITS, CHANCES, lambda k: k.BinaryAccuracy()),
        lambda s, y, p, w: s.accuracy_score(y, p > 0.5, sample_weight=w),
    ),
    ("BinaryAccuracy", {"threshold": 0.3}, MANY_BITS, MANY_CHANCES, lambda k: k.BinaryAccuracy(threshold=0.3), None),
    (
        *("CategoricalAccuracy", {}, ONE_HOT, ROWS, lambda k: k.CategoricalAccuracy()),
        lambda s, y, p, w: s.accuracy_score(y.argmax(1), p.argmax(1), sample_weight=w),
    ),
    (
        *("SparseCategoricalAccuracy", {}, CLASS, ROWS, lambda k: k.SparseCategoricalAccuracy()),
        lambda s, y, p, w: s.accuracy_score(y, p.argmax(1), sample_weight=w),
    ),
    (
        *("MeanAbsoluteError", {}, REAL, GUESS, lambda k: k.MeanAbsoluteError()),
        lambda s, y, p, w: s.mean_absolute_error(y, p, sample_weight=w),
    ),
    (
        *("MeanSquaredError", {}, REAL, GUESS, lambda k: k.MeanSquaredError()),
        lambda s, y, p, w: s.mean_squared_error(y, p, sample_weight=w),
    ),
    ("RootMeanSquaredError", {}, REAL[:, :1], GUESS[:, :1], lambda k: k.RootMeanSquaredError(), None),
    (
        *("R2Score", {}, REAL, GUESS, lambda k: k.R2Score()),
        lambda s, y, p, w: s.r2_score(y, p, sample_weight=w),
    ),
    (
        *("Precision", {}, BITS, CHANCES, lambda k: k.Precision()),
        lambda s, y, p, w: s.precision_score(y, p > 0.5, sample_weight=w),
    ),
    ("Precision", {"thresholds": 0.35}, MANY_BITS, MANY_CHANCES, lambda k: k.Precision(thresholds=0.35), None),
    (
        *("Recall", {}, BITS, CHANCES, lambda k: k.Recall()),
        lambda s, y, p, w: s.recall_score(y, p > 0.5, sample_weight=w),
    ),
    ("Recall", {"thresholds": 0.35}, MANY_BITS, MANY_CHANCES, lambda k: k.Recall(thresholds=0.35), None),
    ("AUC", {}, BITS, CHANCES, lambda k: k.AUC(), lambda s, y, p, w: s.roc_auc_score(y, p, sample_weight=w)),
    ("AUC", {"num_thresholds": 7}, BITS, CHANCES, lambda k: k.AUC(num_thresholds=7), None),
    ("AUC", {}, MANY_BITS, MANY_CHANCES, lambda k: k.AUC(), None),
    (
        *("ConfusionMatrix", {}, CLASS, ROWS, None),
        lambda s, y, p, w: s.confusion_matrix(y, p.argmax(1), sample_weight=w),
    ),
    (
        *("ConfusionMatrix", {}, BITS, CHANCES, None),
        lambda s, y, p, w: s.confusion_matrix(y, p > 0.5, sample_weight=w),
    ),
    *(
        (
            *("F1Score", {"average": average}, ONE_HOT, ROWS, lambda k, a=average: k.F1Score(average=a)),
            lambda s, y, p, w, a=average: s.f1_score(y.argmax(1), p.argmax(1), sample_weight=w, average=a),
        )
        for average in ("macro", "weighted", "micro", None)
    ),
    ("F1Score", {}, CLASS, ROWS, None, lambda s, y, p, w: s.f1_score(y, p.argmax(1), sample_weight=w, average="macro")),
    ("F1Score", {}, BITS, CHANCES, None, lambda s, y, p, w: s.f1_score(y, p > 0.5, sample_weight=w, average="macro")),
]
ids = [f"{c[0]}{c[1] or ''}-{list(c[2].shape)}" for c in CASES]
every_case = pytest.mark.parametrize(("name", "options", "y", "p", "keras_form", "sklearn_form"), CASES, ids=ids)
weighted_or_not = pytest.mark.parametrize("w", [None, WEIGHTS], ids=["plain", "weighted"])


def test_every_metric_has_cases() -> None:
    assert {name for name, *_ in CASES} == set(METRICS)
    assert not [name for name in METRICS if name.startswith("_")], "a base is no metric"


def batches() -> list[slice]:
    ends = np.cumsum(SIZES)
    return [slice(end - size, end) for size, end in zip(SIZES, ends, strict=True)]


def streamed(metric: Any, y: Array, p: Array, w: Array | None) -> Any:
    for part in batches():
        metric.update_state(y[part], p[part], None if w is None else w[part])
    return metric.result()


@weighted_or_not
@every_case
def test_streamed_against_keras(
    name: str, options: dict[str, Any], y: Array, p: Array, keras_form: Any, sklearn_form: Any, w: Array | None
) -> None:
    ours = streamed(METRICS.get(name)(**options), y, p, w)
    together = METRICS.get(name)(**options)(y, p, w)
    np.testing.assert_allclose(ours, together, 1e-6, err_msg="batches must not matter")
    if keras_form is not None:
        keras = oracle("keras")
        theirs = keras.ops.convert_to_numpy(streamed(keras_form(keras.metrics), y, p, w))
        np.testing.assert_allclose(ours, theirs, 1e-5, 1e-6)


@weighted_or_not
@every_case
def test_against_scikit_learn(
    name: str, options: dict[str, Any], y: Array, p: Array, keras_form: Any, sklearn_form: Any, w: Array | None
) -> None:
    ours = METRICS.get(name)(**options)(y, p, w)
    if sklearn_form is None:
        assert any(c[0] == name and c[5] is not None for c in CASES) or name == "RootMeanSquaredError"
        assert keras_form is not None, f"{name}{options} has no judge"
        return
    assert importlib.util.find_spec("sklearn"), "scikit-learn comes with Talweg"
    import sklearn.metrics

    np.testing.assert_allclose(ours, sklearn_form(sklearn.metrics, y, p, w), 1e-5, 0.01 if name == "AUC" else 1e-6)


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
    metric: Metric = METRICS.get(name)(**options)
    true = g.input_tensor("y", (BATCH, *y.shape[1:]), "int" if y.dtype.kind == "i" else "float")
    pred = g.input_tensor("p", (BATCH, *p.shape[1:]))
    weight = g.input_tensor("w", (BATCH,))
    s = {k: g.state_tensor(k, shape) for k, shape in metric.accumulators(pred).items()}
    new = metric.accumulate(true, pred, weight, s)
    outcome = metric.outcome(new)
    program = Program("metric", (true, pred, weight), tuple(s.values()), {"m": outcome}, {s[k]: new[k] for k in s})
    g.check(program)
    session = engine.compile(program, {k: np.zeros(t.shape) for k, t in s.items()})
    data = {"y": y, "p": p, "w": np.ones(N) if w is None else w}
    found = session.run(data, random.permutation(N), 4)["m"]
    np.testing.assert_allclose(found, metric(y, p, w), 1e-4 if engine.precision == "float32" else 1e-6, 1e-6)
    assert metric.shown == (found.size == 1)


@pytest.mark.parametrize("name", list(METRICS))
def test_nothing_seen_and_nothing_right(name: str) -> None:
    metric: Metric = METRICS.get(name)()
    with pytest.raises(UsageError, match="nothing was added yet"):
        metric.result()
    y, p = next((c[2], c[3]) for c in CASES if c[0] == name and not c[1].get("average"))
    metric.update_state(y, p)
    metric.reset_state()
    with pytest.raises(UsageError, match="nothing was added yet"):
        metric.result()
    if name != "R2Score":  # whose mean needs a weight
        assert np.isfinite(metric(y, p, np.zeros(N))).all(), "no weight at all is 0, not 0 / 0"


def test_edges_of_scores() -> None:
    assert METRICS.get("Precision")()([[1.0]], [[0.1]]) == 0, "nothing was predicted positive"
    assert METRICS.get("Recall")()([[0.0]], [[0.1]]) == 0, "there is no positive"
    assert METRICS.get("R2Score")()([[1.0], [1.0]], [[1.0], [2.0]]) == 0, (
        "an output that never varies counts 0, as in Keras"
    )
    assert METRICS.get("BinaryAccuracy")()([[1.0], [0.0]], [[0.5], [0.5]]) == 0.5, "0.5 is not above the threshold"
    matrix = METRICS.get("ConfusionMatrix")()(CLASS, ROWS)
    assert matrix.sum() == N and (matrix.sum(1) == np.bincount(CLASS)).all()
    for wrong in ({"average": "mean"}, {"average": 3}):
        with pytest.raises(UsageError, match="average must be"):
            METRICS.get("F1Score")(**wrong)
    with pytest.raises(UsageError, match="num_thresholds"):
        METRICS.get("AUC")(num_thresholds=1)


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
    with pytest.raises(UnknownNameError, match="did you mean 'AUC'"):
        metrics.get("AUG", t, t)
    with pytest.raises(UsageError, match="a metric must be"):
        metrics.get(3, t, t)
    for alias in metrics.ALIASES:
        assert metrics.get(alias, t, t).label == alias
