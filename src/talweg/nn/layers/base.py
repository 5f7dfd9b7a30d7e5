"""What a layer is: a frozen description that declares what it learns and writes its formula.

Once a model is built, each declared parameter is a `Variable`, a named cell that the layer keeps (decision 005).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from types import SimpleNamespace
from typing import Any, ClassVar, Protocol

import numpy as np

from talweg import graph as g
from talweg.errors import ShapeError, UsageError
from talweg.graph import Array, Shape, Tensor
from talweg.graph.random import RandomStream
from talweg.nn import initializers
from talweg.registry import Described, Registry, setting, snake_case

LAYERS: Registry[type[Layer]] = Registry("layer")


@dataclass(frozen=True)
class Parameter:
    """What a layer declares: a name, a shape, how it begins, what is added to the loss, whether training changes it."""

    name: str
    shape: tuple[int, ...]
    initializer: Any = "glorot_uniform"
    regularizer: Any = None
    trainable: bool = True


class Live(Protocol):
    """A running session, as far as a variable knows it."""

    def states(self, names: Iterable[str] | None = None) -> dict[str, Array]: ...

    def load(self, states: dict[str, Array]) -> None: ...


class Variable:
    """A named array that belongs to a layer. While a model trains, its value is the running session's."""

    def __init__(self, name: str, declared: Parameter, value: Array) -> None:
        self.name, self.declared, self._value = name, declared, value
        self.live: Live | None = None

    @property
    def value(self) -> Array:
        if self.live is not None:
            self._value = self.live.states([self.name])[self.name]
        return self._value

    @value.setter
    def value(self, new: Any) -> None:
        array = np.array(new, self._value.dtype)
        if array.shape != self._value.shape:
            raise ShapeError(f"{self.name} has shape {list(self._value.shape)}; got {list(array.shape)}")
        self._value = array
        if self.live is not None:
            self.live.load({self.name: array})

    @property
    def shape(self) -> tuple[int, ...]:
        return self.declared.shape

    def numpy(self) -> Array:
        return self.value.copy()

    def cast(self, precision: str) -> None:
        """From now on the value is held in float32 or float64."""
        self._value = self.value.astype(precision, copy=False)

    def assign(self, new: Any) -> None:
        self.value = new

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        return np.array(self.value, dtype)

    def __repr__(self) -> str:
        return f"<Variable {self.name} {list(self.shape)}>"


