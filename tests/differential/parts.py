"""The vocabulary piece by piece: update rules, losses, metrics, activations, penalties and constraints, at any size.

Their options and data are those of the conformance tables, each of which must have every name of its registry.
"""

from __future__ import annotations

from random import Random
from typing import Any

import numpy as np

from conformance import (
    test_activations,
    test_constraints,
    test_losses,
    test_metrics,
    test_optimizers,
    test_regularizers,
)
from differential import sizes
from talweg import graph as g
from talweg.gradient import gradient
from talweg.graph import BATCH, Array, Program, Tensor
from talweg.nn.activations import ACTIVATIONS
from talweg.nn.constraints import CONSTRAINTS
from talweg.nn.losses import Loss
from talweg.nn.metrics import METRICS
from talweg.nn.regularizers import REGULARIZERS
from talweg.optim import OPTIMIZERS

Drawn = dict[str, Any]
Values = dict[str, Any]

RULES = [(name, own) for name, owns in test_optimizers.OPTIONS.items() for own in owns]
RULES += [(name, {**own, "form": "torch"}) for name, own, _ in test_optimizers.TORCH]
RULES += [("SGD", {"momentum": 0.9, **own}) for own in test_optimizers.COMMON]
LOSSES = [case for case in test_losses.CASES if id(case[3]) not in test_losses.KIND]
"""Without those of extreme numbers: they are there to overflow."""


def draw_part(random: Random) -> Drawn:
    kind = random.choice(["rule", "rule", "loss", "loss", "metric", "activation", "penalty", "constraint"])
    lengths = sizes.within(random, [sizes.length(random) for _ in range(2)], sizes.budget(random))
    member: Drawn = {"family": kind, "shape": lengths}
    if kind == "rule":
        name = random.choice(sorted({name for name, _ in RULES}))
        member["name"], member["options"] = name, random.choice([own for other, own in RULES if other == name])
        if name == "Muon":  # it multiplies matrices again and again
            member["shape"] = _matrix(random, 3000)
        member["more"] = random.choice([[], [sizes.length(random)], [2, 3, 2, sizes.length(random, 40)]])
    elif kind in ("loss", "metric"):
        table: Any = LOSSES if kind == "loss" else test_metrics.CASES
        member["name"] = random.choice(sorted({case[0] for case in table}))
        member["which"] = random.randrange(9)
        member["width"] = random.choice([0, 0, sizes.length(random)])
    elif kind == "activation":
        member["name"], member["options"] = random.choice(test_activations.CASES)[:2]
    else:
        table = test_regularizers.CASES if kind == "penalty" else test_constraints.CASES
        name = random.choice(sorted({case[0] for case in table}))
        member["name"], member["options"] = random.choice([case for case in table if case[0] == name])
        if member["name"] == "OrthogonalRegularizer":
            member["shape"] = _matrix(random, 20000)
    return member


