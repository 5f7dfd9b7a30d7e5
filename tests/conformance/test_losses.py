"""Every loss against PyTorch and Keras: values, and slopes along the predictions.

Relative tolerance: 1e-9 in float64 (against Keras 1e-6: the last step of its mean is in float32), 1e-5 in float32.

Where frameworks disagree, and who is followed:
- Probabilities are clipped to [1e-7, 1 - 1e-7] (Keras); PyTorch clamps the logarithm at -100, and so does `BCELoss`,
  whose slope is 0 beyond (PyTorch's is ±1e12).
- `categorical_crossentropy` of probabilities divides by their sum (Keras); PyTorch takes logits only.
- A loss sees through a softmax or sigmoid that made its predictions, to the logits, as Keras does on TensorFlow (not on
  PyTorch, where a wrong answer costs 16.1 nats at most and has no slope).
- A mean with sample weights divides by the number of examples (Keras), not by their sum; one with weights of classes,
  or with labels that are ignored, by the sum over the labels (both). Where all are ignored it is 0 (Keras), not NaN.
- A hinge takes a label 0 as -1 one by one; Keras, where a batch has nothing but 0 and 1.
- Focal losses of logits are stable; Keras takes the softmax or sigmoid first and clips it.
- `SoftMarginLoss` is stable; PyTorch's e^(-y x) overflows.
"""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from conformance.differences import assert_gradients
from conformance.engines import assert_close, every_engine, run_once
from conformance.losses import (
    BF,
    BITS,
    CASES,
    CERTAIN,
    CF,
    CLASS,
    CLASSES,
    EXTREME,
    FAR_FRAMES,
    FRAMES,
    KIND,
    LABELS,
    LOGITS,
    NEAR,
    ONE_HOT,
    PIXEL_CLASS,
    PROBABILITIES,
    ROW_SIGNS,
    ROWS,
    SETS,
    SOME_CLASS,
    TIMED_LABELS,
    TRIPLETS,
    UNITS,
    VALUES,
    WEIGHTS,
    B,
    C,
    S,
    Torch,
    pytorch,
)
from support import oracle
from talweg import graph as g
from talweg.engines import Engine
from talweg.errors import DataError, ShapeError, UsageError
from talweg.gradient import gradient
from talweg.graph import BATCH, Array, Program, Tensor
from talweg.graph.random import random_bits
from talweg.nn import activations, losses
from talweg.nn.layers import Dense, Reshape, UnitNormalization
from talweg.nn.losses import Loss
from talweg.optim import Adam
from talweg.train.saved import load
from talweg.train.sequential import Sequential

ids = [f"{name}-{KIND.get(id(p), '')}-{options or ''}" for name, options, _, p, _ in CASES]
every_case = pytest.mark.parametrize(("name", "options", "y", "p", "torch_form"), CASES, ids=ids)
REDUCTIONS = ("sum_over_batch_size", "mean", "sum", "mean_with_sample_weight")
FIRST = {case[0]: case for case in reversed(CASES)}  # of each loss
KERAS_ATOL = 2e-7  # Keras takes float32 to the unit vectors of `cosine_similarity`, whatever its dtype
KERAS_RTOL = {"Circle": 3e-5}  # and to parts of this; else 1e-6
COUNTED = ("weight", "ignore_index", "ignore_class")  # options by which labels count differently in a mean


def test_every_loss_has_cases() -> None:
    assert {name for name, *_ in CASES} == set(Loss.registry)
    for name in Loss.registry:
        kinds = [options for n, options, *_ in CASES if n == name]
        fields = {f.name for f in dataclasses.fields(Loss.registry.get(name))} - {"name", "reduction", "dtype"}
        assert fields == {key for options in kinds for key in options}, f"{name}: an option without a case"


