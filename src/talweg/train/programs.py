"""The three programs of a model: train, evaluate, predict. Each is one graph over the same states.

One step of training is one graph, whatever the network, the loss and the rule.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from talweg import graph as g
from talweg.errors import GraphError, ShapeError
from talweg.gradient import gradient
from talweg.graph import BATCH, Array, DType, Program, Tensor
from talweg.nn.layers import Context, Layer, Variable
from talweg.nn.losses import Loss
from talweg.nn.metrics import Metric
from talweg.optim import UpdateRule
from talweg.optim.schedules import Schedule

States = dict[str, Tensor]


@dataclass(frozen=True)
class Measured:
    """A metric under the label that it has in histories, and whether the examples' weights count in it."""

    label: str
    metric: Metric
    weighted: bool = False


@dataclass(frozen=True)
class Form:
    """The form of one example and its label: what a program is written for, besides the network."""

    x_shape: tuple[int, ...]
    x_dtype: DType = "float"
    y_shape: tuple[int, ...] = ()
    y_dtype: DType = "float"
    weighted: bool = False

    def inputs(self) -> tuple[Tensor, Tensor, Tensor]:
        """x, y and the weight of each example, as symbolic rows."""
        return (
            g.input_tensor("x", (BATCH, *self.x_shape), self.x_dtype),
            g.input_tensor("y", (BATCH, *self.y_shape), self.y_dtype),
            g.input_tensor("sample_weight", (BATCH,)),
        )


def forward(layers: Sequence[Layer], x: Tensor, states: States, context: Context) -> Tensor:
    """Each layer's formula on the output of the one before."""
    x = g.cast(x, "float")
    for layer in layers:
        try:
            x = layer.write(x, states, context)
        except (ShapeError, GraphError) as error:
            named = f"layer {layer.name!r}"
            message = str(error) if named in str(error) else f"{named}, given {list(x.shape[1:])}: {error}"
            raise ShapeError(message) from None
    return x


def variables_of(layers: Iterable[Layer], trainable_only: bool = False) -> list[Variable]:
    """The layers' variables, each once, also where a layer stands at two places."""
    own = (v for layer in layers for v in (layer.trainable_variables if trainable_only else layer.variables))
    return list({id(v): v for v in own}.values())


def output_of(layers: Sequence[Layer], input_shape: tuple[int, ...]) -> Tensor:
    """What built `layers` make of examples of `input_shape`, as a formula."""
    x = g.input_tensor("x", (BATCH, *input_shape))
    return forward(layers, x, _states(variables_of(layers)), Context(training=False))


def output_shape(layers: Sequence[Layer], input_shape: tuple[int, ...]) -> tuple[int, ...]:
    """The shape of one example after built `layers`."""
    return output_of(layers, input_shape).shape[1:]  # type: ignore[return-value]


def prediction_program(layers: Sequence[Layer], form: Form) -> Program:
    """x in, the network's output out."""
    x, _, _ = form.inputs()
    states = _states(variables_of(layers))
    y = forward(layers, x, states, Context(training=False))
    return Program("predict", (x,), tuple(states.values()), {"y": y}, {})


def evaluation_program(layers: Sequence[Layer], form: Form, loss: Loss, metrics: Sequence[Measured]) -> Program:
    """Rows of x and y in, loss and metrics so far out; the states that change are the metrics' accumulators."""
    x, y, weight = form.inputs()
    states = _states(variables_of(layers))
    context = Context(training=False)
    y_pred = forward(layers, x, states, context)
    total = _total_loss(layers, states, context, loss, y, y_pred, weight if form.weighted else None)
    kept, outputs, updates = _measured(metrics, total, y, y_pred, weight if form.weighted else None)
    inputs = (x, y, weight) if form.weighted else (x, y)
    return Program("evaluate", inputs, (*states.values(), *kept), outputs, updates)


def training_program(
    layers: Sequence[Layer], form: Form, loss: Loss, metrics: Sequence[Measured], rule: UpdateRule
) -> Program:
    """One step: forward, loss, gradients, new values of the parameters and of all that the rule remembers."""
    x, y, weight = form.inputs()
    weights = weight if form.weighted else None
    seed, iterations = g.input_tensor("seed", (2,), "uint"), g.state_tensor("optimizer/iterations", (), "uint")
    states = _states(variables_of(layers))

    context = Context(training=True, seed=seed, step=iterations)
    y_pred = forward(layers, x, states, context)
    total = _total_loss(layers, states, context, loss, y, y_pred, weights)

    trained = [states[v.name] for v in variables_of(layers, trainable_only=True)]
    gradients = [d.named(f"gradient/{w.name}") for w, d in zip(trained, gradient(total, trained), strict=True)]
    rate, rate_inputs = _rate(rule, iterations)
    slots, new = apply_rule(rule, trained, gradients, iterations, rate)

    kept, outputs, measured = _measured(metrics, total, y, y_pred, weights)
    updates = {**new, **context.updates, **measured, iterations: iterations + g.constant(1, "uint")}
    inputs = (x, y, *([weight] if form.weighted else []), seed, *rate_inputs)
    return Program(
        "train", inputs, (*states.values(), *slots, *kept, iterations), {**outputs, "learning_rate": rate}, updates
    )


