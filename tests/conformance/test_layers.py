"""The contract that every layer keeps: shapes, configuration, slopes, batches, chance, and that it cannot change."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from conformance.differences import assert_gradients
from conformance.engines import assert_close, every_engine, run_once
from conformance.layers import CASES, Shape, draws, examples
from support import oracle
from talweg import graph as g
from talweg.engines import Engine, Reference
from talweg.errors import FrozenError, ShapeError, UsageError
from talweg.graph import BATCH, Array, Program, Tensor
from talweg.graph.random import RandomStream, key_of, random_bits, uniform_from_bits
from talweg.nn.layers import LAYERS, Context, Layer
from talweg.passes import simplify

every_case = pytest.mark.parametrize(
    ("name", "options", "shape", "out_shape"), CASES, ids=[f"{n}-{i}" for i, (n, *_) in enumerate(CASES)]
)


def test_every_layer_has_a_case() -> None:
    homes = {name: LAYERS.get(name).__module__ for name in LAYERS}  # other tests register layers of their own
    ours = {name for name, home in homes.items() if home.startswith("talweg.") and not home.endswith(".merging")}
    assert {name for name, *_ in CASES} == ours  # merging layers: test_functional


def built(name: str, options: dict[str, Any], shape: Shape, seed: int = 4) -> Layer:
    layer: Layer = LAYERS.get(name)(**options, name="it")
    layer.build(shape, RandomStream(seed, 1), "float64")
    return layer


def written(layer: Layer, shape: Shape, training: bool = False) -> tuple[Program, Tensor, Context]:
    """The layer by itself as a program: x (and what chance needs) in, y out."""
    x, seed, step = (
        g.input_tensor("x", (BATCH, *shape)),
        g.input_tensor("seed", (2,), "uint"),
        g.input_tensor("step", (), "uint"),
    )
    context = Context(training, seed, step) if training else Context(False)
    states = layer.own_states()
    y = layer.write(x, states, context)
    inputs = (x, seed, step) if training else (x,)
    return Program("layer", inputs, tuple(states.values()), {"y": y}, {}), y, context


def values(layer: Layer, x: Array, seed: int = 0, step: int = 0) -> dict[str, Array]:
    return {v.name: v.value for v in layer.variables} | {"x": x, "seed": key_of(seed), "step": np.array(step)}


@every_engine
@every_case
def test_shape_is_as_declared_and_batches_do_not_matter(
    name: str, options: dict[str, Any], shape: Shape, out_shape: Shape, engine: Engine
) -> None:
    layer = built(name, options, shape)
    program, y, _ = written(layer, shape)
    assert y.shape == (BATCH, *out_shape)
    g.check(program)
    x = examples(7, shape, name)
    whole = run_once(engine, program, values(layer, x), 7)["y"]
    assert whole.shape == (7, *out_shape)
    for rows in (1, 2):
        assert_close(run_once(engine, program, values(layer, x[:rows]), rows)["y"], whole[:rows], engine)
    other = x.copy()
    other[1:] += 1
    np.testing.assert_array_equal(run_once(engine, program, values(layer, other), 7)["y"][0], whole[0])


@every_case
def test_configuration_goes_round(name: str, options: dict[str, Any], shape: Shape, out_shape: Shape) -> None:
    layer = LAYERS.get(name)(**options, name="it", trainable=False)
    config = json.loads(json.dumps(layer.to_config()))
    again = Layer.from_config(config)
    assert type(again) is type(layer) and again.to_config() == config == layer.get_config()
    assert again.name == "it" and again.trainable is False
    for made in (layer, again):
        made.build(shape, RandomStream(9, 1))
    for a, b in zip(layer.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


@every_case
@pytest.mark.parametrize("training", [False, True])
def test_slopes_against_differences(
    name: str, options: dict[str, Any], shape: Shape, out_shape: Shape, training: bool
) -> None:
    layer = built(name, options, shape)
    program, y, context = written(layer, shape, training)
    loss = g.sum(g.sin(y) + y * y)
    for penalty in context.losses:
        loss = loss + penalty
    named = values(layer, examples(3, shape, name))
    feeds = {t: named[t.name] for t in (*program.inputs, *program.states)}
    learned = [t for t, v in zip(program.states, layer.variables, strict=True) if v.declared.trainable]
    assert_gradients(loss, [program.inputs[0], *learned], feeds, 3)


@every_case
def test_a_layer_cannot_be_changed(name: str, options: dict[str, Any], shape: Shape, out_shape: Shape) -> None:
    layer = built(name, options, shape)
    for field in dataclasses.fields(layer):
        if field.name in type(layer).assignable:
            setattr(layer, field.name, False)
            continue
        with pytest.raises(FrozenError, match=r"dataclasses\.replace"):
            setattr(layer, field.name, None)
    with pytest.raises(FrozenError):
        layer.something = 1  # type: ignore[attr-defined]
    before = layer.get_weights()
    copy = dataclasses.replace(layer, name="other")
    assert copy.name == "other" and copy.variables == []
    copy.build(shape, RandomStream(1, 1))
    for a, b in zip(before, layer.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


@every_case
def test_weights(name: str, options: dict[str, Any], shape: Shape, out_shape: Shape) -> None:
    layer, again, other = (built(name, options, shape, seed) for seed in (4, 4, 5))
    declared = list(layer.parameters(shape))
    assert [v.shape for v in layer.variables] == [p.shape for p in declared]
    assert layer.count_params() == sum(math.prod(p.shape) for p in declared)
    for a, b in zip(layer.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    if name in ("Dense", "Conv2D"):
        assert not np.array_equal(layer.get_weights()[0], other.get_weights()[0])
    fresh = [w + 1 for w in layer.get_weights()]
    layer.set_weights(fresh)
    for a, b in zip(layer.get_weights(), fresh, strict=True):
        np.testing.assert_array_equal(a, b)
    for copy in layer.get_weights():
        copy[...] = 99
    for a, b in zip(layer.get_weights(), fresh, strict=True):
        np.testing.assert_array_equal(a, b)
    with pytest.raises(ShapeError, match="weight arrays"):
        layer.set_weights([*fresh, np.zeros(2)])
    if fresh:
        with pytest.raises(ShapeError, match="has shape"):
            layer.set_weights([np.zeros((*w.shape, 2)) for w in fresh])
    if fresh and "axis" not in options and name != "Embedding":
        with pytest.raises(ShapeError, match=r"dataclasses\.replace"):
            layer.build((*shape[:-1], shape[-1] * 2), RandomStream(0, 1))
    layer.trainable = False
    assert layer.trainable_variables == []
    assert layer.built and LAYERS.get(name)(**options).built == (not declared), (
        "what learns is built once its shape is known"
    )


@every_case
def test_training_and_inference(name: str, options: dict[str, Any], shape: Shape, out_shape: Shape) -> None:
    """Layers that ask for chance differ between the two, and chance is a function of seed and step.

    So does batch normalization, which asks for none.
    """
    layer, engine = built(name, options, shape), Reference("float64")
    x = examples(5, shape, name)
    calm, _, _ = written(layer, shape)
    lively, _, _ = written(layer, shape, training=True)
    rest = run_once(engine, calm, values(layer, x), 5)["y"]
    first, same, later, other = (
        run_once(engine, lively, values(layer, x, seed, step), 5)["y"]
        for seed, step in ((1, 0), (1, 0), (1, 1), (2, 0))
    )
    np.testing.assert_array_equal(first, same)
    is_random = any(node.op.name == "random_uniform" for node in lively.order)
    assert is_random == draws(name, options)
    for different in (later, other):
        assert np.array_equal(different, first) == (not is_random)
    has_statistics = "BatchNormalization" in (name, options.get("layer", {}).get("class"))
    assert np.array_equal(rest, first) == (not is_random and not has_statistics)
    assert not any(node.op.name == "random_uniform" for node in calm.order)


@every_case
def test_simplify_keeps_every_bit(name: str, options: dict[str, Any], shape: Shape, out_shape: Shape) -> None:
    layer = built(name, options, shape)
    program, _, _ = written(layer, shape, training=True)
    simple = simplify(program)
    g.check(simple)
    named = values(layer, examples(3, shape, name))
    feeds = {t: named[t.name] for t in (*program.inputs, *program.states)}
    for precision in ("float32", "float64"):
        cast = {t: v.astype(g.numpy_dtype(t.dtype, precision)) for t, v in feeds.items()}
        before, after = (
            g.evaluate(p.results, cast, 3, precision)[p.results[0]] for p in (program, simplify(program, precision))
        )
        np.testing.assert_array_equal(before, after)


# ── layer by layer ────────────────────────────────────────────────────────────────────────────────────────


def apply(layer: Layer, x: Array, training: bool = False, seed: int = 0, step: int = 0) -> Array:
    program, _, _ = written(layer, x.shape[1:], training)
    return run_once(Reference("float64"), program, values(layer, x, seed, step), len(x))["y"]


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.8])
def test_dropout_drops_its_part_and_keeps_the_mean(rate: float) -> None:
    y = apply(built("Dropout", {"rate": rate}, (500,)), np.ones((200, 500)), training=True)
    assert set(np.unique(y)) == {0.0, 1 / (1 - rate)}
    n = y.size
    assert abs((y == 0).mean() - rate) < 4 * math.sqrt(rate * (1 - rate) / n)
    assert abs(y.mean() - 1) < 4 * math.sqrt(rate / (1 - rate) / n)
    for axis, other in ((0, 500), (1, 200)):  # each column and each row loses about its part
        spread = np.abs((y == 0).mean(axis) - rate).max()
        assert spread < 5.5 * math.sqrt(rate * (1 - rate) / (n // other))


def test_a_dropout_mask_is_a_function_of_seed_stream_step_and_position() -> None:
    layer, rate = built("Dropout", {"rate": 0.3}, (4,)), 0.3
    mask = apply(layer, np.ones((6, 4)), True, seed=123456789012345, step=17) != 0
    stream = 2  # the first that a Context gives away
    bits = random_bits(key_of(123456789012345), stream, 17, 24)
    np.testing.assert_array_equal(mask, (uniform_from_bits(bits) >= rate).reshape(6, 4))
    for rows in (1, 5):  # position counts from the first row of the batch, however many follow
        np.testing.assert_array_equal(apply(layer, np.ones((rows, 4)), True, 123456789012345, 17) != 0, mask[:rows])
    two = [built("Dropout", {"rate": 0.3}, (40,)), built("Dropout", {"rate": 0.3}, (40,))]
    x = g.input_tensor("x", (BATCH, 40))
    seed, step = g.input_tensor("seed", (2,), "uint"), g.input_tensor("step", (), "uint")
    context = Context(True, seed, step)
    a, b = (layer.write(x, {}, context) for layer in two)
    feeds = {x: np.ones((9, 40)), seed: key_of(1), step: np.array(0, np.uint32)}
    found = g.evaluate([a, b], feeds, 9)
    assert not np.array_equal(found[a], found[b]), "two layers have streams of their own"


def test_noise_shape_shares_decisions() -> None:
    y = apply(built("Dropout", {"rate": 0.5, "noise_shape": (None, 1, 3)}, (8, 3)), np.ones((20, 8, 3)), True)
    assert (y == y[:, :1]).all() and 0.2 < (y == 0).mean() < 0.8


def test_normalization_against_keras() -> None:
    keras = oracle("keras")
    data = np.random.default_rng(2).normal(3, 5, (40, 4, 3)).astype(np.float32)
    for axis in (-1, None, (1, 2), 1):
        ours, theirs = LAYERS.get("Normalization")(axis=axis), keras.layers.Normalization(axis=axis)
        ours.adapt(data)
        theirs.adapt(data)
        expected = keras.ops.convert_to_numpy(theirs(data))
        np.testing.assert_allclose(apply(ours, data.astype(float)), expected, 1e-4, 1e-5, err_msg=str(axis))
    with pytest.raises(UsageError, match="finite"):
        LAYERS.get("Normalization")().adapt(np.array([[np.nan]]))
    constant = LAYERS.get("Normalization")()
    constant.adapt(np.ones((5, 2)))
    assert np.isfinite(apply(constant, np.ones((3, 2)))).all(), "a column that never varies is no division by 0"


@pytest.mark.parametrize("shape", [(5,), (3, 5)])
def test_dense_is_x_w_plus_b(shape: Shape) -> None:
    layer = built("Dense", {"units": 4, "bias_initializer": "random_normal"}, shape)
    w, b = layer.get_weights()
    x = examples(6, shape)
    np.testing.assert_allclose(apply(layer, x), np.einsum("...i,io->...o", x, w) + b, 1e-12)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: LAYERS.get("Dense")(0), "units must be"),
        (lambda: LAYERS.get("Dense")(2.5), "units must be"),
        (lambda: LAYERS.get("Dropout")(1.0), r"rate must be a number in \[0, 1\)"),
        (lambda: LAYERS.get("Dropout")(-0.1), r"rate must be a number in \[0, 1\)"),
        (lambda: LAYERS.get("InputLayer")((2, 0)), "whole numbers above 0"),
        (lambda: LAYERS.get("Dense")(3, activation="rlu"), "did you mean 'relu'"),
        (lambda: LAYERS.get("Dense")(3, kernel_initializer="glorot"), "unknown initializer"),
        (lambda: LAYERS.get("Conv2D")(0, 3), "Conv2D: filters must be"),
        (lambda: LAYERS.get("Conv2D")(4, 0), "kernel_size must be a whole number, 1 or above, or two"),
        (lambda: LAYERS.get("Conv2D")(4, (3, 3, 3)), "kernel_size must be"),
        (lambda: LAYERS.get("Conv2D")(4, "3"), "kernel_size must be"),
        (lambda: LAYERS.get("Conv2D")(4, 3, strides=(1, 0)), "strides must be"),
        (lambda: LAYERS.get("Conv2D")(4, 3, dilation_rate=1.5), "dilation_rate must be"),
        (lambda: LAYERS.get("Conv2D")(4, 3, padding="full"), "padding must be 'valid'"),
        (lambda: LAYERS.get("Conv2D")(4, 3, data_format="channels_first"), "moveaxis"),
        (lambda: LAYERS.get("Conv2D")(4, 3, groups=3), "groups must divide filters; got 4 filters, 3 groups"),
        (lambda: LAYERS.get("MaxPooling2D")(0), "pool_size must be"),
        (lambda: LAYERS.get("MaxPooling2D")(2, -1), "strides must be"),
        (lambda: LAYERS.get("MaxPooling2D")(2, data_format="channels_first"), "data_format must be"),
        (lambda: LAYERS.get("Conv1D")(4, (3, 3)), "kernel_size must be a whole number, 1 or above; got"),
        (lambda: LAYERS.get("Conv2D")(4, 3, padding="causal"), "padding must be 'valid'"),
        (lambda: LAYERS.get("Conv2DTranspose")(4, 3, strides=2, dilation_rate=2), "strides or dilation_rate must be 1"),
        (lambda: LAYERS.get("Conv2DTranspose")(4, 3, output_padding=-1), "output_padding must be"),
        (lambda: LAYERS.get("DepthwiseConv2D")(3, depth_multiplier=0), "DepthwiseConv2D: depth_multiplier must be"),
        (lambda: LAYERS.get("AveragePooling1D")("2"), "pool_size must be"),
        (lambda: LAYERS.get("ZeroPadding2D")((1, 2, 3)), "padding must be a number"),
        (lambda: LAYERS.get("ZeroPadding1D")(-1), "padding must be a whole number, 0 or above"),
        (lambda: LAYERS.get("Cropping2D")(((1, 2), -1)), "cropping must be a whole number, 0 or above"),
        (lambda: LAYERS.get("UpSampling1D")(0), "UpSampling1D: size must be"),
        (lambda: LAYERS.get("UpSampling2D")(interpolation="cubic"), "interpolation must be 'nearest' or 'bilinear'"),
        (lambda: LAYERS.get("Permute")((0, 1)), "dims must be whole numbers, 1 or above"),
        (lambda: LAYERS.get("Permute")((1, 3)), "dims must be an order"),
        (lambda: LAYERS.get("RepeatVector")(0), "n must be"),
        (lambda: LAYERS.get("ReLU")(negative_slope=-1), r"ReLU: negative_slope must be a number in \[0, inf\)"),
        (lambda: LAYERS.get("LeakyReLU")(-0.1), r"negative_slope must be a number in \[0, inf\)"),
        (lambda: LAYERS.get("RReLU")(0.5, 0.2), "0 ≤ lower ≤ upper"),
        (lambda: LAYERS.get("PReLU")(shared_axes=[0, 1]), "shared_axes: one axis of an example or several"),
        (lambda: LAYERS.get("LeakyReLU")(None), "LeakyReLU: negative_slope must be a finite number; got None"),
        (lambda: LAYERS.get("ELU")(float("nan")), "ELU: alpha must be a finite number; got nan"),
        (lambda: LAYERS.get("Dense")(True), "Dense: units must be a number in {1, 2"),
        (lambda: LAYERS.get("Dropout")(0.1, seed="a"), "Dropout: seed must be a whole number"),
        (lambda: LAYERS.get("Dropout")(0.1, noise_shape=3), "noise_shape must have a whole number or None"),
        (lambda: LAYERS.get("Softmax")(()), "axis: one axis of an example or several"),
        (lambda: LAYERS.get("LayerNormalization")(axis=0), "the batch axis"),
        (lambda: LAYERS.get("Reshape")((-2, -2)), "target_shape must be whole numbers, -1 or above"),
        (lambda: LAYERS.get("Reshape")((2.5, 2)), "target_shape must be whole numbers"),
        (lambda: LAYERS.get("Rescaling")("a"), "scale must be a finite number or an array"),
        (lambda: LAYERS.get("Normalization")(variance=-1.0), "variance must not be below 0"),
        (lambda: LAYERS.get("Normalization")(mean=float("nan")), "mean must be a finite number"),
        (lambda: LAYERS.get("ActivityRegularization")(l1=-0.1), "l1 must be a number"),
        (lambda: LAYERS.get("Dot")((1, 2, 1)), "Dot: axes is one axis, or one of each input"),
        (lambda: LAYERS.get("Conv2DTranspose")(1, 3, output_padding=1), "output_padding must be below strides"),
        (lambda: LAYERS.get("TimeDistributed")(None), "TimeDistributed takes a layer"),
        (lambda: LAYERS.get("LayerNormalization")(epsilon=-1), "LayerNormalization: epsilon must be a number"),
        (lambda: LAYERS.get("GroupNormalization")(groups=0), "groups must be a whole number above 0, or -1"),
        (lambda: LAYERS.get("Embedding")(0, 3), "Embedding: input_dim must be"),
        (lambda: LAYERS.get("GaussianNoise")(-1.0), "stddev must be a number"),
        (lambda: LAYERS.get("AlphaDropout")(1.0), r"AlphaDropout: rate must be a number in \[0, 1\)"),
        (lambda: LAYERS.get("RandomTranslation")(1.5, 0), "height_factor must be a number, or two, from -1 to 1"),
        (lambda: LAYERS.get("RandomRotation")(0.1, fill_mode="mirror"), "fill_mode must be one of reflect, wrap"),
        (lambda: LAYERS.get("RandomZoom")(0.1, interpolation="cubic"), "interpolation must be one of"),
        (lambda: LAYERS.get("RandomFlip")("sideways"), "mode must be one of horizontal"),
        (lambda: LAYERS.get("RandomContrast")(-0.5), "factor must be a number, or two, from 0 to 1"),
        (lambda: LAYERS.get("RandomBrightness")(0.5, value_range=(1,)), "value_range must be"),
        (lambda: LAYERS.get("BatchNormalization")(axis=0), "axis is one axis"),
        (lambda: LAYERS.get("BatchNormalization")(axis=(1, 2)), "axis is one axis"),
        (lambda: LAYERS.get("BatchNormalization")(momentum=1.5), r"momentum must be a number in \[0, 1\]"),
        (lambda: LAYERS.get("BatchNormalization")(epsilon=-1e-3), "BatchNormalization: epsilon must be a number"),
    ],
)
def test_bad_arguments(make: Callable[[], Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


def test_shapes_that_do_not_fit_name_the_layer() -> None:
    reshape = built("Reshape", {"target_shape": (5,)}, (2, 3))
    with pytest.raises(ShapeError, match="layer 'it': Reshape cannot put 6 numbers"):
        written(reshape, (2, 3))
    dense = built("Dense", {"units": 4}, (3,))
    with pytest.raises(ShapeError, match="layer 'it', given"):
        written(dense, (5,))


@pytest.mark.parametrize(
    ("name", "options", "shape", "message"),
    [
        ("Conv2D", {"filters": 2, "kernel_size": 3}, (28, 28), r"add a channel axis: Reshape\(\(28, 28, 1\)\)"),
        (
            "Conv2D",
            {"filters": 2, "kernel_size": 3},
            (784,),
            r"needs examples of \(height, width, channels\); got \[784\]",
        ),
        (
            "Conv2D",
            {"filters": 2, "kernel_size": 3},
            (2, 5, 1),
            "window of 3 x 3 is larger than its input of 2 x 5: take a",
        ),
        (
            "Conv2D",
            {"filters": 2, "kernel_size": 2, "dilation_rate": (1, 4)},
            (4, 4, 1),
            r"window of 2 x 5 \(2 x 2, 1 and 4 apart\) is larger than its input of 4 x 4",
        ),
        ("Conv2D", {"filters": 2, "kernel_size": 2, "groups": 2}, (4, 4, 3), "groups must divide the channels; got 3"),
        ("MaxPooling2D", {}, (28, 28), r"add a channel axis: Reshape\(\(28, 28, 1\)\)"),
        ("MaxPooling2D", {}, (1, 4, 2), "window of 2 x 2 is larger than its input of 1 x 4"),
        ("Conv1D", {"filters": 2, "kernel_size": 3}, (7,), r"add a channel axis: Reshape\(\(7, 1\)\)"),
        ("Conv1D", {"filters": 2, "kernel_size": 9}, (7, 1), "window of 1 x 9 is larger than its input of 1 x 7"),
        ("AveragePooling2D", {"pool_size": 3}, (4, 2, 1), "window of 3 is larger than its input, 2 along axis 2"),
        ("GlobalMaxPooling2D", {}, (4, 2), r"needs examples of \(height, width, channels\)"),
        ("Cropping2D", {"cropping": 2}, (4, 5, 1), "leaves nothing of"),
        ("Permute", {"dims": (2, 1)}, (3,), "cannot order the axes"),
        ("RepeatVector", {"n": 2}, (3, 2), r"needs examples of \(features,\)"),
        ("PReLU", {"shared_axes": 3}, (3,), "axis 3 is no axis of examples with 1"),
        ("Normalization", {"axis": 5}, (3,), "axis 5 is no axis of examples with 1"),
        ("Dropout", {"rate": 0.5, "noise_shape": (None, 2)}, (3,), r"noise_shape has 1, None or the length"),
        ("AlphaDropout", {"rate": 0.5, "noise_shape": (None, 1, 1)}, (3,), r"noise_shape has 1, None or the length"),
        ("Softmax", {"axis": 2}, (3,), "axis 2 is no axis of examples"),
        ("GroupNormalization", {"groups": 2}, (3,), "groups must divide the channels; got 3"),
        ("RandomFlip", {}, (28, 28), r"add a channel axis: Reshape\(\(28, 28, 1\)\)"),
        ("BatchNormalization", {"axis": 2}, (5,), "axis 2 is no axis of examples with 1"),
        ("BatchNormalization", {"axis": -2}, (5,), "axis -2 is no axis of examples with 1"),
    ],
)
def test_pictures_that_do_not_fit(name: str, options: dict[str, Any], shape: Shape, message: str) -> None:
    with pytest.raises(ShapeError, match=f"layer 'it'.*{message}"):
        written(built(name, options, shape), shape)


def test_a_number_that_has_no_row_shows() -> None:
    y = apply(built("Embedding", {"input_dim": 3, "output_dim": 2}, (4,)), np.array([[0.0, 2.0, 3.0, -1.0]]))
    np.testing.assert_array_equal(np.isnan(y[0]).all(1), [False, False, True, True])


def test_rrelu_draws_its_slopes_in_training_and_takes_their_middle_else() -> None:
    layer, x = built("RReLU", {"lower": 0.2, "upper": 0.6}, (100,)), -np.ones((200, 100))
    slopes = -apply(layer, x, training=True)
    assert 0.2 <= slopes.min() < 0.201 and 0.599 < slopes.max() < 0.6
    assert abs(slopes.mean() - 0.4) < 4 * 0.4 / math.sqrt(12 * slopes.size) and len(np.unique(slopes)) > 19_000
    np.testing.assert_array_equal(apply(layer, -x, training=True), -x)
    own = [apply(built("RReLU", {"seed": 7}, (100,)), x, True, seed) for seed in (1, 2)]
    np.testing.assert_array_equal(*own)  # whatever the model's
    torch = oracle("torch")
    x = examples(5, (7,))
    theirs = torch.nn.RReLU(0.2, 0.6).eval()(torch.tensor(x))
    np.testing.assert_allclose(apply(built("RReLU", {"lower": 0.2, "upper": 0.6}, (7,)), x), theirs, 1e-12)