def _matrix(random: Random, most: int) -> list[int]:
    """Of which one axis or the other is long: products of it and itself sum over either."""
    long = random.choice([sizes.schedule.MANY, sizes.schedule.MANY + 1, sizes.many(random)])
    lengths = [long, sizes.length(random, max(1, most // long))]
    return lengths if random.random() < 0.7 else lengths[::-1]


def write_part(member: Drawn, rows: int, random: np.random.Generator) -> tuple[Program, Values]:
    return _WRITE[member["family"]](member, rows, random)


def _rule(member: Drawn, rows: int, random: np.random.Generator) -> tuple[Program, Values]:
    """Some steps with the same gradient."""
    rule = OPTIMIZERS.get(member["name"])(**_as_python(member["options"]))
    shapes = [shape for shape in (member["shape"], member["more"]) if shape]
    weights = [g.state_tensor(f"w{i}", tuple(shape)) for i, shape in enumerate(shapes)]
    slopes = [g.input_tensor(f"g{i}", tuple(shape)) for i, shape in enumerate(shapes)]
    iterations, rate = g.state_tensor("iterations", (), "uint"), g.input_tensor("rate", ())
    kept, new = rule.apply(weights, slopes, iterations, rate)
    new[iterations] = iterations + g.constant(1, "uint")
    values: Values = {**rule.memory(weights), "iterations": np.uint32(0), "rate": np.array(0.125)}
    values |= {t.name: random.normal(size=t.shape) for t in (*weights, *slopes)}
    used, x = _layer(weights[0], rows, random)
    program = Program(member["name"], (*slopes, rate, used.inputs[0]), (*weights, *kept, iterations), {"y": used}, new)
    return program, values | x


def _layer(w: Tensor, rows: int, random: np.random.Generator) -> tuple[Tensor, Values]:
    """Rows times the weights, as in a dense layer: for how weights lie depends on who reads them."""
    x = g.input_tensor("x", (BATCH, w.shape[0]))
    return x @ w, {"x": random.normal(size=(rows, w.shape[0]))}  # type: ignore[arg-type]


def _as_python(options: Drawn) -> Drawn:
    return {k: tuple(v) if isinstance(v, list) and k in ("etas", "step_sizes") else v for k, v in options.items()}


def _stretched(a: Array, rows: int, width: int) -> Array:
    """The rows of a table again and again; and as many columns, where that is asked for."""
    out = a[np.arange(rows) % len(a)]
    return out[..., np.arange(width) % a.shape[-1]] if width and a.ndim > 1 else out


def _told(y: Array, p: Array) -> tuple[Any, Any, Any]:
    dtype: g.DType = "int" if y.dtype.kind == "i" else "float"
    label = g.input_tensor("y", (BATCH, *y.shape[1:]), dtype)
    return label, g.input_tensor("p", (BATCH, *p.shape[1:])), g.input_tensor("w", (BATCH,))


def _data(member: Drawn, y: Array, p: Array, rows: int) -> tuple[Array, Array]:
    width = member["width"] if y.shape[-1:] == p.shape[-1:] and y.ndim == p.ndim else 0
    return _stretched(np.asarray(y), rows, width), _stretched(np.asarray(p), rows, width)


def _case(table: Any, member: Drawn) -> Any:
    own = [case for case in table if case[0] == member["name"]]
    return own[member["which"] % len(own)]


def _loss(member: Drawn, rows: int, random: np.random.Generator) -> tuple[Program, Values]:
    name, options, y, p, *_ = _case(LOSSES, member)
    y, p = _data(member, y, p, rows)
    label, prediction, weight = _told(y, p)
    loss = Loss.registry.get(name)(**options)
    examples = loss.examples(label, prediction)
    total = loss.reduce(examples, weight)
    [slope] = gradient(total, [prediction])
    program = Program(name, (label, prediction, weight), (), {"e": examples, "t": total, "d": slope}, {})
    return program, {"y": y, "p": p, "w": random.uniform(0, 2, rows)}


def _metric(member: Drawn, rows: int, random: np.random.Generator) -> tuple[Program, Values]:
    name, options, y, p, *_ = _case(test_metrics.CASES, member)
    y, p = _data(member, y, p, rows)
    label, prediction, weight = _told(y, p)
    metric = METRICS.get(name)(**options)
    s = {k: g.state_tensor(k, shape) for k, shape in metric.accumulators(prediction).items()}
    new = metric.accumulate(label, prediction, weight, s)
    updates = {s[k]: new[k] for k in s}
    program = Program(name, (label, prediction, weight), tuple(s.values()), {"m": metric.outcome(new)}, updates)
    zeros = {k: np.zeros(t.shape) for k, t in s.items()}
    return program, {"y": y, "p": p, "w": random.uniform(0, 2, rows), **zeros}


def _activation(member: Drawn, rows: int, random: np.random.Generator) -> tuple[Program, Values]:
    x = g.input_tensor("x", (BATCH, *member["shape"]))
    y = ACTIVATIONS.get(member["name"])(x, **member["options"])
    [slope] = gradient(g.sum(y * y), [x])
    values = {"x": 2 * random.normal(size=(rows, *member["shape"]))}
    return Program(member["name"], (x,), (), {"y": y, "d": slope}, {}), values


def _penalty(member: Drawn, rows: int, random: np.random.Generator) -> tuple[Program, Values]:
    w = g.state_tensor("w", tuple(member["shape"]))
    penalty = REGULARIZERS.get(member["name"])(**member["options"])(w)
    [slope] = gradient(penalty, [w])
    used, x = _layer(w, rows, random)
    outputs = {"penalty": penalty, "slope": slope, "y": used}
    values = {"w": random.normal(size=w.shape)}  # type: ignore[arg-type]
    return Program(member["name"], (used.inputs[0],), (w,), outputs, {w: w - 0.125 * slope}), values | x


def _constraint(member: Drawn, rows: int, random: np.random.Generator) -> tuple[Program, Values]:
    w = g.state_tensor("w", tuple(member["shape"]))
    used, x = _layer(w, rows, random)
    new = CONSTRAINTS.get(member["name"])(**member["options"])(w)
    values = {"w": random.normal(size=w.shape)}  # type: ignore[arg-type]
    return Program(member["name"], (used.inputs[0],), (w,), {"y": used}, {w: new}), values | x


_WRITE = {
    **{"rule": _rule, "loss": _loss, "metric": _metric, "activation": _activation},
    **{"penalty": _penalty, "constraint": _constraint},
}
