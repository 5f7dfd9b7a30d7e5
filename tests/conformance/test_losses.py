"""Every loss against PyTorch and Keras: values, and slopes along the predictions.

Relative tolerance: 1e-9 in float64 (against Keras 1e-6: the last step of its mean is in float32), 1e-5 in float32.

Where frameworks disagree, and who is followed:
- Probabilities are clipped to [1e-7, 1 - 1e-7] (Keras); PyTorch clamps the logarithm at -100.
- `categorical_crossentropy` of probabilities divides by their sum (Keras); PyTorch takes logits only.
- A loss sees through a softmax or sigmoid that made its predictions, to the logits, as Keras does on TensorFlow (not on
  PyTorch, where a wrong answer costs 16.1 nats at most and has no slope).
- A mean with weights divides by the number of examples (Keras), not by the sum of weights (PyTorch's `weight=`).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from conformance.differences import assert_gradients
from conformance.engines import assert_close, every_engine, run_once
from support import oracle
from talweg import graph as g
from talweg.engines import Engine
from talweg.errors import ShapeError, UsageError
from talweg.gradient import gradient
from talweg.graph import BATCH, Array, Program, Tensor
from talweg.nn import activations
from talweg.nn.losses import Loss

ROWS, CLASSES = 6, 4
random = np.random.default_rng(7)
VALUES = random.normal(size=(ROWS, CLASSES))
BITS = (random.random((ROWS, CLASSES)) < 0.5).astype(float)
CLASS = random.integers(0, CLASSES, ROWS)
ONE_HOT = np.eye(CLASSES)[CLASS]
LOGITS = random.normal(size=(ROWS, CLASSES)) * 3
EXTREME = np.where(random.random((ROWS, CLASSES)) < 0.5, 1e4, -1e4) + random.normal(size=(ROWS, CLASSES))
PROBABILITIES = random.uniform(0.05, 0.95, (ROWS, CLASSES))  # rows that do not sum to 1: Keras makes them
CERTAIN = np.array([[0.0, 1.0, 0.0, 0.0]] * ROWS)  # clipped
WEIGHTS = np.array([0.5, 2.0, 1.0, 0.0, 3.0, 1.5])

Torch = Callable[[Any, Any, Any], Any]  # (functional, y, prediction) to the loss of each example
B, C, S = "BinaryCrossentropy", "CategoricalCrossentropy", "SparseCategoricalCrossentropy"


def bce(f: Any, y: Any, p: Any) -> Any:
    return f.binary_cross_entropy_with_logits(p, y, reduction="none").mean(-1)


def smooth_bce(f: Any, y: Any, p: Any) -> Any:
    return bce(f, y * 0.8 + 0.1, p)


# loss, options, labels, predictions, what PyTorch makes of it (None: it has nothing of the kind)
CASES: list[tuple[str, dict[str, Any], Array, Array, Torch | None]] = [
    ("MeanSquaredError", {}, VALUES, LOGITS, lambda f, y, p: f.mse_loss(p, y, reduction="none").mean(-1)),
    ("MeanAbsoluteError", {}, VALUES, LOGITS, lambda f, y, p: f.l1_loss(p, y, reduction="none").mean(-1)),
    (B, {}, BITS, PROBABILITIES, lambda f, y, p: f.binary_cross_entropy(p, y, reduction="none").mean(-1)),
    (B, {}, BITS, CERTAIN, None),
    (B, {"label_smoothing": 0.2}, BITS, PROBABILITIES, None),
    (B, {"from_logits": True}, BITS, LOGITS, bce),
    (B, {"from_logits": True}, BITS, EXTREME, bce),
    (B, {"from_logits": True, "label_smoothing": 0.2}, BITS, LOGITS, smooth_bce),
    (
        C,
        {},
        ONE_HOT,
        PROBABILITIES,
        lambda f, y, p: f.nll_loss((p / p.sum(-1, True)).log(), y.argmax(-1), reduction="none"),
    ),
    (C, {}, ONE_HOT, CERTAIN, None),
    (C, {"label_smoothing": 0.1}, ONE_HOT, PROBABILITIES, None),
    (C, {"from_logits": True}, ONE_HOT, LOGITS, lambda f, y, p: f.cross_entropy(p, y, reduction="none")),
    (C, {"from_logits": True}, ONE_HOT, EXTREME, lambda f, y, p: f.cross_entropy(p, y, reduction="none")),
    (
        *(C, {"from_logits": True, "label_smoothing": 0.1}, ONE_HOT, LOGITS),
        lambda f, y, p: f.cross_entropy(p, y, reduction="none", label_smoothing=0.1),
    ),
    (S, {}, CLASS, PROBABILITIES, lambda f, y, p: f.nll_loss((p / p.sum(-1, True)).log(), y, reduction="none")),
    (S, {}, CLASS, CERTAIN, None),
    (S, {"from_logits": True}, CLASS, LOGITS, lambda f, y, p: f.cross_entropy(p, y, reduction="none")),
    (S, {"from_logits": True}, CLASS, EXTREME, lambda f, y, p: f.cross_entropy(p, y, reduction="none")),
]
KIND = {id(LOGITS): "", id(EXTREME): "extreme", id(CERTAIN): "certain", id(PROBABILITIES): "", id(VALUES): ""}
ids = [f"{name}-{KIND[id(p)]}-{options or ''}" for name, options, _, p, _ in CASES]
every_case = pytest.mark.parametrize(("name", "options", "y", "p", "torch_form"), CASES, ids=ids)
REDUCTIONS = ("sum_over_batch_size", "mean", "sum")


def test_every_loss_has_cases() -> None:
    assert {name for name, *_ in CASES} == set(Loss.registry)
    for name in Loss.registry:
        kinds = [options for n, options, *_ in CASES if n == name]
        fields = {f.name for f in dataclasses.fields(Loss.registry.get(name))} - {"name", "reduction"}
        assert fields == {key for options in kinds for key in options}, f"{name}: an option without a case"


def tensors(y: Array) -> tuple[Tensor, Tensor, Tensor]:
    dtype: g.DType = "int" if y.dtype.kind == "i" else "float"
    label = g.input_tensor("y", (BATCH, *y.shape[1:]), dtype)
    return label, g.input_tensor("p", (BATCH, CLASSES)), g.input_tensor("w", (BATCH,))


@every_engine
@every_case
def test_values_and_slopes(
    name: str, options: dict[str, Any], y: Array, p: Array, torch_form: Torch | None, engine: Engine
) -> None:
    """Of each example, and reduced with weights in each way; against PyTorch where it can, and Keras."""
    torch, keras = oracle("torch"), oracle("keras")
    label, prediction, weight = tensors(y)
    outputs: dict[str, Tensor] = {"examples": Loss.registry.get(name)(**options)(label, prediction)}
    for reduction in REDUCTIONS:
        made = Loss.registry.get(name)(**options, reduction=reduction)
        for label_of, w in (("", None), ("weighted", weight)):
            total = made.reduce(made.examples(label, prediction), w)
            [slope] = gradient(total, [prediction])
            outputs |= {f"{reduction}{label_of}": total, f"slope of {reduction}{label_of}": slope}
    program = Program("loss", (label, prediction, weight), (), outputs, {})
    out = run_once(engine, program, {"y": y, "p": p, "w": WEIGHTS}, ROWS)
    rtol, atol = (1e-5, 1e-6) if engine.precision == "float32" else (1e-9, 1e-12)
    if p is CERTAIN:
        rtol, atol = (1e-3, 1e-6) if engine.precision == "float32" else (1e-9, 1e-12)  # 1 - 1e-7 in float32

    seen = p.astype(engine.precision).astype(np.float64)
    if torch_form is not None:
        t = torch.tensor(seen, requires_grad=True)
        examples = torch_form(torch.nn.functional, torch.tensor(y), t)
        np.testing.assert_allclose(out["examples"], examples.detach(), rtol, atol)
        (examples * torch.tensor(WEIGHTS)).mean().backward()
        np.testing.assert_allclose(out["slope of meanweighted"], t.grad, rtol, atol)
    dtype = engine.precision
    for reduction in (*REDUCTIONS, "none"):
        theirs = getattr(keras.losses, name)(**options, reduction=reduction, dtype=dtype)
        for label_of, w in (("", None), ("weighted", WEIGHTS)):
            t = torch.tensor(p.astype(dtype), requires_grad=True)
            value = theirs(torch.tensor(y), t, None if w is None else torch.tensor(w.astype(dtype)))
            if reduction == "none":
                if dtype == "float64":
                    continue  # a loss that is called with arrays answers in float32
                ours = Loss.registry.get(name)(**options, reduction=None)(y, p, w)
                np.testing.assert_allclose(ours, value.detach(), 1e-3 if p is CERTAIN else 1e-5, 1e-6)
                continue
            value.backward()
            np.testing.assert_allclose(out[reduction + label_of], value.detach(), max(rtol, 1e-6), atol)
            np.testing.assert_allclose(out[f"slope of {reduction}{label_of}"], t.grad, max(rtol, 1e-6), 1e-8)


@every_case
def test_slopes_against_differences(
    name: str, options: dict[str, Any], y: Array, p: Array, torch_form: Torch | None
) -> None:
    if p is CERTAIN or p is EXTREME:
        return  # clipped, so there are kinks; or so large that differences drown in rounding: there PyTorch judges
    label, prediction, weight = tensors(y)
    made = Loss.registry.get(name)(**options)
    loss = made.reduce(made.examples(label, prediction), weight)
    assert_gradients(loss, [prediction], {label: y, prediction: p, weight: WEIGHTS}, ROWS)


SEEN_THROUGH = [("softmax", C, ONE_HOT), ("softmax", S, CLASS), ("sigmoid", B, BITS)]


@pytest.mark.parametrize("told", [False, True])
@pytest.mark.parametrize("logits", [LOGITS, EXTREME], ids=["logits", "extreme"])
@pytest.mark.parametrize(("last", "name", "y"), SEEN_THROUGH, ids=[n for _, n, _ in SEEN_THROUGH])
@every_engine
def test_a_loss_sees_through_the_last_layer(
    last: str, name: str, y: Array, logits: Array, told: bool, engine: Engine
) -> None:
    """A softmax or sigmoid before the loss gives the bits that logits with from_logits give, however extreme.

    from_logits=True beside a softmax is Keras's well-known mistake; it warns, and takes the logits too.
    """
    label, z, _ = tensors(y)
    plain = Loss.registry.get(name)(from_logits=True)
    through = Loss.registry.get(name)(from_logits=told)
    losses = {
        "plain": plain.reduce(plain.examples(label, z)),
        "through": through.reduce(through.examples(label, activations.get(last)(z).named("layer/output"))),
    }
    slopes = {f"slope {k}": gradient(v, [z])[0] for k, v in losses.items()}
    out = run_once(engine, Program("p", (label, z), (), losses | slopes, {}), {"y": y, "p": logits}, ROWS)
    assert out["plain"] == out["through"] and np.isfinite(out["plain"])
    np.testing.assert_array_equal(out["slope plain"], out["slope through"])
    assert np.isfinite(out["slope plain"]).all() and (out["slope plain"] != 0).any()
    if logits is EXTREME:
        assert out["plain"] > 100, "clipped probabilities could not cost this much"


def test_no_loss_sees_through_what_it_should_not() -> None:
    label, z, _ = tensors(ONE_HOT)
    loss = Loss.registry.get(C)()
    for made in (activations.get("softmax")(z, axis=1), activations.get("softmax")(z) * 1.0):
        examples = loss.examples(label, made)
        values = g.evaluate([examples], {label: ONE_HOT, z: EXTREME}, ROWS, "float64")[examples]
        assert values.max() <= -np.log(1e-7) + 1e-9, "probabilities are clipped"


@pytest.mark.parametrize("name", list(Loss.registry))
def test_nan_comes_out_and_batches_do_not_matter(name: str) -> None:
    y = {"classes": CLASS, "binary": BITS, "one_hot": ONE_HOT}.get(Loss.registry.get(name)().targets, VALUES)
    loss = Loss.registry.get(name)(reduction=None)
    together = loss(y, PROBABILITIES)
    apart = np.concatenate([loss(y[i : i + 1], PROBABILITIES[i : i + 1]) for i in range(ROWS)])
    np.testing.assert_allclose(together, apart, 1e-6)
    broken = PROBABILITIES.copy()
    broken[2, 1] = np.nan
    found = np.isnan(loss(y, broken))
    assert found[2] and found.sum() == 1


@pytest.mark.parametrize("name", list(Loss.registry))
def test_column_labels_and_wrong_ones(name: str) -> None:
    loss = Loss.registry.get(name)()
    if loss.targets == "classes":
        assert loss(CLASS[:, None], PROBABILITIES) == loss(CLASS, PROBABILITIES), "(batch, 1) meets (batch,)"
    else:
        one = PROBABILITIES[:, :1]
        assert loss(BITS[:, 0], one) == loss(BITS[:, :1], one), "(batch,) meets (batch, 1)"
    with pytest.raises(ShapeError, match="labels of shape"):
        loss(np.zeros((ROWS, 2, 3)), PROBABILITIES)


@every_engine
def test_reduction_none_cannot_train(engine: Engine) -> None:
    label, prediction, _ = tensors(VALUES)
    loss = Loss.registry.get("MeanSquaredError")(reduction=None)
    with pytest.raises(UsageError, match="reduction must not be None"):
        loss.reduce(loss.examples(label, prediction))
    examples = loss.examples(label, prediction)
    out = run_once(engine, Program("p", (label, prediction), (), {"l": examples}, {}), {"y": VALUES, "p": LOGITS}, ROWS)
    assert_close(out["l"], ((VALUES - LOGITS) ** 2).mean(-1), engine)
