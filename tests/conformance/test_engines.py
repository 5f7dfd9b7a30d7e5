"""Every operation, activation, loss, metric, layer, initializer, regularizer, constraint, schedule and update rule on
the engines that compile.

The cases are those of the comparisons with PyTorch and Keras: what is listed there is held here too. Each table becomes
one program, and every element of every result must lie as near to the reference in float64 as rounding can take it
(`rounding`).
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from conformance import (
    test_activations,
    test_constraints,
    test_functional,
    test_initializers,
    test_layers,
    test_losses,
    test_metrics,
    test_optimizers,
    test_regularizers,
    test_schedules,
)
from conformance.cases import CASES
from conformance.engines import COMPILED, Factory
from conformance.families import Expected, Family, Member, disagreements, expected, family
from talweg import graph as g
from talweg.engines import Reference
from talweg.gradient import gradient
from talweg.graph import BATCH, Program, Tensor
from talweg.graph.random import RandomStream
from talweg.nn.constraints import CONSTRAINTS
from talweg.nn.initializers import INITIALIZERS
from talweg.nn.layers import LAYERS, Context
from talweg.nn.losses import Loss
from talweg.nn.metrics import METRICS
from talweg.nn.regularizers import REGULARIZERS
from talweg.optim import OPTIMIZERS
from talweg.optim.schedules import SCHEDULES

Cases = list[tuple[Any, ...]]
"""A table of cases: each a name, options, and what else its builder below knows of."""


def labelled(cases: Cases) -> Iterator[tuple[Any, ...]]:
    return ((f"{i} {name}{options or ''}", name, options, *rest) for i, (name, options, *rest) in enumerate(cases))


def activations(cases: Cases) -> Family:
    """Values, and the slope of a weighted sum."""
    table = test_activations
    members = {
        label: (table.talweg_program(name, options), {"x": table.X}) for label, name, options, *_ in labelled(cases)
    }
    return family(members, len(table.X))


def losses(cases: Cases) -> Family:
    """Of each example, their weighted mean, and its slope along the predictions."""
    table, members = test_losses, dict[str, Member]()
    for label, name, options, y, p, *_ in labelled(cases):
        true, prediction, weight = table.tensors(y, p)
        loss = Loss.registry.get(name)(**options)
        examples = loss.examples(true, prediction)
        total = loss.reduce(examples, weight)
        [slope] = gradient(total, [prediction])
        outputs = {"examples": examples, "total": total, "slope": slope}
        members[label] = (
            Program(name, (true, prediction, weight), (), outputs, {}),
            {"y": y, "p": p, "w": table.WEIGHTS},
        )
    return family(members, table.ROWS)


def metrics(cases: Cases) -> Family:
    """Accumulators as states, over batches of 4 with a short last one."""
    table, members = test_metrics, dict[str, Member]()
    for label, name, options, y, p, *_ in labelled(cases):
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


def layers(cases: Cases) -> Family:
    """In training and not: what comes out, what is added to the loss, and slopes along x and all that learns."""
    table, members, rows = test_layers, dict[str, Member](), 5
    for label, name, options, shape, *_ in labelled(cases):
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


def merging(cases: Cases) -> Family:
    """What comes out of several inputs, and slopes along each."""
    members, rows = dict[str, Member](), 5
    for label, name, options, shapes in labelled(cases):
        draw = np.random.default_rng(len(members))
        inputs = [g.input_tensor(f"x{i}", (BATCH, *shape)) for i, shape in enumerate(shapes)]
        y = LAYERS.get(name)(**options, name="it").write(inputs, {}, Context(training=False))
        slopes = gradient(g.sum(g.sin(y) + y * y), inputs)
        outputs = {"y": y} | {f"slope {i}": d for i, d in enumerate(slopes)}
        program = Program(name, tuple(inputs), (), outputs, {})
        members[label] = program, {x.name: draw.normal(size=(rows, *x.shape[1:])) for x in inputs}
    return family(members, rows)


def initializers(cases: Cases) -> Family:
    """A dense layer that begins so, as the engine holds it: what it answers, and its kernel."""
    members, x = dict[str, Member](), np.random.default_rng(0).normal(size=(3, 20))
    for label, name, options, *_ in labelled(cases):
        values = INITIALIZERS.get(name)(**options)((20, 90), RandomStream(1, 1))
        given, kernel = g.input_tensor("x", x.shape), g.state_tensor("kernel", values.shape)
        outputs = {"y": given @ kernel, "kernel": kernel * 1.0}
        members[label] = Program(name, (given,), (kernel,), outputs, {}), {"x": x, "kernel": values}
    return family(members)


def constraints(cases: Cases) -> Family:
    """A weight brought back to where it may be, as the new value of a state."""
    table, members = test_constraints, dict[str, Member]()
    for label, name, options in labelled(cases):
        w = g.state_tensor("w", table.W.shape)
        members[label] = Program(name, (), (w,), {}, {w: CONSTRAINTS.get(name)(**options)(w)}), {"w": table.W}
    return family(members)


def regularizers(cases: Cases) -> Family:
    """The penalty and its slope."""
    table, members = test_regularizers, dict[str, Member]()
    for label, name, options in labelled(cases):
        w = g.state_tensor("w", table.W.shape)
        penalty = REGULARIZERS.get(name)(**options)(w)
        outputs = {"penalty": penalty, "slope": gradient(penalty, [w])[0]}
        members[label] = Program(name, (), (w,), outputs, {}), {"w": table.W}
    return family(members)


def schedules(cases: Cases) -> Family:
    """The rate at many steps: those are the rows of one batch."""
    table, members = test_schedules, dict[str, Member]()
    step = g.input_tensor("step", (BATCH,), "uint")
    for label, name, options, *_ in labelled(cases):
        rate = g.broadcast_to(SCHEDULES.get(name)(**options)(g.cast(step, "float")), (BATCH,))
        members[label] = Program(name, (step,), (), {"rate": rate}, {}), {"step": np.array(table.STEPS, np.uint32)}
    return family(members, len(table.STEPS))


def optimizers(cases: Cases) -> Family:
    """The weights and all that a rule remembers, after every step at a rate that changes."""
    table, members = test_optimizers, dict[str, Member]()
    for label, name, options in labelled(cases):
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
# What all update rules have in common is written once for them all, so one rule tries it.
RULES = [(name, own) for name, owns in test_optimizers.OPTIONS.items() for own in owns]
COMMON = [("Adam", options) for options in test_optimizers.COMMON]

FAMILIES: dict[str, tuple[Callable[[Cases], Family], Cases]] = {
    "activations": (activations, test_activations.CASES),
    "losses": (losses, [case for case in test_losses.CASES if not case[0].startswith("CTC")]),  # that: test_scanning
    "metrics": (metrics, test_metrics.CASES),
    "layers": (layers, test_layers.CASES),
    "merging": (merging, test_functional.MERGING),
    "initializers": (initializers, [*test_initializers.DRAWN, *test_initializers.EXACT]),
    "regularizers": (regularizers, test_regularizers.CASES),
    "constraints": (constraints, test_constraints.CASES),
    "schedules": (schedules, test_schedules.CASES),
    "optimizers": (optimizers, [*RULES, *COMMON]),
}


@functools.cache
def known(name: str, in_brief: bool) -> tuple[Family, Expected]:
    """A family and what must come out of it; in brief: of each entry of its table the first case only."""
    build, cases = FAMILIES[name]
    made = build(list({case[0]: case for case in reversed(cases)}.values()) if in_brief else cases)
    return made, expected(made)


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("make", [Reference, *COMPILED.values()], ids=["reference-float32", *COMPILED])
def test_agrees_with_the_reference(make: Factory, name: str) -> None:
    """Every case; in float64 the first of each entry, unless TALWEG_EVERY_CASE is set: a compiler takes long."""
    engine = make()
    in_brief = engine.precision == "float64" and not os.environ.get("TALWEG_EVERY_CASE")
    wrong = disagreements(engine, *known(name, in_brief))
    assert not wrong, "\n" + "\n".join(wrong)


OPERATION_ROWS = 5


@pytest.mark.parametrize("make", COMPILED.values(), ids=list(COMPILED))
@settings(max_examples=2, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_every_operation_and_its_gradient(make: Factory, data: st.DataObject) -> None:
    """One case of each operation, all in one program; the slope is that of Σ y²."""
    members: dict[str, Member] = {}
    for name in sorted(CASES):
        case = data.draw(CASES[name])
        operands = case.tensors()
        outputs = {"y": case.write(*operands)}
        floats = [t for t in operands if t.dtype == "float"]
        if outputs["y"].dtype == "float" and floats:
            slopes = gradient(g.sum(outputs["y"] * outputs["y"]), floats)
            outputs |= {f"slope {i}": s for i, s in enumerate(slopes) if not s.is_leaf}
        values = {t.name: a for t, a in zip(operands, case.arrays(OPERATION_ROWS, "float32"), strict=True)}
        members[name] = case.program(operands, **outputs), values
    operations = family(members, OPERATION_ROWS)
    wrong = disagreements(make(), operations, expected(operations))
    assert not wrong, "\n" + "\n".join(wrong)


@pytest.mark.parametrize("name", FAMILIES)
def test_bounds_say_something(name: str) -> None:
    """A bound that anything satisfies would prove nothing: of ten elements, nine have one below 1e-5 of the largest."""
    _, what = known(name, in_brief=False)
    sizes = {k: np.abs(v[np.isfinite(v)], dtype=float).max(initial=0) for k, v in what.values.items()}
    tight = np.concatenate([(e <= 1e-5 * sizes[k]).ravel() for k, e in what.errors.items()])
    assert tight.mean() > 0.9, f"{tight.mean():.0%}"
