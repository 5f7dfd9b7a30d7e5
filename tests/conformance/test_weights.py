"""Weights in every shape that Keras takes, for every loss and metric, against Keras; and figures that need no oracle.

One number, one for each example (n,) or (n, 1), one for each of its values, and what broadcasts to these. Where Keras
raises there is nothing to compare: it knows no weights (n,) for values of several axes, which here belong to examples.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conformance import losses as of_losses
from conformance import metrics as of_metrics
from conformance.test_metrics import FIRST
from support import oracle
from talweg.errors import DataError
from talweg.graph import Array
from talweg.keras import losses, metrics
from talweg.nn.layers import Dense, Reshape
from talweg.nn.losses import Loss
from talweg.train.sequential import Sequential

KINDS = ("none", "one", "examples", "a column", "values", "values and an axis", "predictions", "one row")
REDUCTIONS = ("sum", "mean", "sum_over_batch_size", "mean_with_sample_weight", None)
random = np.random.default_rng(11)


def weights(kind: str, predictions: tuple[int, ...], values: tuple[int, ...]) -> Any:
    """Weights of one kind, for predictions of a shape, and a loss that makes values of a shape of them."""
    if kind in ("none", "one"):
        return None if kind == "none" else 2.5
    n = predictions[:1]
    shape = {
        **{"examples": n, "a column": (*n, 1), "values": values, "values and an axis": (*values, 1)},
        **{"predictions": predictions, "one row": (1, *predictions[1:])},
    }[kind]
    return random.integers(0, 5, shape) / 2


def of_keras(call: Any) -> Array | None:
    """What Keras answers, or None where it cannot."""
    try:
        return np.asarray(call())
    except Exception:  # it raises whatever its backend does
        return None


# ── losses ────────────────────────────────────────────────────────────────────────────────────────────────

LOSSES = [
    (name, options, y, p)
    for name, options, y, p, _ in of_losses.CASES
    if name in losses.__all__ and not name.endswith("Loss") and id(p) not in of_losses.KIND and p is not of_losses.NEAR
]
ids = [f"{name}-{options or ''}" for name, options, *_ in LOSSES]


@pytest.mark.parametrize(("name", "options", "y", "p"), LOSSES, ids=ids)
def test_a_loss_with_weights_of_any_shape(name: str, options: dict[str, Any], y: Array, p: Array) -> None:
    keras = oracle("keras")
    values = getattr(losses, name)(**options, reduction=None)(y, p).shape
    compared = set()
    for kind in KINDS:
        w = weights(kind, p.shape, values)
        for reduction in REDUCTIONS:
            theirs = of_keras(lambda w=w, r=reduction: getattr(keras.losses, name)(**options, reduction=r)(y, p, w))
            if theirs is None or (kind == "examples" and len(values) > 1):
                continue
            ours = getattr(losses, name)(**options, reduction=reduction)(y, p, w)
            assert ours.shape == theirs.shape, (kind, reduction)
            np.testing.assert_allclose(ours, theirs, 2e-5, 1e-6, err_msg=f"{kind}, {reduction}")
            compared.add(kind)
    assert {"none", "values"} <= compared


PLAIN = ("MeanSquaredError", "MeanAbsoluteError", "Huber", "BinaryCrossentropy", "Hinge", "KLDivergence", "Poisson")


@settings(max_examples=40)
@given(
    name=st.sampled_from(PLAIN),
    shape=st.lists(st.integers(1, 4), min_size=1, max_size=3).map(tuple),
    kind=st.sampled_from(KINDS),
    reduction=st.sampled_from(REDUCTIONS),
    dtype=st.sampled_from(["float32", "float64", "int64", "bool"]),
)
def test_losses_of_any_shape(name: str, shape: tuple[int, ...], kind: str, reduction: str | None, dtype: str) -> None:
    keras = oracle("keras")
    y, p = (random.random(shape) < 0.5).astype(dtype), random.uniform(0.05, 0.95, shape).astype(np.float32)
    w = weights(kind, shape, shape[:-1])
    theirs = of_keras(lambda: getattr(keras.losses, name)(reduction=reduction)(y.astype(np.float32), p, w))
    if theirs is None or theirs.size > max(p.size, np.size(w)) or (kind == "examples" and len(shape) > 2):
        return
    if kind in ("predictions", "one row") and len(shape) > 1 and shape[-1] > 1:
        return  # Keras broadcasts these where the numbers of examples and outputs happen to be alike
    ours = getattr(losses, name)(reduction=reduction)(y, p, w)
    assert ours.shape == theirs.shape
    np.testing.assert_allclose(ours, theirs, 2e-5, 1e-6)


@pytest.mark.parametrize("kind", ["examples", "a column", "values", "values and an axis"])
@pytest.mark.parametrize("reduction", REDUCTIONS[:-1])
@pytest.mark.parametrize("shape", [(), (3,), (2, 3)], ids=["one output", "three", "steps"])
def test_a_fit_with_weights_of_any_shape(shape: tuple[int, ...], reduction: str, kind: str) -> None:
    """In `fit`, `evaluate`, `train_on_batch` and `weighted_metrics`: what the loss and the metric say by themselves."""
    x, y = random.normal(size=(8, 3)), random.normal(size=(8, *(shape or (1,))))
    w = weights(kind, y.shape, y.shape[:-1])
    last = [Dense(y[0].size, input_shape=(3,)), *([Reshape(shape)] if len(shape) > 1 else [])]
    model = Sequential(last, seed=0)
    loss, metric = losses.MeanSquaredError(reduction=reduction), metrics.MeanAbsoluteError()
    model.compile("sgd", loss, weighted_metrics=[metric])
    runs = (
        lambda: model.evaluate(x, y, 8, 0, w, return_dict=True),
        lambda: model.fit(x, y, 8, 1, 0, sample_weight=w, shuffle=False).history,
        lambda: model.train_on_batch(x, y, w, return_dict=True),
        lambda: model.test_on_batch(x, y, w, return_dict=True),
        lambda: model.evaluate(iter([(x, y, w)]), verbose=0, return_dict=True),
    )
    for run in runs:
        p = model.predict(x, verbose=0)
        metric.reset_state()
        expected = [loss(y, p, w), metric(y, p, w)]
        found = run()
        np.testing.assert_allclose([np.ravel(found[k])[0] for k in ("loss", "mean_absolute_error")], expected, 2e-5)


# ── metrics ───────────────────────────────────────────────────────────────────────────────────────────────

METRICS = [c for c in of_metrics.CASES if c.keras is not None]
APART = ("FBetaScore", "F1Score")  # takes (n,) alone: of a column, or of more, Keras makes a cube


@pytest.mark.parametrize("case", METRICS, ids=[f"{c.name}{c.options or ''}-{list(c.y.shape)}" for c in METRICS])
def test_a_metric_with_weights_of_any_shape(case: of_metrics.Case) -> None:
    """Two batches, of unlike sizes: what counts is added up."""
    keras = oracle("keras")
    compared = set()
    values = case.p.shape[:-1] or case.p.shape
    for kind in KINDS:
        w = weights(kind, case.p.shape, values)

        def streamed(metric: Any, w: Any = w) -> Any:
            for rows in (slice(0, 16), slice(16, None)):
                part = w if np.ndim(w) == 0 or len(w) == 1 else w[rows]
                y = () if case.name in ("Mean", "Sum") else (case.y[rows],)
                metric.update_state(*y, case.p[rows], sample_weight=part)
            return metric.result()

        theirs = of_keras(lambda s=streamed: s(case.keras(keras.metrics)))  # type: ignore[misc]
        if theirs is None or np.isnan(theirs).any() or (case.name in APART and np.ndim(w) > 1):
            continue
        ours = streamed(getattr(metrics, case.name)(**case.options))
        assert ours.shape == theirs.shape, kind
        np.testing.assert_allclose(ours, theirs, 2e-5, 1e-5, err_msg=kind)
        compared.add(kind)
    assert "none" in compared


# ── figures ───────────────────────────────────────────────────────────────────────────────────────────────


def test_figures_that_keras_gives() -> None:
    y, p = [[1, 9, 2], [-5, -2, 6]], [[4, 8, 12], [8, 1, 3]]
    assert losses.MeanSquaredError()(y, p, [[1.2], [3.4]]) == pytest.approx(127.96667)
    assert losses.MeanSquaredError()(y, p, [1.2, 3.4]) == pytest.approx(127.96667)
    assert losses.MeanSquaredError(reduction="mean_with_sample_weight")(y, p, [[1.2], [3.4]]) == pytest.approx(55.63768)
    assert metrics.RootMeanSquaredError()([2, 4, 6, 8], [1, 3, 2, 3], [0, 1, 0, 1]) == pytest.approx(3.6055513)
    weighed = metrics.TrueNegatives()
    bits, guesses = [[0, 1, 0, 1], [0, 0, 1, 0]], [[0, 0, 1, 1], [0, 1, 0, 0]]
    assert weighed(bits, guesses, [[1.0, 2.0, 4.0, 8.0]]) == 1 + 1 + 8
    ignoring = metrics.SparseCategoricalCrossentropy(ignore_class=-1)
    rows = [[0.05, 0.95], [0.9, 0.1], [0.5, 0.5]]
    assert ignoring([1, 0, -1], rows) == pytest.approx(-np.log([0.95, 0.9]).sum() / 3, rel=1e-5)
    ignoring.reset_state()
    assert ignoring([1, 0, -1], rows, [1, 1, 1]) == pytest.approx(-np.log([0.95, 0.9]).sum() / 2, rel=1e-5)
    clipped = metrics.BinaryCrossentropy()
    assert clipped([[1, 1], [1, 0]], [[1, 0], [1, 1]], [1.0, 2.0]) == pytest.approx(8.000478, rel=1e-6)
    assert metrics.AUC(thresholds=[0.5])([0, 0, 1, 1], [0.0, 0.5, 0.3, 0.9]) == 0.75


def test_weights_that_fit_nothing_are_refused() -> None:
    y, p = of_losses.VALUES, of_losses.LOGITS
    for wrong in (np.ones(5), np.ones((6, 4)), np.ones((4, 6)), np.ones((6, 1, 1))):
        with pytest.raises(DataError, match=r"sample_weight must be one number for each of the 6 examples"):
            losses.MeanSquaredError()(y, p, wrong)
    case = FIRST["MeanSquaredError"]
    with pytest.raises(DataError, match=r"sample_weight must be one number for each of the 23 examples"):
        metrics.MeanSquaredError()(case.y, case.p, np.ones(22))
    model = Sequential([Dense(2, input_shape=(3,))], seed=0)
    model.compile("sgd", "mse")
    for wrong in (np.ones((4, 2)), np.ones((4, 3)), np.ones((4, 1, 1, 1)), np.ones(3)):
        with pytest.raises(DataError, match="sample_weight must be one number for each of the"):
            model.fit(np.ones((4, 3)), np.ones((4, 2)), sample_weight=wrong, verbose=0)
    assert len(Loss.registry.get("MeanSquaredError")(reduction=None)(y, p, np.ones(6))) == 6
