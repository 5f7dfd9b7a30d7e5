"""The three programs of a model: train, evaluate, predict. Each is one graph over the same states.

One step of training is one graph, whatever the network, the loss and the rule.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from talweg import graph as g
from talweg.errors import GraphError, ShapeError
from talweg.gradient import gradient
from talweg.graph import BATCH, Array, DType, Program, Tensor
from talweg.nn.layers import Context, Variable
from talweg.nn.losses import Loss
from talweg.nn.metrics import Metric
from talweg.optim import UpdateRule
from talweg.optim.schedules import Schedule
from talweg.train.network import Network, States

X, Y, WEIGHT = "x", "y", "sample_weight"  # what a program's rows are called


def feed(kind: str, name: str, names: Sequence[str]) -> str:
    """What the array of one of several inputs or outputs is called in programs.

    >>> feed(X, "left", ["left", "right"]), feed(X, "left", ["left"])
    ('x/left', 'x')
    """
    return f"{kind}/{name}" if len(names) > 1 else kind


@dataclass(frozen=True)
class Form:
    """What a program takes in rows of, besides what the network says: of each array the shape of one row, the dtype.

    >>> Form({"x": ((28, 28), "uint8")}).inputs()
    {'x': <x [batch, 28, 28] uint8>}
    """

    arrays: Mapping[str, tuple[tuple[int, ...], DType]]

    def inputs(self) -> dict[str, Tensor]:
        """The arrays as symbolic rows."""
        return {name: g.input_tensor(name, (BATCH, *shape), dtype) for name, (shape, dtype) in self.arrays.items()}

    def __hash__(self) -> int:
        return hash(tuple(self.arrays.items()))


LOOK = "look/"  # what the outputs begin with that are for a rule that searches, and for nobody else
LOSS, GRADIENT = f"{LOOK}loss", f"{LOOK}gradient/"


@dataclass(frozen=True)
class Measured:
    """A metric under the label that it has in histories, and whether the examples' weights count in it."""

    label: str
    metric: Metric
    weighted: bool = False


@dataclass(frozen=True)
class Goal:
    """What one output is trained for.

    y, sample_weight  what its labels and the weights of its examples are called among a program's inputs
    loss, weight      what is to become small, and how much that counts; None where nothing is asked of this output
    label             what the mean of its loss is called in histories; None where that is not kept
    """

    y: str
    sample_weight: str
    loss: Loss | None
    weight: float | None = None
    label: str | None = None
    metrics: Sequence[Measured] = ()


Given = Mapping[str, Tensor]  # the rows of a program, by name


def outputs_of(network: Network, given: Given, states: States, context: Context) -> list[Tensor]:
    """The network's formula on the rows of x."""
    names = network.input_names
    return network.write([g.cast(given[feed(X, name, names)], "float") for name in names], states, context)


def prediction_program(network: Network, form: Form) -> Program:
    """x in, the network's outputs out."""
    given, states, names = form.inputs(), network.states(), network.output_names
    answers = outputs_of(network, given, states, Context(training=False))
    outputs = {feed(Y, name, names): y for name, y in zip(names, answers, strict=True)}
    return Program("predict", tuple(given.values()), tuple(states.values()), outputs, {})


def evaluation_program(network: Network, form: Form, goals: Sequence[Goal]) -> Program:
    """Rows of x and y in, loss and metrics so far out; the states that change are the metrics' accumulators."""
    given, states = form.inputs(), network.states()
    context = Context(training=False)
    answers = outputs_of(network, given, states, context)
    total, parts = _losses(network, states, context, goals, given, answers)
    kept, outputs, updates = _measured(goals, total, parts, given, answers, context)
    return Program("evaluate", tuple(given.values()), (*states.values(), *kept), outputs, updates)


