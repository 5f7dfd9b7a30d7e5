"""The table of cases: for each operation a Hypothesis strategy of programs that use it, with an oracle of its own.

An oracle is written in plain Python or with another NumPy function than the operation's meaning, on float64 arrays.
Operands are drawn away from kinks and poles, where slopes can be compared with differences.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from hypothesis import strategies as st

from conformance.drawing import (
    Case,
    Operand,
    Sampler,
    all_different,
    away_from_whole,
    away_from_zero,
    between,
    few_whole,
    known,
    lengths,
    numbers_below,
    seeds,
    shapes,
    thirds,
    truth,
    wide,
    words,
)
from conformance.loops import loops
from conformance.windows import convolutions, poolings
from talweg import graph as g
from talweg.graph import BATCH, TABLE, Array, DType, Shape
from talweg.graph.ops.movement import _scatter_add

# ── elementwise ───────────────────────────────────────────────────────────────────────────────────────────


def each(function: Callable[..., Any]) -> Callable[..., Array]:
    """A function of Python numbers as an oracle on arrays, element by element."""

    def oracle(rows: int, *arrays: Array) -> Array:
        flat = [function(*(v.item() for v in values)) for values in zip(*(a.flat for a in arrays), strict=True)]
        return np.array(flat).reshape(arrays[0].shape)

    return oracle


@st.composite
def elementwise(
    draw: st.DrawFn,
    name: str,
    function: Callable[..., Any],
    *samplers: Sampler,
    dtypes: Sequence[DType] = (),
    nan: str = "elementwise",
) -> Case:
    shape = draw(shapes())
    forms = dtypes or ["float"] * len(samplers)
    operands = tuple(Operand(shape, s, d) for s, d in zip(samplers, forms, strict=True))
    return Case(TABLE[name], operands, each(function), nan, draw(seeds))


@st.composite
def casts(draw: st.DrawFn) -> Case:
    here, there = draw(st.sampled_from(FORMS)), draw(st.sampled_from(FORMS))
    shape = draw(shapes())
    sampler: Sampler = {"bool": truth, "float": between(0.1, 5)}.get(here, numbers_below(6))
    python: Any = {"bool": bool, "float": float}.get(there, int)
    return Case(lambda x: g.cast(x, there), (Operand(shape, sampler, here),), each(python), "", draw(seeds))


FORMS: tuple[DType, ...] = ("float", "int", "uint", "uint8", "bool")


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x)) if x > -700 else 0.0


# ── reductions ────────────────────────────────────────────────────────────────────────────────────────────


def reduced(function: Callable[[list[Any]], Any], axes: Sequence[int]) -> Callable[..., Array]:
    """`function` of the list of all elements that share their place along the other axes."""

    def oracle(rows: int, x: Array) -> Array:
        kept = [a for a in range(x.ndim) if a not in axes]
        out = np.zeros([x.shape[a] for a in kept])
        for place in np.ndindex(*out.shape):
            index: list[Any] = [slice(None)] * x.ndim
            for a, i in zip(kept, place, strict=True):
                index[a] = i
            out[place] = function([float(v) for v in x[tuple(index)].ravel()])
        return out

    return oracle


@st.composite
def reductions(draw: st.DrawFn, name: str, function: Callable[[list[Any]], Any], sampler: Sampler) -> Case:
    shape = draw(shapes(least=1))
    axes = tuple(sorted(draw(st.sets(st.integers(0, len(shape) - 1), min_size=1))))
    operands = (Operand(shape, sampler),)
    return Case(lambda x: TABLE[name](x, axes=axes), operands, reduced(function, axes), "all", draw(seeds))


@st.composite
def argmaxes(draw: st.DrawFn) -> Case:
    shape = draw(shapes(least=1))
    axis = draw(st.integers(0, len(shape) - 1))
    oracle = reduced(lambda values: values.index(max(values)), (axis,))
    # few_whole has ties: the first of them is the answer
    return Case(lambda x: g.argmax(x, axis), (Operand(shape, few_whole),), oracle, "", draw(seeds))


# ── movement ──────────────────────────────────────────────────────────────────────────────────────────────


@st.composite
def reshapes(draw: st.DrawFn) -> Case:
    a, b, c = (draw(lengths) for _ in range(3))
    forms: list[Shape] = [(a, b, c), (a * b, c), (a, b * c), (a * b * c,), (c, b, a), (a, 1, b, c)]
    shape, wanted = draw(st.sampled_from(forms)), draw(st.sampled_from(forms))
    if draw(st.booleans()):
        shape, wanted = (BATCH, *shape), (BATCH, *wanted)

    def oracle(rows: int, x: Array) -> Array:
        out = np.empty(known(wanted, rows))
        for place, value in zip(np.ndindex(out.shape), x.ravel().tolist(), strict=True):
            out[place] = value
        return out

    op = TABLE["reshape"]
    return Case(lambda x: op(x, shape=wanted), (Operand(shape, between(-2, 2)),), oracle, "all", draw(seeds))


@st.composite
def transposes(draw: st.DrawFn) -> Case:
    shape = draw(shapes())
    permutation = tuple(draw(st.permutations(range(len(shape)))))

    def oracle(rows: int, x: Array) -> Array:
        out = np.empty([x.shape[a] for a in permutation])
        for place in np.ndindex(out.shape):
            out[place] = x[tuple(place[permutation.index(a)] for a in range(x.ndim))]
        return out

    op, operand = TABLE["transpose"], Operand(shape, between(-2, 2))
    return Case(lambda x: op(x, permutation=permutation), (operand,), oracle, "all", draw(seeds))


@st.composite
def broadcasts(draw: st.DrawFn) -> Case:
    wanted = draw(shapes())
    kept = draw(st.integers(0, len(wanted)))
    shape = tuple(draw(st.sampled_from([1, d])) for d in wanted[len(wanted) - kept :])
    oracle = lambda rows, x: x + np.zeros(known(wanted, rows))  # noqa: E731
    operand = Operand(shape, between(-2, 2))
    return Case(lambda x: TABLE["broadcast"](x, shape=wanted), (operand,), oracle, "all", draw(seeds))


@st.composite
def pads(draw: st.DrawFn) -> Case:
    shape = draw(shapes(least=1))
    amount = st.tuples(st.integers(0, 2), st.integers(0, 2), st.integers(0, 2))
    padding = [(0, 0, 0) if d is BATCH else draw(amount) for d in shape]
    value = draw(st.sampled_from([0.0, -1.5]))

    def oracle(rows: int, x: Array) -> Array:
        out: Any = x
        for axis, (low, high, interior) in enumerate(padding):
            lines = list(np.moveaxis(out, axis, 0))
            blank = np.full_like(lines[0], value)
            spread = [lines[0]]
            for line in lines[1:]:
                spread += [blank] * interior + [line]
            out = np.moveaxis(np.stack([blank] * low + spread + [blank] * high), 0, axis)
        return out

    return Case(lambda x: g.pad(x, padding, value), (Operand(shape, between(-2, 2)),), oracle, "", draw(seeds))


@st.composite
def slices(draw: st.DrawFn) -> Case:
    shape = tuple(d if d is BATCH else d + 2 for d in draw(shapes(least=1)))
    ranges: list[Any] = []
    for d in shape:
        start = 0 if d is BATCH else draw(st.integers(0, d))
        ranges.append((0, BATCH, 1) if d is BATCH else (start, draw(st.integers(start, d)), draw(st.integers(1, 3))))

    def oracle(rows: int, x: Array) -> Array:
        for axis, (start, stop, step) in enumerate(ranges):
            chosen = [i for i in range(rows if stop is BATCH else stop) if i >= start and (i - start) % step == 0]
            x = np.take(x, np.array(chosen, int), axis)
        return x

    op = TABLE["slice"]
    return Case(lambda x: op(x, ranges=tuple(ranges)), (Operand(shape, between(-2, 2)),), oracle, "all", draw(seeds))


@st.composite
def concats(draw: st.DrawFn) -> Case:
    shape = draw(shapes(least=1))
    axis = draw(st.sampled_from([a for a, d in enumerate(shape) if d is not BATCH] or [-1]))
    if axis == -1:
        shape, axis = (*shape, 2), len(shape)
    parts = [(*shape[:axis], draw(lengths), *shape[axis + 1 :]) for _ in range(draw(lengths))]
    oracle = lambda rows, *xs: np.moveaxis(np.array([r for x in xs for r in np.moveaxis(x, axis, 0)]), 0, axis)  # noqa: E731
    operands = tuple(Operand(p, between(-2, 2)) for p in parts)
    return Case(lambda *xs: g.concat(xs, axis), operands, oracle, "", draw(seeds))


@st.composite
def takes(draw: st.DrawFn) -> Case:
    pairs, places, rest = draw(shapes(most=2)), draw(shapes(most=2)), draw(shapes(most=2, batch=False))
    places = tuple(2 if d is BATCH and BATCH in pairs else d for d in places)
    count = draw(st.integers(1, 5))

    def oracle(rows: int, x: Array, indices: Array) -> Array:
        out = np.empty((*indices.shape, *x.shape[len(pairs) + 1 :]))
        for at in np.ndindex(indices.shape):
            out[at] = x[(*at[: len(pairs)], min(max(int(indices[at]), 0), count - 1))]
        return out

    # also numbers that lie outside: they are moved to the nearest row
    indices = Operand((*pairs, *places), lambda random, shape: random.integers(-2, count + 2, shape), "int")
    operands = (Operand((*pairs, count, *rest), between(-2, 2)), indices)
    return Case(lambda x, indices: g.take(x, indices, len(pairs)), operands, oracle, "", draw(seeds))


@st.composite
def scatters(draw: st.DrawFn) -> Case:
    pairs, places, rest = draw(shapes(most=2)), draw(shapes(most=2)), draw(shapes(most=2, batch=False))
    places = tuple(2 if d is BATCH and BATCH in pairs else d for d in places)
    count = draw(st.integers(1, 5))

    def oracle(rows: int, x: Array, indices: Array) -> Array:
        out = np.zeros((*indices.shape[: len(pairs)], count, *known(rest, rows)))
        for at in np.ndindex(indices.shape):
            out[(*at[: len(pairs)], indices[at])] += x[at]
        return out

    operands = (
        Operand((*pairs, *places, *rest), between(-2, 2)),
        Operand((*pairs, *places), numbers_below(count), "int"),
    )
    write = lambda x, indices: _scatter_add(x, indices, rows=count, paired=len(pairs))  # noqa: E731
    return Case(write, operands, oracle, "", draw(seeds))


# ── contraction ───────────────────────────────────────────────────────────────────────────────────────────


@st.composite
def dots(draw: st.DrawFn) -> Case:
    shared: list[Any] = draw(st.lists(lengths, max_size=2))
    if shared and draw(st.booleans()):
        shared[0] = BATCH  # a weight's gradient sums over the batch
    free_a: list[Any] = draw(st.lists(lengths, max_size=2))
    free_b = draw(st.lists(lengths, max_size=2))
    if BATCH not in shared and free_a and draw(st.booleans()):
        free_a[0] = BATCH
    place_a = draw(st.permutations(range(len(shared) + len(free_a))))
    place_b = draw(st.permutations(range(len(shared) + len(free_b))))
    letters = "abcdefgh"
    dim = dict(zip(letters, [*shared, *free_a, *free_b], strict=False))
    s, fa, fb = len(shared), len(free_a), len(free_b)
    in_a = [letters[: s + fa][i] for i in place_a]
    in_b = [(letters[:s] + letters[s + fa : s + fa + fb])[i] for i in place_b]
    axes = tuple(in_a.index(c) for c in letters[:s]), tuple(in_b.index(c) for c in letters[:s])
    out = [c for c in in_a if c not in letters[:s]] + [c for c in in_b if c not in letters[:s]]
    formula = f"{''.join(in_a)},{''.join(in_b)}->{''.join(out)}"
    operands = tuple(Operand(tuple(dim[c] for c in names), between(-2, 2)) for names in (in_a, in_b))
    oracle = lambda rows, a, b: np.einsum(formula, a, b, optimize=False)  # noqa: E731
    return Case(lambda a, b: g.dot(a, b, axes), operands, oracle, "all", draw(seeds))


# ── leaves and chance ─────────────────────────────────────────────────────────────────────────────────────


@st.composite
def leaves(draw: st.DrawFn, leaf: str) -> Case:
    shape = draw(shapes(batch=leaf == "input"))
    dtype = draw(st.sampled_from(FORMS))
    sampler: Sampler = {"bool": truth, "float": between(-2, 2)}.get(dtype, numbers_below(9))
    return Case(lambda x: x, (Operand(shape, sampler, dtype, leaf),), lambda rows, x: x, "", draw(seeds))


@st.composite
def constants(draw: st.DrawFn) -> Case:
    dtype = draw(st.sampled_from(FORMS))
    values = numbers_below(2)(np.random.default_rng(draw(seeds)), known(draw(shapes(batch=False)), 0))
    return Case(lambda: g.constant(values, dtype), (), lambda rows: values)


@st.composite
def random_uniforms(draw: st.DrawFn) -> Case:
    shape, stream = draw(shapes()), draw(st.integers(0, 2**32 - 1))

    def oracle(rows: int, seed: Array, step: Array, *_: Array) -> Array:
        count = math.prod(known(shape, rows))
        key = threefry([int(w) for w in seed], [stream, int(step)])
        bits = [threefry(key, [p // 2, 0])[p % 2] for p in range(count)]
        return np.array([(b >> 8) / 2**24 for b in bits]).reshape(known(shape, rows))

    operands = (Operand((2,), words, "uint"), Operand((), words, "uint"))
    return Case(lambda seed, step: g.random_uniform(seed, step, shape, stream), operands, oracle, "", draw(seeds))


def threefry(key: Sequence[int], counter: Sequence[int]) -> list[int]:
    """Threefry-2x32-20 in whole numbers, from the paper's section 3.3, injecting a key after every fourth round."""
    mask, turns = 2**32 - 1, [13, 15, 26, 6, 17, 29, 16, 24]
    ks = [*key, key[0] ^ key[1] ^ 0x1BD11BDA]
    a, b = (counter[0] + ks[0]) & mask, (counter[1] + ks[1]) & mask
    for i in range(20):
        a = (a + b) & mask
        turn = turns[i % 8]
        b = (((b << turn) | (b >> (32 - turn))) & mask) ^ a
        if i % 4 == 3:
            n = i // 4 + 1
            a, b = (a + ks[n % 3]) & mask, (b + ks[(n + 1) % 3] + n) & mask
    return [a, b]