def tensors(y: Array, p: Array = LOGITS) -> tuple[Tensor, Tensor, Tensor]:
    dtype: g.DType = "int" if y.dtype.kind == "i" else "float"
    label = g.input_tensor("y", (BATCH, *y.shape[1:]), dtype)
    return label, g.input_tensor("p", (BATCH, *p.shape[1:])), g.input_tensor("w", (BATCH,))


def beside(weights: Array, examples: Array) -> Array:
    """The weight of each example for each of its values; Keras divides by the sum of what it is given."""
    return np.broadcast_to(weights.reshape(-1, *[1] * (examples.ndim - 1)), examples.shape).copy()


@every_engine
@every_case
def test_values_and_slopes(
    name: str, options: dict[str, Any], y: Array, p: Array, torch_form: Torch | None, engine: Engine
) -> None:
    """Of each example, and reduced with weights in each way; against PyTorch where it can, and Keras."""
    torch, keras = oracle("torch"), oracle("keras")
    label, prediction, weight = tensors(y, p)
    outputs: dict[str, Tensor] = {"examples": Loss.registry.get(name)(**options, reduction=None)(label, prediction)}
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

    dtype = engine.precision
    if torch_form is not None:
        t = torch.tensor(p.astype(dtype).astype(np.float64), requires_grad=True)
        seen = y if y.dtype.kind == "i" else y.astype(dtype).astype(np.float64)
        examples = torch_form(torch.nn.functional, torch.tensor(seen), t)
        np.testing.assert_allclose(out["examples"], examples.detach(), rtol, atol)
        (examples * torch.tensor(beside(WEIGHTS, out["examples"]))).sum().backward()
        np.testing.assert_allclose(out["slope of sumweighted"], t.grad, rtol, atol)
        if (
            not any(option in COUNTED for option in options)
            and y is not SOME_CLASS
            and name not in ("CTCLoss", "Circle")
        ):
            np.testing.assert_allclose(out["slope of meanweighted"] * examples.numel(), t.grad, rtol, atol * ROWS)
    if not hasattr(keras.losses, name) or (p is EXTREME and name in (BF, CF)) or p is NEAR or p is FAR_FRAMES:
        return
    rtol = 1e-5 if name == "CTC" else rtol  # it passes through float32
    for reduction in (*REDUCTIONS, "none"):
        theirs = getattr(keras.losses, name)(**options, reduction=reduction, dtype=dtype)
        for label_of, w in (("", None), ("weighted", WEIGHTS)):
            if ("ignore_class" in options or name == "Circle") and reduction == "mean_with_sample_weight":
                continue  # Keras then divides by the weights of what counts, here by both
            t = torch.tensor(p.astype(dtype), requires_grad=True)
            each = None if w is None else torch.tensor(beside(w, out["examples"]).astype(dtype))
            value = theirs(torch.tensor(y), t, each)
            if reduction == "none":
                if dtype == "float64":
                    continue  # a loss that is called with arrays answers in float32
                ours = Loss.registry.get(name)(**options, reduction=None)(y, p, w)
                np.testing.assert_allclose(ours, value.detach(), 1e-3 if p is CERTAIN else 1e-5, 1e-6)
                continue
            value.backward()
            near = max(rtol, KERAS_RTOL.get(name, 1e-6))
            np.testing.assert_allclose(out[reduction + label_of], value.detach(), near, atol)
            np.testing.assert_allclose(out[f"slope of {reduction}{label_of}"], t.grad, near, KERAS_ATOL)


OF_PYTORCH = [(n, o, y, p) for n, o, y, p, _ in CASES if n.endswith("Loss") and "from_logits" not in o]


