"""Initializers: the first values of parameters, with Keras's definitions.

An initializer is called with a shape and a stream of random numbers; it computes in float64, so that the values are the
same on every machine once they are rounded. A function of one's own may have Keras's form, ``(shape, dtype=None)``.

>>> from talweg.graph.random import RandomStream
>>> GlorotUniform()((2, 3), RandomStream(seed=0, stream=0)).shape
(2, 3)
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from talweg.errors import ShapeError, UsageError
from talweg.graph import Array
from talweg.graph.random import RandomStream
from talweg.nn.seeds import next_seed
from talweg.registry import Described, Registry, snake_case

INITIALIZERS: Registry[type[Initializer]] = Registry("initializer")


@dataclass(eq=False, repr=False)
class Initializer(Described):
    """The base: subclasses write `values`. Those that draw have a `seed`, for random numbers of their own."""

    registry: ClassVar[Registry[Any]] = INITIALIZERS

    def __init_subclass__(cls) -> None:
        INITIALIZERS.register(cls.__name__, cls, snake_case(cls.__name__))

    def __post_init__(self) -> None:
        super().__post_init__()
        self.demand_numbers()

    def __call__(self, shape: Sequence[int], random: RandomStream | None = None, dtype: Any = np.float64) -> Array:
        seed = getattr(self, "seed", None)
        if seed is None and random is None:  # one of its own, the same at each call, as in Keras
            seed = self.__dict__.setdefault("_drawn", next_seed())
        if seed is not None:
            random = RandomStream(seed, stream=0)
        assert random is not None
        return np.asarray(self.values(tuple(shape), random), dtype)

    def values(self, shape: tuple[int, ...], random: RandomStream) -> Array:
        raise UsageError(f"{type(self).__name__} must define values(shape, random)")


def get(identifier: Any) -> Any:
    """An initializer from its name, its class, its configuration, or any function that `first_values` can call."""
    if isinstance(identifier, str):
        return INITIALIZERS.get(identifier)()
    if isinstance(identifier, dict):
        return Initializer.from_config(identifier)
    if isinstance(identifier, type):
        return identifier()
    if isinstance(identifier, (int, float)) and not isinstance(identifier, bool):
        return Constant(identifier)
    if callable(identifier):
        return identifier
    raise UsageError(
        f"an initializer must be a name, an Initializer or a function of (shape, dtype=None); got {identifier!r}"
    )


def first_values(initializer: Callable[..., Any], shape: tuple[int, ...], random: RandomStream) -> Array:
    """What an initializer, or a function of the user's, gives for a shape: float64 of that shape.

    A function is called in the form that it is written in: Keras's ``(shape, dtype=None)`` with the dtype, one with
    an argument `random`, or with two that must be given, with the stream, any other with the shape alone. Raises
    `ShapeError` where it answers with another shape, `UsageError` where it does not answer with numbers.
    """
    form = _form(initializer)
    if form == "random":
        made = initializer(shape, random)
    else:
        made = initializer(shape, dtype="float64") if form == "dtype" else initializer(shape)
    title = getattr(initializer, "__name__", type(initializer).__name__)
    try:
        values = np.array("None" if made is None else made, np.float64)  # NumPy would read None as NaN
    except (TypeError, ValueError):
        raise UsageError(f"initializer {title} must return an array of numbers; got {type(made).__name__}") from None
    if values.shape != shape:
        raise ShapeError(f"initializer {title} must return shape {list(shape)}; got {list(values.shape)}")
    if not np.isfinite(values).all():
        raise UsageError(f"initializer {title} returned NaN or infinity, from which nothing can be learnt")
    return values


def _form(initializer: Callable[..., Any]) -> str:
    """What an initializer takes besides the shape: "random", "dtype", or "" for nothing."""
    try:
        taken = list(inspect.signature(initializer).parameters.values())[1:]
    except (TypeError, ValueError):  # written in C, and does not say
        return ""
    names = {p.name for p in taken}
    if "random" in names:
        return "random"
    if "dtype" in names or any(p.kind is p.VAR_KEYWORD for p in taken):
        return "dtype"
    return "random" if any(p.default is p.empty and p.kind is p.POSITIONAL_OR_KEYWORD for p in taken) else ""


def fans(shape: tuple[int, ...]) -> tuple[float, float]:
    """The number of inputs and of outputs of one unit: kernels are (..., inputs, outputs), the rest a window."""
    if len(shape) < 2:
        n = float(shape[0]) if shape else 1.0
        return n, n
    window = math.prod(shape[:-2])
    return float(window * shape[-2]), float(window * shape[-1])


def truncated_normal(shape: tuple[int, ...], random: RandomStream) -> Array:
    """Standard normal, drawn again wherever it lies beyond two standard deviations."""
    z = random.normal(shape)
    while (outside := np.abs(z) > 2).any():
        z = np.where(outside, random.normal(shape), z)
    return z


@dataclass(eq=False, repr=False)
class Zeros(Initializer):
    """0 everywhere."""

    def values(self, shape: tuple[int, ...], random: RandomStream) -> Array:
        return np.zeros(shape)


@dataclass(eq=False, repr=False)
class Ones(Initializer):
    """1 everywhere."""

    def values(self, shape: tuple[int, ...], random: RandomStream) -> Array:
        return np.ones(shape)


@dataclass(eq=False, repr=False)
class Constant(Initializer):
    """`value`, a number or an array that broadcasts to the shape."""

    value: Any = 0.0

    def values(self, shape: tuple[int, ...], random: RandomStream) -> Array:
        try:
            return np.broadcast_to(np.asarray(self.value, np.float64), shape)
        except ValueError:
            raise ShapeError(
                f"Constant: a value of shape {list(np.shape(self.value))} does not fit {list(shape)}"
            ) from None


@dataclass(eq=False, repr=False)
class RandomNormal(Initializer):
    r"""$\mathcal{N}(\text{mean}, \text{stddev}^2)$"""

    mean: float = 0.0
    stddev: float = 0.05
    seed: int | None = None

    def values(self, shape: tuple[int, ...], random: RandomStream) -> Array:
        return self.mean + self.stddev * random.normal(shape)


@dataclass(eq=False, repr=False)
class RandomUniform(Initializer):
    r"""$\mathcal{U}[\text{minval}, \text{maxval})$"""

    minval: float = -0.05
    maxval: float = 0.05
    seed: int | None = None

    def values(self, shape: tuple[int, ...], random: RandomStream) -> Array:
        return self.minval + (self.maxval - self.minval) * random.uniform(shape)


@dataclass(eq=False, repr=False)
class TruncatedNormal(Initializer):
    """`RandomNormal`, drawn again beyond two standard deviations."""

    mean: float = 0.0
    stddev: float = 0.05
    seed: int | None = None

    def values(self, shape: tuple[int, ...], random: RandomStream) -> Array:
        return self.mean + self.stddev * truncated_normal(shape, random)


MODES = ("fan_in", "fan_out", "fan_avg")
DISTRIBUTIONS = ("truncated_normal", "normal", "untruncated_normal", "uniform")


@dataclass(eq=False, repr=False)
class VarianceScaling(Initializer):
    r"""Variance $\text{scale}/n$, where n is the number of inputs, of outputs, or their average.

    mode: fan_in, fan_out or fan_avg. distribution: truncated_normal (its variance corrected for what was cut off;
    "normal" is the same), untruncated_normal, or uniform on $\pm\sqrt{3\,\text{scale}/n}$. PyTorch draws its layers'
    kernels with scale 1/3, fan_in and uniform. Raises `UsageError` for another mode or distribution, or a scale that is
    not above 0.
    """

    scale: float = 1.0
    mode: str = "fan_in"
    distribution: str = "truncated_normal"
    seed: int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.scale > 0:
            raise UsageError(f"{type(self).__name__}: scale must be above 0; got {self.scale!r}")
        for name, known in (("mode", MODES), ("distribution", DISTRIBUTIONS)):
            if (value := getattr(self, name)) not in known:
                raise UsageError(f"{type(self).__name__}: {name} must be one of {', '.join(known)}; got {value!r}")

    def values(self, shape: tuple[int, ...], random: RandomStream) -> Array:
        fan_in, fan_out = fans(shape)
        n = {"fan_in": fan_in, "fan_out": fan_out, "fan_avg": (fan_in + fan_out) / 2}[self.mode]
        deviation = math.sqrt(self.scale / max(1.0, n))
        if self.distribution == "uniform":
            return deviation * math.sqrt(3) * (2 * random.uniform(shape) - 1)
        if self.distribution == "untruncated_normal":
            return deviation * random.normal(shape)
        return deviation / 0.87962566103423978 * truncated_normal(shape, random)


@dataclass(eq=False, repr=False)
class GlorotUniform(VarianceScaling):
    """Uniform, scale 1 over the average fan (Glorot and Bengio, 2010). Keras's default for kernels."""

    scale: float = field(default=1.0, init=False)
    mode: str = field(default="fan_avg", init=False)
    distribution: str = field(default="uniform", init=False)


