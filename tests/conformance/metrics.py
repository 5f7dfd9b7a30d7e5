"""The table of metrics: each with its options, labels and predictions, and what Keras and scikit-learn make of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from talweg.graph import Array
from talweg.nn.metrics import METRICS

random = np.random.default_rng(5)
N = 23
SIZES = (9, 1, 8, 5)  # the batches that the rows come in
WEIGHTS = random.choice([0.0, 0.5, 1.0, 2.0], N)
BITS = (random.random((N, 1)) < 0.4).astype(float)
CHANCES = np.clip(BITS * 0.3 + random.uniform(0.1, 0.6, (N, 1)), 0, 1)
MANY_BITS = (random.random((N, 3)) < 0.5).astype(float)
MANY_CHANCES = np.clip(MANY_BITS * 0.25 + random.uniform(0, 0.7, (N, 3)), 0, 1)
CLASS = np.concatenate([[0, 1, 2], random.integers(0, 3, N - 3)])
ROWS = random.dirichlet([1, 1, 1], N) + np.eye(3)[CLASS] * 0.3
ONE_HOT = np.eye(3)[CLASS]
REAL = random.normal(2, 3, (N, 2))
GUESS = REAL + random.normal(size=(N, 2))
YEARS = 2000 + random.normal(0, 2, (N, 2))  # squares of these leave float32 no digits for their spread
YEARS_GUESSED = YEARS + random.normal(size=(N, 2))
COUNTS = random.poisson(3, (N, 2)).astype(float)
RATES = random.uniform(0.5, 5, (N, 2))
SIGNS = np.where(MANY_BITS > 0, 1.0, -1.0)
SCORES = random.normal(size=(N, 3))
GUESSED_CLASS = np.where(random.random(N) < 0.6, CLASS, random.integers(0, 3, N))
MASK = random.integers(-1, 4, N)  # labels of which some are outside, for three classes
SORTED = np.argsort(-ROWS, axis=1)
TIES = np.round(ROWS * 4) / 4
PICTURES = random.integers(0, 3, (N, 4))  # a class for each of four pixels
PIXELS = np.eye(3)[PICTURES] * 0.4 + random.uniform(size=(N, 4, 3))

CERTAIN = np.where(MANY_CHANCES > 0.5, 1.0, 0.0)  # clipped
TENTHS = np.round(MANY_CHANCES, 1)  # some of them thresholds

Keras = Callable[[Any], Any]
Sklearn = Callable[[Any, Array, Array, Array | None], Any]


class Case(NamedTuple):
    """keras, sklearn: what they have that means the same, None where there is nothing."""

    name: str
    options: dict[str, Any]
    y: Array
    p: Array
    keras: Keras | None
    sklearn: Sklearn | None


def case(
    name: str,
    options: dict[str, Any],
    y: Array,
    p: Array,
    sklearn: Sklearn | None = None,
    keras: Keras | str | None = "",
    **more: Any,
) -> Case:
    """A case that Keras's class of the same name judges, with `more` options, unless `keras` says otherwise."""
    same = {**options, **more}
    return Case(
        name, options, y, p, keras if not isinstance(keras, str) else lambda k: getattr(k, name)(**same), sklearn
    )


def rates(s: Any, y: Array, p: Array, w: Array | None) -> tuple[Array, Array]:
    """Specificity and sensitivity at the thresholds of 0 to 1 in 200 steps."""
    weights = np.ones(len(y)) if w is None else w
    above = p > np.linspace(0, 1, 200)
    negative, positive = weights * (y[:, 0] == 0), weights * (y[:, 0] == 1)
    return negative @ ~above / negative.sum(), positive @ above / positive.sum()


def precisions(p: Array, y: Array, w: Array | None) -> Array:
    weights = (np.ones(len(y)) if w is None else w)[:, None]
    above = weights * (p > np.linspace(0, 1, 200))
    return (above * y).sum(0) / np.maximum(above.sum(0), 1e-9)


