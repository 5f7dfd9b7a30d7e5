"""What a loss is: a formula under a name, the class with its options fixed, and how many values become one."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np

from talweg import graph as g
from talweg.errors import DataError, ShapeError, UsageError
from talweg.graph import Array, Shape, Tensor
from talweg.nn.losses.weights import total, weighted
from talweg.registry import Described, Registry, camel_case, check_ranges, refuse_overrides

EPSILON = 1e-7  # probabilities are kept this far from 0 and 1, as Keras does

Targets = Literal[
    "values",
    "binary",
    "signs",
    "row_signs",
    "groups",
    "one_hot",
    "classes",
    "classes_or_rows",
    "sequences",
    "nothing",
]
"""What a loss expects as y.

values          numbers like the prediction's
binary          0 and 1
signs           -1 and 1 (0 counts as -1); row_signs: one of them for each row of the prediction
groups          a number for each row of the prediction, the same for rows that are alike
one_hot         rows over the classes, that sum to 1
classes         class numbers; classes_or_rows: these, or rows where y has the prediction's shape
sequences       rows of class numbers, as long as they are
nothing         y is not looked at
"""

MEANS = ("sum_over_batch_size", "mean", "auto", "mean_with_sample_weight")
REDUCTIONS = (*MEANS, "sum", "batchmean", "none", None)


class Reduction:
    """The reductions under the names of `tf.keras` 2; the strings will do as well.

    >>> Reduction.SUM
    'sum'
    """

    AUTO = "auto"
    NONE = "none"
    SUM = "sum"
    SUM_OVER_BATCH_SIZE = "sum_over_batch_size"


GENERAL = ("reduction", "name", "dtype")  # the fields that every loss has


PASSED_OVER = dict.fromkeys(
    ("call", "__call__", "get_config"), "write a function of (y_true, y_pred) on tensors, and give it as the loss"
)
"""Methods that Keras calls where a subclass writes them, and what to do here."""


@dataclass(eq=False, repr=False)
class Loss(Described):
    """A loss with its options fixed, applied to (y_true, y_pred).

    `reduction`, what is made of the values of all examples:

    - "sum_over_batch_size", or "mean": Σ wᵢ Lᵢ divided by the number of values, not by Σ wᵢ (Keras)
    - "mean_with_sample_weight": divided by Σ wᵢ
    - "sum": Σ wᵢ Lᵢ; "batchmean": that, divided by the number of rows (PyTorch's name)
    - None, or "none": the values themselves; a model cannot be trained with these

    Values that a loss is told to ignore, and steps that a mask leaves out, do not count in a mean, and where a loss has
    weights of its own for the classes (PyTorch's `weight`) a mean is divided by the weights of the labels, as in both
    families; a mean of nothing is 0.

    `dtype` is taken for Keras's sake: a model computes in its precision, and a loss called on arrays in float32.
    """

    registry: ClassVar[Registry[Any]] = Registry("loss")
    formula: ClassVar[LossFunction]

    def __init_subclass__(cls) -> None:
        refuse_overrides(cls, PASSED_OVER)

    reduction: str | None = dataclasses.field(default="sum_over_batch_size", kw_only=True)
    name: str | None = dataclasses.field(default=None, kw_only=True)
    dtype: str | None = dataclasses.field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_dtype(self)
        if self.reduction not in REDUCTIONS:
            raise UsageError(f"{type(self).__name__}: reduction must be one of {REDUCTIONS}; got {self.reduction!r}")

    @property
    def targets(self) -> Targets:
        return self.formula.targets

    @property
    def options(self) -> dict[str, Any]:
        """What the formula takes besides labels and predictions."""
        return {f.name: getattr(self, f.name) for f in dataclasses.fields(self) if f.name not in GENERAL}

    @property
    def ignored(self) -> int | None:
        """The class number that is left out, where there is one."""
        found: int | None = getattr(self, "ignore_class", getattr(self, "ignore_index", None))
        return found

    def label_shape(self, predicted: Shape) -> Shape:
        """The shape of the labels for predictions of shape `predicted`, where labels are class numbers or alike."""
        return self.formula.label_shape(predicted, getattr(self, "axis", -1))

    def examples(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        """The loss of each example, so that `reduce` has only to add them up."""
        return self.counted(y_true, y_pred)[0]

    def counted(self, y_true: Tensor, y_pred: Tensor, mask: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
        """`examples`, and how much each counts in a mean, where they differ. mask: which steps of y_pred count."""
        examples: Tensor = self.formula(y_true, y_pred, **self.options)
        kept = None if mask is None else along_steps(mask, examples, f"loss {self.formula.__name__!r}")
        examples = examples if kept is None else g.where(kept, examples, 0.0)
        if self.reduction in MEANS and self.formula.sizes is not None:
            return examples / self.formula.sizes(y_true, y_pred, **self.options), None
        counts = self.formula.counted(y_true, y_pred, **self.options) if self.reduction in MEANS else None
        if kept is not None and self.reduction in MEANS:
            counts = g.where(kept, 1.0 if counts is None else counts, 0.0)
        if counts is None:
            return examples, None
        share = g.mean(counts)  # n / Σ counts turns the mean over n into that over what counts, as Keras's masks do
        share = g.where(g.equal(share, 0.0), 1.0, share)
        return examples / share, counts / share

    def reduce(self, examples: Tensor, weights: Tensor | None = None, counts: Tensor | None = None) -> Tensor:
        """One number of many, as `reduction` says. weights: in any shape that `talweg.nn.losses.weights` tells of."""
        values = weighted(examples, weights)
        if self.reduction in MEANS and values.rank == 0:
            return values
        if self.reduction == "sum":
            return g.sum(values)
        if self.reduction == "batchmean":
            return g.sum(values) / g.size(values, 0)
        if self.reduction == "mean_with_sample_weight" and weights is not None:
            divisor = total(weights, examples, counts)
            return g.sum(values) / g.where(g.equal(divisor, 0.0), 1.0, divisor)
        if self.reduction in MEANS:
            return g.mean(values)
        raise UsageError(f"a model is trained on one number: reduction must not be {self.reduction!r} in compile()")

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        if isinstance(y_pred, Tensor):
            return self.examples(y_true, y_pred)
        examples, counts = self.counted(*self.formula.constants(y_true, y_pred, **self.options))
        weights = None if sample_weight is None else g.constant(sample_weight, "float")
        if self.reduction in (None, "none"):
            result = weighted(examples, weights)
        else:
            result = self.reduce(examples, weights, counts)
        return g.evaluate([result])[result]


def check_dtype(thing: Any) -> None:
    """Raises `UsageError` for a `dtype` in which nothing here is computed."""
    if thing.dtype not in (None, "float32", "float64"):
        raise UsageError(
            f"{type(thing).__name__}: dtype must be None, 'float32' or 'float64', and the model's precision is what "
            f"counts: compile(..., precision='float64'); got {thing.dtype!r}"
        )


def along_steps(mask: Tensor, values: Tensor, what: str) -> Tensor:
    """(batch, steps) as truth values in the shape of `values`, (batch, steps, ...)."""
    if mask.rank > values.rank or mask.shape != values.shape[: mask.rank]:
        raise ShapeError(
            f"{what} makes values {list(values.shape)} of predictions with a mask of shape {list(mask.shape)}; "
            "it must make one at each step, or the mask must end before: Reshape drops it"
        )
    return g.broadcast_to(g.reshape(mask, (*mask.shape, *[1] * (values.rank - mask.rank))), values.shape)


class LossFunction:
    """A loss's formula under a name.

    targets: what it expects as y. sees_through: which last activation it undoes.
    parts: how many predictions stand side by side along the last axis of y_pred; the formula takes them one by one.
    counts: how much each label counts in a mean, a formula of the same arguments, that may answer None (all alike).
    sizes: by what each example's loss is divided in a mean. ranges: of its options, see `check_ranges`.
    """

    def __init__(
        self,
        formula: Callable[..., Tensor],
        targets: Targets = "values",
        sees_through: str | None = None,
        parts: int = 1,
        counts: Callable[..., Tensor | None] | None = None,
        sizes: Callable[..., Tensor] | None = None,
        ranges: Mapping[str, str] | None = None,
    ) -> None:
        self.formula, self.targets, self.sees_through = formula, targets, sees_through
        self.parts, self.counts, self.sizes, self.ranges = parts, counts, sizes, ranges or {}
        self.__name__ = self.registered_name = formula.__name__
        self.__doc__, self.__module__, self.__wrapped__ = formula.__doc__, formula.__module__, formula

    def __call__(self, y_true: Any, y_pred: Any, **options: Any) -> Any:
        check_ranges(self.__name__, self.ranges, options)
        if isinstance(y_pred, Tensor):
            if self.sees_through and y_pred.origin and y_pred.origin.function == self.sees_through:
                y_pred, options = y_pred.origin.arguments[0], {**options, "from_logits": True}
            return self.formula(*self._fitted(y_true, y_pred, options), **options)
        result = self(*self.constants(y_true, y_pred, **options), **options)
        return g.evaluate([result])[result]

    def counted(self, y_true: Tensor, y_pred: Tensor, **options: Any) -> Tensor | None:
        """How much each value counts in a mean, or None where all count alike."""
        return None if self.counts is None else self.counts(*self._fitted(y_true, y_pred, options), **options)

    def constants(self, y_true: Any, y_pred: Any, **options: Any) -> tuple[Tensor, Tensor]:
        """Arrays as tensors of the kind that the loss takes; raises `DataError` for a class that there is not."""
        pred = g.constant(y_pred, "float")
        true = g.constant(0.0 if self.targets == "nothing" else y_true, None if self.targets == "nothing" else "float")
        if (kind := kind_of(self.targets, true.shape, pred.shape)) in ("classes", "sequences"):
            true = g.constant(y_true, "int")
            self.check_classes(np.asarray(y_true), kind, pred, options)
        return true, pred

    def check_classes(
        self, labels: Array, kind: Targets, y_pred: Tensor, options: dict[str, Any], argument: str = "y_true"
    ) -> None:
        """Raises `DataError` for a label that is no class of `y_pred`'s, nor one that is ignored.

        Sequences end with numbers below 0, and may begin with one of steps.
        """
        given = {p.name: p.default for p in inspect.signature(self.formula).parameters.values()} | options
        classes: Any = y_pred.shape[given.get("axis", -1)]
        if kind == "sequences":
            if given.get("input_lengths"):
                steps, labels = labels[:, 0], labels[:, 1:]
                if (strange := (steps < 0) | (steps > y_pred.shape[1])).any():
                    many = f"{y_pred.shape[1]} steps; {argument} begins with {steps[strange][0]}"
                    raise DataError(f"loss {self.__name__!r} was given predictions of {many}")
            is_label = (labels >= 0) & (labels != given.get("blank", 0))
            if (late := is_label[:, 1:] & ~is_label[:, :-1]).any():
                row = int(np.argwhere(late)[0][0])
                raise DataError(
                    f"loss {self.__name__!r} takes labels first and padding after them; row {row} of {argument} is "
                    f"{labels[row].tolist()}"
                )
            labels = np.maximum(labels, 0)
        counted = labels[labels != given.get("ignore_class", given.get("ignore_index"))]
        if (strange := (counted < 0) | (counted >= classes) | (counted != np.floor(counted))).any():
            takes = f"loss {self.__name__!r} takes class numbers 0..{classes - 1}"
            raise DataError(f"{takes}; {argument} has {counted[strange][0]}")

    def label_shape(self, predicted: Shape, axis: int = -1) -> Shape:
        """The shape of labels for predictions of shape `predicted`, whose classes are along `axis`."""
        if self.targets in ("classes", "classes_or_rows", "sequences"):
            return tuple(d for a, d in enumerate(predicted) if a != axis % len(predicted))
        if self.targets in ("row_signs", "groups"):
            return predicted[:-1]
        return predicted if self.parts == 1 else (*predicted[:-1], part_length(predicted, self))

    def _fitted(self, y_true: Tensor, y_pred: Tensor, options: dict[str, Any]) -> list[Tensor]:
        """y_true in the shape that fits, and the predictions one by one."""
        if self.targets not in ("nothing", "sequences"):
            kind = kind_of(self.targets, y_true.shape, y_pred.shape)
            wanted = y_pred.shape if kind == "one_hot" else self.label_shape(y_pred.shape, options.get("axis", -1))
            y_true = fitted(y_true, wanted, kind, y_pred)
        if self.parts == 1:
            return [y_true, y_pred]
        width = part_length(y_pred.shape, self)
        whole: list[tuple[int, int] | None] = [None] * (y_pred.rank - 1)
        return [y_true, *(g.slice(y_pred, [*whole, (i * width, (i + 1) * width)]) for i in range(self.parts))]

    def __repr__(self) -> str:
        return f"<loss {self.__name__}>"


def part_length(predicted: Shape, function: LossFunction) -> int:
    """How long each of the predictions is that stand side by side; raises `ShapeError` where they are not alike."""
    last = predicted[-1] if len(predicted) > 1 else None
    if not isinstance(last, int) or last % function.parts:
        raise ShapeError(
            f"loss {function.__name__!r} takes {function.parts} predictions of one length, side by side along the last "
            f"axis (Concatenate() puts them so); got predictions of shape {list(predicted)}"
        )
    return last // function.parts


def kind_of(targets: Targets, labels: Shape, predicted: Shape) -> Targets:
    """`targets`, decided where the labels' shape decides: rows have the predictions' shape, as in PyTorch."""
    if targets != "classes_or_rows":
        return targets
    return "one_hot" if labels == predicted else "classes"


def alike(y_true: Tensor, y_pred: Tensor, targets: Targets) -> tuple[Tensor, Tensor]:
    """Labels and predictions with shapes that fit: (batch,) meets (batch, 1), as in Keras."""
    return fitted(y_true, y_pred.shape[:-1] if targets == "classes" else y_pred.shape, targets, y_pred), y_pred


def fitted(y_true: Tensor, wanted: Shape, targets: Targets, y_pred: Tensor) -> Tensor:
    """Labels in the shape `wanted`, where they differ by a last axis of 1 at most; all but class numbers as float."""
    if targets != "classes" and y_true.dtype != "float":
        y_true = g.cast(y_true, "float")
    if y_true.shape != wanted and (y_true.shape == (*wanted, 1) or (*y_true.shape, 1) == wanted):
        y_true = g.reshape(y_true, wanted)
    if y_true.shape != wanted:
        raise ShapeError(f"labels of shape {list(y_true.shape)} do not fit predictions of shape {list(y_pred.shape)}")
    return g.where(g.equal(y_true, 0.0), -1.0, y_true) if targets in ("signs", "row_signs") else y_true


# ── names ─────────────────────────────────────────────────────────────────────────────────────────────────


def loss(*aliases: str, class_name: str = "", **kind: Any) -> Callable[..., LossFunction]:
    """Registers the formula below under its own name and `aliases`, and makes its class; see `loss_class`.

    class_name: where it is not the formula's name in capitals. kind: see `LossFunction`.
    """

    def register(formula: Callable[..., Tensor]) -> LossFunction:
        function = LossFunction(formula, **kind)
        fields = [
            (p.name, Any, dataclasses.field(default=p.default, kw_only=p.kind is p.KEYWORD_ONLY))
            for p in inspect.signature(formula).parameters.values()
            if p.default is not p.empty
        ]
        made = dataclasses.make_dataclass(
            class_name or camel_case(formula.__name__),
            fields,
            bases=(Loss,),
            eq=False,
            repr=False,
            namespace={
                **{"formula": function, "ranges": function.ranges},
                **{"__doc__": formula.__doc__, "__module__": formula.__module__},
            },
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
        return _of_function(LossFunction(identifier))
    raise UsageError(f"loss must be a name, a loss, or a function of (y_true, y_pred); got {identifier!r}")


def _of_function(function: LossFunction) -> Loss:
    made = dataclasses.make_dataclass(
        "CustomLoss", [], bases=(Loss,), eq=False, repr=False, namespace={"formula": function}
    )
    return made()
