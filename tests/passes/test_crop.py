"""Crop: each rule against the program as it was written; what has to stay; that no work is added and once is enough."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterable
from typing import Any
from unittest import mock

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import talweg
from talweg import graph as g
from talweg.gradient import gradient
from talweg.graph import BATCH, TABLE, Array, Program, Shape, Tensor, evaluate, input_tensor
from talweg.passes import crop, simplify
from talweg.passes.crop import CONVOLUTIONS, COPIED, READS, ZERO_OF_ZERO

ROWS = 2


def picture(height: int, width: int, channels: int = 2, name: str = "x") -> Tensor:
    return input_tensor(name, (BATCH, height, width, channels))


def kernel(size: int, inputs: int, outputs: int, name: str = "k") -> Tensor:
    return input_tensor(name, (size, size, inputs, outputs))


def program_of(results: Iterable[Tensor]) -> Program:
    wanted = dict(enumerate(results))
    leaves = tuple(t for t in g.topological_order(wanted.values()) if t.is_leaf)
    return Program("p", leaves, (), {f"y{i}": t for i, t in wanted.items()}, {})


def drawn(program: Program, seed: int = 0) -> dict[Tensor, Array]:
    """A number for every element of every leaf; those of states, mean squares among them, above 0."""
    random = np.random.default_rng(seed)
    values: dict[Tensor, Array] = {}
    for t in (*program.inputs, *program.states):
        shape = [ROWS if d is BATCH else d for d in t.shape]
        values[t] = random.normal(size=shape) if t.dtype == "float" else random.integers(0, 10, shape)
        values[t] = np.abs(values[t]) * 0.1 if t in program.states and t.dtype == "float" else values[t]
    return values


def work(program: Program) -> int:
    """Multiplications of the convolutions in one row of the batch."""
    total = 0
    for n in (n for n in program.order if n.op.name in CONVOLUTIONS):
        window = n if n.op.name == "conv2d_kernel_gradient" else n.inputs[1]
        places = {"conv2d": n, "conv2d_input_gradient": n.inputs[0], "conv2d_kernel_gradient": n.inputs[1]}[n.op.name]
        total += math.prod(places.shape[1:3]) * math.prod(window.shape)  # type: ignore[arg-type]
    return total


def shapes(program: Program, *names: str) -> list[Shape]:
    return [n.shape for n in program.order if n.op.name in names]


def cropped(program: Program, precision: str = "float64", bound: float = 1e-10) -> Program:
    """The program after the pass, which means the same and does less where it is another, for good."""
    out = crop(program)
    g.check(out)
    assert (out.name, out.inputs, out.states) == (program.name, program.inputs, program.states)
    assert [(t.shape, t.dtype) for t in out.results] == [(t.shape, t.dtype) for t in program.results]
    assert crop(out) is out, "once is enough"
    assert out is program or work(out) < work(program)
    feeds = drawn(program)
    before, after = (evaluate(p.results, feeds, ROWS, precision) for p in (program, out))
    for a, b in zip(program.results, out.results, strict=True):
        off = np.max(np.abs(after[b] - before[a]), initial=0.0)
        assert off <= bound * (1 + np.max(np.abs(before[a]), initial=0.0)), (a, off)
    return out


def slopes(y: Tensor, *wrt: Tensor) -> list[Tensor]:
    """y, and how a sum that weighs all of its elements differently moves with each of `wrt`."""
    weights = input_tensor("weights", y.shape)
    return [y, *gradient(g.sum(g.square(y) * weights), wrt)]


# ── one rule after the other ──────────────────────────────────────────────────────────────────────────────

X, K = picture(13, 14), kernel(3, 2, 64)
Z = (BATCH, 11, 12, 64)  # of the convolution; pooled 2 x 2, it is read as 10 x 12

SEEN_THROUGH: dict[str, Callable[[Tensor], Tensor]] = {
    "nothing": lambda z: z,
    "relu": lambda z: g.where(z <= 0, 0.0, z),
    "elementwise": lambda z: -g.tanh(z) * z + 1.0,
    "bias": lambda z: z + input_tensor("bias", (64,)),
    "scale": lambda z: z * input_tensor("scale", (64,)) / 3.0,
    "a picture beside it": lambda z: z * input_tensor("beside", Z),
    "chance": lambda z: g.where(input_tensor("chance", Z) > 0.3, z, 0.0),
    "rows repeated": lambda z: z * input_tensor("rows", (11, 1, 1)),
    "turned and back": lambda z: g.transpose(g.transpose(z, (0, 2, 1, 3)) * 2.0, (0, 2, 1, 3)),
    "joined": lambda z: g.concat([z, g.exp(z)]),
    "zeros at the end": lambda z: g.pad(z, [(0, 0), (0, 1), (0, 2), (0, 0)], 2.0),
    "zeros between": lambda z: g.pad(z, [(0, 0), (1, 0, 1), (0, 1, 2), (0, 0)]),
    "more rows": lambda z: g.concat([z, input_tensor("more", (BATCH, 2, 12, 64))], 1) + input_tensor("bias", (64,)),
    "a part": lambda z: g.slice(z, [None, (0, 9, 2), (2, 9), None]),
}


@pytest.mark.parametrize("between", SEEN_THROUGH.values(), ids=SEEN_THROUGH)
@pytest.mark.parametrize(("size", "strides"), [(2, 2), (3, 3), (3, 2), (2, 3), (4, 5)])
def test_what_pooling_drops_is_not_computed(between: Callable[[Tensor], Tensor], size: int, strides: int) -> None:
    z = between(g.conv2d(X, K))
    y = g.max_pool2d(z, size, strides)
    out, back = cropped(program_of([y])), cropped(program_of(slopes(y, X, K)))
    if z.shape[:3] == Z[:3] and (size, strides) == (2, 2):
        assert shapes(out, "conv2d") == [(BATCH, 10, 12, 64)]
        assert work(back) <= 3 * work(out)
    assert all(len(shapes(back, name)) == 1 for name in CONVOLUTIONS), "nothing is computed twice"


def test_the_gradient_that_is_0_is_not_carried_on() -> None:
    y = g.max_pool2d(SEEN_THROUGH["relu"](g.conv2d(X, K) + input_tensor("bias", (64,))))
    out = cropped(program_of(slopes(y, X, K, next(t for t in g.topological_order([y]) if t.name == "bias"))))
    assert shapes(out, "max_pool2d_gradient") == [(BATCH, 10, 12, 64)]
    assert shapes(out, "conv2d_input_gradient") == [(BATCH, 12, 14, 2)]
    assert [n.inputs[0].shape for n in out.order if n.op.name == "conv2d_kernel_gradient"] == [(BATCH, 12, 14, 2)]
    assert (BATCH, 10, 12, 64) in [n.inputs[0].shape for n in out.order if n.op.name == "sum"]
    assert shapes(out, "pad") == [X.shape], "the gradient along x, a result"


def test_strides_that_leave_rows_over_crop_what_is_before() -> None:
    """The second convolution reads 12 x 12 of the 13 x 12 that the first could make."""
    y = g.conv2d(g.tanh(g.conv2d(picture(15, 14), kernel(3, 2, 32))), kernel(4, 32, 8, "k2"), strides=4)
    out = cropped(program_of([y]))
    assert shapes(out, "conv2d") == [(BATCH, 12, 12, 32), (BATCH, 3, 3, 8)]


def test_a_border_of_which_only_the_beginning_is_read() -> None:
    z = g.conv2d(X, K)
    border = g.slice(g.pad(z, [(0, 0), (11, 0), (0, 0), (0, 0)]), [None, (0, 11), None, None])
    out = cropped(program_of([g.max_pool2d(z + border)]))
    assert shapes(out, "conv2d") == [(BATCH, 10, 12, 64)]


def test_two_readers_of_which_one_needs_it_whole() -> None:
    z = g.tanh(g.conv2d(X, K))
    out = cropped(program_of([g.max_pool2d(z), g.sum(z, (1, 2))]))
    assert shapes(out, "conv2d") == [Z] and not shapes(out, "slice")
    out = cropped(program_of([g.max_pool2d(z), g.max_pool2d(z, 3)]))
    assert shapes(out, "conv2d") == [(BATCH, 10, 12, 64)], "as far as the two together"


def test_a_copy_stays_only_where_a_convolution_is_spared_more() -> None:
    """Of 11 x 11 places a window of 1 needs 10 x 10 of x copied: 21 places are spared, each of which is `outputs`."""
    for outputs, is_worth_it in ((COPIED * 100 // 21 + 1, True), (COPIED * 100 // 21 - 1, False)):
        program = program_of([g.max_pool2d(g.conv2d(picture(11, 11, 1), kernel(1, 1, outputs)))])
        assert (cropped(program) is not program) == is_worth_it


def test_no_element_of_chance_moves() -> None:
    seed, step = input_tensor("seed", (2,), "uint"), input_tensor("step", (), "uint")
    chance = g.random_uniform(seed, step, Z, stream=1)
    out = cropped(program_of([g.max_pool2d(g.where(chance > 0.5, g.conv2d(X, K), 0.0))]))
    assert shapes(out, "conv2d") == [(BATCH, 10, 12, 64)] and shapes(out, "random_uniform") == [Z]


def test_nan_where_nobody_reads_is_not_met() -> None:
    """Only the windows of row 10, which is dropped, reach row 12 of x: in the gradient 0 · NaN is left out."""
    program = program_of(slopes(g.max_pool2d(g.conv2d(X, K)), K))
    feeds = drawn(program)
    feeds[X][:, 12] = np.nan
    (_, before), (_, after) = (
        [evaluate(p.results, feeds, ROWS)[t] for t in p.results] for p in (program, crop(program))
    )
    assert np.isnan(before).any() and not np.isnan(after).any()


@pytest.mark.parametrize(
    "y",
    [
        g.max_pool2d(g.conv2d(picture(12, 12), K)),
        g.max_pool2d(X, 3),
        g.conv2d(X, K, padding="same"),
        g.sum(g.tanh(X)),
        g.slice(g.exp(X), [None, (0, 3), None, None]) * 2.0,
        g.slice(g.conv2d(picture(14, 14), K, padding="same"), [None, (1, 14), None, None]),
    ],
)
def test_where_no_convolution_is_spared_the_program_is_left_alone(y: Tensor) -> None:
    for program in (program_of([y]), program_of(slopes(y, *(t for t in g.topological_order([y]) if t.is_leaf)))):
        assert crop(program) is program


def test_rules_are_for_operations_of_the_table() -> None:
    assert {*READS, *ZERO_OF_ZERO} <= set(TABLE)


ONE = ("neg", "abs", "sign", "floor", "sqrt", "exp", "expm1", "log1p", "tanh", "sigmoid", "erf", "sin", "cos")
TWO = ("add", "sub", "mul", "power", "maximum", "minimum", "less", "less_equal", "equal")
SENT = g.pad(g.square(input_tensor("sent", (BATCH, 10, 11, 64))), [(0, 0), (0, 1), (0, 1), (0, 0)])
BESIDE = g.square(input_tensor("beside", Z)) + 0.5


def kernel_gradient(sent: Tensor) -> Program:
    x = picture(sent.shape[1] + 2, sent.shape[2] + 2)  # type: ignore[operator]
    how: dict[str, Any] = {"shape": (3, 3), "strides": (1, 1), "dilation": (1, 1), "groups": 1}
    return program_of([TABLE["conv2d_kernel_gradient"](x, sent, **how)])


@pytest.mark.parametrize("name", [*ONE, *TWO, "div", "where", "cast", "stop_gradient"])
def test_what_is_0_is_known_and_nothing_else_is_taken_for_it(name: str) -> None:
    operands: list[tuple[Tensor, ...]] = [(SENT,)]
    if name in TWO:
        operands = [(SENT, BESIDE), (BESIDE, SENT), (SENT, -SENT)]
    elif name == "div":
        operands = [(SENT, BESIDE)]
    elif name == "where":
        operands = [(BESIDE > 1, *pair) for pair in ((SENT, BESIDE), (BESIDE, SENT), (SENT, g.zeros_like(SENT)))]
    for given_ in operands:
        y = TABLE[name](*given_, **({"dtype": "int"} if name == "cast" else {}))
        cropped(kernel_gradient(g.cast(y, "float")))


@pytest.mark.parametrize(
    "sent",
    [
        g.pad(SENT, [(0, 0), (0, 0), (0, 1), (0, 0)], 2.0),
        g.pad(SENT, [(0, 0), (2, 1, 1), (0, 1), (0, 0)]),
        g.slice(SENT, [None, (3, 11, 2), (1, 12), None]),
        g.transpose(SENT, (0, 2, 1, 3)),
        g.broadcast_to(g.sum(SENT, 1, keepdims=True), SENT.shape),
        g.broadcast_to(g.sum(SENT, (0, 1)), SENT.shape),
        g.concat([SENT, SENT], axis=1),
        g.reshape(g.reshape(SENT, (BATCH, 11 * 12, 64)), SENT.shape),
    ],
)
def test_zeros_that_move(sent: Tensor) -> None:
    cropped(kernel_gradient(sent))


# ── whole networks ────────────────────────────────────────────────────────────────────────────────────────


@st.composite
def networks(draw: st.DrawFn) -> Program:
    """Convolutions, pooling and what stands between them, one after another, sometimes with a branch; and slopes."""

    def pick(*choices: Any) -> Any:
        return draw(st.sampled_from(choices))

    x = z = picture(pick(9, 12, 15), pick(10, 13), 1)
    kernels: list[Tensor] = []
    for layer in range(pick(2, 4, 6)):
        sides: list[Any] = list(z.shape[1:3])
        kind = pick("convolution", "convolution", "pooling", "between", "branch", "statistics")
        if kind == "convolution" and min(sides) >= 3:
            size = pick(1, 2, 3)
            k = input_tensor(f"k{layer}", (size, size, z.shape[3], pick(2, 24)))
            kernels.append(k)
            z = g.conv2d(z, k, pick(1, 1, 2), pick("valid", "valid", "same")) / float(size * size)
        elif kind == "pooling" and min(sides) >= 3:
            size = pick(2, 3)
            z = g.max_pool2d(z, size, pick(size, 1, 2, 4), pick("valid", "valid", "same"))
        elif kind == "between":
            z = pick(*SEEN_THROUGH_ANYWHERE)(z)
        elif kind == "branch":
            a, b = (pick(*SEEN_THROUGH_ANYWHERE)(z) for _ in range(2))
            sides = [min(pq) for pq in zip(a.shape[1:3], b.shape[1:3], strict=True)]
            a, b = (g.slice(t, [None, *((0, n) for n in sides), None]) for t in (a, b))
            z = g.concat([a, b]) if pick(True, False) else a + b
        elif kind == "statistics":
            z = (z - g.mean(z, (0, 1, 2))) / g.sqrt(g.variance(z, (0, 1, 2)) + 0.1)
    results = slopes(z, x, *kernels)
    return program_of(results if pick(True, False) else [z, *results[2:]] if kernels else results[:1])


SEEN_THROUGH_ANYWHERE = [SEEN_THROUGH[n] for n in ("nothing", "relu", "elementwise", "turned and back")] + [
    lambda z: g.pad(z, [(0, 0), (1, 2), (0, 1), (0, 0)]),
    lambda z: g.slice(z, [None, (0, z.shape[1] - 1), (1, z.shape[2]), None]) if min(z.shape[1:3]) > 1 else z,
    lambda z: g.slice(z, [None, (0, z.shape[1], 2), None, None]),
]


@settings(max_examples=150, deadline=None)
@given(networks())
def test_networks_mean_the_same(program: Program) -> None:
    cropped(simplify(program), bound=1e-8)
    with mock.patch.object(sys.modules[crop.__module__], "COPIED", 0):  # every slice and pad stays
        cropped(simplify(program), bound=1e-8)


def test_the_training_program_of_a_network_for_digits() -> None:
    """The network of benchmarks W4: what its second pooling drops is 17 % of its convolutions."""
    conv, pool = talweg.layers.Conv2D, talweg.layers.MaxPooling2D
    dense = [talweg.layers.Flatten(), talweg.layers.Dropout(0.5), talweg.layers.Dense(10, "softmax")]
    layers = [conv(32, 3, activation="relu"), pool(), conv(64, 3, activation="relu"), pool(), *dense]
    model = talweg.Sequential([talweg.layers.Input((28, 28, 1)), *layers])
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    program = simplify(model.program("train", model.usual_form()), "float32")
    out = cropped(program, "float32", bound=1e-5)
    assert 0.82 < work(out) / work(program) < 0.84
    assert shapes(out, "pad") == [] and shapes(out, "slice") == [(BATCH, 26, 26, 1)]
