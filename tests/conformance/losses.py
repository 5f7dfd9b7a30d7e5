"""The table of losses: each with its options, labels and predictions, and what PyTorch makes of them.

Predictions are drawn once; `KIND` names those where slopes are not to be compared with differences.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from support import oracle
from talweg.graph import Array
from talweg.nn.losses import Loss

ROWS, CLASSES = 6, 4
random = np.random.default_rng(7)
VALUES = random.normal(size=(ROWS, CLASSES))
BITS = (random.random((ROWS, CLASSES)) < 0.5).astype(float)
CLASS = random.integers(0, CLASSES, ROWS)
ONE_HOT = np.eye(CLASSES)[CLASS]
LOGITS = random.normal(size=(ROWS, CLASSES)) * 3
EXTREME = np.where(random.random((ROWS, CLASSES)) < 0.5, 1e4, -1e4) + random.normal(size=(ROWS, CLASSES))
PROBABILITIES = random.uniform(0.05, 0.95, (ROWS, CLASSES))  # rows that do not sum to 1: Keras makes them
CERTAIN = np.array([[0.0, 1.0, 0.0, 0.0]] * ROWS)  # clipped
WEIGHTS = np.array([0.5, 2.0, 1.0, 0.0, 3.0, 1.5])

POSITIVE = np.abs(VALUES) + 0.1
COUNTS = random.poisson(2.0, (ROWS, CLASSES)).astype(float)
SIGNS = 2 * BITS - 1
ROW_SIGNS = np.array([1.0, -1.0, -1.0, 1.0, -1.0, 1.0])
SHARES = random.dirichlet(np.ones(CLASSES), ROWS)
SOME_CLASS = np.where(np.arange(ROWS) == 2, -100, CLASS)  # one of them ignored
SETS = np.array([[2, 0, -1, 1], [3, -1, 0, 0], [-1, 1, 2, 3], [0, 1, 2, -1], [1, 1, -1, -1], [3, 2, 1, 0]], float)
PIXELS = random.normal(size=(ROWS, 5, CLASSES))  # the class axis last, or PyTorch's
PIXEL_CLASS = random.integers(0, CLASSES, (ROWS, 5))
CLASSES_SECOND = np.moveaxis(PIXELS, -1, 1).copy()
NORMALS = np.concatenate([VALUES[:, :2], POSITIVE[:, :2]], axis=-1)  # means and variances
NARROW = np.concatenate([VALUES[:, :2], np.full((ROWS, 2), 1e-8)], axis=-1)  # variances that count as 1e-6
NEAR = VALUES + 10.0 ** -random.uniform(1, 5, (ROWS, CLASSES))  # errors too small for ln cosh in float32
TRIPLETS = random.normal(size=(ROWS, 6))
FAR_TRIPLETS = TRIPLETS * 1e4
UNITS = LOGITS / np.linalg.norm(LOGITS, axis=1, keepdims=True)
NO_LABEL = np.zeros(ROWS)
LABELS = np.array([[1, 2, -1], [3, 3, 2], [2, -1, -1], [1, 1, -1], [2, 1, 3], [-1, -1, -1]])
TIMED_LABELS = np.concatenate([[[7], [7], [3], [2], [7], [4]], LABELS], axis=1)  # of the fourth, two steps are too few
FRAMES = random.normal(size=(ROWS, 7, CLASSES))
LONG = (ROWS, 40, CLASSES)
FAR_FRAMES = np.where(random.random(LONG) < 0.5, 1e4, -1e4) + random.normal(size=LONG)

Torch = Callable[[Any, Any, Any], Any]  # (functional, y, prediction) to the loss of each example
B, C, S = "BinaryCrossentropy", "CategoricalCrossentropy", "SparseCategoricalCrossentropy"
BF, CF = "BinaryFocalCrossentropy", "CategoricalFocalCrossentropy"


def bce(f: Any, y: Any, p: Any) -> Any:
    return f.binary_cross_entropy_with_logits(p, y, reduction="none").mean(-1)


def smooth_bce(f: Any, y: Any, p: Any) -> Any:
    return bce(f, y * 0.8 + 0.1, p)


def focal(f: Any, y: Any, p: Any) -> Any:
    wrong = (y * (-p).sigmoid() + (1 - y) * p.sigmoid()) ** 2
    return (wrong * f.binary_cross_entropy_with_logits(p, y, reduction="none")).mean(-1)


def log_cosh(f: Any, y: Any, p: Any) -> Any:
    error = (p - y).abs()
    return (error + f.softplus(-2 * error, threshold=1e9) - np.log(2)).mean(-1)


def right(y: Any, p: Any) -> Any:
    return p.gather(-1, y[:, None])[:, 0]


def tversky(y: Any, p: Any, missed: float = 0.5, false_alarms: float = 0.5, least: float = 1e-7) -> Any:
    both = (y * p).sum(-1)
    return 1 - both / (both + missed * (y * (1 - p)).sum(-1) + false_alarms * (p * (1 - y)).sum(-1) + least)


def circle(f: Any, y: Any, p: Any) -> Any:
    d = (1 - p @ p.T).clamp(min=0)
    alike = y[:, None] == y
    near, far = alike & ~d.new_ones(len(y)).diag().bool(), ~alike
    costs = [(80 * (d + 0.4) * (d - 0.4), near), (80 * (1.4 - d).clamp(min=0) * (0.6 - d), far)]
    total = sum(cost.masked_fill(~which, -1e9).logsumexp(1) for cost, which in costs)
    return f.softplus(total, threshold=1e9)


def pytorch(name: str, options: dict[str, Any], reduction: str = "none") -> Torch:
    """PyTorch's class of that name, with the same options, as a function of (functional, y, prediction)."""

    def form(f: Any, y: Any, p: Any) -> Any:
        if name == "CTCLoss":
            return _spelled(f, y, p, reduction, **options)
        torch = oracle("torch")
        given = {k: torch.tensor(v, dtype=p.dtype) if k in ("weight", "pos_weight") else v for k, v in options.items()}
        p = p.movedim(given.pop("axis", -1), 1) if p.ndim > 2 else p
        if "distance_function" in given:
            given["distance_function"] = DISTANCES[given["distance_function"]](f)
        made = getattr(torch.nn, name)(**given, reduction=reduction)
        kind: Any = Loss.registry.get(name).formula
        parts = p.chunk(kind.parts, -1)
        if name == "GaussianNLLLoss":
            return made(parts[0], y, parts[1])
        if name == "MarginRankingLoss":
            y = y[:, None] if y.ndim == 1 else y
        labels = [] if kind.targets == "nothing" else [y.long() if name == "MultiLabelMarginLoss" else y]
        return made(*parts, *labels)

    return form