# ── the table ─────────────────────────────────────────────────────────────────────────────────────────────

positive = between(0.2, 3)

CASES: dict[str, st.SearchStrategy[Case]] = {
    "neg": elementwise("neg", lambda x: 0.0 - x, wide),
    "abs": elementwise("abs", lambda x: x if x > 0 else 0.0 - x, away_from_zero),
    "sign": elementwise("sign", lambda x: math.copysign(1, x), away_from_zero),
    "floor": elementwise("floor", math.floor, away_from_whole),
    "sqrt": elementwise("sqrt", math.sqrt, positive),
    "exp": elementwise("exp", math.exp, wide),
    "expm1": elementwise("expm1", math.expm1, wide),
    "log": elementwise("log", math.log, positive),
    "log1p": elementwise("log1p", math.log1p, between(-0.7, 2)),
    "tanh": elementwise("tanh", math.tanh, wide),
    "sigmoid": elementwise("sigmoid", sigmoid, wide),
    "erf": elementwise("erf", math.erf, wide),
    "sin": elementwise("sin", math.sin, wide),
    "cos": elementwise("cos", math.cos, wide),
    "stop_gradient": elementwise("stop_gradient", lambda x: x, wide),
    "cast": casts(),
    "add": elementwise("add", lambda a, b: a + b, wide, wide),
    "sub": elementwise("sub", lambda a, b: a - b, wide, wide),
    "mul": elementwise("mul", lambda a, b: a * b, wide, wide),
    "div": elementwise("div", lambda a, b: a / b, wide, away_from_zero),
    "power": st.one_of(
        elementwise("power", lambda a, b: a**b, between(1.2, 3), away_from_zero),
        # negative bases have whole exponents only; nothing is then asked about the slope along the exponent
        elementwise("power", lambda a, b: a**b, away_from_zero, few_whole, dtypes=("float", "float"), nan="whole"),
    ),
    "maximum": elementwise("maximum", lambda a, b: a if a > b else b, thirds(0.0), thirds(0.2)),
    "minimum": elementwise("minimum", lambda a, b: a if a < b else b, thirds(0.0), thirds(0.2)),
    "less": elementwise("less", lambda a, b: a < b, few_whole, few_whole, nan=""),
    "less_equal": elementwise("less_equal", lambda a, b: a <= b, few_whole, few_whole, nan=""),
    "equal": elementwise("equal", lambda a, b: a == b, few_whole, few_whole, nan=""),
    "where": elementwise(
        "where", lambda c, a, b: a if c else b, truth, wide, wide, dtypes=("bool", "float", "float"), nan=""
    ),
    "sum": reductions("sum", math.fsum, wide),
    "max": reductions("max", lambda values: sorted(values)[-1], all_different),
    "argmax": argmaxes(),
    "reshape": reshapes(),
    "transpose": transposes(),
    "broadcast": broadcasts(),
    "pad": pads(),
    "slice": slices(),
    "concat": concats(),
    "take": takes(),
    "scatter_add": scatters(),
    "dot": dots(),
    "conv2d": convolutions("conv2d"),
    "conv2d_input_gradient": convolutions("conv2d_input_gradient"),
    "conv2d_kernel_gradient": convolutions("conv2d_kernel_gradient"),
    "max_pool2d": poolings("max_pool2d"),
    "max_pool2d_gradient": poolings("max_pool2d_gradient"),
    "scan": loops(),
    "input": leaves("input"),
    "state": leaves("state"),
    "constant": constants(),
    "batch_size": st.just(Case(lambda x: g.batch_size(), (Operand((BATCH,), wide),), lambda rows, x: np.array(rows))),
    "random_uniform": random_uniforms(),
}