@dataclass(eq=False, repr=False)
class GlorotNormal(VarianceScaling):
    """Truncated normal, scale 1 over the average fan (Glorot and Bengio, 2010)."""

    scale: float = field(default=1.0, init=False)
    mode: str = field(default="fan_avg", init=False)
    distribution: str = field(default="truncated_normal", init=False)


@dataclass(eq=False, repr=False)
class HeUniform(VarianceScaling):
    """Uniform, scale 2 over fan-in, for ReLU (He et al., 2015)."""

    scale: float = field(default=2.0, init=False)
    mode: str = field(default="fan_in", init=False)
    distribution: str = field(default="uniform", init=False)


@dataclass(eq=False, repr=False)
class HeNormal(VarianceScaling):
    """Truncated normal, scale 2 over fan-in, for ReLU (He et al., 2015)."""

    scale: float = field(default=2.0, init=False)
    mode: str = field(default="fan_in", init=False)
    distribution: str = field(default="truncated_normal", init=False)


@dataclass(eq=False, repr=False)
class LecunUniform(VarianceScaling):
    """Uniform, scale 1 over fan-in (LeCun et al., 1998)."""

    scale: float = field(default=1.0, init=False)
    mode: str = field(default="fan_in", init=False)
    distribution: str = field(default="uniform", init=False)


