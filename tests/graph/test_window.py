"""Windows: against PyTorch, twice differentiated, which element of a window wins, padding, and what does not fit."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from conformance.differences import assert_gradients
from support import oracle
from talweg import graph as g
from talweg.errors import GraphError, ShapeError, UsageError
from talweg.gradient import gradient
from talweg.graph import BATCH, TABLE, Array, Tensor

RANDOM = np.random.default_rng(3)


def picture(*shape: Any, name: str = "x") -> Tensor:
    return g.input_tensor(name, shape)


def value_and_slopes(y: Tensor, feeds: dict[Tensor, Array], weight: Array, rows: int) -> list[Array]:
    """y, and the slopes of Σ weight · y along what is fed, in float64."""
    slopes = gradient(g.sum(y * g.constant(weight)), list(feeds))
    values = g.evaluate([y, *slopes], feeds, rows, "float64")
    return [values[t] for t in (y, *slopes)]


@pytest.mark.parametrize("groups", [1, 2, 4])
@pytest.mark.parametrize("dilation", [1, (2, 1)])
@pytest.mark.parametrize(
    ("strides", "padding"),
    # PyTorch has no "same" with strides: that is held against Keras, below
    [(1, "valid"), (1, "same"), (1, ((1, 1), (2, 2))), ((2, 3), "valid"), ((2, 3), ((1, 1), (2, 2)))],
)
def test_conv2d_against_pytorch(groups: int, dilation: Any, strides: Any, padding: Any) -> None:
    torch = oracle("torch")
    x, kernel = RANDOM.normal(size=(3, 9, 8, 4)), RANDOM.normal(size=(3, 2, 4 // groups, 8))
    theirs_x, theirs_k = (torch.tensor(a, requires_grad=True) for a in (x, kernel))
    rows_first = theirs_x.permute(0, 3, 1, 2), theirs_k.permute(3, 2, 0, 1)
    how = {"stride": strides, "dilation": dilation, "groups": groups}
    edges = padding if isinstance(padding, str) else tuple(p[0] for p in padding)
    expected = torch.nn.functional.conv2d(*rows_first, padding=edges, **how).permute(0, 2, 3, 1)
    weight = RANDOM.normal(size=expected.shape)
    slopes = torch.autograd.grad((expected * torch.tensor(weight)).sum(), (theirs_x, theirs_k))

    a, b = picture(3, 9, 8, 4), picture(*kernel.shape, name="k")
    y = g.conv2d(a, b, strides, padding, dilation, groups)
    found = value_and_slopes(y, {a: x, b: kernel}, weight, 3)
    for ours, theirs in zip(found, (expected, *slopes), strict=True):
        np.testing.assert_allclose(ours, theirs.detach().numpy(), 1e-11, 1e-12)


@pytest.mark.parametrize(("size", "strides"), [(2, None), (3, 1), ((3, 2), (1, 2)), (2, 3)])
def test_max_pool2d_against_pytorch_also_where_elements_are_equal(size: Any, strides: Any) -> None:
    torch = oracle("torch")
    x = RANDOM.integers(0, 3, (4, 7, 6, 3)).astype(float)  # many ties
    theirs_x = torch.tensor(x, requires_grad=True)
    expected = torch.nn.functional.max_pool2d(theirs_x.permute(0, 3, 1, 2), size, strides).permute(0, 2, 3, 1)
    weight = RANDOM.normal(size=expected.shape)
    [slope] = torch.autograd.grad((expected * torch.tensor(weight)).sum(), [theirs_x])
    a = picture(4, 7, 6, 3)
    y, ours = value_and_slopes(g.max_pool2d(a, size, strides), {a: x}, weight, 4)
    np.testing.assert_array_equal(y, expected.detach().numpy())
    np.testing.assert_allclose(ours, slope.numpy(), 1e-12, 1e-14)


@pytest.mark.parametrize("strides", [(1, 1), (2, 2), (3, 2), (2, 4)])
@pytest.mark.parametrize(("height", "width"), [(7, 6), (5, 9), (4, 4)])
def test_same_padding_is_keras_s(height: int, width: int, strides: tuple[int, int]) -> None:
    keras = oracle("keras")
    x = RANDOM.normal(size=(2, height, width, 2)).astype(np.float32) - 5  # below 0: a pool padded with 0 would show
    kernel = RANDOM.normal(size=(3, 2, 2, 4)).astype(np.float32)
    a, k = picture(BATCH, height, width, 2), picture(*kernel.shape, name="k")
    convolved, pooled = g.conv2d(a, k, strides, "same"), g.max_pool2d(a, (3, 2), strides, "same")
    found = g.evaluate([convolved, pooled], {a: x, k: kernel}, 2)
    assert convolved.shape[1:3] == tuple(math.ceil(n / s) for n, s in zip((height, width), strides, strict=True))
    theirs = keras.ops.conv(x, kernel, strides, "same"), keras.ops.max_pool(x, (3, 2), strides, "same")
    for ours, expected in zip((convolved, pooled), theirs, strict=True):
        np.testing.assert_allclose(found[ours], keras.ops.convert_to_numpy(expected), 1e-4, 1e-4)


@pytest.mark.parametrize("groups", [1, 2])
def test_a_convolution_can_be_differentiated_twice(groups: int) -> None:
    """Slopes of the squares of slopes, against differences of slopes: each of the three rules is used on the others."""
    x, k = picture(BATCH, 4, 5, 2), picture(2, 3, 2 // groups, 2, name="k")
    y = g.conv2d(x, k, (2, 1), dilation=(2, 1), groups=groups)
    slopes = gradient(g.sum(y * y * y), [x, k])
    penalty = g.sum(g.sin(slopes[0])) + g.sum(slopes[1] * slopes[1]) * 0.1
    feeds = {x: RANDOM.uniform(-0.5, 0.5, (2, 4, 5, 2)), k: RANDOM.uniform(-0.5, 0.5, k.shape)}
    assert_gradients(penalty, [x, k], feeds, 2)


@pytest.mark.parametrize("strides", [1, 2])
def test_pooling_can_be_differentiated_twice(strides: int) -> None:
    x = picture(BATCH, 4, 4, 2)
    y = g.max_pool2d(x * x, 2, strides)
    [slope] = gradient(g.sum(y * y), [x])
    feeds = {x: (RANDOM.permutation(64) / 64 + 0.1).reshape(2, 4, 4, 2)}
    assert_gradients(g.sum(g.sin(slope)), [x], feeds, 2)


def winners(x: list[list[float]], size: int = 2) -> tuple[Array, Array, Array]:
    """The maximum of each window, where its gradient of 1 goes, and what comes back from there the second time."""
    values = np.array(x)[None, :, :, None]
    a, h, one = picture(*values.shape), picture(*values.shape, name="h"), picture(1, 1, 1, 1, name="one")
    y = g.max_pool2d(a, size)
    sent = TABLE["max_pool2d_gradient"](one, a, y, size=(size, size), strides=(size, size))
    [back] = gradient(g.sum(sent * h), [one])
    numbered = np.arange(values.size, dtype=float).reshape(values.shape)
    found = g.evaluate([y, sent, back], {a: values, h: numbered, one: np.ones((1, 1, 1, 1))})
    return found[y].squeeze(), found[sent].squeeze(), found[back].squeeze()


@pytest.mark.parametrize(
    ("x", "best", "place"),
    [
        ([[1.0, 2.0], [2.0, 0.0]], 2.0, 1),
        ([[3.0, 3.0], [3.0, 3.0]], 3.0, 0),
        ([[0.0, math.nan], [math.nan, 9.0]], math.nan, 1),
        ([[math.inf, 1.0], [0.0, math.nan]], math.nan, 3),
        ([[-math.inf, -math.inf], [-math.inf, -math.inf]], -math.inf, 0),
    ],
)
def test_the_first_of_the_largest_wins_and_nan_is_the_largest(x: list[list[float]], best: float, place: int) -> None:
    y, sent, back = winners(x)
    np.testing.assert_array_equal(y, best)
    np.testing.assert_array_equal(sent.ravel(), np.arange(4) == place)
    assert back == place, "the second gradient is read where the first one went"


def test_what_does_not_win_receives_nothing() -> None:
    """Also where what comes back is infinite: 0 · ∞ must not appear."""
    a = picture(1, 2, 2, 1)
    [slope] = gradient(g.sum(g.max_pool2d(a) * math.inf), [a])
    sent = g.evaluate([slope], {a: np.arange(4.0).reshape(1, 2, 2, 1)})[slope]
    np.testing.assert_array_equal(sent.ravel(), [0, 0, 0, np.inf])


def test_padding_is_written_only_where_there_is_some() -> None:
    x, k = picture(BATCH, 6, 6, 1), picture(3, 3, 1, 2, name="k")
    assert g.conv2d(x, k).inputs[0] is x
    assert g.max_pool2d(x, 2, padding="same").inputs[0] is x, "6 is a multiple of 2"
    assert g.conv2d(x, k, padding=((0, 0), (0, 0))).inputs[0] is x
    padded = g.conv2d(x, k, 2, "same").inputs[0]
    assert padded.op.name == "pad" and padded.attributes["padding"] == ((0, 0, 0), (0, 1, 0), (0, 1, 0), (0, 0, 0))
    pooled = g.max_pool2d(x, 3, 1, padding="same").inputs[0]
    assert pooled.attributes["value"] == -math.inf


X, K, G = picture(BATCH, 6, 5, 4), picture(3, 3, 4, 8, name="k"), picture(BATCH, 4, 3, 8, name="g")
HOW: dict[str, Any] = {"strides": (1, 1), "dilation": (1, 1), "groups": 1}


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (lambda: g.conv2d(X, picture(7, 2, 4, 1)), "window of 7 x 2 is larger than its input of 6 x 5.*padding='same'"),
        (lambda: g.conv2d(X, K, dilation=3), r"window of 7 x 7 \(3 x 3, 3 and 3 apart\) is larger"),
        (lambda: g.conv2d(X, picture(3, 3, 3, 8)), r"kernel of \[3, 3, 3, 8\] reads 3 channels; the input has 4"),
        (lambda: g.conv2d(X, K, groups=2), r"reads 4 channels of each of 2 groups; the input has 4"),
        (lambda: g.conv2d(X, picture(3, 3, 1, 6), groups=4), "6 outputs cannot be made in 4 groups"),
        (lambda: g.conv2d(X, K, groups=0), "0 groups"),
        (lambda: g.conv2d(X, picture(3, 3, 4)), r"kernel must be \(height, width, inputs / groups, outputs\)"),
        (lambda: g.conv2d(picture(BATCH, 6, 6), K), r"input must be \(batch, height, width, channels\); got"),
        (lambda: g.conv2d(picture(BATCH, 6, 6), K, padding="same"), r"input must be \(batch, height"),
        (lambda: g.max_pool2d(picture(6, BATCH, 5, 4)), r"input must be \(batch, height"),
        (lambda: g.max_pool2d(X, (2, 6)), "window of 2 x 6 is larger than its input of 6 x 5"),
        (lambda: TABLE["conv2d"](X, K, **HOW | {"strides": (0, 1)}), "must be whole numbers above 0"),
        (lambda: TABLE["conv2d_input_gradient"](G, K, **HOW, shape=(7, 5)), r"must be \[5, 3, 8\]; got \[4, 3, 8\]"),
        (lambda: TABLE["conv2d_kernel_gradient"](X, G, **HOW, shape=(2, 3)), r"must begin with \[batch, 5, 3\]"),
        (lambda: TABLE["conv2d_kernel_gradient"](X, G, **HOW | {"groups": 3}, shape=(3, 3)), "3 groups must divide 4"),
        (lambda: TABLE["max_pool2d_gradient"](X, X, X, size=(2, 2), strides=(2, 2)), r"shape \[batch, 3, 2, 4\]"),
    ],
)
def test_shapes_that_do_not_fit(write: Callable[[], Any], message: str) -> None:
    with pytest.raises(ShapeError, match=message):
        write()


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (lambda: g.conv2d(X, K, strides=0), "strides must be a whole number above 0, or two"),
        (lambda: g.conv2d(X, K, dilation=(1, 2, 3)), "dilation must be"),
        (lambda: g.max_pool2d(X, "2"), "size must be"),
        (lambda: g.max_pool2d(X, True), "size must be"),
        (lambda: g.conv2d(X, K, padding="full"), "padding must be 'valid', 'same' or"),
    ],
)
def test_arguments_that_make_no_sense(write: Callable[[], Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        write()


def test_windows_are_of_floats() -> None:
    with pytest.raises(GraphError, match="must be float"):
        g.max_pool2d(g.input_tensor("i", (BATCH, 4, 4, 1), "uint8"))