@pytest.mark.parametrize(("name", "options", "y", "p"), OF_PYTORCH, ids=[f"{n}-{o or ''}" for n, o, _, _ in OF_PYTORCH])
def test_reductions_are_pytorch_s(name: str, options: dict[str, Any], y: Array, p: Array) -> None:
    """The class of the same name, reduced by PyTorch itself: weights of classes and ignored labels count as there."""
    if name == "SoftMarginLoss" and p is EXTREME:
        return  # PyTorch overflows
    torch = oracle("torch")
    for reduction in ("mean", "sum", *(["batchmean"] if name == "KLDivLoss" else [])):
        t = torch.tensor(p, requires_grad=True)
        theirs = pytorch(name, options, reduction)(torch.nn.functional, torch.tensor(y), t)
        theirs.backward()
        label, prediction, _ = tensors(y, p)
        made = Loss.registry.get(name)(**options, reduction=reduction)
        total = made.reduce(made.examples(label, prediction))
        [slope] = gradient(total, [prediction])
        values = g.evaluate([total, slope], {label: y, prediction: p}, ROWS, "float64")
        np.testing.assert_allclose(values[total], theirs.detach(), 1e-9)
        np.testing.assert_allclose(values[slope], t.grad, 1e-9, 1e-12)


@every_case
def test_slopes_against_differences(
    name: str, options: dict[str, Any], y: Array, p: Array, torch_form: Torch | None
) -> None:
    if id(p) in KIND:
        return  # clipped, so there are kinks; or so large that differences drown in rounding: there PyTorch judges
    label, prediction, weight = tensors(y, p)
    made = Loss.registry.get(name)(**options)
    loss = made.reduce(made.examples(label, prediction), weight)
    assert_gradients(loss, [prediction], {label: y, prediction: p, weight: WEIGHTS}, ROWS)


SEEN_THROUGH = [
    *(("softmax", C, ONE_HOT), ("softmax", S, CLASS), ("sigmoid", B, BITS)),
    *(("softmax", CF, ONE_HOT), ("sigmoid", BF, BITS), ("sigmoid", "BCELoss", BITS)),
]


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


@pytest.mark.parametrize("name", [name for name in Loss.registry if name != "Circle"])  # which looks at pairs
def test_nan_comes_out_and_batches_do_not_matter(name: str) -> None:
    _, options, y, p, _ = FIRST[name]
    loss = Loss.registry.get(name)(**options, reduction=None)
    together = loss(y, p)
    apart = np.concatenate([loss(y[i : i + 1], p[i : i + 1]) for i in range(ROWS)])
    np.testing.assert_allclose(together, apart, 1e-6)
    broken = p.copy()
    broken[3] = np.nan
    found = np.isnan(loss(y, broken)).reshape(ROWS, -1)
    assert found[3].all() and found.sum() == found[3].size


@pytest.mark.parametrize("name", list(Loss.registry))
def test_column_labels_and_wrong_ones(name: str) -> None:
    loss = Loss.registry.get(name)()
    if loss.targets == "nothing":
        assert loss(None, TRIPLETS) == loss(BITS, TRIPLETS), "labels are not looked at"
        return
    if loss.targets == "sequences":
        with pytest.raises(ShapeError, match="CTC takes logits of"):
            loss(LABELS[..., None], FRAMES)
        return
    if loss.targets in ("classes", "classes_or_rows"):
        assert loss(CLASS[:, None], PROBABILITIES) == loss(CLASS, PROBABILITIES), "(batch, 1) meets (batch,)"
    elif name == "MultiLabelMarginLoss":
        assert loss(SETS[:, :1] * 0, PROBABILITIES[:, :1]) == 0, "with one class there is no other"
    else:
        one = PROBABILITIES[:, : loss.formula.parts]
        assert loss(BITS[:, 0], one) == loss(BITS[:, :1], one), "(batch,) meets (batch, 1)"
    with pytest.raises(ShapeError, match="labels of shape"):
        loss(np.zeros((ROWS, 2, 3)), PROBABILITIES)