@dataclass(eq=False, repr=False)
class LecunNormal(VarianceScaling):
    """Truncated normal, scale 1 over fan-in (LeCun et al., 1998); for SELU."""

    scale: float = field(default=1.0, init=False)
    mode: str = field(default="fan_in", init=False)
    distribution: str = field(default="truncated_normal", init=False)


@dataclass(eq=False, repr=False)
class Orthogonal(Initializer):
    """`gain` times a matrix with orthonormal columns or rows, whichever are fewer (Saxe et al., 2014)."""

    gain: float = 1.0
    seed: int | None = None

    def values(self, shape: tuple[int, ...], random: RandomStream) -> Array:
        if len(shape) < 2:
            raise ShapeError(f"Orthogonal needs a shape of at least two axes; got {list(shape)}")
        rows, columns = math.prod(shape[:-1]), shape[-1]
        q, r = np.linalg.qr(random.normal((max(rows, columns), min(rows, columns))))
        q = q * np.sign(np.diag(r))  # makes the decomposition unique, and the result uniform
        return self.gain * (q.T if rows < columns else q).reshape(shape)


@dataclass(eq=False, repr=False)
class Identity(Initializer):
    """`gain` on the diagonal of a matrix, 0 elsewhere."""

    gain: float = 1.0

    def values(self, shape: tuple[int, ...], random: RandomStream) -> Array:
        if len(shape) != 2:
            raise ShapeError(f"Identity needs a matrix; got shape {list(shape)}")
        return self.gain * np.eye(*shape)


INITIALIZERS.register("RandomNormal", RandomNormal, "normal")  # Keras's short names
INITIALIZERS.register("RandomUniform", RandomUniform, "uniform")
