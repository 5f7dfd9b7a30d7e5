"""Every activation, loss, metric, layer, regularizer, schedule and update rule on the engines that compile.

The cases are those of the comparisons with PyTorch and Keras: what is listed there is held here too. Each table becomes
one program, and every element of every result must lie as near to the reference in float64 as rounding can take it
(`rounding`).
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from conformance import (
    test_activations,
    test_layers,
    test_losses,
    test_metrics,
    test_optimizers,
    test_regularizers,
    test_schedules,
)
from conformance.engines import COMPILED, Factory
from conformance.families import Expected, Family, Member, disagreements, expected, family
from talweg import graph as g
from talweg.engines import Reference
from talweg.gradient import gradient
from talweg.graph import BATCH, Program, Tensor
from talweg.nn.activations import ACTIVATIONS
from talweg.nn.losses import Loss
from talweg.nn.metrics import METRICS
from talweg.nn.regularizers import REGULARIZERS
from talweg.optim import OPTIMIZERS
from talweg.optim.schedules import SCHEDULES


def labels(cases: Any) -> list[str]:
    return [f"{i} {case[0]}{case[1] or ''}" for i, case in enumerate(cases)]


def activations() -> Family:
    """Values, and the slope of a weighted sum."""
    table = test_activations
    members = {
        label: (table.talweg_program(name, options), {"x": table.X})
        for label, (name, options, *_) in zip(labels(table.CASES), table.CASES, strict=True)
    }
    return family(members, len(table.X))


def losses() -> Family:
    """Of each example, their weighted mean, and its slope along the predictions."""
    table, members = test_losses, dict[str, Member]()
    for label, (name, options, y, p, *_) in zip(labels(table.CASES), table.CASES, strict=True):
        true, prediction, weight = table.tensors(y, p)
        loss = Loss.registry.get(name)(**options)
        examples = loss.examples(true, prediction)
        total = loss.reduce(examples, weight)
        [slope] = gradient(total, [prediction])
        outputs = {"examples": examples, "total": total, "slope": slope}
        members[label] = Program(name, (true, prediction, weight), (), outputs, {}), {"y": y, "p": p, "w": table.WEIGHTS}
    return family(members, table.ROWS)


def metrics() -> Family:
    """Accumulators as states, over batches of 4 with a short last one."""
    table, members = test_metrics, dict[str, Member]()
    for label, (name, options, y, p, *_) in zip(labels(table.CASES), table.CASES, strict=True):
        metric = METRICS.get(name)(**options)
        true = g.input_tensor("y", (BATCH, *y.shape[1:]), "int" if y.dtype.kind == "i" else "float")
        pred, weight = g.input_tensor("p", (BATCH, *p.shape[1:])), g.input_tensor("w", (BATCH,))
        s = {k: g.state_tensor(k, shape) for k, shape in metric.accumulators(pred).items()}
        new = metric.accumulate(true, pred, weight, s)
        updates = {s[k]: new[k] for k in s}
        program = Program(name, (true, pred, weight), tuple(s.values()), {"m": metric.outcome(new)}, updates)
        zeros = {k: np.zeros(t.shape) for k, t in s.items()}
        members[label] = program, {"y": y, "p": p, "w": table.WEIGHTS, **zeros}
    return family(members, table.N, 4)


def layers() -> Family:
    """In training and not: what comes out, what is added to the loss, and slopes along x and all that learns."""
    table, members, rows = test_layers, dict[str, Member](), 5
    for label, (name, options, shape, *_) in zip(labels(table.CASES), table.CASES, strict=True):
        for training in (False, True):
            layer = table.built(name, options, shape)
            program, y, context = table.written(layer, shape, training)
            loss = functools.reduce(Tensor.__add__, context.losses, g.sum(g.sin(y) + y * y))
            learned = [s for s, v in zip(program.states, layer.variables, strict=True) if v.declared.trainable]
            slopes = gradient(loss, [program.inputs[0], *learned])
            outputs = {"y": y, "loss": loss} | {f"slope {i}": d for i, d in enumerate(slopes)}
            whole = Program(name, program.inputs, program.states, outputs, context.updates)
            values = table.values(layer, table.examples(rows, shape), seed=3, step=7)
            members[f"{label}{' in training' * training}"] = whole, values
    return family(members, rows)


def regularizers() -> Family:
    """The penalty and its slope."""
    table, members = test_regularizers, dict[str, Member]()
    for label, (name, options) in zip(labels(table.CASES), table.CASES, strict=True):
        w = g.state_tensor("w", table.W.shape)
        penalty = REGULARIZERS.get(name)(**options)(w)
        outputs = {"penalty": penalty, "slope": gradient(penalty, [w])[0]}
        members[label] = Program(name, (), (w,), outputs, {}), {"w": table.W}
    return family(members)


def schedules() -> Family:
    """The rate at many steps: those are the rows of one batch."""
    table, members = test_schedules, dict[str, Member]()
    step = g.input_tensor("step", (BATCH,), "uint")
    for label, (name, options, *_) in zip(labels(table.CASES), table.CASES, strict=True):
        rate = g.broadcast_to(SCHEDULES.get(name)(**options)(g.cast(step, "float")), (BATCH,))
        members[label] = Program(name, (step,), (), {"rate": rate}, {}), {"step": np.array(table.STEPS, np.uint32)}
    return family(members, len(table.STEPS))


def optimizers() -> Family:
    """The weights and all that a rule remembers, after every step at a rate that changes."""
    table, members = test_optimizers, dict[str, Member]()
    cases = [(n, o) for n, owns in table.OPTIONS.items() for o in (*owns, *({**owns[0], **c} for c in table.COMMON))]
    for label, (name, options) in zip(labels(cases), cases, strict=True):
        rule = OPTIMIZERS.get(name)(**options)
        weights = [g.state_tensor(f"w{i}", s) for i, s in enumerate(table.SHAPES)]
        slopes = [g.input_tensor(f"g{i}", s) for i, s in enumerate(table.SHAPES)]
        iterations, rate = g.state_tensor("iterations", (), "uint"), g.input_tensor("rate", ())
        kept, new = rule.apply(weights, slopes, iterations, rate)
        new[iterations] = iterations + g.constant(1, "uint")
        values: dict[str, Any] = {**rule.memory(weights), "iterations": np.uint32(0), "rate": table.RATES}
        values |= {f"w{i}": w for i, w in enumerate(table.FIRST)} | {f"g{i}": d for i, d in enumerate(table.GRADIENTS)}
        members[label] = Program(name, (*slopes, rate), (*weights, *kept, iterations), {}, new), values
    return family(members, STEPS, 1, is_changing=True)


STEPS = 6
FAMILIES: dict[str, Callable[[], Family]] = {
    f.__name__: f for f in (activations, losses, metrics, layers, regularizers, schedules, optimizers)
}


@functools.cache
def known(name: str) -> tuple[Family, Expected]:
    made = FAMILIES[name]()
    return made, expected(made)


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("make", [Reference, *COMPILED.values()], ids=["reference-float32", *COMPILED])
def test_agrees_with_the_reference(make: Factory, name: str) -> None:
    engine = make()
    wrong = disagreements(engine, *known(name))
    assert not wrong, "\n" + "\n".join(wrong)


@pytest.mark.parametrize("name", FAMILIES)
def test_bounds_say_something(name: str) -> None:
    """A bound that anything satisfies would prove nothing: of ten elements, nine have one below 1e-5 of the largest."""
    _, what = known(name)
    sizes = {k: np.abs(v[np.isfinite(v)], dtype=float).max(initial=0) for k, v in what.values.items()}
    tight = np.concatenate([(e <= 1e-5 * sizes[k]).ravel() for k, e in what.errors.items()])
    assert tight.mean() > 0.9, f"{tight.mean():.0%}"
