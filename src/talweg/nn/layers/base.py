"""What a layer is: a frozen description that declares what it learns and writes its formula.

Once a model is built, each declared parameter is a `Variable`, a named cell that the layer keeps (decision 005).
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np

from talweg import graph as g
from talweg.budgets import demand
from talweg.errors import BudgetError, GraphError, ShapeError, UsageError
from talweg.graph import Array, Shape, Tensor
from talweg.graph.random import RandomStream, key_of
from talweg.nn.layers import symbolic
from talweg.nn.layers.arguments import is_whole
from talweg.nn.layers.symbolic import Call, Structure
from talweg.nn.layers.variable import Parameter, Variable, set_weights
from talweg.registry import Described, Registry, refuse_overrides, setting, snake_case

LAYERS: Registry[type[Layer]] = Registry("layer")


@dataclass
class Context:
    """What a formula may ask of the program it is written into.

    training  whether this is the training program
    updates   new values of a layer's own states, such as moving averages: `update` fills it
    losses    penalties on activations: added to the loss
    masks     of tensors that have one, which of their steps count: truth values (batch, steps)
    prefix    the names of the models around the layer at hand
    """

    training: bool
    seed: Tensor | None = None
    step: Tensor | None = None
    updates: dict[Tensor, Tensor] = field(default_factory=dict)
    losses: list[Tensor] = field(default_factory=list)
    masks: dict[Tensor, Tensor] = field(default_factory=dict)
    layer: str = ""
    prefix: str = ""
    met: dict[str, int] = field(default_factory=dict)
    streams: Iterator[int] = field(default_factory=lambda: iter(range(2, 1 << 16, 2)))

    def enter(self, title: str) -> None:
        """Says which layer writes now; at its second place it is called ``dense:2``."""
        path = self.prefix + title
        self.met[path] = times = self.met.get(path, 0) + 1
        self.layer = path if times == 1 else f"{path}:{times}"

    def name(self, tensor: Tensor, label: str) -> Tensor:
        """`tensor` under the name ``layer/label``, by which the reference engine shows its value."""
        return tensor.named(f"{self.layer}/{label}")

    def random_uniform(self, shape: Shape, seed: int | None = None) -> Tensor:
        """Numbers in [0, 1), new at every step. seed: a layer's own, in place of the model's."""
        key, step = self._chance(seed)
        return g.random_uniform(key, step, shape, next(self.streams))

    def random_normal(self, shape: Shape, seed: int | None = None) -> Tensor:
        """Standard normal numbers, new at every step. seed: a layer's own, in place of the model's."""
        key, step = self._chance(seed)
        return g.random_normal(key, step, shape, next(self.streams))

    def update(self, state: Tensor, value: Tensor) -> None:
        """Lets `state` become `value` after this step."""
        self.updates[state] = value

    def penalize(self, y: Tensor, regularizer: Callable[[Tensor], Tensor] | None) -> None:
        """Adds what `regularizer`, where there is one, says of y to the loss: of one example, as in Keras."""
        if regularizer is not None:
            self.losses.append(regularizer(y) / g.batch_size())

    def _chance(self, seed: int | None) -> tuple[Tensor, Tensor]:
        if self.seed is None or self.step is None:
            raise UsageError(f"layer {self.layer!r} asked for random numbers outside training")
        return self.seed if seed is None else g.constant(key_of(seed), "uint"), self.step


_FIELDS = "declare what it learns in parameters(self, input_shape), which yields Parameter(name, shape, initializer)"
PASSED_OVER = {
    **dict.fromkeys(("build", "add_weight", "build_from_config", "get_build_config"), _FIELDS),
    **dict.fromkeys(("compute_output_shape", "compute_output_spec"), "leave it out; the shape follows from call"),
    "get_config": "make the class a dataclass: its fields are what is saved",
    "__call__": "write call(self, x, p, context)",
}
"""Methods that Keras calls where a subclass writes them, and what to do here."""


def takes(function: Callable[..., Any], arguments: int) -> bool:
    """Whether a function can be called with so many arguments by position."""
    try:
        inspect.signature(function).bind(*range(arguments))
    except TypeError:
        return False
    return True


@dataclass(eq=False, repr=False)
class Layer(Described):
    """The base: subclasses write `call`, and `parameters` if they learn something.

    name         by which its variables and its place in summaries are known; found by the model where not given
    input_shape  the shape of one example, without the batch axis; for the first layer of a model
    trainable    whether training changes its parameters; may be assigned
    dtype        taken for Keras's sake: None, "float32" or "float64"; the model's precision is what counts
    input_dim    ``input_dim=8`` is ``input_shape=(8,)``
    """

    registry: ClassVar[Registry[Any]] = LAYERS
    assignable: ClassVar[frozenset[str]] = frozenset({"trainable"})
    takes_several: ClassVar[bool] = False  # whether `call` may be given a list of tensors
    supports_masking: ClassVar[bool] = False  # whether the mask of what it is given is also that of what it answers
    dtypes: ClassVar[tuple[str | None, ...]] = (None, "float32", "float64")
    has_input_dim: ClassVar[bool] = False  # whether `input_dim` is an argument of its own
    # What happens to a layer is no part of its description, so these are no fields; each layer has its own.
    calls: ClassVar[list[Call]]  # its uses, in the order in which they were made
    was_named: ClassVar[bool]  # by a model, not by the user
    _variables: ClassVar[dict[str, Variable]]

    _: KW_ONLY
    name: str | None = None
    input_shape: tuple[int, ...] | None = setting(lambda s: None if s is None else as_shape(s), None)
    trainable: bool = True
    dtype: str | None = None
    input_dim: int | None = None

    def __init_subclass__(cls) -> None:
        refuse_overrides(cls, PASSED_OVER)
        if not takes(cls.call, 4):
            raise UsageError(
                f"{cls.__name__}.call{inspect.signature(cls.call)} must be call(self, x, p, context): a formula on the "
                "symbolic x and the parameters p; context.training says whether it trains"
            )
        if not cls.__name__.startswith("_"):
            LAYERS.register(cls.__name__, cls, snake_case(cls.__name__))

    def __post_init__(self) -> None:
        if self.input_dim is not None and self.input_shape is None and not self.has_input_dim:
            self.input_shape, self.input_dim = (self.input_dim,), None
        if self.dtype not in self.dtypes:
            raise UsageError(
                f"{type(self).__name__}: a layer computes in the model's precision, compile(..., precision='float64') "
                f"or float32; got dtype={self.dtype!r}"
            )
        super().__post_init__()
        self.demand_numbers()
        object.__setattr__(self, "_variables", {})
        object.__setattr__(self, "calls", [])
        object.__setattr__(self, "was_named", self.name is None)

    @property
    def depth(self) -> int:
        """How many layers are within each other, this one not counted."""
        return 0

    # ── what a layer writes ───────────────────────────────────────────────────────────────────────────────

    def parameters(self, input_shape: Any) -> Iterable[Parameter]:
        """What the layer learns, given the shape of one example; a list of shapes where it takes several inputs."""
        return ()

    def weight(self, name: str, shape: tuple[int, ...], of: str = "", trainable: bool = True) -> Parameter:
        """A `Parameter` with what the layer's fields say of it: ``kernel_initializer``, ``kernel_regularizer`` and
        ``kernel_constraint`` of the kernel. of: its name in those fields, where it is another.
        """
        initializer, regularizer, constraint = (
            getattr(self, f"{of or name}_{what}", None) for what in ("initializer", "regularizer", "constraint")
        )
        return Parameter(name, shape, initializer, regularizer, trainable, constraint)

    def counted(self, axis: int | Sequence[int], rank: int) -> tuple[int, ...]:
        """`axis`, one or several, counted from the front; raises `ShapeError` unless there are such in a batch."""
        listed = (axis,) if isinstance(axis, int) else tuple(axis)
        if not all(-rank < a < rank for a in listed):
            raise ShapeError(
                f"layer {self.name!r}: axis {axis} is no axis of examples with {rank - 1} (the batch axis is 0)"
            )
        return tuple(sorted({a % rank for a in listed}))

    def call(self, x: Any, p: Any, context: Context) -> Any:
        """The formula. x: (batch, *input_shape). p: the parameters as tensors, by name."""
        raise UsageError(f"{type(self).__name__} must define call(x, p, context)")

    def compute_mask(self, x: Any, mask: Any) -> Any:
        """The mask of what `call` answers for x, or None. mask: that of x, or a list where x is one."""
        return mask if self.supports_masking else None

    def examine(self, x: Array, argument: str) -> None:
        """Looks at examples that go straight into the layer, before any program does: may raise `DataError`."""

    def __call__(self, inputs: Structure, training: bool | None = None, mask: None = None) -> Any:
        """The placeholder of what the layer answers, for the placeholder that an `Input` or another layer gave.

        training=False fixes the mode of this use: batch normalization then takes its moving statistics, also while the
        model trains. `mask` may only be None: masks come from `Masking` and `Embedding`. Raises `ShapeError`, naming
        the layer, where it cannot take the input.

        >>> from talweg.nn.layers import Dense, Input
        >>> Dense(10)(Input((784,))).shape
        (None, 10)
        """
        if mask is not None:
            raise UsageError(
                f"{self.title}: a mask cannot be given by hand; it comes from the layers Masking(mask_value) and "
                "Embedding(..., mask_zero=True), and goes along with what they answer"
            )
        if not self.takes_several and isinstance(inputs, (list, tuple)):
            if len(inputs) != 1:
                raise UsageError(
                    f"layer {self.title!r} takes one input; got {len(inputs)}. Put a merging layer before it"
                )
            inputs = inputs[0]
        return symbolic.call(self, inputs, training, Context(training=False))

    # ── what a model does with it ─────────────────────────────────────────────────────────────────────────

    @property
    def title(self) -> str:
        """The name, or while there is none the class's."""
        return self.name or type(self).__name__

    def named(self, name: str) -> None:
        """Gives a layer that the user did not name a name; a model does this when the layer joins it."""
        object.__setattr__(self, "name", name)

    def declare(self, input_shape: Any) -> bool:
        """Makes the variables for examples of `input_shape`, without values; answers whether it made any.

        A layer keeps those that it has. Raises `ShapeError` where other shapes are needed.
        """
        declared = list(self.parameters(input_shape))
        for p in declared:
            demand("memory", 4 * math.prod(p.shape), f"layer {self.title!r}: its {p.name} of shape {list(p.shape)}")
        if not self._variables:
            self._variables.update({p.name: Variable(self, p) for p in declared})
            return bool(declared)
        for p in declared:
            if self._variables[p.name].shape != p.shape:
                raise ShapeError(
                    f"layer {self.name!r} was built with {p.name} of shape {list(self._variables[p.name].shape)} and "
                    f"cannot take examples of shape {list(input_shape)}, which need {list(p.shape)}. "
                    "Make another: dataclasses.replace(layer)."
                )
        return False

    def build(self, input_shape: Any, random: RandomStream, precision: str = "float32") -> None:
        """Makes the variables for examples of `input_shape`, with first values drawn from `random`."""
        self.declare(input_shape)
        for v in self.variables:
            v.begin(random, precision)

    def forget(self) -> None:
        """Takes back `declare` and `build`: a model does this where the layers after it do not fit."""
        self._variables.clear()

    def own_states(self) -> dict[Variable, Tensor]:
        """A symbolic state for each variable."""
        return {v: g.state_tensor(v.name, v.shape) for v in self.variables}

    def write(self, x: Any, states: Mapping[Variable, Tensor], context: Context) -> Any:
        """The layer's output as a tensor: `call`, with the layer's variables found among `states`."""
        own = SimpleNamespace(**{k: states[v] for k, v in self._variables.items()})
        context.enter(self.title)
        try:
            answer = symbolic.mapped(lambda y: context.name(y, "output"), self.call(x, own, context))
            masks = self.compute_mask(x, symbolic.mapped(context.masks.get, x))
        except (ShapeError, GraphError) as error:
            named = f"layer {self.title!r}"
            given = " and ".join(str(list(t.shape[1:])) for t in symbolic.flat(x))
            raise ShapeError(str(error) if named in str(error) else f"{named}, given {given}: {error}") from None
        except BudgetError as error:
            raise error if "layer '" in str(error) else BudgetError(f"layer {self.title!r}: {error}") from None
        pairs = zip(symbolic.flat(answer), symbolic.flat(masks), strict=False)  # states come last, and have none
        context.masks.update({y: mask for y, mask in pairs if mask is not None})
        return answer

    # ── what a user asks ──────────────────────────────────────────────────────────────────────────────────

    def compute_output_shape(self, input_shape: Any) -> Any:
        """The shape of what the layer answers for batches of `input_shape`; nothing is built.

        >>> from talweg.nn.layers import Dense
        >>> Dense(10).compute_output_shape((None, 784))
        (None, 10)
        """
        return symbolic.shape_after(self, input_shape, Context(training=False))

    @property
    def input(self) -> Any:
        """The placeholder that the layer was called on, first where there were several."""
        return self._first_call().inputs

    @property
    def output(self) -> Any:
        """The placeholder that the layer answered: ``Model(model.input, layer.output)`` shows what it computes."""
        return self._first_call().outputs

    def _first_call(self) -> Call:
        if not self.calls:
            raise UsageError(f"layer {self.title!r} was not called yet, so it has no input and no output")
        return self.calls[0]

    @property
    def variables(self) -> list[Variable]:
        """The layer's variables, in the order of declaration; empty before it was built or called."""
        return list(self._variables.values())

    weights = variables

    @property
    def trainable_variables(self) -> list[Variable]:
        return [v for v in self.variables if v.declared.trainable and self.trains(v.declared.name)]

    def trains(self, parameter: str) -> bool:
        """Whether training may now change the parameter of this name."""
        return self.trainable

    def modes(self) -> tuple[bool, ...]:
        """Whether it is trainable, and so each layer within."""
        return (bool(self.trainable),)

    @property
    def built(self) -> bool:
        try:
            return bool(self._variables) or not list(self.parameters((1,)))
        except ShapeError:  # it learns, and from examples with more axes
            return False

    def get_weights(self) -> list[Array]:
        """Copies of the variables' values."""
        return [v.numpy() for v in self.variables]

    def set_weights(self, weights: Sequence[Any]) -> None:
        """Puts other values in place; raises `ShapeError` where their number or a shape differs."""
        set_weights(self.variables, weights, f"layer {self.name!r}")

    def count_params(self) -> int:
        """The number of numbers in the layer's variables.

        >>> from talweg.nn.layers import Dense
        >>> from talweg.graph.random import RandomStream, key_of
        >>> dense = Dense(64)
        >>> dense.build((128,), RandomStream(0, 0))
        >>> dense.count_params()                       # seed 000: (128 + 1) · 64
        8256
        """
        return sum(int(np.prod(v.shape)) for v in self.variables)


def as_shape(shape: Any) -> tuple[int, ...]:
    """`shape` as a tuple of whole numbers above 0: ``784``, ``[28, 28]`` and ``(28, 28)`` will do."""
    dims = (shape,) if isinstance(shape, (int, np.integer)) else tuple(shape)
    if not all(map(is_whole, dims)):
        raise ShapeError(f"a shape must be whole numbers above 0, without the batch axis; got {shape!r}")
    return tuple(int(d) for d in dims)