@every_case
def test_a_loss_is_written_as_json(
    name: str, options: dict[str, Any], y: Array, p: Array, torch_form: Torch | None
) -> None:
    loss = Loss.registry.get(name)(**options)
    again = Loss.from_config(json.loads(json.dumps(loss.to_config())))
    assert type(again) is type(loss) and again.options == loss.options
    assert again(y, p) == loss(y, p)


@pytest.mark.parametrize("name", list(Loss.registry))
def test_every_loss_trains_and_is_saved(name: str, tmp_path: Path) -> None:
    """In a model that is saved, and evaluates as before when it is loaded; as a metric by its name."""
    _, options, y, p, _ = FIRST[name]
    width, shape = int(np.prod(p.shape[1:])), tuple(p.shape[1:])
    probabilities = name in (B, C, S, BF, CF, "KLDivergence", "BCELoss", "Poisson")
    last = Dense(width, activation="sigmoid" if probabilities else None, input_shape=(3,))
    model = Sequential([last, *([Reshape(shape)] if len(shape) > 1 else [])], seed=0)
    model.compile("adam", Loss.registry.get(name)(**options), metrics=[losses.get(name).formula.__name__])
    x = np.random.default_rng(0).normal(size=(ROWS, 3))
    history = model.fit(x, y, epochs=20, batch_size=4, verbose=0).history["loss"]
    assert np.isfinite(history).all() and history[-1] < history[0]
    model.save(tmp_path / "model.talweg")
    again = load(tmp_path / "model.talweg")
    assert again.evaluate(x, y, verbose=0) == model.evaluate(x, y, verbose=0)


# ── what is particular ────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("axis", "shape"), [(-1, (5, CLASSES)), (1, (CLASSES, 5))])
@pytest.mark.parametrize(
    ("loss", "options"),
    [
        (losses.CrossEntropyLoss, {}),
        (losses.NLLLoss, {"ignore_index": -1}),
        (losses.SparseCategoricalCrossentropy, {"from_logits": True, "ignore_class": -1}),
    ],
)
def test_class_axes_and_ignored_labels_in_a_model(
    loss: type[Loss], options: dict[str, Any], axis: int, shape: tuple[int, ...]
) -> None:
    x = np.random.default_rng(0).normal(size=(ROWS, 3))
    model = Sequential([Dense(20, input_shape=(3,)), Reshape(shape)], seed=0)
    model.compile("sgd", loss(**options, axis=axis))
    labels = np.where(np.arange(5) == 2, -100 if not options else -1, PIXEL_CLASS)
    value = model.evaluate(x, labels, verbose=0)
    predicted, kept = np.moveaxis(model.predict(x, verbose=0), axis, -1), np.arange(5) != 2
    np.testing.assert_allclose(value, loss(**options)(PIXEL_CLASS[:, kept], predicted[:, kept]), 1e-5)
    with pytest.raises(DataError, match=r"class numbers 0\.\.3"):
        model.fit(x, PIXEL_CLASS + 1, verbose=0)


def test_all_ignored_is_zero() -> None:
    assert losses.CrossEntropyLoss()(np.full(ROWS, -100), LOGITS) == 0
    assert losses.SparseCategoricalCrossentropy(ignore_class=7)(np.full(ROWS, 7), PROBABILITIES) == 0


def test_masked_logits_cost_nothing_unless_they_are_true() -> None:
    masked = np.where(np.arange(CLASSES) == (CLASS + 1)[:, None] % CLASSES, -np.inf, LOGITS)
    label, prediction, _ = tensors(CLASS)
    total = g.mean(losses.cross_entropy_loss(label, prediction))
    [slope] = gradient(total, [prediction])
    values = g.evaluate([total, slope], {label: CLASS, prediction: masked}, ROWS, "float64")
    torch = oracle("torch")
    t = torch.tensor(masked, requires_grad=True)
    expected = torch.nn.functional.cross_entropy(t, torch.tensor(CLASS))
    expected.backward()
    np.testing.assert_allclose(values[total], expected.detach(), 1e-12)
    np.testing.assert_allclose(values[slope], t.grad, 1e-12)


