"""Of numbers that are predicted: how much of their variation is explained, and whether they vary together.

Means, variances and covariances over all examples are merged batch by batch (Chan, Golub and LeVeque, 1983), so that
they keep their digits where the mean is large beside the deviation; sums of squares would not.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from talweg import graph as g
from talweg.errors import UsageError
from talweg.graph import Tensor
from talweg.nn.losses import EPSILON, alike
from talweg.nn.losses.weights import beside
from talweg.nn.metrics.base import METRICS, Metric, Shapes, States, added_up, formula, safe_ratio

MOMENTS = ("mean_true", "mean_pred", "var_true", "var_pred", "covariance")  # the last three times the weight


def _columns(y_true: Tensor, y_pred: Tensor) -> tuple[Tensor, Tensor]:
    """Labels and predictions as (batch, outputs, ...)."""
    y, p = alike(y_true, y_pred, "values")
    return (g.expand_dims(y, 1), g.expand_dims(p, 1)) if p.rank == 1 else (y, p)


def _outputs(y_pred: Tensor) -> Any:
    return y_pred.shape[1:] or (1,)


def _merged(y: Tensor, p: Tensor, weight: Tensor, s: States) -> dict[str, Tensor]:
    """The moments of each output with those of a batch; y and p: (batch, outputs, ...)."""
    w = g.broadcast_to(beside(weight, p), p.shape)
    new = g.sum(w, axis=0)
    total = s["weight"] + new
    share = safe_ratio(new, total)
    means = [safe_ratio(g.sum(w * t, axis=0), new) for t in (y, p)]
    off = [safe_ratio(g.sum(w * (t - mean), axis=0), new) for t, mean in zip((y, p), means, strict=True)]  # by rounding
    dy, dp = (t - mean - more for t, mean, more in zip((y, p), means, off, strict=True))
    means = [mean + more for mean, more in zip(means, off, strict=True)]
    jumps = [mean - s[name] for mean, name in zip(means, MOMENTS, strict=False)]
    merged = {name: s[name] + share * jump for name, jump in zip(MOMENTS, jumps, strict=False)}
    pairs = [(dy, dy, 0, 0), (dp, dp, 1, 1), (dy, dp, 0, 1)]
    for name, (a, b, i, j) in zip(MOMENTS[2:], pairs, strict=True):
        merged[name] = s[name] + g.sum(w * a * b, axis=0) + s["weight"] * share * jumps[i] * jumps[j]
    return {"weight": total, **merged}


@dataclass(eq=False, repr=False)
class R2Score(Metric):
    r"""$1 - \sum (y - \hat y)^2 / \sum (y - \bar y)^2$ of each output: the part of the variance that is explained.

    class_aggregation: "uniform_average" (the mean of the outputs), "variance_weighted_average" (each as much as it
    varies), or None for one value an output. num_regressors: for n examples and so many inputs p the adjusted score,
    $1 - (1 - R^2) \frac{n - 1}{n - p - 1}$, where n > p + 1 (Keras's n counts every output of every example). An output
    that never varies counts 0, as in Keras.

    >>> R2Score()([[1.0], [2.0], [3.0]], [[1.0], [2.0], [4.0]])
    array(0.5, dtype=float32)
    """

    ranges: ClassVar[Mapping[str, str]] = {"num_regressors": "{0, 1, ...}"}

    class_aggregation: str | None = "uniform_average"
    num_regressors: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.class_aggregation not in ("uniform_average", "variance_weighted_average", None):
            raise UsageError(
                "R2Score: class_aggregation must be uniform_average, variance_weighted_average or None; "
                f"got {self.class_aggregation!r}"
            )

    @property
    def shown(self) -> bool:
        return self.class_aggregation is not None

    def accumulators(self, y_pred: Tensor) -> Shapes:
        of_each = _outputs(y_pred)
        return {"rows": (), "weight": of_each, "residual": of_each, **dict.fromkeys(MOMENTS, of_each)}

    def accumulate(self, y_true: Tensor, y_pred: Tensor, weight: Tensor, s: States) -> dict[str, Tensor]:
        y, p = _columns(y_true, y_pred)
        residual = s["residual"] + g.sum(beside(weight, p) * g.square(y - p), axis=0)
        return {"rows": s["rows"] + g.size(p, 0), "residual": residual, **_merged(y, p, weight, s)}

    def outcome(self, s: States) -> Tensor:
        spread = s["var_true"]
        score = g.where(spread <= 0, 0.0, 1 - s["residual"] / g.where(spread <= 0, 1.0, spread))
        if self.class_aggregation == "uniform_average":
            score = g.mean(score)
        elif self.class_aggregation is not None:
            score = safe_ratio(g.sum(spread * score), g.sum(spread))
        if not self.num_regressors:
            return score
        left = s["rows"] - (self.num_regressors + 1.0)
        return g.where(left <= 0, score, 1 - (1 - score) * (s["rows"] - 1) / g.where(left <= 0, 1.0, left))


# ── correlations ──────────────────────────────────────────────────────────────────────────────────────────


def _within(y: Tensor, p: Tensor, axis: int) -> list[Tensor]:
    """Means, variances and covariance along `axis`."""
    means = [g.mean(t, axis, keepdims=True) for t in (y, p)]
    dy, dp = y - means[0], p - means[1]
    return [g.sum(mean, axis) for mean in means] + [g.mean(a * b, axis) for a, b in ((dy, dy), (dp, dp), (dy, dp))]


def _pearson(mean_y: Tensor, mean_p: Tensor, var_y: Tensor, var_p: Tensor, covariance: Tensor) -> Tensor:
    return safe_ratio(covariance, g.sqrt(var_y) * g.sqrt(var_p))


def _concordance(mean_y: Tensor, mean_p: Tensor, var_y: Tensor, var_p: Tensor, covariance: Tensor) -> Tensor:
    return 2 * covariance / (var_y + var_p + g.square(mean_y - mean_p) + EPSILON)


@formula()
def pearson_correlation(y_true: Tensor, y_pred: Tensor, axis: int = -1) -> Tensor:
    r"""$\operatorname{cov}(y, \hat y) / (\sigma_y \sigma_{\hat y})$ along `axis`, from -1 to 1.

    0 where one of the two does not vary; Keras has NaN there.

    >>> pearson_correlation([[1.0, 2.0, 3.0]], [[2.0, 4.0, 6.0]])
    array([1.], dtype=float32)
    """
    return _pearson(*_within(y_true, y_pred, axis))


@formula()
def concordance_correlation(y_true: Tensor, y_pred: Tensor, axis: int = -1) -> Tensor:
    r"""$2 \operatorname{cov}(y, \hat y) / (\sigma_y^2 + \sigma_{\hat y}^2 + (\bar y - \bar{\hat y})^2)$ along `axis`.

    1 where both are equal, not only of one form (Lin, 1989).
    """
    return _concordance(*_within(y_true, y_pred, axis))


class _Correlation(Metric, has_name=False):
    """The base: of each example along `axis`, averaged; or, along axis 0, of each output over all examples."""

    axis: int
    of_rows: Any
    of_moments: Any

    def accumulators(self, y_pred: Tensor) -> Shapes:
        if self.axis % max(y_pred.rank, 1):
            return super().accumulators(y_pred)
        return dict.fromkeys(("weight", *MOMENTS), _outputs(y_pred))

    def accumulate(self, y_true: Tensor, y_pred: Tensor, weight: Tensor, s: States) -> dict[str, Tensor]:
        if "weight" in s:
            return _merged(*_columns(y_true, y_pred), weight, s)
        return added_up(self.of_rows(y_true, y_pred, axis=self.axis), weight, s)

    def added(
        self, y_true: Tensor, y_pred: Tensor, s: States, weight: Tensor | None = None, mask: Tensor | None = None
    ) -> dict[str, Tensor]:
        if "weight" in s:
            return super().added(y_true, y_pred, s, weight)
        return added_up(self.of_rows(y_true, y_pred, axis=self.axis), weight, s)

    def outcome(self, s: States) -> Tensor:
        if "weight" not in s:
            return super().outcome(s)
        means, spreads = [s[m] for m in MOMENTS[:2]], [safe_ratio(s[m], s["weight"]) for m in MOMENTS[2:]]
        return g.mean(self.of_moments(*means, *spreads))


@dataclass(eq=False, repr=False)
class PearsonCorrelation(_Correlation):
    r"""$\operatorname{cov}(y, \hat y) / (\sigma_y \sigma_{\hat y})$: whether predictions vary as the labels do.

    axis: the last by default, so the mean over all examples of each one's correlation along its outputs, as in Keras.
    With axis=0 it is that of each output over all examples, exact whatever the batches, and then the outputs' mean
    (Keras averages what each batch has by itself). 0 where one of the two does not vary.

    >>> PearsonCorrelation(axis=0)([1.0, 2.0, 3.0, 4.0], [1.0, 3.0, 2.0, 4.0])
    array(0.8, dtype=float32)
    """

    axis: int = field(default=-1, kw_only=True)
    of_rows = pearson_correlation
    of_moments = staticmethod(_pearson)


@dataclass(eq=False, repr=False)
class ConcordanceCorrelation(_Correlation):
    r"""$2 \operatorname{cov}(y, \hat y) / (\sigma_y^2 + \sigma_{\hat y}^2 + (\bar y - \bar{\hat y})^2)$ (Lin, 1989).

    1 only where predictions are the labels, not only in proportion to them. axis: as of `PearsonCorrelation`.
    """

    axis: int = field(default=-1, kw_only=True)
    of_rows = concordance_correlation
    of_moments = staticmethod(_concordance)


METRICS.register("R2Score", R2Score, "r2")