def apply_rule(
    rule: UpdateRule, weights: Sequence[Tensor], gradients: Sequence[Tensor], iterations: Tensor, rate: Tensor
) -> tuple[list[Tensor], dict[Tensor, Tensor]]:
    """The rule on each weight: the states that it keeps, and the new values of weights and states."""
    step = g.cast(iterations, "float") + 1.0
    kept: list[Tensor] = []
    new: dict[Tensor, Tensor] = {}
    for w, d in zip(weights, rule.clipped(gradients) if gradients else [], strict=True):
        slots = {name: g.state_tensor(f"optimizer/{w.name}/{name}", w.shape) for name in rule.slots()}
        new[w], fresh = rule.update(rule.decayed(w, rate), d, slots, step, rate)
        kept += slots.values()
        new |= {slot: fresh[name] for name, slot in slots.items()}
    return kept, new


def _rate(rule: UpdateRule, iterations: Tensor) -> tuple[Tensor, list[Tensor]]:
    """The learning rate of this step: a schedule's formula, or an input."""
    if isinstance(rule.learning_rate, Schedule):
        return rule.learning_rate(g.cast(iterations, "float")), []
    rate = g.input_tensor("learning_rate", ())
    return rate, [rate]


def _total_loss(
    layers: Sequence[Layer],
    states: States,
    context: Context,
    loss: Loss,
    y: Tensor,
    y_pred: Tensor,
    weights: Tensor | None,
) -> Tensor:
    """The loss on the batch, plus what regularizers ask for (of what is trained, as in Keras)."""
    total = loss.reduce(loss.examples(y, y_pred), weights)
    for v in variables_of(layers, trainable_only=True):
        if v.declared.regularizer is not None:
            total = total + v.declared.regularizer(states[v.name])
    for penalty in context.losses:
        total = total + penalty
    return total.named("loss")


def _measured(
    metrics: Sequence[Measured], loss: Tensor, y: Tensor, y_pred: Tensor, weights: Tensor | None
) -> tuple[list[Tensor], dict[str, Tensor], dict[Tensor, Tensor]]:
    """Accumulators, outputs and updates of the mean loss and of every metric."""
    rows = g.batch_size()
    total, count = g.state_tensor("metrics/loss/total", ()), g.state_tensor("metrics/loss/count", ())
    updates = {total: total + loss * rows, count: count + rows}
    outputs = {"loss": updates[total] / updates[count]}
    kept = [total, count]
    ones = g.broadcast_to(g.constant(1.0), (BATCH,))
    for measured in metrics:
        label, metric = measured.label, measured.metric
        weight = weights if measured.weighted and weights is not None else ones
        shapes = metric.accumulators(y_pred)
        s = {k: g.state_tensor(f"metrics/{label}/{k}", shape) for k, shape in shapes.items()}
        try:
            new = metric.accumulate(y, y_pred, weight, s)
        except (ShapeError, GraphError) as error:
            raise ShapeError(f"metric {label!r} cannot be measured with this loss's labels: {error}") from None
        updates |= {s[k]: new[k] for k in s}
        outputs[label] = metric.outcome(new)
        kept += s.values()
    return kept, outputs, updates


def first_values(program: Program, variables: Mapping[str, Variable], rule: UpdateRule | None) -> dict[str, Array]:
    """A value for every state: the variables', what the rule's slots begin with, 0 for counters and accumulators."""
    begin = {} if rule is None else rule.slots()
    values: dict[str, Array] = {}
    for state in program.states:
        if state.name in variables:
            values[state.name] = variables[state.name].value
        else:
            is_slot = re.match(r"optimizer/.+/", state.name)
            first = begin.get(state.name.rsplit("/", 1)[-1], 0.0) if is_slot else 0.0
            values[state.name] = np.full(state.shape, first)
    return values


def _states(variables: Sequence[Variable]) -> States:
    return {v.name: g.state_tensor(v.name, v.shape) for v in variables}