def _spelled(
    f: Any, y: Any, p: Any, reduction: str, blank: int = 0, input_lengths: bool = False, zero_infinity: bool = False
) -> Any:
    """PyTorch's CTC of logits: it takes lengths as arguments, and has the steps first."""
    steps = y[:, 0] if input_lengths else y.new_full((len(y),), p.shape[1])
    labels = y[:, 1:] if input_lengths else y
    counts = ((labels >= 0) & (labels != blank)).sum(1)
    log_p = f.log_softmax(p, -1).transpose(0, 1)
    return f.ctc_loss(log_p, labels.clamp(min=0), steps, counts, blank, reduction, zero_infinity)


DISTANCES: dict[str, Callable[[Any], Any]] = {
    "euclidean": lambda f: f.pairwise_distance,
    "manhattan": lambda f: lambda a, b: f.pairwise_distance(a, b, 1, eps=0.0),
    "cosine": lambda f: lambda a, b: 1 - f.cosine_similarity(a, b),
}


def theirs(name: str, options: dict[str, Any], y: Array, p: Array) -> tuple[str, dict[str, Any], Array, Array, Torch]:
    """A case that PyTorch's class of the same name judges."""
    return name, options, y, p, pytorch(name, options)


# loss, options, labels, predictions, what PyTorch makes of it (None: it has nothing of the kind)
CASES: list[tuple[str, dict[str, Any], Array, Array, Torch | None]] = [
    ("MeanSquaredError", {}, VALUES, LOGITS, lambda f, y, p: f.mse_loss(p, y, reduction="none").mean(-1)),
    ("MeanAbsoluteError", {}, VALUES, LOGITS, lambda f, y, p: f.l1_loss(p, y, reduction="none").mean(-1)),
    (B, {}, BITS, PROBABILITIES, lambda f, y, p: f.binary_cross_entropy(p, y, reduction="none").mean(-1)),
    (B, {}, BITS, CERTAIN, None),
    (B, {"label_smoothing": 0.2}, BITS, PROBABILITIES, None),
    (B, {"from_logits": True}, BITS, LOGITS, bce),
    (B, {"from_logits": True}, BITS, EXTREME, bce),
    (B, {"from_logits": True, "label_smoothing": 0.2}, BITS, LOGITS, smooth_bce),
    (
        C,
        {},
        ONE_HOT,
        PROBABILITIES,
        lambda f, y, p: f.nll_loss((p / p.sum(-1, True)).log(), y.argmax(-1), reduction="none"),
    ),
    (C, {}, ONE_HOT, CERTAIN, None),
    (C, {"label_smoothing": 0.1}, ONE_HOT, PROBABILITIES, None),
    (C, {"from_logits": True}, ONE_HOT, LOGITS, lambda f, y, p: f.cross_entropy(p, y, reduction="none")),
    (C, {"from_logits": True}, ONE_HOT, EXTREME, lambda f, y, p: f.cross_entropy(p, y, reduction="none")),
    (
        *(C, {"from_logits": True, "label_smoothing": 0.1}, ONE_HOT, LOGITS),
        lambda f, y, p: f.cross_entropy(p, y, reduction="none", label_smoothing=0.1),
    ),
    (S, {}, CLASS, PROBABILITIES, lambda f, y, p: f.nll_loss((p / p.sum(-1, True)).log(), y, reduction="none")),
    (S, {}, CLASS, CERTAIN, None),
    (S, {"from_logits": True}, CLASS, LOGITS, lambda f, y, p: f.cross_entropy(p, y, reduction="none")),
    (S, {"from_logits": True}, CLASS, EXTREME, lambda f, y, p: f.cross_entropy(p, y, reduction="none")),
    # ── Keras's, of numbers
    ("MeanAbsolutePercentageError", {}, VALUES, LOGITS, None),
    ("MeanSquaredLogarithmicError", {}, VALUES, LOGITS, None),
    ("Huber", {}, VALUES, LOGITS, lambda f, y, p: f.huber_loss(p, y, reduction="none").mean(-1)),
    (
        "Huber",
        {"delta": 2.5},
        VALUES,
        EXTREME,
        lambda f, y, p: f.huber_loss(p, y, reduction="none", delta=2.5).mean(-1),
    ),
    ("LogCosh", {}, VALUES, LOGITS, log_cosh),
    ("LogCosh", {}, VALUES, EXTREME, log_cosh),
    ("LogCosh", {}, VALUES, NEAR, log_cosh),
    ("Poisson", {}, COUNTS, POSITIVE, lambda f, y, p: (p - y * (p + 1e-7).log()).mean(-1)),
    ("CosineSimilarity", {}, VALUES, LOGITS, lambda f, y, p: -f.cosine_similarity(y, p)),
    ("CosineSimilarity", {}, VALUES, EXTREME, lambda f, y, p: -f.cosine_similarity(y, p)),
    (
        "CosineSimilarity",
        {"axis": 1},
        PIXELS[:, ::-1].copy(),
        PIXELS,
        lambda f, y, p: -f.cosine_similarity(y, p, dim=1),
    ),
    # ── Keras's, of classes
    (B, {"axis": 1}, (PIXELS > 0) * 1.0, PIXELS[:, ::-1] ** 2 / 20 + 0.1, None),
    (C, {"from_logits": True, "axis": 1}, np.moveaxis(np.eye(CLASSES)[PIXEL_CLASS], -1, 1), CLASSES_SECOND, None),
    (
        *(S, {"from_logits": True, "axis": 1}, PIXEL_CLASS, CLASSES_SECOND),
        lambda f, y, p: f.cross_entropy(p, y, reduction="none"),
    ),
    (S, {"from_logits": True, "ignore_class": -100}, SOME_CLASS, LOGITS, None),
    (S, {"ignore_class": 1}, CLASS, PROBABILITIES, None),
    (BF, {}, BITS, PROBABILITIES, None),
    (BF, {"apply_class_balancing": True, "alpha": 0.4, "gamma": 1.5}, BITS, PROBABILITIES, None),
    (BF, {"from_logits": True, "label_smoothing": 0.2}, BITS, VALUES, None),
    (BF, {"from_logits": True}, BITS, EXTREME, focal),
    (BF, {"axis": 1}, (PIXELS > 0) * 1.0, PIXELS[:, ::-1] ** 2 / 20 + 0.1, None),
    (CF, {}, ONE_HOT, PROBABILITIES, None),
    (CF, {"alpha": 0.4, "gamma": 1.5, "label_smoothing": 0.1}, ONE_HOT, PROBABILITIES, None),
    (CF, {"from_logits": True, "axis": 1}, np.moveaxis(np.eye(CLASSES)[PIXEL_CLASS], -1, 1), CLASSES_SECOND, None),
    (
        *(CF, {"from_logits": True}, ONE_HOT, EXTREME),
        lambda f, y, p: -(0.25 * (1 - f.softmax(p, -1)) ** 2 * y * f.log_softmax(p, -1)).sum(-1),
    ),
    ("KLDivergence", {}, SHARES, PROBABILITIES, lambda f, y, p: f.kl_div(p.log(), y, reduction="none").sum(-1)),
    ("KLDivergence", {}, ONE_HOT, CERTAIN, None),
    ("Hinge", {}, SIGNS, LOGITS, lambda f, y, p: (1 - y * p).relu().mean(-1)),
    ("Hinge", {}, BITS, EXTREME, lambda f, y, p: (1 - (2 * y - 1) * p).relu().mean(-1)),
    ("SquaredHinge", {}, SIGNS, LOGITS, lambda f, y, p: ((1 - y * p).relu() ** 2).mean(-1)),
    ("SquaredHinge", {}, BITS, EXTREME, lambda f, y, p: ((1 - (2 * y - 1) * p).relu() ** 2).mean(-1)),
    ("CategoricalHinge", {}, ONE_HOT, LOGITS, None),
    ("CategoricalHinge", {}, ONE_HOT, EXTREME, None),
    ("CategoricalGeneralizedCrossEntropy", {}, CLASS, PROBABILITIES, lambda f, y, p: 2 * (1 - right(y, p) ** 0.5)),
    ("CategoricalGeneralizedCrossEntropy", {"q": 0.8}, CLASS, PROBABILITIES, None),
    # ── Keras's, of regions and of all pairs
    ("Dice", {"axis": -1}, BITS, PROBABILITIES, lambda f, y, p: tversky(y, p, least=0.5e-7)),
    ("Dice", {"axis": -1}, BITS, CERTAIN, None),
    ("Dice", {"axis": [1, 2]}, (PIXELS > 0) * 1.0, PIXELS[:, ::-1] ** 2 / 20 + 0.1, None),
    ("Tversky", {"axis": -1}, BITS, PROBABILITIES, lambda f, y, p: tversky(y, p)),
    (
        "Tversky",
        {"axis": -1, "alpha": 0.3, "beta": 0.9},
        SHARES,
        PROBABILITIES,
        lambda f, y, p: tversky(y, p, 0.3, 0.9),
    ),
    ("Circle", {}, CLASS, UNITS, circle),
    ("Circle", {"gamma": 20.0, "margin": 0.2, "remove_diagonal": False}, CLASS, 0.9 * UNITS, None),
    ("Circle", {"gamma": 16.0}, CLASS, 2 * SHARES, None),  # not of length 1
    # ── PyTorch's
    theirs("L1Loss", {}, VALUES, LOGITS),
    theirs("MSELoss", {}, VALUES, LOGITS),
    theirs("MSELoss", {}, VALUES, EXTREME),
    theirs("HuberLoss", {}, VALUES, LOGITS),
    theirs("HuberLoss", {"delta": 0.3}, VALUES, EXTREME),
    theirs("SmoothL1Loss", {}, VALUES, LOGITS),
    theirs("SmoothL1Loss", {"beta": 0.3}, VALUES, EXTREME),
    theirs("SmoothL1Loss", {"beta": 0.0}, VALUES, LOGITS),
    theirs("PoissonNLLLoss", {}, COUNTS, VALUES),
    theirs("PoissonNLLLoss", {"full": True}, COUNTS, VALUES),
    theirs("PoissonNLLLoss", {"log_input": False, "eps": 1e-3}, COUNTS, POSITIVE),
    theirs("GaussianNLLLoss", {}, LOGITS[:, :2], NORMALS),
    theirs("GaussianNLLLoss", {"full": True, "eps": 1e-3}, LOGITS[:, :2], NORMALS),
    theirs("GaussianNLLLoss", {}, LOGITS[:, :2], NARROW),
    theirs("CrossEntropyLoss", {}, CLASS, LOGITS),
    theirs("CrossEntropyLoss", {}, SOME_CLASS, EXTREME),
    theirs("CrossEntropyLoss", {}, SHARES, EXTREME),
    theirs("CrossEntropyLoss", {"weight": [0.5, 2.0, 1.0, 3.0]}, SOME_CLASS, LOGITS),
    theirs("CrossEntropyLoss", {"weight": [0.5, 2.0, 1.0, 3.0], "label_smoothing": 0.1}, SOME_CLASS, LOGITS),
    theirs("CrossEntropyLoss", {"weight": [0.5, 2.0, 1.0, 3.0], "label_smoothing": 0.1}, SHARES, LOGITS),
    theirs("CrossEntropyLoss", {"ignore_index": 1}, CLASS, LOGITS),
    theirs("CrossEntropyLoss", {"weight": [0.5, 2.0, 1.0, 3.0]}, PIXEL_CLASS, PIXELS),
    theirs("CrossEntropyLoss", {"axis": 1, "label_smoothing": 0.1}, PIXEL_CLASS, CLASSES_SECOND),
    theirs("NLLLoss", {}, SOME_CLASS, LOGITS),
    theirs("NLLLoss", {"weight": [0.5, 2.0, 1.0, 3.0], "ignore_index": 1}, CLASS, EXTREME),
    theirs("NLLLoss", {"axis": 1}, PIXEL_CLASS, CLASSES_SECOND),
    theirs("KLDivLoss", {}, SHARES, LOGITS),
    theirs("KLDivLoss", {}, ONE_HOT, EXTREME),
    theirs("KLDivLoss", {"log_target": True}, np.log(SHARES), LOGITS),
    theirs("BCELoss", {}, BITS, PROBABILITIES),
    theirs("BCELoss", {"weight": [0.5, 2.0, 1.0, 3.0]}, SHARES, PROBABILITIES),
    (
        *("BCELoss", {"from_logits": True}, BITS, EXTREME),
        lambda f, y, p: f.binary_cross_entropy_with_logits(p, y, reduction="none"),
    ),
    theirs("BCEWithLogitsLoss", {}, BITS, LOGITS),
    theirs("BCEWithLogitsLoss", {}, SHARES, EXTREME),
    theirs("BCEWithLogitsLoss", {"pos_weight": [0.5, 2.0, 1.0, 3.0], "weight": [1.0, 0.3, 2.0, 1.0]}, BITS, LOGITS),
    theirs("BCEWithLogitsLoss", {"pos_weight": [0.5, 2.0, 1.0, 3.0]}, BITS, EXTREME),
    theirs("SoftMarginLoss", {}, SIGNS, LOGITS),
    ("SoftMarginLoss", {}, SIGNS, EXTREME, lambda f, y, p: f.softplus(-y * p)),
    theirs("HingeEmbeddingLoss", {}, SIGNS, POSITIVE),
    theirs("HingeEmbeddingLoss", {"margin": 0.4}, SIGNS, EXTREME),
    theirs("MultiLabelSoftMarginLoss", {}, BITS, LOGITS),
    theirs("MultiLabelSoftMarginLoss", {"weight": [0.5, 2.0, 1.0, 3.0]}, BITS, EXTREME),
    theirs("MultiLabelMarginLoss", {}, SETS, LOGITS),
    theirs("MultiLabelMarginLoss", {}, SETS, EXTREME),
    theirs("MultiMarginLoss", {}, CLASS, LOGITS),
    theirs("MultiMarginLoss", {"p": 2, "margin": 0.6, "weight": [0.5, 2.0, 1.0, 3.0]}, CLASS, LOGITS),
    theirs("MultiMarginLoss", {}, CLASS, EXTREME),
    theirs("MarginRankingLoss", {}, SIGNS[:, :2], LOGITS),
    theirs("MarginRankingLoss", {"margin": 0.5}, ROW_SIGNS, LOGITS[:, :2]),
    theirs("MarginRankingLoss", {"margin": 0.5}, SIGNS[:, :2], EXTREME),
    theirs("CosineEmbeddingLoss", {}, ROW_SIGNS, LOGITS),
    theirs("CosineEmbeddingLoss", {"margin": 0.2}, ROW_SIGNS, EXTREME),
    theirs("TripletMarginLoss", {}, NO_LABEL, TRIPLETS),
    theirs("TripletMarginLoss", {"margin": 2.0, "swap": True, "eps": 1e-4}, NO_LABEL, TRIPLETS),
    theirs("TripletMarginLoss", {"p": 1.0}, NO_LABEL, TRIPLETS),
    theirs("TripletMarginLoss", {"p": 3.0}, NO_LABEL, TRIPLETS),
    theirs("TripletMarginLoss", {}, NO_LABEL, FAR_TRIPLETS),
    theirs("TripletMarginWithDistanceLoss", {}, NO_LABEL, TRIPLETS),
    theirs("TripletMarginWithDistanceLoss", {"distance_function": "cosine", "margin": 0.3}, NO_LABEL, TRIPLETS),
    theirs("TripletMarginWithDistanceLoss", {"distance_function": "manhattan", "swap": True}, NO_LABEL, TRIPLETS),
    ("CTC", {}, np.maximum(LABELS, 0), FRAMES, pytorch("CTCLoss", {})),
    ("CTC", {}, np.maximum(LABELS, 0), FAR_FRAMES, pytorch("CTCLoss", {})),
    theirs("CTCLoss", {}, LABELS, FRAMES),
    theirs("CTCLoss", {"blank": 3}, LABELS % 3, FRAMES),
    theirs("CTCLoss", {"input_lengths": True, "zero_infinity": True}, TIMED_LABELS, FRAMES),
    theirs("CTCLoss", {"input_lengths": True, "zero_infinity": True}, TIMED_LABELS, FAR_FRAMES),
]
KIND = {
    id(EXTREME): "extreme",
    id(FAR_FRAMES): "extreme",
    id(FAR_TRIPLETS): "extreme",
    id(CERTAIN): "certain",
    id(NARROW): "narrow",
}