def kept(s: Any, y: Array, p: Array, w: Array | None, which: Array) -> float:
    """The cross-entropy of some of the labels."""
    weights = np.broadcast_to((np.ones(len(y)) if w is None else w).reshape(-1, *[1] * (y.ndim - 1)), y.shape)
    p = p / p.sum(-1, keepdims=True)
    return float(s.log_loss(y[which], p[which], sample_weight=weights[which], labels=[0, 1, 2]))


def concordance(y: Array, p: Array, w: Array | None) -> float:
    c = np.cov(y, p, aweights=w, ddof=0)
    means = [np.average(t, weights=w) for t in (y, p)]
    return float(2 * c[0, 1] / (c[0, 0] + c[1, 1] + (means[0] - means[1]) ** 2))


FLOAT = {"dtype": "float32"}  # else Keras's IoU cuts weights to whole numbers

CASES: list[Case] = [
    # ── right or wrong
    case("Accuracy", {}, CLASS, GUESSED_CLASS * 1.0, lambda s, y, p, w: s.accuracy_score(y, p, sample_weight=w)),
    case("BinaryAccuracy", {}, BITS, CHANCES, lambda s, y, p, w: s.accuracy_score(y, p > 0.5, sample_weight=w)),
    case("BinaryAccuracy", {"threshold": 0.3}, MANY_BITS, MANY_CHANCES),
    case(
        *("CategoricalAccuracy", {}, ONE_HOT, ROWS),
        lambda s, y, p, w: s.accuracy_score(y.argmax(1), p.argmax(1), sample_weight=w),
    ),
    case(
        *("SparseCategoricalAccuracy", {}, CLASS, ROWS),
        lambda s, y, p, w: s.accuracy_score(y, p.argmax(1), sample_weight=w),
    ),
    case("SparseCategoricalAccuracy", {}, PICTURES, PIXELS),
    case(
        *("TopKCategoricalAccuracy", {"k": 2}, ONE_HOT, ROWS),
        lambda s, y, p, w: s.top_k_accuracy_score(y.argmax(1), p, k=2, sample_weight=w),
    ),
    case("TopKCategoricalAccuracy", {}, ONE_HOT, ROWS, keras=None, sklearn=lambda s, y, p, w: 1.0),  # Keras: no 5 of 3
    case(
        *("SparseTopKCategoricalAccuracy", {"k": 2}, CLASS, ROWS),
        lambda s, y, p, w: s.top_k_accuracy_score(y, p, k=2, sample_weight=w),
    ),
    case("SparseTopKCategoricalAccuracy", {"k": 2}, CLASS, TIES),
    case("SparseTopKCategoricalAccuracy", {"k": 1}, PICTURES, PIXELS),
    case("SparseTopKCategoricalAccuracy", {"k": 2, "from_sorted_ids": True}, CLASS, SORTED * 1.0),
    # ── the means of losses
    case(*("MeanAbsoluteError", {}, REAL, GUESS), lambda s, y, p, w: s.mean_absolute_error(y, p, sample_weight=w)),
    case("MeanSquaredError", {}, REAL, GUESS, lambda s, y, p, w: s.mean_squared_error(y, p, sample_weight=w)),
    case(
        *("RootMeanSquaredError", {}, REAL[:, :1], GUESS[:, :1]),
        lambda s, y, p, w: s.root_mean_squared_error(y, p, sample_weight=w),
    ),
    case(
        *("MeanAbsolutePercentageError", {}, REAL, GUESS),
        lambda s, y, p, w: 100 * s.mean_absolute_percentage_error(y, p, sample_weight=w),
    ),
    case(
        *("MeanSquaredLogarithmicError", {}, COUNTS, RATES),
        lambda s, y, p, w: s.mean_squared_log_error(y, p, sample_weight=w),
    ),
    case("LogCoshError", {}, REAL, GUESS),
    case("CosineSimilarity", {}, REAL, GUESS),
    case("CosineSimilarity", {"axis": 1}, PIXELS[:, ::-1].copy(), PIXELS),
    case("Poisson", {}, COUNTS, RATES),
    case("KLDivergence", {}, ONE_HOT * 0.8 + 0.2 / 3, ROWS / ROWS.sum(1, keepdims=True)),
    case("Hinge", {}, SIGNS, SCORES, lambda s, y, p, w: np.average(np.maximum(1 - y * p, 0).mean(1), weights=w)),
    case("SquaredHinge", {}, SIGNS, SCORES),
    case("CategoricalHinge", {}, ONE_HOT, SCORES),
    case("BinaryCrossentropy", {}, BITS, CHANCES, lambda s, y, p, w: s.log_loss(y, p, sample_weight=w)),
    case("BinaryCrossentropy", {}, MANY_BITS, CERTAIN),
    case("BinaryCrossentropy", {"from_logits": True, "label_smoothing": 0.2}, MANY_BITS, SCORES),
    case(
        *("CategoricalCrossentropy", {}, ONE_HOT, ROWS),
        lambda s, y, p, w: s.log_loss(y.argmax(1), p / p.sum(1, keepdims=True), sample_weight=w),
    ),
    case("CategoricalCrossentropy", {"from_logits": True, "label_smoothing": 0.1}, ONE_HOT, SCORES),
    case("CategoricalCrossentropy", {"axis": 1}, ONE_HOT, ROWS),
    case(
        *("SparseCategoricalCrossentropy", {}, CLASS, ROWS),
        lambda s, y, p, w: s.log_loss(y, p / p.sum(1, keepdims=True), sample_weight=w),
    ),
    case("SparseCategoricalCrossentropy", {"from_logits": True, "axis": -1}, CLASS, SCORES),
    case(
        *("SparseCategoricalCrossentropy", {"ignore_class": 1}, CLASS, ROWS),
        lambda s, y, p, w: kept(s, y, p, w, y != 1) * ((y != 1).mean() if w is None else 1),
    ),
    case(
        *("SparseCategoricalCrossentropy", {"ignore_class": 2}, PICTURES, PIXELS),
        lambda s, y, p, w: kept(s, y, p, w, y != 2) * ((y != 2).mean() if w is None else 1),
        keras=None,  # whose weights (n,) meet one value each
    ),
    # ── numbers that vary together
    case("R2Score", {}, REAL, GUESS, lambda s, y, p, w: s.r2_score(y, p, sample_weight=w)),
    case(
        *("R2Score", {"class_aggregation": "variance_weighted_average"}, REAL, GUESS),
        lambda s, y, p, w: s.r2_score(y, p, sample_weight=w, multioutput="variance_weighted"),
    ),
    case(
        *("R2Score", {"class_aggregation": None}, REAL, GUESS),
        lambda s, y, p, w: s.r2_score(y, p, sample_weight=w, multioutput="raw_values"),
    ),
    case("R2Score", {"num_regressors": 2}, REAL[:, :1], GUESS[:, :1]),
    case(
        *("R2Score", {}, YEARS, YEARS_GUESSED),
        lambda s, y, p, w: s.r2_score(y, p, sample_weight=w),
        keras=None,  # whose float32 sums of squares answer 0.94 for 0.76
    ),
    case("PearsonCorrelation", {}, PIXELS[:, 0], SCORES),
    case(
        *("PearsonCorrelation", {"axis": 0}, REAL[:, :1], GUESS[:, :1]),
        lambda s, y, p, w: (
            np.cov(y[:, 0], p[:, 0], aweights=w)[0, 1] / np.sqrt(np.diag(np.cov(y[:, 0], p[:, 0], aweights=w)).prod())
        ),
        keras=None,
    ),
    case(
        *("PearsonCorrelation", {"axis": 0}, YEARS, YEARS_GUESSED),
        lambda s, y, p, w: np.mean(
            [c[0, 1] / np.sqrt(c[0, 0] * c[1, 1]) for c in (np.cov(y[:, i], p[:, i], aweights=w) for i in range(2))]
        ),
        keras=None,
    ),
    case("ConcordanceCorrelation", {}, PIXELS[:, 0], SCORES),
    case(
        *("ConcordanceCorrelation", {"axis": 0}, REAL, GUESS),
        lambda s, y, p, w: np.mean([concordance(y[:, i], p[:, i], w) for i in range(2)]),
        keras=None,
    ),
    # ── of two classes
    case("TruePositives", {}, BITS, CHANCES, lambda s, y, p, w: s.confusion_matrix(y, p > 0.5, sample_weight=w)[1, 1]),
    case("TruePositives", {"thresholds": [0.2, 0.5, 0.6]}, MANY_BITS, MANY_CHANCES),
    case("FalsePositives", {}, BITS, CHANCES, lambda s, y, p, w: s.confusion_matrix(y, p > 0.5, sample_weight=w)[0, 1]),
    case("FalsePositives", {"thresholds": 0.35}, MANY_BITS, MANY_CHANCES),
    case("TrueNegatives", {}, BITS, CHANCES, lambda s, y, p, w: s.confusion_matrix(y, p > 0.5, sample_weight=w)[0, 0]),
    case("TrueNegatives", {"thresholds": [0.35]}, MANY_BITS, MANY_CHANCES),
    case("FalseNegatives", {}, BITS, CHANCES, lambda s, y, p, w: s.confusion_matrix(y, p > 0.5, sample_weight=w)[1, 0]),
    case("FalseNegatives", {"thresholds": [0.2, 0.5]}, MANY_BITS, MANY_CHANCES),
    case("Precision", {}, BITS, CHANCES, lambda s, y, p, w: s.precision_score(y, p > 0.5, sample_weight=w)),
    case("Precision", {"thresholds": 0.35}, MANY_BITS, MANY_CHANCES),
    case("Precision", {"thresholds": [0.2, 0.35, 0.6]}, MANY_BITS, MANY_CHANCES),
    case("Precision", {"thresholds": [0.0, 0.25, 0.5, 0.75, 1.0]}, MANY_BITS, TENTHS),
    case("Precision", {"top_k": 2}, MANY_BITS, MANY_CHANCES),
    case("Precision", {"top_k": 1, "thresholds": 0.4, "class_id": 1}, MANY_BITS, MANY_CHANCES),
    case("Recall", {}, BITS, CHANCES, lambda s, y, p, w: s.recall_score(y, p > 0.5, sample_weight=w)),
    case("Recall", {"thresholds": 0.35}, MANY_BITS, MANY_CHANCES),
    case("Recall", {"top_k": 2, "class_id": 2}, MANY_BITS, MANY_CHANCES),
    case("Recall", {"thresholds": [0.1, 0.7]}, MANY_BITS, MANY_CHANCES),
    case(
        *("SensitivityAtSpecificity", {"specificity": 0.7}, BITS, CHANCES),
        lambda s, y, p, w: (lambda tn, tp: tp[tn >= 0.7].max())(*rates(s, y, p, w)),
    ),
    case("SensitivityAtSpecificity", {"specificity": 0.5, "num_thresholds": 9}, MANY_BITS, MANY_CHANCES),
    case("SensitivityAtSpecificity", {"specificity": 0.5, "num_thresholds": 1}, BITS, CHANCES),
    case(
        *("SpecificityAtSensitivity", {"sensitivity": 0.7}, BITS, CHANCES),
        lambda s, y, p, w: (lambda tn, tp: tn[tp >= 0.7].max())(*rates(s, y, p, w)),
    ),
    case("SpecificityAtSensitivity", {"sensitivity": 0.6, "class_id": 1}, MANY_BITS, MANY_CHANCES),
    case(
        *("PrecisionAtRecall", {"recall": 0.7}, BITS, CHANCES),
        lambda s, y, p, w: precisions(p, y, w)[rates(s, y, p, w)[1] >= 0.7].max(),
    ),
    case("PrecisionAtRecall", {"recall": 0.5, "num_thresholds": 30}, MANY_BITS, MANY_CHANCES),
    case(
        *("RecallAtPrecision", {"precision": 0.6}, BITS, CHANCES),
        lambda s, y, p, w: rates(s, y, p, w)[1][precisions(p, y, w) >= 0.6].max(),
    ),
    case("RecallAtPrecision", {"precision": 0.99, "class_id": 0}, MANY_BITS, MANY_CHANCES),
    case("AUC", {}, BITS, CHANCES, lambda s, y, p, w: s.roc_auc_score(y, p, sample_weight=w)),
    case("AUC", {"num_thresholds": 7}, BITS, CHANCES),
    case("AUC", {}, MANY_BITS, MANY_CHANCES),
    case("AUC", {"curve": "PR"}, BITS, CHANCES),
    case("AUC", {"curve": "PR", "summation_method": "minoring"}, BITS, CHANCES),
    case("AUC", {"curve": "PR", "summation_method": "majoring", "num_thresholds": 20}, MANY_BITS, MANY_CHANCES),
    case("AUC", {"curve": "PRGAIN", "num_thresholds": 20}, BITS, CHANCES),
    case("AUC", {"summation_method": "majoring", "thresholds": [0.6, 0.2, 0.31]}, BITS, CHANCES),
    case(
        *("AUC", {"multi_label": True, "num_labels": 3}, MANY_BITS, MANY_CHANCES),
        lambda s, y, p, w: s.roc_auc_score(y, p, sample_weight=w),
    ),
    case(
        *("AUC", {"multi_label": True, "label_weights": [1.0, 0.0, 2.5], "curve": "PR"}, MANY_BITS, MANY_CHANCES),
        keras=None,  # Keras on PyTorch mixes columns and thresholds here; so column by column
        sklearn=lambda s, y, p, w: np.average(
            [METRICS.get("AUC")(curve="PR")(y[:, i], p[:, i], w) for i in range(3)], weights=[1.0, 0.0, 2.5]
        ),
    ),
    case("AUC", {"thresholds": [0.5]}, BITS, CHANCES),
    case("AUC", {"thresholds": [0.25, 0.5, 0.75], "curve": "PR"}, MANY_BITS, TENTHS),
    case("AUC", {"num_thresholds": 11, "curve": "PRGAIN", "summation_method": "minoring"}, MANY_BITS, TENTHS),
    case("AUC", {"num_thresholds": 2}, MANY_BITS, TENTHS),
    case("AUC", {"label_weights": [1.0, 0.5, 2.0]}, MANY_BITS, MANY_CHANCES),
    case("AUC", {"from_logits": True}, BITS, SCORES[:, :1]),
    # ── of several classes
    case(
        *("ConfusionMatrix", {}, CLASS, ROWS),
        lambda s, y, p, w: s.confusion_matrix(y, p.argmax(1), sample_weight=w),
        keras=None,
    ),
    case(
        *("ConfusionMatrix", {}, BITS, CHANCES),
        lambda s, y, p, w: s.confusion_matrix(y, p > 0.5, sample_weight=w),
        keras=None,
    ),
    case(
        *("ConfusionMatrix", {}, PICTURES, PIXELS),
        lambda s, y, p, w: s.confusion_matrix(
            y.ravel(), p.argmax(-1).ravel(), sample_weight=None if w is None else np.repeat(w, 4)
        ),
        keras=None,
    ),
    case(
        *("MatthewsCorrelation", {}, CLASS, ROWS),
        lambda s, y, p, w: s.matthews_corrcoef(y, p.argmax(1), sample_weight=w),
        keras=None,
    ),
    case(
        *("MatthewsCorrelation", {}, BITS, CHANCES),
        lambda s, y, p, w: s.matthews_corrcoef(y, p > 0.5, sample_weight=w),
        keras=None,
    ),
    *(
        case(
            *("F1Score", {"average": average}, ONE_HOT, ROWS),
            lambda s, y, p, w, a=average: s.f1_score(y.argmax(1), p.argmax(1), sample_weight=w, average=a),
        )
        for average in ("macro", "weighted", "micro", None)
    ),
    case(
        *("F1Score", {}, CLASS, ROWS),
        lambda s, y, p, w: s.f1_score(y, p.argmax(1), sample_weight=w, average="macro"),
        keras=None,
    ),
    case(
        *("F1Score", {}, BITS, CHANCES),
        lambda s, y, p, w: s.f1_score(y, p > 0.5, sample_weight=w, average="macro"),
        keras=None,
    ),
    *(
        case(
            *("FBetaScore", {"average": average, "beta": beta, "threshold": 0.4}, MANY_BITS, MANY_CHANCES),
            lambda s, y, p, w, a=average, b=beta: s.fbeta_score(y, p > 0.4, beta=b, sample_weight=w, average=a),
        )
        for average, beta in (("macro", 2.0), ("weighted", 0.5), ("micro", 2.0), (None, 0.5))
    ),
    case("FBetaScore", {"beta": 2.0}, ONE_HOT, ROWS, average="macro"),
    case("F1Score", {"average": "weighted"}, ONE_HOT, TIES),
    # ── of one axis
    *(
        case(name, {}, BITS[:, 0], CHANCES[:, 0])
        for name in ("RootMeanSquaredError", "BinaryAccuracy", "AUC", "Recall")
    ),
    case("TrueNegatives", {"thresholds": [0.2, 0.5]}, BITS[:, 0], CHANCES[:, 0]),
    case(
        *("FBetaScore", {"threshold": 0.4}, BITS, CHANCES),
        lambda s, y, p, w: s.f1_score(y, p > 0.4, sample_weight=w),
        average="macro",
    ),
    case(
        *("IoU", {"num_classes": 3, "target_class_ids": [0, 2]}, CLASS, GUESSED_CLASS * 1.0),
        lambda s, y, p, w: s.jaccard_score(y, p, sample_weight=w, labels=[0, 2], average="macro"),
        **FLOAT,
    ),
    case("IoU", {"num_classes": 3, "target_class_ids": [1], "ignore_class": 0}, MASK, GUESSED_CLASS * 1.0, **FLOAT),
    case(
        *("IoU", {"num_classes": 3, "target_class_ids": [1], "sparse_y_pred": False, "axis": 1}, CLASS, ROWS),
        lambda s, y, p, w: s.jaccard_score(y == 1, p.argmax(1) == 1, sample_weight=w),
        keras=None,  # which also sums the classes' scores along that axis
    ),
    case("IoU", {"num_classes": 3, "target_class_ids": [1, 2], "sparse_y_true": False}, ONE_HOT, MASK * 1.0, **FLOAT),
    case(
        *("IoU", {"num_classes": 3, "target_class_ids": [0, 1], "sparse_y_pred": False}, PICTURES, PIXELS),
        lambda s, y, p, w: s.jaccard_score(
            y.ravel(),
            p.argmax(-1).ravel(),
            labels=[0, 1],
            average="macro",
            sample_weight=None if w is None else np.repeat(w, 4),
        ),
        keras=None,  # whose weights are one a pixel
    ),
    case(
        *("BinaryIoU", {}, BITS, CHANCES),
        lambda s, y, p, w: s.jaccard_score(y, p >= 0.5, sample_weight=w, average="macro"),
        **FLOAT,
    ),
    case("BinaryIoU", {"target_class_ids": [1], "threshold": 0.35}, BITS, CHANCES, **FLOAT),
    case("MeanIoU", {"num_classes": 3}, CLASS, GUESSED_CLASS * 1.0, **FLOAT),
    case("MeanIoU", {"num_classes": 5}, CLASS, GUESSED_CLASS * 1.0, **FLOAT),  # two never occur
    case("OneHotIoU", {"num_classes": 3, "target_class_ids": [0, 2]}, ONE_HOT, ROWS, **FLOAT),
    case(
        *(
            "OneHotIoU",
            {"num_classes": 3, "target_class_ids": [1], "sparse_y_pred": True},
            ONE_HOT,
            GUESSED_CLASS * 1.0,
        ),
        **FLOAT,
    ),
    case("OneHotMeanIoU", {"num_classes": 3}, ONE_HOT, ROWS, **FLOAT),
    # ── the mean and sum of what is given
    case("Mean", {}, REAL, GUESS),
    case("Sum", {}, REAL, GUESS),
    case(
        *("MeanMetricWrapper", {"fn": "huber", "delta": 0.5}, REAL, GUESS),
        keras=lambda k: k.MeanMetricWrapper(k.huber, delta=0.5),
    ),
]