@dataclass
class Context:
    """What a formula may ask of the program it is written into.

    training  whether this is the training program
    updates   new values of a layer's own states, such as moving averages: `update` fills it
    losses    penalties on activations: added to the loss
    """

    training: bool
    seed: Tensor | None = None
    step: Tensor | None = None
    updates: dict[Tensor, Tensor] = field(default_factory=dict)
    losses: list[Tensor] = field(default_factory=list)
    layer: str = ""
    streams: Iterator[int] = field(default_factory=lambda: iter(range(2, 1 << 16, 2)))

    def name(self, tensor: Tensor, label: str) -> Tensor:
        """`tensor` under the name ``layer/label``, by which the reference engine shows its value."""
        return tensor.named(f"{self.layer}/{label}")

    def random_uniform(self, shape: Shape) -> Tensor:
        """Numbers in [0, 1), new at every step."""
        seed, step = self._chance()
        return g.random_uniform(seed, step, shape, next(self.streams))

    def random_normal(self, shape: Shape) -> Tensor:
        """Standard normal numbers, new at every step."""
        seed, step = self._chance()
        return g.random_normal(seed, step, shape, next(self.streams))

    def update(self, state: Tensor, value: Tensor) -> None:
        """Lets `state` become `value` after this step."""
        self.updates[state] = value

    def _chance(self) -> tuple[Tensor, Tensor]:
        if self.seed is None or self.step is None:
            raise UsageError(f"layer {self.layer!r} asked for random numbers outside training")
        return self.seed, self.step


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

    _: KW_ONLY
    name: str | None = None
    input_shape: tuple[int, ...] | None = setting(lambda s: None if s is None else as_shape(s), None)
    trainable: bool = True
    dtype: str | None = None
    input_dim: int | None = None

    def __init_subclass__(cls) -> None:
        LAYERS.register(cls.__name__, cls, snake_case(cls.__name__))

    def __post_init__(self) -> None:
        if self.input_dim is not None and self.input_shape is None:
            self.input_shape, self.input_dim = (self.input_dim,), None
        if self.dtype not in (None, "float32", "float64"):
            raise UsageError(
                f"{type(self).__name__}: a layer computes in the model's precision, compile(..., precision='float64') "
                f"or float32; got dtype={self.dtype!r}"
            )
        super().__post_init__()
        object.__setattr__(self, "_variables", {})

    # ── what a layer writes ───────────────────────────────────────────────────────────────────────────────

    def parameters(self, input_shape: tuple[int, ...]) -> Iterable[Parameter]:
        """What the layer learns, given the shape of one example."""
        return ()

    def call(self, x: Tensor, p: Any, context: Context) -> Tensor:
        """The formula. x: (batch, *input_shape). p: the parameters as tensors, by name."""
        raise UsageError(f"{type(self).__name__} must define call(x, p, context)")

    def __call__(self, *inputs: Any, **options: Any) -> Any:
        raise UsageError(
            f"{type(self).__name__} cannot be called: layers are put one after another, Sequential([Input((784,)), "
            "Dense(10)]). A built layer is computed by a model, Sequential([layer]).predict(x)."
        )

    # ── what a model does with it ─────────────────────────────────────────────────────────────────────────

    def named(self, name: str) -> None:
        """Gives a layer without a name one; a model does this when the layer joins it."""
        object.__setattr__(self, "name", name)

    def build(self, input_shape: tuple[int, ...], random: RandomStream, precision: str = "float32") -> None:
        """Makes the variables for examples of `input_shape`. A built layer keeps those that it has."""
        declared = list(self.parameters(input_shape))
        variables = self._cells()
        if variables:
            for p in declared:
                if variables[p.name].shape != p.shape:
                    raise ShapeError(
                        f"layer {self.name!r} was built with {p.name} of shape {list(variables[p.name].shape)} and "
                        f"cannot take examples of shape {list(input_shape)}, which need {list(p.shape)}. "
                        "Make another: dataclasses.replace(layer)."
                    )
            return
        for p in declared:
            value = initializers.get(p.initializer)(p.shape, random)
            variables[p.name] = Variable(f"{self.name}/{p.name}", p, np.array(value, precision))

    def forget(self) -> None:
        """Takes back `build`: a model does this where the layers after it do not fit."""
        self._cells().clear()

    def restore(self, input_shape: tuple[int, ...], values: Mapping[str, Array]) -> None:
        """Makes the variables with given values, by their full names, rather than fresh ones, for a loaded model."""
        for p in self.parameters(input_shape):
            name = f"{self.name}/{p.name}"
            self._cells()[p.name] = Variable(name, p, values[name])

    def write(self, x: Tensor, states: dict[str, Tensor], context: Context) -> Tensor:
        """The layer's output as a tensor: `call`, with the layer's variables found among `states`."""
        own = SimpleNamespace(**{k: states[v.name] for k, v in self._cells().items()})
        context.layer = self.name or type(self).__name__
        return context.name(self.call(x, own, context), "output")

    # ── what a user asks ──────────────────────────────────────────────────────────────────────────────────

    def _cells(self) -> dict[str, Variable]:
        cells: dict[str, Variable] = self._variables  # type: ignore[attr-defined]
        return cells

    @property
    def variables(self) -> list[Variable]:
        """The layer's variables, in the order of declaration; empty before it was built."""
        return list(self._cells().values())

    weights = variables

    @property
    def trainable_variables(self) -> list[Variable]:
        return [v for v in self.variables if v.declared.trainable and self.trainable]

    @property
    def built(self) -> bool:
        try:
            return bool(self._cells()) or not list(self.parameters((1,)))
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
        >>> from talweg.graph.random import RandomStream
        >>> dense = Dense(64)
        >>> dense.build((128,), RandomStream(0, 0))
        >>> dense.count_params()                       # seed 000: (128 + 1) · 64
        8256
        """
        return sum(int(np.prod(v.shape)) for v in self.variables)


def set_weights(variables: Sequence[Variable], weights: Sequence[Any], owner: str) -> None:
    """Gives each of `variables` its value; nothing changes unless all fit."""
    if len(weights) != len(variables):
        raise ShapeError(f"{owner} has {len(variables)} weight arrays; got {len(weights)}")
    for v, w in zip(variables, weights, strict=True):
        if np.shape(w) != v.shape:
            raise ShapeError(f"{owner}: {v.name} has shape {list(v.shape)}; got {list(np.shape(w))}")
    for v, w in zip(variables, weights, strict=True):
        v.value = w


def as_shape(shape: Any) -> tuple[int, ...]:
    """`shape` as a tuple of whole numbers above 0: ``784``, ``[28, 28]`` and ``(28, 28)`` will do."""
    dims = (shape,) if isinstance(shape, (int, np.integer)) else tuple(shape)
    if any(not isinstance(d, (int, np.integer)) or isinstance(d, bool) or d < 1 for d in dims):
        raise ShapeError(f"a shape must be whole numbers above 0, without the batch axis; got {shape!r}")
    return tuple(int(d) for d in dims)