def test_a_certain_probability_costs_100_nats_as_in_pytorch() -> None:
    torch = oracle("torch")
    value = losses.BCELoss(reduction=None)(ONE_HOT, CERTAIN)
    np.testing.assert_allclose(value, torch.nn.BCELoss(reduction="none")(torch.tensor(CERTAIN), torch.tensor(ONE_HOT)))


@pytest.mark.parametrize(
    ("name", "p"), [("MarginRankingLoss", np.zeros((ROWS, 2))), ("HingeEmbeddingLoss", np.ones(ROWS))]
)
def test_a_margin_that_is_met_exactly_has_pytorch_s_slope(name: str, p: Array) -> None:
    torch = oracle("torch")
    label, prediction, _ = tensors(ROW_SIGNS, p)
    made = Loss.registry.get(name)()
    [slope] = gradient(made.reduce(made.examples(label, prediction)), [prediction])
    t = torch.tensor(p, requires_grad=True)
    pytorch(name, {}, "mean")(torch.nn.functional, torch.tensor(ROW_SIGNS), t).backward()
    values = g.evaluate([slope], {label: ROW_SIGNS, prediction: p}, ROWS, "float64")
    np.testing.assert_allclose(values[slope], t.grad, 1e-9)
    assert (values[slope] != 0).any()


def test_a_distance_of_ones_own() -> None:
    def largest(a: Tensor, b: Tensor) -> Tensor:
        return g.max(abs(a - b), axis=-1)

    loss = losses.TripletMarginWithDistanceLoss(distance_function=largest)
    d = np.abs(TRIPLETS[:, :2, None] - TRIPLETS.reshape(ROWS, 3, 2).swapaxes(1, 2)).max(1)
    np.testing.assert_allclose(loss(None, TRIPLETS), np.maximum(d[:, 1] - d[:, 2] + 1, 0).mean(), 1e-6)
    with pytest.raises(UsageError, match="cannot be saved"):
        loss.to_config()


OUT_OF_RANGE: list[tuple[str, dict[str, Any]]] = [
    *((name, {"label_smoothing": 1.5}) for name in (B, C, BF, CF, "CrossEntropyLoss")),
    *((name, {"gamma": -1.0}) for name in (BF, CF)),
    *((name, {"delta": 0.0}) for name in ("Huber", "HuberLoss")),
    *(("SmoothL1Loss", {"beta": -1.0}), ("CategoricalGeneralizedCrossEntropy", {"q": 0.0})),
    *(("PoissonNLLLoss", {"eps": -1.0}), ("GaussianNLLLoss", {"eps": 0.0}), ("TripletMarginLoss", {"p": 0})),
]
TOO_LONG = TIMED_LABELS + np.array([1, 0, 0, 0])
NO_CLASS: list[tuple[str, Array, Array]] = [
    *(
        (S, CLASS + CLASSES, LOGITS),
        (S, CLASS - CLASSES, LOGITS),
        (S, CLASS + 0.5, LOGITS),
        ("CrossEntropyLoss", CLASS - CLASSES, LOGITS),
    ),
    *(("NLLLoss", CLASS + CLASSES, LOGITS), ("MultiMarginLoss", CLASS + CLASSES, LOGITS)),
    *(("CTC", LABELS + 1, FRAMES), ("CTCLoss", LABELS + 1, FRAMES), ("CTCLoss", TOO_LONG, FRAMES)),
    ("CTC", LABELS[:, ::-1], FRAMES),  # padding first
]