def training_program(network: Network, form: Form, goals: Sequence[Goal], rule: UpdateRule) -> Program:
    """One step: forward, loss, gradients, new values of the parameters and of all that the rule remembers."""
    given, states = form.inputs(), network.states()
    seed, iterations = g.input_tensor("seed", (2,), "uint"), g.state_tensor("optimizer/iterations", (), "uint")

    context = Context(training=True, seed=seed, step=iterations)
    answers = outputs_of(network, given, states, context)
    total, parts = _losses(network, states, context, goals, given, answers)

    trained = [states[v] for v in network.trainable_variables]
    gradients = [d.named(f"gradient/{w.name}") for w, d in zip(trained, gradient(total, trained), strict=True)]
    rate, rate_inputs = _rate(rule, iterations)
    constraints = {states[v].name: v.declared.constraint for v in network.trainable_variables if v.declared.constraint}
    slots, new = rule.apply(trained, gradients, iterations, rate, constraints)

    kept, outputs, measured = _measured(goals, total, parts, given, answers, context)
    updates = {**new, **context.updates, **measured, iterations: iterations + g.constant(1, "uint")}
    looks = {LOSS: total, **{f"{GRADIENT}{w.name}": d for w, d in zip(trained, gradients, strict=True)}}
    outputs |= {"learning_rate": rate, **(looks if rule.searches else {})}
    inputs = (*given.values(), seed, *rate_inputs)
    return Program("train", inputs, (*states.values(), *slots, *kept, iterations), outputs, updates)


def _rate(rule: UpdateRule, iterations: Tensor) -> tuple[Tensor, list[Tensor]]:
    """The learning rate of this step: a schedule's formula, or an input."""
    if isinstance(rule.learning_rate, Schedule):
        return rule.learning_rate(rule.steps_in(g.cast(iterations, "float"))), []
    rate = g.input_tensor("learning_rate", ())
    return rate, [rate]


def _losses(
    network: Network, states: States, context: Context, goals: Sequence[Goal], given: Given, answers: Sequence[Tensor]
) -> tuple[Tensor, dict[str, Tensor]]:
    """The loss on the batch, and those of its parts that are kept by themselves.

    It is the weighted sum of the outputs' losses, plus what regularizers ask for (of what is trained, as in Keras).
    """
    parts: dict[str, Tensor] = {}
    terms: list[Tensor] = []
    for goal, y_pred in zip(goals, answers, strict=True):
        if goal.loss is None:
            continue
        examples, counts = goal.loss.counted(given[goal.y], y_pred, context.masks.get(y_pred))
        part = goal.loss.reduce(examples, given.get(goal.sample_weight), counts)
        if goal.label is not None:
            parts[goal.label] = part
        terms.append(part if goal.weight is None else part * goal.weight)
    for v in network.trainable_variables:
        if v.declared.regularizer is not None:
            terms.append(v.declared.regularizer(states[v]))
    return functools.reduce(operator.add, [*terms, *context.losses]).named("loss"), parts


def _measured(
    goals: Sequence[Goal],
    loss: Tensor,
    parts: Mapping[str, Tensor],
    given: Given,
    answers: Sequence[Tensor],
    context: Context,
) -> tuple[list[Tensor], dict[str, Tensor], dict[Tensor, Tensor]]:
    """Accumulators, outputs and updates of the mean losses and of every metric."""
    rows = g.batch_size()
    kept: list[Tensor] = []
    outputs: dict[str, Tensor] = {}
    updates: dict[Tensor, Tensor] = {}
    for label, value in {"loss": loss, **parts}.items():
        total, count = (g.state_tensor(f"metrics/{label}/{of}", ()) for of in ("total", "count"))
        updates |= {total: total + value * rows, count: count + rows}
        outputs[label] = updates[total] / updates[count]
        kept += [total, count]
    for goal, y_pred in zip(goals, answers, strict=True):
        for measured in goal.metrics:
            label, metric = measured.label, measured.metric
            weight = given.get(goal.sample_weight) if measured.weighted else None
            shapes = metric.accumulators(y_pred)
            s = {k: g.state_tensor(f"metrics/{label}/{k}", shape) for k, shape in shapes.items()}
            try:
                new = metric.added(given[goal.y], y_pred, s, weight, context.masks.get(y_pred))
            except (ShapeError, GraphError) as error:
                raise ShapeError(f"metric {label!r} cannot be measured with this loss's labels: {error}") from None
            updates |= {s[k]: new[k] for k in s}
            outputs[label] = metric.outcome(new)
            kept += s.values()
    return kept, outputs, updates


def first_values(program: Program, variables: Mapping[str, Variable], rule: UpdateRule | None) -> dict[str, Array]:
    """A value for every state: the variables', what the rule's memory begins with, 0 for counters and accumulators."""
    weights = [s for s in program.states if s.name in variables]
    values: dict[str, Array] = {} if rule is None else rule.memory(weights)
    values |= {name: v.value for name, v in variables.items()}
    return {s.name: values[s.name] if s.name in values else np.zeros(s.shape) for s in program.states}
