"""Losses: each a formula for one example; the mean over the batch is the caller's.

``mean_squared_error(y_true, y_pred)`` is the formula: given tensors it writes nodes and answers one value an example,
given numbers it answers numbers. ``MeanSquaredError()`` is the same with its options fixed and the mean taken.

>>> mean_squared_error([1.0, 0.0, 1.0], [0.8, 0.2, 0.9])          # seed 003, part 2
array(0.03, dtype=float32)
>>> CategoricalCrossentropy()([[0, 1]], [[0.1, 0.9]])
array(0.10536055, dtype=float32)
"""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from talweg import graph as g
from talweg.errors import ShapeError, UsageError
from talweg.graph import Tensor
from talweg.registry import Described, Registry, camel_case

EPSILON = 1e-7  # probabilities are kept this far from 0 and 1, as Keras does

Targets = Literal["values", "binary", "one_hot", "classes"]
"""What a loss expects as y: numbers like the prediction's; 0 and 1; rows over the classes; or class numbers."""


@dataclass(eq=False, repr=False)
class Loss(Described):
    """A loss with its options fixed. `reduction`: "sum_over_batch_size" (the mean), "sum", "mean" or None."""

    registry: ClassVar[Registry[Any]] = Registry("loss")
    formula: ClassVar[LossFunction]

    reduction: str | None = dataclasses.field(default="sum_over_batch_size", kw_only=True)
    name: str | None = dataclasses.field(default=None, kw_only=True)

    @property
    def targets(self) -> Targets:
        return self.formula.targets

    def examples(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        """The loss of each example."""
        options = {k: v for k, v in self.settings().items() if k not in ("reduction", "name")}
        return self.formula(y_true, y_pred, **options)

    def reduce(self, examples: Tensor, weights: Tensor | None = None) -> Tensor:
        """One number of many: Σ wᵢ Lᵢ, divided by the number of examples (not by Σ wᵢ, as in Keras) or not."""
        examples = weighted(examples, weights)
        if self.reduction == "sum":
            return g.sum(examples)
        if self.reduction in ("sum_over_batch_size", "mean", "auto"):
            return g.mean(examples)
        raise UsageError(f"a model is trained on one number: reduction must not be {self.reduction!r} in compile()")

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        if isinstance(y_pred, Tensor):
            return self.examples(y_true, y_pred)
        dtype: g.DType = "int" if self.targets == "classes" else "float"
        examples = self.examples(g.constant(y_true, dtype), g.constant(y_pred, "float"))
        weights = None if sample_weight is None else g.constant(sample_weight, "float")
        result = weighted(examples, weights) if self.reduction in (None, "none") else self.reduce(examples, weights)
        return g.evaluate([result])[result]


def weighted(examples: Tensor, weights: Tensor | None) -> Tensor:
    """wᵢ Lᵢ, or Lᵢ where there are no weights; a weight goes to all that belongs to its example."""
    if weights is None:
        return examples
    return examples * g.reshape(weights, (*weights.shape, *[1] * (examples.rank - weights.rank)))


class LossFunction:
    """A loss's formula under a name.

    `targets` says what it expects as y; `sees_through`, which last activation it undoes.
    """

    def __init__(self, formula: Callable[..., Tensor], targets: Targets, sees_through: str | None) -> None:
        self.formula, self.targets, self.sees_through = formula, targets, sees_through
        self.__name__ = self.registered_name = formula.__name__
        self.__doc__, self.__module__, self.__wrapped__ = formula.__doc__, formula.__module__, formula

    def __call__(self, y_true: Any, y_pred: Any, **options: Any) -> Any:
        if isinstance(y_pred, Tensor):
            if self.sees_through and y_pred.origin and y_pred.origin.function == self.sees_through:
                y_pred, options = y_pred.origin.arguments[0], {**options, "from_logits": True}
            return self.formula(*alike(y_true, y_pred, self.targets), **options)
        dtype: g.DType = "int" if self.targets == "classes" else "float"
        result = self(g.constant(y_true, dtype), g.constant(y_pred, "float"), **options)
        return g.evaluate([result])[result]

    def __repr__(self) -> str:
        return f"<loss {self.__name__}>"


def loss(*aliases: str, targets: Targets = "values", sees_through: str | None = None) -> Callable[..., LossFunction]:
    """Registers the formula below under its own name and `aliases`, and makes its class; see `loss_class`."""

    def register(formula: Callable[..., Tensor]) -> LossFunction:
        function = LossFunction(formula, targets, sees_through)
        fields = [
            (p.name, Any, dataclasses.field(default=p.default))
            for p in inspect.signature(formula).parameters.values()
            if p.default is not p.empty
        ]
        made = dataclasses.make_dataclass(
            camel_case(formula.__name__),
            fields,
            bases=(Loss,),
            eq=False,
            repr=False,
            namespace={"formula": function, "__doc__": formula.__doc__, "__module__": formula.__module__},
        )
        Loss.registry.register(made.__name__, made, formula.__name__, *aliases)
        return function

    return register


def loss_class(function: LossFunction) -> type[Loss]:
    """The class of a loss: its fields are the options of the formula."""
    made: type[Loss] = Loss.registry.get(function.__name__)
    return made


def get(identifier: Any) -> Loss:
    """A loss from its name, its class, its formula, or any function of (y_true, y_pred) on tensors."""
    if isinstance(identifier, Loss):
        return identifier
    if isinstance(identifier, str):
        return Loss.registry.get(identifier)()
    if isinstance(identifier, dict):
        return Loss.from_config(identifier)
    if isinstance(identifier, LossFunction):
        return loss_class(identifier)() if identifier.__name__ in Loss.registry else _of_function(identifier)
    if isinstance(identifier, type) and issubclass(identifier, Loss):
        return identifier()
    if callable(identifier):
        return _of_function(LossFunction(identifier, "values", None))
    raise UsageError(f"loss must be a name, a loss, or a function of (y_true, y_pred); got {identifier!r}")


def _of_function(function: LossFunction) -> Loss:
    made = dataclasses.make_dataclass(
        "CustomLoss", [], bases=(Loss,), eq=False, repr=False, namespace={"formula": function}
    )
    return made()


def alike(y_true: Tensor, y_pred: Tensor, targets: Targets) -> tuple[Tensor, Tensor]:
    """Labels and predictions with shapes that fit: (batch,) meets (batch, 1), as in Keras."""
    if targets == "classes":
        wanted = y_pred.shape[:-1]
    else:
        wanted = y_pred.shape
        if y_true.dtype != "float":
            y_true = g.cast(y_true, "float")
    if y_true.shape != wanted and (y_true.shape == (*wanted, 1) or (*y_true.shape, 1) == wanted):
        y_true = g.reshape(y_true, wanted)
    if y_true.shape != wanted:
        raise ShapeError(f"labels of shape {list(y_true.shape)} do not fit predictions of shape {list(y_pred.shape)}")
    return y_true, y_pred


# ── of numbers ────────────────────────────────────────────────────────────────────────────────────────────


@loss("mse", "MSE")
def mean_squared_error(y_true: Tensor, y_pred: Tensor) -> Tensor:
    r"""$\frac{1}{k} \sum_k (y_k - \hat y_k)^2$ over the last axis."""
    return g.mean(g.square(y_pred - y_true), axis=-1)


@loss("mae", "MAE")
def mean_absolute_error(y_true: Tensor, y_pred: Tensor) -> Tensor:
    r"""$\frac{1}{k} \sum_k |y_k - \hat y_k|$ over the last axis."""
    return g.mean(abs(y_pred - y_true), axis=-1)


# ── of probabilities ──────────────────────────────────────────────────────────────────────────────────────


@loss(targets="binary", sees_through="sigmoid")
def binary_crossentropy(
    y_true: Tensor, y_pred: Tensor, from_logits: bool = False, label_smoothing: float = 0.0
) -> Tensor:
    r"""$-\frac{1}{k} \sum_k y_k \ln \hat y_k + (1 - y_k) \ln(1 - \hat y_k)$ over the last axis, in nats.

    Stable for any finite logits z: $\max(z, 0) - y z + \ln(1 + e^{-|z|})$. Given probabilities it clips them to
    [1e-7, 1 - 1e-7], as Keras does; where a sigmoid made them, it takes the sigmoid's logits instead.
    """
    y = y_true * (1 - label_smoothing) + 0.5 * label_smoothing
    if from_logits:
        return g.mean(g.softplus(y_pred) - y * y_pred, axis=-1)
    p = g.clip(y_pred, EPSILON, 1 - EPSILON)
    return g.mean(-(y * g.log(p) + (1 - y) * g.log(1 - p)), axis=-1)


@loss(targets="one_hot", sees_through="softmax")
def categorical_crossentropy(
    y_true: Tensor, y_pred: Tensor, from_logits: bool = False, label_smoothing: float = 0.0
) -> Tensor:
    r"""$-\sum_c y_c \ln \hat y_c$ over the last axis, in nats; y's rows sum to 1.

    Stable for any finite logits z: $-\sum_c y_c \,\mathrm{log\_softmax}(z)_c$. Given probabilities it first makes
    their sum 1 and clips them to [1e-7, 1 - 1e-7], as Keras does; where a softmax made them, it takes the softmax's
    logits instead.
    """
    y = y_true * (1 - label_smoothing) + label_smoothing / y_pred.shape[-1]  # type: ignore[operator]
    if from_logits:
        return -g.sum(y * g.log_softmax(y_pred), axis=-1)
    p = y_pred / g.sum(y_pred, axis=-1, keepdims=True)
    return -g.sum(y * g.log(g.clip(p, EPSILON, 1 - EPSILON)), axis=-1)


@loss(targets="classes", sees_through="softmax")
def sparse_categorical_crossentropy(y_true: Tensor, y_pred: Tensor, from_logits: bool = False) -> Tensor:
    r"""$-\ln \hat y_c$ for the class number c = y_true, in nats: `categorical_crossentropy` without one-hot rows."""
    one_hot = g.one_hot(y_true, y_pred.shape[-1])  # type: ignore[arg-type]
    return categorical_crossentropy.formula(one_hot, y_pred, from_logits=from_logits)


MeanSquaredError = loss_class(mean_squared_error)
MeanAbsoluteError = loss_class(mean_absolute_error)
BinaryCrossentropy = loss_class(binary_crossentropy)
CategoricalCrossentropy = loss_class(categorical_crossentropy)
SparseCategoricalCrossentropy = loss_class(sparse_categorical_crossentropy)