def test_what_is_refused() -> None:
    with pytest.raises(UsageError, match="reduction must be one of"):
        losses.Huber(reduction="average")
    with pytest.raises(ShapeError, match="takes 3 predictions of one length"):
        losses.TripletMarginLoss()(None, VALUES)
    with pytest.raises(UsageError, match="each of the 4 classes"):
        losses.CrossEntropyLoss(weight=[1.0, 2.0])(CLASS, LOGITS)
    for wrong, options in OUT_OF_RANGE:
        with pytest.raises(UsageError, match=f"{next(iter(options))} must be a number in"):
            Loss.registry.get(wrong)(**options)
        with pytest.raises(UsageError, match=f"{next(iter(options))} must be a number in"):
            losses.get(wrong).formula(VALUES, LOGITS, **options)
    for wrong, labels, predictions in NO_CLASS:
        with pytest.raises(DataError, match=r"takes class numbers 0\.\.3|predictions of 7 steps|takes labels first"):
            Loss.registry.get(wrong)(**({"input_lengths": True} if labels is TOO_LONG else {}))(labels, predictions)
    model = Sequential([Dense(CLASSES, input_shape=FRAMES.shape[1:])], seed=0)
    model.compile("sgd", "ctc")
    with pytest.raises(DataError, match=r"takes class numbers 0\.\.3; y has 4"):
        model.fit(FRAMES, LABELS + 2, verbose=0)
    with pytest.raises(UsageError, match="p must be 1 or 2"):
        losses.MultiMarginLoss(p=3)(CLASS, LOGITS)
    model = Sequential([Dense(4, input_shape=(3,))], seed=0)
    model.compile("sgd", "soft_margin_loss")
    with pytest.raises(DataError, match="takes labels -1 and 1, or 0 and 1"):
        model.fit(np.zeros((ROWS, 3)), VALUES, verbose=0)


def test_regions_over_a_whole_batch() -> None:
    """By default all axes are summed over: one number for the batch, which trains and is saved as any other."""
    keras = oracle("keras")
    for name in ("Dice", "Tversky"):
        loss, theirs = Loss.registry.get(name)(), getattr(keras.losses, name)()
        for w in (None, WEIGHTS):
            np.testing.assert_allclose(loss(BITS, PROBABILITIES, w), theirs(BITS, PROBABILITIES, w), 1e-6)
        model = Sequential([Dense(CLASSES, "sigmoid", input_shape=(3,))], seed=0)
        model.compile(loss=loss)
        assert model.fit(np.ones((ROWS, 3)), BITS, epochs=9, verbose=0).history["loss"][-1] < loss(BITS, 0.5 + 0 * BITS)


def test_pairs_of_a_batch() -> None:
    """Rows are told apart however many there are; one that is alone, or among its like only, costs nothing."""
    words = [random_bits(np.zeros(2, np.uint32), stream, 0, 2**16) >> 8 for stream in (0, 1)]
    assert len(np.unique(words[0].astype(np.uint64) << 24 | words[1])) == 2**16
    assert losses.Circle()([3, 3, 3], UNITS[:3]) == losses.Circle()([1, 2, 3], UNITS[:3]) == 0
    model = Sequential([Dense(4, input_shape=(3,)), UnitNormalization()], seed=0)
    model.compile(Adam(0.02), "circle")
    x = np.random.default_rng(1).normal(size=(64, 3))
    kinds = (x[:, 0] > 0) * 1000  # any whole numbers
    history = model.fit(x, kinds, epochs=60, batch_size=32, verbose=0).history["loss"]
    assert history[-1] < 0.3 * history[0]


@every_engine
def test_reduction_none_cannot_train(engine: Engine) -> None:
    label, prediction, _ = tensors(VALUES)
    loss = Loss.registry.get("MeanSquaredError")(reduction=None)
    with pytest.raises(UsageError, match="reduction must not be None"):
        loss.reduce(loss.examples(label, prediction))
    examples = loss.examples(label, prediction)
    out = run_once(engine, Program("p", (label, prediction), (), {"l": examples}, {}), {"y": VALUES, "p": LOGITS}, ROWS)
    assert_close(out["l"], ((VALUES - LOGITS) ** 2).mean(-1), engine)