NO_GRADIENT = {
    "sign": "constant on both sides of its jump: the slope is 0 wherever there is one",
    "floor": "constant between its jumps: the slope is 0 wherever there is one",
    "stop_gradient": "it exists to have none",
    "less": "a truth value does not move with its operands",
    "less_equal": "a truth value does not move with its operands",
    "equal": "a truth value does not move with its operands",
    "argmax": "a whole number, constant between jumps",
    "input": "a leaf: it depends on nothing",
    "state": "a leaf: it depends on nothing",
    "constant": "a leaf: it depends on nothing",
    "batch_size": "a leaf: it depends on nothing",
    "random_uniform": "chance is a function of whole numbers",
}

inf, nan = math.inf, math.nan

SPECIAL: dict[str, list[tuple[Any, ...]]] = {
    # operands, then what must come out; NaN and infinity are values like others, and zero is no trap
    "neg": [(inf, -inf), (nan, nan)],
    "abs": [(-inf, inf), (0.0, 0.0), (nan, nan)],
    "sign": [(0.0, 0.0), (-inf, -1.0), (nan, nan)],
    "floor": [(-0.5, -1.0), (inf, inf), (nan, nan)],
    "sqrt": [(0.0, 0.0), (inf, inf), (-1.0, nan), (nan, nan)],
    "exp": [(-inf, 0.0), (inf, inf), (1e4, inf), (-1e4, 0.0), (nan, nan)],
    "expm1": [(-inf, -1.0), (inf, inf), (1e-30, 1e-30), (nan, nan)],
    "log": [(0.0, -inf), (inf, inf), (-1.0, nan), (nan, nan)],
    "log1p": [(-1.0, -inf), (inf, inf), (-2.0, nan), (1e-30, 1e-30), (nan, nan)],
    "tanh": [(-inf, -1.0), (inf, 1.0), (1e4, 1.0), (1e-30, 1e-30), (nan, nan)],
    "sigmoid": [(-inf, 0.0), (inf, 1.0), (1e4, 1.0), (-1e4, 0.0), (-50.0, 1.9287498479639178e-22), (nan, nan)],
    "erf": [(-inf, -1.0), (inf, 1.0), (nan, nan)],
    "sin": [(0.0, 0.0), (inf, nan), (nan, nan)],
    "cos": [(0.0, 1.0), (inf, nan), (nan, nan)],
    "stop_gradient": [(nan, nan), (-inf, -inf)],
    "add": [(inf, -inf, nan), (nan, 1.0, nan), (inf, 1.0, inf)],
    "sub": [(inf, inf, nan), (1.0, nan, nan), (1.0, inf, -inf)],
    "mul": [(0.0, inf, nan), (0.0, nan, nan), (-2.0, inf, -inf)],
    "div": [(1.0, 0.0, inf), (0.0, 0.0, nan), (-1.0, 0.0, -inf), (1.0, inf, 0.0), (nan, 1.0, nan)],
    "power": [(0.0, 0.0, 1.0), (0.0, 2.0, 0.0), (0.0, -1.0, inf), (-8.0, 1 / 3, nan), (nan, 2.0, nan), (2.0, nan, nan)],
    "maximum": [(nan, 1.0, nan), (1.0, nan, nan), (-inf, 1.0, 1.0), (2.0, 2.0, 2.0)],
    "minimum": [(nan, 1.0, nan), (1.0, nan, nan), (inf, 1.0, 1.0), (2.0, 2.0, 2.0)],
    "less": [(nan, 1.0, False), (1.0, nan, False), (1.0, 1.0, False), (-inf, inf, True)],
    "less_equal": [(nan, 1.0, False), (nan, nan, False), (1.0, 1.0, True)],
    "equal": [(nan, nan, False), (0.0, -0.0, True), (inf, inf, True)],
}

TIES: dict[str, tuple[tuple[float, ...], tuple[float, ...]]] = {
    # where slopes are chosen, not found: operands, and the slope along each (decision 001)
    "abs": ((0.0,), (0.0,)),
    "maximum": ((2.0, 2.0), (0.5, 0.5)),
    "minimum": ((2.0, 2.0), (0.5, 0.5)),
    "power": ((0.0, 0.0), (0.0, 0.0)),
    "sigmoid": ((-1e4,), (0.0,)),
}
