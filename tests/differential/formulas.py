"""Random formulas over the closed table: elementwise groups, movements, reductions, rows by number, chance.

A node is ``[name, operation, operands, options]``. Names, not places, are referred to, so that what nobody reads can be
left out. The graph is built while it is drawn: what does not fit is drawn anew.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from random import Random
from typing import Any

import numpy as np

from differential import sizes
from talweg import graph as g
from talweg.engines.native import tasks, tiles
from talweg.errors import TalwegError
from talweg.gradient import gradient
from talweg.graph import BATCH, TABLE, Program, Tensor
from talweg.graph.ops.movement import _scatter_add
from talweg.graph.random import key_of
from talweg.graph.tensor import elementwise

Node = list[Any]
Tensors = dict[str, Tensor]

ONE = ("neg", "abs", "sign", "floor", "sqrt", "exp", "expm1", "log", "log1p", "tanh", "sigmoid", "erf", "sin", "cos")
TWO = ("add", "sub", "mul", "div", "maximum", "minimum", "power")
COMPARED = ("less", "less_equal", "equal")
ABOVE_ZERO = ("sqrt", "log", "log1p")
"""What is asked of positive numbers only: others would be NaN, of which nothing is known."""
WHOLE = ("int", "uint", "uint8")
SEED, STEP = g.input_tensor("seed", (2,), "uint"), g.input_tensor("step", (), "uint")


def _floating(t: Tensor) -> Tensor:
    return t if t.dtype == "float" else g.cast(t, "float")


def _calm(t: Tensor) -> Tensor:
    """Not so large that its exponential overflows."""
    return g.minimum(g.maximum(t, -6.0), 6.0)


def _one(name: str, x: Tensor) -> Tensor:
    x = _floating(x)
    if name in ABOVE_ZERO:
        x = x * x + 0.25
    return TABLE[name](_calm(x) if name in ("exp", "expm1") else x)


def _two(name: str, x: Tensor, y: Tensor) -> Tensor:
    x, y = _floating(x), _floating(y)
    if name == "div":
        y = y * y + 0.25
    if name == "power":
        x, y = _calm(x * x + 0.25), _calm(y)
    return elementwise(name, x, y)


def _where(t: Tensor, a: Tensor, b: Tensor) -> Tensor:
    return g.where(elementwise("less", _floating(t), 0.25), _floating(a), _floating(b))


def _compared(name: str, a: Tensor, b: Tensor) -> Tensor:
    return g.cast(elementwise(name, _floating(a), _floating(b)), "float")


def _whole(x: Tensor, dtype: str) -> Tensor:
    return g.cast(g.floor(_calm(_floating(x)) + 7.0), dtype)  # type: ignore[arg-type]


def _merge(x: Tensor, at: int) -> Tensor:
    return g.reshape(x, (*x.shape[:at], x.shape[at] * x.shape[at + 1], *x.shape[at + 2 :]))  # type: ignore[operator]


def _split(x: Tensor, at: int, by: int) -> Tensor:
    d = x.shape[at]
    return g.reshape(x, (*x.shape[:at], by, d // by, *x.shape[at + 1 :]))  # type: ignore[operator]


def _turn(x: Tensor) -> Tensor:
    """The numbers of a row in a row's shape backwards, in their order: a reshape that regroups."""
    return g.reshape(x, (x.shape[0], *reversed(x.shape[1:])))


def _wide(x: Tensor, before: list[Any], by: int) -> Tensor:
    """Repeated along axes of length 1, and along new ones."""
    shape = tuple(by if d == 1 else d for d in x.shape)
    return g.broadcast_to(x, (*sizes.shape_of(before), *shape))


def _cut(x: Tensor, ranges: list[Any]) -> Tensor:
    return g.slice(x, [None if r is None else tuple(r) for r in ranges])  # type: ignore[misc]


def _pad(x: Tensor, padding: list[Any], value: float) -> Tensor:
    return g.pad(_floating(x) if value else x, [tuple(p) for p in padding], value)


def _scatter(x: Tensor, indices: Tensor, rows: int, paired: int) -> Tensor:
    return _scatter_add(_floating(x), g.cast(g.floor(indices), "int"), rows=rows, paired=paired)


def _take(x: Tensor, indices: Tensor, paired: int) -> Tensor:
    return g.take(x, g.cast(g.floor(indices), "int"), paired)


def _dot(x: Tensor, y: Tensor, over: list[Any]) -> Tensor:
    return g.dot(_floating(x), _floating(y), (tuple(over[0]), tuple(over[1])))


