"""The means of losses' formulas over all examples, whatever the batches: what a loss is called in Keras's metrics."""

from __future__ import annotations

from dataclasses import dataclass

from talweg import graph as g
from talweg.graph import Tensor
from talweg.nn import losses
from talweg.nn.metrics.base import METRICS, MeanMetric, States, formula, mean_metric, safe_ratio

MeanAbsoluteError = mean_metric(losses.mean_absolute_error)
MeanAbsolutePercentageError = mean_metric(losses.mean_absolute_percentage_error)
MeanSquaredError = mean_metric(losses.mean_squared_error)
MeanSquaredLogarithmicError = mean_metric(losses.mean_squared_logarithmic_error)
LogCoshError = mean_metric(losses.log_cosh, class_name="LogCoshError", name="logcosh")
Poisson = mean_metric(losses.poisson)
KLDivergence = mean_metric(losses.kl_divergence, class_name="KLDivergence")
Hinge = mean_metric(losses.hinge)
SquaredHinge = mean_metric(losses.squared_hinge)
CategoricalHinge = mean_metric(losses.categorical_hinge)
BinaryCrossentropy = mean_metric(losses.binary_crossentropy, "from_logits", "label_smoothing")
CategoricalCrossentropy = mean_metric(losses.categorical_crossentropy, "from_logits", "label_smoothing", "axis")
SparseCategoricalCrossentropy = mean_metric(
    losses.sparse_categorical_crossentropy, "from_logits", "ignore_class", "axis"
)


@formula()
def cosine_similarity(y_true: Tensor, y_pred: Tensor, axis: int = -1) -> Tensor:
    r"""$\frac{y \cdot \hat y}{|y|\,|\hat y|}$ along `axis`: 1 where both point the same way. The loss is its negative.

    >>> cosine_similarity([[1.0, 1.0]], [[2.0, 0.0]])
    array([0.70710677], dtype=float32)
    """
    return -losses.cosine_similarity.formula(y_true, y_pred, axis)


CosineSimilarity = mean_metric(cosine_similarity, "axis")


@dataclass(eq=False, repr=False)
class RootMeanSquaredError(MeanMetric):
    """The root of the mean squared error over all examples; as in Keras, also over steps that a mask leaves out."""

    formula = losses.mean_squared_error

    def values(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        y, p = losses.alike(y_true, y_pred, "values")
        return g.square(p - y)

    def added(
        self, y_true: Tensor, y_pred: Tensor, s: States, weight: Tensor | None = None, mask: Tensor | None = None
    ) -> dict[str, Tensor]:
        return super().added(y_true, y_pred, s, weight)

    def outcome(self, s: States) -> Tensor:
        return g.sqrt(safe_ratio(s["total"], s["count"]))


METRICS.register("MeanAbsoluteError", MeanAbsoluteError, "mae")
METRICS.register("MeanAbsolutePercentageError", MeanAbsolutePercentageError, "mape")
METRICS.register("MeanSquaredError", MeanSquaredError, "mse")
METRICS.register("MeanSquaredLogarithmicError", MeanSquaredLogarithmicError, "msle")
METRICS.register("RootMeanSquaredError", RootMeanSquaredError, "rmse")
METRICS.register("LogCoshError", LogCoshError, "logcosh")
METRICS.register("KLDivergence", KLDivergence, "kld")
METRICS.register("BinaryCrossentropy", BinaryCrossentropy, "bce")
