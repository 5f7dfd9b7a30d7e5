"""What `compile` was told, checked: how to train, what to measure, and what computes it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any

from talweg import graph as g
from talweg.engines.base import Engine
from talweg.errors import UsageError
from talweg.graph import Tensor
from talweg.nn import losses, metrics
from talweg.nn.losses import Loss
from talweg.optim import UpdateRule
from talweg.optim import get as get_optimizer
from talweg.train.arguments import listed
from talweg.train.network import by_name, free_name
from talweg.train.programs import WEIGHT, Goal, Measured, Y, feed


@dataclass(frozen=True)
class Aim:
    """What was asked of one output: a loss and how much it counts, metrics, and metrics that heed examples' weights."""

    output: str
    loss: Loss | None
    weight: float | None
    metrics: list[Any]
    weighted_metrics: list[Any]

    @property
    def needs_labels(self) -> bool:
        return bool(self.loss or self.metrics or self.weighted_metrics)


@dataclass(frozen=True)
class Compiled:
    """An update rule, an aim for each output, and an engine."""

    rule: UpdateRule
    aims: list[Aim]
    engine: Engine

    @property
    def outputs(self) -> list[str]:
        return [aim.output for aim in self.aims]

    @property
    def loss_name(self) -> str | None:
        """The name of the loss, where there is but one."""
        found = [aim.loss for aim in self.aims if aim.loss is not None]
        return found[0].formula.__name__ if len(found) == 1 else None

    @property
    def loss_labels(self) -> dict[str, str]:
        """For each output that has a loss what this is called in histories; none where there is but one loss."""
        having = [aim.output for aim in self.aims if aim.loss is not None]
        return {name: f"{name}_loss" for name in having} if len(having) > 1 else {}

    def asked(self) -> list[tuple[str, str, Any, bool]]:
        """(label, output, metric, weighted) of each metric, those of the weighted last, the labels all different."""
        taken = ["loss", *self.loss_labels.values()]
        found = []
        for prefix in ("", "weighted_"):
            for aim in self.aims:
                of = f"{aim.output}_" if len(self.aims) > 1 else ""
                for metric in aim.weighted_metrics if prefix else aim.metrics:
                    label = label_of(metric)
                    plain = of + label
                    taken.append(free_name(of + prefix + label if plain in taken else plain, taken))
                    found.append((taken[-1], aim.output, metric, bool(prefix)))
        return found

    @property
    def labels(self) -> list[str]:
        """The names of what is measured beside the loss: each output's loss where there are several, then metrics."""
        return [*self.loss_labels.values(), *(label for label, *_ in self.asked())]

    def goals(self, given: Mapping[str, Tensor], answers: Sequence[Tensor]) -> list[Goal]:
        """The aims, now that the form of labels and predictions is known: "accuracy" depends on it."""
        goals, asked = [], self.asked()
        for aim, y_pred in zip(self.aims, answers, strict=True):
            y = feed(Y, aim.output, self.outputs)
            measured = [
                Measured(label, metrics.get(metric, y_pred, given[y]), weighted)
                for label, output, metric, weighted in asked
                if output == aim.output
            ]
            weight, label = feed(WEIGHT, aim.output, self.outputs), self.loss_labels.get(aim.output)
            goals.append(Goal(y, weight, aim.loss, aim.weight, label, measured))
        return goals


def compiled(
    optimizer: Any,
    loss: Any,
    loss_weights: Any,
    metrics: Any,
    weighted_metrics: Any,
    engine: Engine,
    outputs: Sequence[str],
) -> Compiled:
    """`Compiled` of names, objects and functions; raises `UsageError` and `UnknownNameError`."""
    wanted, weights = _losses(loss, outputs), _weights(loss_weights, outputs)
    kinds = [_metrics(metrics, outputs, "metrics"), _metrics(weighted_metrics, outputs, "weighted_metrics")]
    aims = [
        Aim(name, None if wanted[name] is None else losses.get(wanted[name]), weights[name], *(k[name] for k in kinds))
        for name in outputs
    ]
    found = [aim.loss for aim in aims if aim.loss is not None]
    if not found:
        raise UsageError(f"compile() needs one loss, for instance loss='mse'; got {loss!r}")
    if any(each.reduction in (None, "none") for each in found):
        raise UsageError("a model is trained on one number: the loss's reduction must not be None in compile()")
    told = Compiled(get_optimizer(optimizer), aims, engine)
    _ = told.labels  # an unknown metric is an error now, not in fit
    return told


def _losses(loss: Any, outputs: Sequence[str]) -> dict[str, Any]:
    """The loss of each output: one for all, a list in their order, or a dictionary, which may leave some out."""
    if _is_by_name(loss):
        return _partial(loss, outputs, "loss")
    if not isinstance(loss, (list, tuple)):
        return dict.fromkeys(outputs, loss)
    if len(outputs) == 1:
        loss = listed(loss)
        if len(loss) != 1:
            raise UsageError(f"compile() needs one loss, for instance loss='mse'; got {loss!r}")
    return by_name(loss, outputs, "loss", "output") if len(outputs) > 1 else {outputs[0]: loss[0]}


def _weights(weights: Any, outputs: Sequence[str]) -> dict[str, float | None]:
    """How much the loss of each output counts; None for 1."""
    if weights is None:
        return dict.fromkeys(outputs)
    if len(outputs) == 1 and not isinstance(weights, Mapping):
        weights = listed(weights)
    named = _partial(weights, outputs, "loss_weights") if isinstance(weights, Mapping) else None
    found = named or by_name(
        weights[0] if len(outputs) == len(weights) == 1 else weights, outputs, "loss_weights", "output"
    )
    if wrong := [w for w in found.values() if w is not None and (not isinstance(w, Real) or isinstance(w, bool))]:
        raise UsageError(
            f"loss_weights, the third argument of compile as in Keras, are numbers, one for each output; got "
            f"{wrong[0]!r}. Metrics have a name: metrics=['accuracy']."
        )
    return {name: None if w is None or w == 1 else float(w) for name, w in found.items()}


def _metrics(asked: Any, outputs: Sequence[str], argument: str) -> dict[str, list[Any]]:
    """The metrics of each output: where there is one, all; else an entry for each, in a list or dictionary."""
    if _is_by_name(asked) and (len(outputs) > 1 or set(asked) <= set(outputs)):
        return {name: listed(each) for name, each in _partial(asked, outputs, argument).items()}
    if len(outputs) == 1:
        return {outputs[0]: listed(asked)}
    if asked is None or (isinstance(asked, (list, tuple)) and not asked):
        return {name: [] for name in outputs}
    return {name: listed(each) for name, each in by_name(asked, outputs, argument, "output").items()}


def _is_by_name(value: Any) -> bool:
    return isinstance(value, Mapping) and "class" not in value


def _partial(value: Mapping[str, Any], names: Sequence[str], argument: str) -> dict[str, Any]:
    """What a dictionary says of each output, None where it says nothing."""
    if unknown := [name for name in value if name not in names]:
        raise UsageError(f"{argument} names an output {unknown[0]!r}; the model's outputs are {', '.join(names)}")
    return {name: value.get(name) for name in names}


def label_of(metric: Any) -> str:
    """What a metric is called, whatever the data will be. Raises `UnknownNameError` for a name in no table.

    >>> label_of("acc"), label_of(metrics.R2Score())
    ('acc', 'r2_score')
    """
    some = g.input_tensor("y", (g.BATCH, 2))
    return metrics.get(metric, some, some).label