WRITE: dict[str, Callable[..., Tensor]] = {
    **{name: lambda x, name=name: _one(name, x) for name in ONE},
    **{name: lambda x, y, name=name: _two(name, x, y) for name in TWO},
    **{name: lambda x, y, name=name: _compared(name, x, y) for name in COMPARED},
    "where": _where,
    "cast": _whole,
    "stop_gradient": lambda x: g.stop_gradient(x),
    "sum": lambda x, axes: g.sum(_floating(x), axes),
    "max": lambda x, axes: g.max(_floating(x), axes),
    "argmax": lambda x, axis: g.cast(g.argmax(_floating(x), axis), "float"),
    "merge": _merge,
    "split": _split,
    "turn": _turn,
    "expand": lambda x, at: g.expand_dims(x, at),
    "transpose": lambda x, permutation: g.transpose(x, permutation),
    "broadcast": _wide,
    "slice": _cut,
    "pad": _pad,
    "concat": lambda *xs, axis: g.concat([_floating(x) for x in xs], axis),
    "take": _take,
    "scatter_add": _scatter,
    "dot": _dot,
    "batch_size": lambda x: _floating(x) / g.batch_size(),
}
"""What writes each kind of node, of its operands and options."""


# ── drawing ───────────────────────────────────────────────────────────────────────────────────────────────


