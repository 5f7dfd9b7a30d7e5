"""Every layer that Keras has, against Keras: what comes out and slopes, over the table and over drawn windows.

In float64, so that what differs is a difference of meaning and not of rounding. Some of Keras's layers pass through
float32 whatever they are told: there the tolerance is wider.
"""

from __future__ import annotations

import inspect
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from conformance.layers import CASES, Shape, draws, examples
from conformance.test_layers import built, values, written
from support import oracle
from talweg import graph as g
from talweg.gradient import gradient
from talweg.graph import Array
from talweg.nn.layers import Layer

TIGHT, IN_FLOAT32 = (1e-9, 1e-10), (1e-4, 1e-5)  # relative, absolute
PASS_THROUGH_FLOAT32 = ("Dense", "Normalization", "GlobalAverage", "SimpleRNN", "LSTM", "GRU", "TimeDistributed")
RANDOM = np.random.default_rng(12)
OWN = {
    "InputLayer": "a place to begin at, with nothing to compute",
    "RReLU": "PyTorch's: test_layers",
    "Normalization": "what it computes with is adapted: test_layers",
}


def theirs_of(layer: Any, ours: Layer, x: Array, training: bool, along_weights: bool) -> list[Array]:
    """A Keras layer with the weights of `ours` on x: y, then the slopes of Σ y sin y along x and what is trained."""
    torch = oracle("torch")
    layer.build(x.shape)
    layer.set_weights(ours.get_weights())
    a = torch.tensor(x, requires_grad=True)
    y = layer(a, training=training) if "training" in inspect.signature(layer.call).parameters else layer(a)
    learned = [v.value for v in layer.trainable_weights] if along_weights else []
    slopes = torch.autograd.grad((y * torch.sin(y)).sum(), [a, *learned], allow_unused=True)  # embeddings: none along x
    return [np.zeros(x.shape) if t is None else t.detach().numpy() for t in (y, *slopes)]


def ours_of(layer: Layer, x: Array, training: bool) -> list[Array]:
    program, y, _ = written(layer, x.shape[1:], training)
    named = values(layer, x)
    feeds = {t: named[t.name] for t in (*program.inputs, *program.states)}
    learned = [t for t, v in zip(program.states, layer.variables, strict=True) if v in layer.trainable_variables]
    slopes = gradient(g.sum(y * g.sin(y)), [program.inputs[0], *learned])
    found = g.evaluate([y, *slopes], feeds, len(x), "float64")
    return [found[t] for t in (y, *slopes)]


def made_by(keras: ModuleType, name: str, options: dict[str, Any]) -> Any:
    """Keras's layer. Its weights will be ours. A layer within is made of its configuration here."""
    theirs = {k: v for k, v in options.items() if not k.endswith("initializer")}
    if "layer" in theirs:
        inner = dict(theirs["layer"])
        theirs["layer"] = made_by(keras, inner.pop("class"), inner)
    return getattr(keras.layers, name)(**theirs)


def assert_alike(
    keras: ModuleType, name: str, options: dict[str, Any], shape: Shape, training: bool = False, weights: bool = False
) -> None:
    """weights: slopes along these as well. (PyTorch refuses those along some kernels; test_layers has them all.)"""
    ours = built(name, options, shape)
    ours.set_weights([RANDOM.uniform(0.5, 1.5, v.shape) for v in ours.variables])
    x = examples(5, shape, name)
    x = x if name == "Embedding" else 1.0 + 2.0 * x
    expected = theirs_of(made_by(keras, name, options), ours, x, training, weights)
    found = ours_of(ours, x, training)[: len(expected)]
    assert [a.shape for a in found] == [a.shape for a in expected]
    tolerance = IN_FLOAT32 if any(part in name for part in PASS_THROUGH_FLOAT32) else TIGHT
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, *tolerance)


def is_compared(name: str, options: dict[str, Any]) -> bool:
    """Keras on PyTorch repeats the edge where an average's padding is odd (elsewhere, and here, it does not count), and
    stops where a layer is normalized along an axis that is not among the last.
    """
    is_odd = name.startswith("Average") and options.get("padding") == "same"
    return name not in OWN and not is_odd and (name, options.get("axis")) != ("LayerNormalization", 1)


# Chance is not Keras's: what draws is compared outside training; test_augmentation holds the statistics of the rest.
TABLE = [(n, o, s, t) for n, o, s, _ in CASES for t in (False, True) if is_compared(n, o) and not (t and draws(n, o))]


@pytest.mark.parametrize(
    ("name", "options", "shape", "training"), TABLE, ids=[f"{n}-{i}-{t}" for i, (n, _, _, t) in enumerate(TABLE)]
)
def test_values_and_slopes_are_keras_s(
    name: str, options: dict[str, Any], shape: Shape, training: bool, keras: ModuleType
) -> None:
    assert_alike(keras, name, options, shape, training, weights="Transpose" not in name)


def test_what_is_not_compared_is_so_for_a_reason() -> None:
    assert set(OWN) <= {name for name, *_ in CASES}


# ── windows of any shape ──────────────────────────────────────────────────────────────────────────────────

Windowed = tuple[str, dict[str, Any], Shape]


