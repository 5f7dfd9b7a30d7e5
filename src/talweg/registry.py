"""Names to things, and things that describe themselves.

A `Registry` is the table behind a string such as ``optimizer="adam"``. A `Described` thing (a layer, a loss, an update
rule, a schedule, ...) is a dataclass that does not change after it was made and that can be written as JSON and read
again: its class's name and its fields are all there is to know of it.
"""

from __future__ import annotations

import dataclasses
import inspect
import math
import numbers
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, ClassVar, Generic, TypeVar

from talweg.errors import FrozenError, UnknownNameError, UsageError

T = TypeVar("T")


class Registry(Generic[T]):
    """A table of things of one kind, each under one name or several.

    Names are matched exactly first, then without regard to case and underscores, so that ``"Adam"``, ``"adam"``,
    ``"mean_squared_error"`` and ``"MeanSquaredError"`` all find what they should.
    """

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._things: dict[str, T] = {}
        self._folded: dict[str, str] = {}
        self._name_of: dict[int, str] = {}

    def register(self, name: str, thing: T, *aliases: str) -> T:
        for key in (name, *aliases):
            self._things[key] = thing
            self._folded[_fold(key)] = key
        self._name_of[id(thing)] = name
        return thing

    def get(self, name: str) -> T:
        """The thing called `name`; raises `UnknownNameError`, suggesting the nearest, where there is none."""
        if name in self._things:
            return self._things[name]
        if _fold(name) in self._folded:
            return self._things[self._folded[_fold(name)]]
        raise UnknownNameError(self.kind, name, self._name_of.values())

    def __iter__(self) -> Iterator[str]:
        """The first name of each thing, in the order of registration."""
        return iter(self._name_of.values())

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and (name in self._things or _fold(name) in self._folded)


def _fold(name: str) -> str:
    return name.replace("_", "").replace("-", "").lower()


def snake_case(class_name: str) -> str:
    """The name in small letters, its words apart, as Keras has it: a word begins where small letters follow a capital.

    >>> snake_case("SparseCategoricalCrossentropy"), snake_case("Conv2DTranspose"), snake_case("PReLU")
    ('sparse_categorical_crossentropy', 'conv2d_transpose', 'p_re_lu')
    """
    apart = re.sub(r"(?<=.)(?=[A-Z][a-z])|(?<=[a-z])(?=[A-Z])", "_", class_name)
    return apart.lower()


def camel_case(function_name: str) -> str:
    """
    >>> camel_case("mean_squared_error")
    'MeanSquaredError'
    """
    return "".join(part.capitalize() for part in function_name.split("_"))


def check_ranges(owner: str, ranges: Mapping[str, str], values: Mapping[str, Any]) -> None:
    """Raises `UsageError` for a value, or an element of a list, outside the range of its name; None is in all.

    A range is "[0, 1)", or "{1, 2, ...}" for whole numbers.

    >>> check_ranges("Adam", {"beta_1": "[0, 1)"}, {"beta_1": 1.0})
    Traceback (most recent call last):
    talweg.errors.UsageError: Adam: beta_1 must be a number in [0, 1); got 1.0
    """
    for name, wanted in ranges.items():
        value = values.get(name)
        elements = value if isinstance(value, (list, tuple)) else [value]
        if value is not None and not (elements and all(_is_in(wanted, x) for x in elements)):
            raise UsageError(f"{owner}: {name} must be a number in {wanted}; got {value!r}")


def _is_in(wanted: str, x: Any) -> bool:
    is_whole = wanted[0] == "{"
    if not isinstance(x, numbers.Integral if is_whole else numbers.Real) or isinstance(x, bool):
        return False
    first, second, *_ = wanted[1:-1].split(",")
    low, high = float(first), math.inf if is_whole else float(second)
    return low < float(x) < high or (x == low and wanted[0] != "(") or (x == high and wanted[-1] == "]")


def setting(convert: Callable[[Any], Any], default: Any = dataclasses.MISSING) -> Any:
    """A dataclass field whose value passes through `convert`: ``activation="relu"`` becomes the function."""
    return dataclasses.field(default=default, metadata={"convert": convert})


def refuse_overrides(cls: type, refused: Mapping[str, str]) -> None:
    """Raises `UsageError` for a class of the user's with a method that Keras would call, and nothing here does.

    refused: for each such name what to write instead. Talweg's own classes, whose methods are called, are not asked.
    """
    for base in cls.__mro__:
        if not base.__module__.startswith("talweg."):
            for name in refused:
                if name in vars(base):
                    raise UsageError(
                        f"{cls.__name__}.{name} would never be called, for what is trained is compiled from formulas: "
                        f"{refused[name]}"
                    )