def draw_formula(random: Random) -> dict[str, Any]:
    """2 to 4 leaves, and 1 to 8 nodes upon them."""
    budget = sizes.budget(random) // 4
    axes = [sizes.length(random) for _ in range(3)]
    if random.random() < 0.5:
        axes = [min(a, 24) for a in axes]
    axes = sizes.within(random, axes, max(4, budget // 8))
    leaves = [_leaf(random, axes, i) for i in range(random.randint(2, 4))]
    tensors = {leaf["name"]: _made(leaf) for leaf in leaves}
    nodes: list[Node] = []
    for _ in range(random.randint(1, 8)):
        for _ in range(20):
            node = _node(random, tensors, len(nodes), max(64, budget))
            try:
                made = WRITE[node[1]](*(tensors[name] for name in node[2]), **node[3])
            except (TalwegError, ZeroDivisionError, IndexError, TypeError, AttributeError):
                continue  # it does not fit
            if _count(made) <= max(64, budget) and made.rank <= 4 and made.shape.count(BATCH) <= 1:
                tensors[node[0]] = made
                nodes.append(node)
                break
    ends = [n[0] for n in nodes] or [leaf["name"] for leaf in leaves]
    outputs = sorted({ends[-1], random.choice(ends)})
    slopes = [leaf["name"] for leaf in leaves if leaf["dtype"] == "float"] if random.random() < 0.5 else []
    return {
        **{"family": "formula", "leaves": leaves, "nodes": nodes, "outputs": outputs, "slopes": slopes},
        "update": random.random() < 0.3,
    }


def draw_sum(random: Random) -> dict[str, Any]:
    """A sum over the batch, often of so much that threads share its rows."""
    inner = sizes.length(random, 70) + 1
    outer = 2 + tasks.SHARED_OUT // (2 * tiles.PART * inner) + sizes.length(random, 20)
    axes = random.choice([[0], [0], [0, 1]])
    leaf = {"name": "x0", "kind": "input", "shape": ["n", outer, inner], "dtype": "float", "stream": 0}
    nodes: list[Node] = [["v0", random.choice(["sum", "sum", "sum", "max"]), ["x0"], {"axes": axes}]]
    return {"family": "formula", "leaves": [leaf], "nodes": nodes, "outputs": ["v0"], "slopes": [], "update": False}


def _leaf(random: Random, axes: list[int], number: int) -> dict[str, Any]:
    shape: list[Any] = [random.choice([d, d, d, 1]) for d in axes[random.randint(0, 3) :]]
    kind = random.choice(["input", "input", "input", "state", "constant", "chance"])
    if kind in ("input", "chance") and random.random() < 0.7:
        shape = ["n", *shape][:4]
    dtype = random.choice(["float", "float", "float", *WHOLE, "bool"]) if kind in ("input", "state") else "float"
    return {"name": f"x{number}", "kind": kind, "shape": shape, "dtype": dtype, "stream": random.randint(0, 9)}


def _made(leaf: dict[str, Any]) -> Tensor:
    shape, kind = sizes.shape_of(leaf["shape"]), leaf["kind"]
    if kind == "constant":
        count = math.prod(shape)
        return g.constant((np.arange(count) * 0.37 % 2 - 1).astype(np.float32).reshape(shape))
    if kind == "chance":
        return g.random_uniform(SEED, STEP, shape, leaf["stream"])
    make = g.state_tensor if kind == "state" else g.input_tensor
    return make(leaf["name"], shape, leaf["dtype"])


def _count(t: Tensor) -> int:
    return math.prod(16 if d is BATCH else d for d in t.shape)


def _node(random: Random, tensors: Tensors, number: int, most: int) -> Node:
    op = random.choice(tuple(WRITE))
    late = list(tensors)[-3:]
    operands = [random.choice(late if random.random() < 0.7 else list(tensors))]
    x = tensors[operands[0]]
    known = [a for a, d in enumerate(x.shape) if d is not BATCH]
    options: dict[str, Any] = {}
    if op in (*TWO, *COMPARED, "dot", "take", "scatter_add"):
        operands.append(random.choice(list(tensors)))
    elif op == "where":
        operands += random.choices(list(tensors), k=2)
    elif op == "concat":
        options["axis"] = random.choice(known or [0])
        operands += random.choices([n for n, t in tensors.items() if t.rank == x.rank], k=random.randint(0, 2))
    if op in ("sum", "max"):
        options["axes"] = sorted(random.sample(range(x.rank), random.randint(min(1, x.rank), x.rank)))
    elif op == "argmax":
        options["axis"] = random.randrange(max(1, x.rank))
    elif op in ("merge", "split"):
        options["at"] = random.choice(known or [0])
        if op == "split":
            d = x.shape[options["at"]] if known else 1
            options["by"] = random.choice([b for b in range(1, d + 1) if d % b == 0])  # type: ignore[operator]
    elif op == "expand":
        options["at"] = random.randint(1 if BATCH in x.shape else 0, x.rank)
    elif op == "transpose":
        options["permutation"] = random.sample(range(x.rank), x.rank)
    elif op == "broadcast":
        before: list[Any] = [] if BATCH in x.shape else random.choice([[], ["n"], ["n", 3], [5], [2, 9]])
        options |= {"before": before, "by": sizes.length(random, max(2, most // 64))}
    elif op == "slice":
        options["ranges"] = [None if d is BATCH or random.random() < 0.4 else _range(random, d) for d in x.shape]
    elif op == "pad":
        amount = lambda: [random.choice([0, 1, 2, 3]), random.choice([0, 1, 7]), random.choice([0, 0, 1, 2])]  # noqa: E731
        options["padding"] = [[0, 0, 0] if d is BATCH or random.random() < 0.4 else amount() for d in x.shape]
        options["value"] = random.choice([0.0, 0.0, -1.5])
    elif op in ("take", "scatter_add"):
        options["paired"] = random.choice([0, 0, 1])
        if op == "scatter_add":
            options["rows"] = random.choice([1, 3, 7, 20])
    elif op == "dot":
        y = tensors[operands[1]]
        pairs = [(i, j) for i in range(x.rank) for j in range(y.rank) if x.shape[i] == y.shape[j]]
        chosen = random.sample(pairs, min(len(pairs), random.choice([1, 1, 2])))
        chosen = chosen[: 1 if len({i for i, _ in chosen}) < 2 or len({j for _, j in chosen}) < 2 else 2]
        options["over"] = [[i for i, _ in chosen], [j for _, j in chosen]]
    elif op == "cast":
        options["dtype"] = random.choice(WHOLE)
    return [f"v{number}", op, operands, options]


def _range(random: Random, length: Any) -> list[int]:
    start = random.randint(0, max(0, length - 1))
    return [start, random.randint(start + 1, max(start + 1, length)), random.choice([1, 1, 1, 2, 3])]


# ── building ──────────────────────────────────────────────────────────────────────────────────────────────


def write_formula(member: dict[str, Any], rows: int, random: np.random.Generator) -> tuple[Program, dict[str, Any]]:
    leaves = {leaf["name"]: _made(leaf) for leaf in member["leaves"]}
    tensors = dict(leaves)
    for name, op, operands, options in member["nodes"]:
        tensors[name] = WRITE[op](*(tensors[n] for n in operands), **options)
    outputs = {name: tensors[name] for name in member["outputs"]}
    leaf_names = [n for n in member["slopes"] if leaves[n].op.name in ("input", "state")]
    loss = sum((g.sum(_floating(y) * 0.5 if y.rank else _floating(y)) for y in outputs.values()), g.constant(0.0))
    if leaf_names:
        found = gradient(loss, [leaves[n] for n in leaf_names])
        outputs |= {f"d{n}": d for n, d in zip(leaf_names, found, strict=True)}
    used = [t for t in g.topological_order(outputs.values()) if t.op.name in ("input", "state")]
    states = tuple(t for t in used if t.op.name == "state")
    floats = [t for t in states if t.dtype == "float" and member["update"]]
    updates = {t: t * 0.5 + outputs.get(f"d{t.name}", g.constant(1.0)) for t in floats}
    program = Program("formula", tuple(t for t in used if t.op.name == "input"), states, outputs, updates)
    return program, {t.name: _value(t, rows, random) for t in (*program.inputs, *program.states)}


def _value(t: Tensor, rows: int, random: np.random.Generator) -> Any:
    shape = [rows if d is BATCH else d for d in t.shape]
    if t.name == "seed":
        return key_of(5)
    if t.name == "step":
        return np.array(3)
    if t.dtype == "bool":
        return random.random(shape) < 0.5
    return random.integers(0, 5, shape) if t.dtype in WHOLE else random.normal(size=shape)