@st.composite
def windows(draw: st.DrawFn) -> Windowed:
    """A layer that slides a window, with what it can be asked for, on examples that are just large enough or larger."""
    kind = draw(st.sampled_from(["Conv", "DepthwiseConv", "SeparableConv", "MaxPooling", "AveragePooling"]))
    axes = draw(st.sampled_from([1, 2]))
    several = lambda most: tuple(draw(st.integers(1, most)) for _ in range(axes))  # noqa: E731
    size, strides, dilation, channels = several(4), several(3), (1,) * axes, draw(st.integers(1, 4))
    paddings = ["valid", *["same"] * (kind != "AveragePooling"), *["causal"] * (kind == "Conv" and axes == 1)]
    options: dict[str, Any] = {"padding": draw(st.sampled_from(paddings))}
    if kind.endswith("Conv"):
        if draw(st.booleans()):  # Keras takes one or the other
            strides = (1,) * axes
            dilation = (draw(st.integers(1, 3)),) * axes
        elif kind != "Conv":
            strides = strides[:1] * axes
        options |= {"kernel_size": size, "dilation_rate": dilation}
    else:
        options["pool_size"] = size
    options["strides"] = strides
    if kind == "Conv":
        groups = draw(st.sampled_from([n for n in range(1, channels + 1) if channels % n == 0]))
        options |= {"groups": groups, "filters": groups * draw(st.integers(1, 2))}
    elif kind.endswith("Conv"):
        options["depth_multiplier"] = draw(st.integers(1, 2))
        options |= {"filters": draw(st.integers(1, 3))} if kind == "SeparableConv" else {}
    least = [(k - 1) * d + 1 for k, d in zip(size, dilation, strict=True)]
    return f"{kind}{axes}D", options, (*(n + draw(st.integers(0, 4)) for n in least), channels)


@settings(max_examples=60, suppress_health_check=list(HealthCheck))
@given(window=windows())
def test_windows_of_any_shape_are_keras_s(window: Windowed, keras: ModuleType) -> None:
    assert_alike(keras, *window)


@st.composite
def transposed(draw: st.DrawFn) -> Windowed:
    axes = draw(st.sampled_from([1, 2]))
    several = lambda low, high: tuple(draw(st.integers(low, high)) for _ in range(axes))  # noqa: E731
    size, strides, dilation = several(1, 4), several(1, 3), (1,) * axes
    if draw(st.booleans()):
        strides, dilation = dilation, several(1, 3)
    options: dict[str, Any] = {
        "filters": draw(st.integers(1, 2)),
        "kernel_size": size,
        "strides": strides,
        "dilation_rate": dilation,
        "padding": draw(st.sampled_from(["valid", "same"])),
    }
    if draw(st.booleans()):
        options["output_padding"] = tuple(draw(st.integers(0, s - 1)) for s in strides)
    return f"Conv{axes}DTranspose", options, (*several(1, 4), draw(st.integers(1, 2)))


@settings(max_examples=60, suppress_health_check=list(HealthCheck))
@given(window=transposed())
def test_transposed_convolutions_of_any_shape_are_keras_s(window: Windowed, keras: ModuleType) -> None:
    assert_alike(keras, *window)


@pytest.mark.parametrize("length", [0.0, 1e-9, 1e-5, 1.0])
def test_short_vectors_are_keras_s(length: float, keras: ModuleType) -> None:
    x = length * np.array([[0.6, -0.8], [1.0, 0.0]])
    y = ours_of(built("UnitNormalization", {}, (2,)), x, training=False)[0]
    np.testing.assert_allclose(y, keras.ops.convert_to_numpy(keras.layers.UnitNormalization()(x)), 1e-9)


@pytest.mark.parametrize("strides", [1, 2, (3, 2)])
def test_an_average_counts_what_lies_in_the_picture(strides: Any) -> None:
    x = RANDOM.normal(size=(2, 5, 4, 3))
    layer = built("AveragePooling2D", {"pool_size": (3, 2), "strides": strides, "padding": "same"}, x.shape[1:])
    y = ours_of(layer, x, training=False)[0]
    steps = layer.two(layer.strides)  # type: ignore[attr-defined]
    before = [max(-(-n // s) * s - s + k - n, 0) // 2 for n, s, k in zip((5, 4), steps, (3, 2), strict=True)]
    for i, j in np.ndindex(*y.shape[1:3]):
        top, left = i * steps[0] - before[0], j * steps[1] - before[1]
        window = x[:, max(top, 0) : top + 3, max(left, 0) : left + 2]
        np.testing.assert_allclose(y[:, i, j], window.mean((1, 2)), 1e-12)
    assert y.shape[1:3] == tuple(-(-n // s) for n, s in zip((5, 4), steps, strict=True))


def test_a_layer_is_normalized_along_any_axis() -> None:
    x = RANDOM.normal(size=(4, 3, 5, 2))
    name = "LayerNormalization"
    first, last = built(name, {"axis": 1}, (3, 5, 2)), built(name, {"axis": -1}, (5, 2, 3))
    expected = ours_of(last, np.moveaxis(x, 1, -1), training=False)
    for a, b, is_weight in zip(ours_of(first, x, training=False), expected, (False, False, True, True), strict=True):
        np.testing.assert_allclose(a if is_weight else np.moveaxis(a, 1, -1), b, 1e-9, 1e-12)
