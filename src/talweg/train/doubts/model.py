"""Doubts about a network, its losses and its metrics: whether each gets the kind of numbers that it takes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from talweg.errors import ModelWarning, TalwegWarning
from talweg.graph import Array, Tensor
from talweg.nn import metrics
from talweg.nn.losses import Loss
from talweg.nn.metrics import Metric
from talweg.train.doubts.bounds import bounds, is_sum_of_products
from talweg.train.programs import Y, feed
from talweg.train.rows import Rows

if TYPE_CHECKING:
    from talweg.train.model import Model

Takes = Literal["probabilities", "logits", "logarithms"]

TAKES: dict[str, Takes] = {
    **dict.fromkeys(("kl_divergence", "categorical_generalized_cross_entropy", "bce_loss"), "probabilities"),
    **dict.fromkeys(("cross_entropy_loss", "bce_with_logits_loss", "multi_label_soft_margin_loss"), "logits"),
    "nll_loss": "logarithms",
}
"""What losses without `from_logits` take for predictions, where not any number will do."""

ACCURACIES = (metrics.BinaryAccuracy, metrics.CategoricalAccuracy, metrics.SparseCategoricalAccuracy)
OF_TWO_CLASSES = (
    *(metrics.Precision, metrics.Recall, metrics.AUC),
    *(metrics.TruePositives, metrics.TrueNegatives, metrics.FalsePositives, metrics.FalseNegatives),
    *(metrics.PrecisionAtRecall, metrics.RecallAtPrecision),
    *(metrics.SensitivityAtSpecificity, metrics.SpecificityAtSensitivity),
)
"""Metrics that compare predictions with thresholds from 0 to 1, and labels with ½."""


def taken_by(loss: Loss) -> Takes | None:
    """What a loss takes for predictions; None where any number will do."""
    if "from_logits" in loss.options:
        return "logits" if loss.options["from_logits"] else "probabilities"
    return TAKES.get(loss.formula.__name__)


def are_probabilities(y: Tensor) -> bool:
    low, high = bounds(y)
    return low >= 0 and high <= 1


# ── the loss and the last layer ───────────────────────────────────────────────────────────────────────────


def of_outputs(model: Model) -> Iterator[tuple[str, TalwegWarning]]:
    """(output, doubt) of each output that is not what its loss takes."""
    for name, aim, output in zip(model.output_names, model.aims, model.outputs, strict=True):
        takes = None if aim.loss is None else taken_by(aim.loss)
        if aim.loss is None or takes is None:
            continue
        y, loss, has_choice = output.tensor, f"loss {aim.loss.formula.__name__!r}", "from_logits" in aim.loss.options
        of = f"output {name!r}" if len(model.output_names) > 1 else "the last layer"
        end = "sigmoid" if aim.loss.targets == "binary" else "softmax"
        low, high = bounds(y)
        if takes == "probabilities" and (is_sum_of_products(y) or low < 0 < high < np.inf):
            what = "sums of any size" if high == np.inf else f"numbers from {low:g} to {high:g}"
            other = ", or pass from_logits=True to the loss" if has_choice and high == np.inf else ""
            message = f"takes probabilities, and {of} gives {what}: the network will hardly learn. "
            message += f"Give it activation={end!r}{other}."
        elif takes == "logits" and are_probabilities(y):
            made = y.origin.function if y.origin else end
            other = "from_logits=True" if has_choice else "take a loss of probabilities"
            message = f"takes logits and applies the {end} itself, and {of} ends in a {made} already, so the network "
            message += f"learns slowly and not well. Leave out that activation, or {other}."
        elif takes == "logarithms" and are_probabilities(y):
            message = f"takes logarithms of probabilities, and {of} gives numbers from 0 to 1. End the network in "
            message += "activation='log_softmax', or use loss='sparse_categorical_crossentropy'."
        else:
            continue
        yield name, ModelWarning(f"{loss} {message}")


# ── metrics ───────────────────────────────────────────────────────────────────────────────────────────────


def of_measures(model: Model, rows: Rows, told: set[str]) -> Iterator[TalwegWarning]:
    """Of metrics that measure something else than their name says, by the labels and the outputs there are."""
    names = model.output_names
    goals = model.goals(rows.form)
    for name, goal, output in zip(names, goals, model.outputs, strict=True):
        labels = rows.feeds.get(feed(Y, name, names))
        if labels is None or not goal.metrics:
            continue
        takes = None if goal.loss is None else taken_by(goal.loss)
        for measured in goal.metrics:
            said = _of_metric(measured.metric, labels, output.tensor, takes, name in told)
            if said is not None:
                yield ModelWarning(f"metric {measured.label!r} {said}")


def _of_metric(metric: Metric, labels: Array, y: Tensor, takes: Takes | None, is_told: bool) -> str | None:
    """What is wrong with a metric; nothing of the output again, where the loss's doubt told of it."""
    if isinstance(metric, metrics.Accuracy):
        return (
            "counts predictions that equal their label exactly, which outputs of a network hardly do. Use 'accuracy', "
            "the text, which rounds them; for numbers to be predicted, 'mae'."
        )
    if isinstance(metric, (metrics.BinaryAccuracy, metrics.CategoricalAccuracy)) and (strange := _stranger(labels)):
        of_signs = set(np.unique(labels[:1000]).tolist()) <= {-1.0, 1.0}
        return f"is for labels 0 and 1, and y holds {strange}. " + (
            "Turn -1 and 1 into 0 and 1, (y + 1) / 2, which the loss takes too."
            if of_signs
            else "For numbers to be predicted use 'mae' or 'r2_score'; for class numbers, an output for each class."
        )
    if isinstance(metric, OF_TWO_CLASSES) and (strange := _stranger(labels)):
        return f"is for labels 0 and 1, and y holds {strange}, each above 0.5 counting as 1. Use labels 0 and 1."
    if is_told or takes != "logits" or are_probabilities(y):
        return None
    if isinstance(metric, metrics.BinaryAccuracy) and getattr(metric, "threshold", None) == 0.5:
        return (
            "counts logits above 0.5 as class 1, where the loss has the border at 0. Use "
            "BinaryAccuracy(threshold=0.0), or end the network in a sigmoid and leave out from_logits."
        )
    if isinstance(metric, OF_TWO_CLASSES) and not getattr(metric, "from_logits", False):
        remedy = "Use AUC(from_logits=True), or end" if isinstance(metric, metrics.AUC) else "End"
        return f"takes probabilities, and gets logits. {remedy} the network in a sigmoid and leave out from_logits."
    if getattr(metric, "from_logits", None) is False:
        return "takes probabilities, and gets logits. Pass from_logits=True to the metric, too."
    return None


def _stranger(labels: Array) -> Any:
    """A label outside 0 to 1, where there is one."""
    low, high = labels.min(), labels.max()
    return f"{low:g}" if low < 0 else f"{high:g}" if high > 1 else None


# ── whether anything is learnt ────────────────────────────────────────────────────────────────────────────


def of_training(model: Model, sets_rates: bool) -> Iterator[TalwegWarning]:
    if model.variables and not model.trainable_variables:
        yield ModelWarning(
            "no weight is trainable, so this fit changes none. Set trainable=True on the layers that are to learn, "
            "and compile again."
        )
    elif model.optimizer.learning_rate == 0 and not sets_rates:
        yield ModelWarning("the learning rate is 0, so this fit changes no weight. Compile with a larger one.")