class Described:
    """The base of everything that is a description: frozen after `__init__`, written as JSON by `to_config`.

    Subclasses are dataclasses with ``eq=False``: two layers with the same settings are still two layers.
    """

    registry: ClassVar[Registry[Any]]
    assignable: ClassVar[frozenset[str]] = frozenset()
    """The fields that may be assigned later, because nothing was compiled from their value."""
    ranges: ClassVar[Mapping[str, str]] = {}
    """Which numbers fields may have; see `check_ranges`."""

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):  # type: ignore[arg-type]
            if (convert := field.metadata.get("convert")) is not None:
                object.__setattr__(self, field.name, convert(getattr(self, field.name)))
        check_ranges(type(self).__name__, self.ranges, {name: getattr(self, name, None) for name in self.ranges})
        object.__setattr__(self, "_sealed", True)

    def demand_numbers(self) -> None:
        """Raises `UsageError` unless what is declared ``int`` is a whole number, and what is declared ``float`` finite.

        Numbers of NumPy become Python's.
        """
        for field in dataclasses.fields(self):  # type: ignore[arg-type]
            kind, _, other = str(getattr(field.type, "__name__", field.type)).partition(" | ")
            value = getattr(self, field.name)
            if kind not in ("int", "float") or (value is None and other == "None"):
                continue
            is_number = isinstance(value, numbers.Integral if kind == "int" else numbers.Real)
            if not is_number or isinstance(value, bool) or not math.isfinite(value):
                what = "a whole number" if kind == "int" else "a finite number"
                raise UsageError(f"{type(self).__name__}: {field.name} must be {what}; got {value!r}")
            object.__setattr__(self, field.name, getattr(value, "item", lambda value=value: value)())

    def __setattr__(self, name: str, value: Any) -> None:
        if getattr(self, "_sealed", False) and name not in self.assignable:
            if all(field.name != name for field in dataclasses.fields(self)):  # type: ignore[arg-type]
                raise FrozenError(
                    f"{type(self).__name__} has no field {name!r}, and is a description that does not change after it "
                    f"was made. Where the class is your own, write @dataclass(eq=False, repr=False) above it and "
                    f"`{name}: float` in it, in place of an __init__."
                )
            raise FrozenError(
                f"{type(self).__name__}.{name} cannot be changed after it was made: what was built from it would no "
                f"longer agree with it. Make another: dataclasses.replace(it, {name}=...)."
            )
        if getattr(self, "_sealed", False):
            convert = next(f.metadata.get("convert") for f in dataclasses.fields(self) if f.name == name)  # type: ignore[arg-type]
            value = convert(value) if convert else value
        object.__setattr__(self, name, value)

    def __repr__(self) -> str:
        changed = ", ".join(f"{k}={_brief(v)}" for k, v in self.settings().items())
        return f"{type(self).__name__}({changed})"

    def settings(self) -> dict[str, Any]:
        """The fields whose value is not the default."""
        fields = dataclasses.fields(self)  # type: ignore[arg-type]
        values = {f.name: (f, getattr(self, f.name)) for f in fields if f.init}
        return {
            name: value
            for name, (f, value) in values.items()
            if f.default is dataclasses.MISSING or encode(value) != encode(_converted(f))
        }

    def get_config(self) -> dict[str, Any]:
        """The settings, under Keras's name. A class with an `__init__` of its own writes this: what to call it with."""
        taken, _ = _arguments(type(self))
        fields = {f.name for f in dataclasses.fields(self)}  # type: ignore[arg-type]
        if type(self).get_config is Described.get_config and (lost := sorted(taken - fields)):
            raise UsageError(
                f"{type(self).__name__} cannot be saved: its __init__ takes {', '.join(lost)}, which is no field of "
                "it. Make the class a dataclass, or write get_config(self), which returns what to call it with."
            )
        return {"class": type(self).__name__, **{name: encode(value) for name, value in self.settings().items()}}

    def to_config(self) -> dict[str, Any]:
        """This thing as JSON: ``{"class": name, **fields}``. Raises `UsageError` where a field has no JSON form."""
        settings = {name: encode(value) for name, value in self.get_config().items()}
        return {**settings, "class": type(self).__name__}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Any:
        """The thing that `to_config` wrote; the class is looked up in this class's registry."""
        config = dict(config)
        made: Any = cls.registry.get(config.pop("class")) if "class" in config else cls
        taken, more = _arguments(made)
        if (unknown := set(config) - taken) and not more:
            raise UnknownNameError(f"argument of {made.__name__}", min(unknown), taken)
        return made(**config)


def _arguments(made: type) -> tuple[set[str], bool]:
    """The names of what a class is called with, and whether it takes any others, too."""
    taken = list(inspect.signature(made).parameters.values())
    kinds = (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL)
    return {p.name for p in taken if p.kind not in kinds}, any(p.kind is kinds[0] for p in taken)


def _converted(field: dataclasses.Field[Any]) -> Any:
    convert = field.metadata.get("convert")
    return convert(field.default) if convert else field.default


def _brief(value: Any) -> str:
    return getattr(value, "__name__", None) or repr(value)


def encode(value: Any) -> Any:
    """`value` as JSON would hold it. Functions become the name under which they are registered."""
    if isinstance(value, Described):
        return value.to_config()
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, (list, tuple)):
        return [encode(v) for v in value]
    if isinstance(value, Mapping):
        return {str(k): encode(v) for k, v in value.items()}
    if hasattr(value, "tolist"):  # NumPy arrays and scalars
        return value.tolist()
    if name := getattr(value, "registered_name", None):
        return name
    raise UsageError(
        f"{value!r} cannot be saved: it has no name. Register it first, if it is an activation: "
        "talweg.activations.register('my_activation', function). Of any other kind write a class in place of the "
        "function. save_weights() saves what was learnt in any case."
    )
