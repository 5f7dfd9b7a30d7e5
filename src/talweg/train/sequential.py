"""`Sequential`: layers one after another, each fed by the one before."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from copy import copy
from typing import Any

from talweg.errors import ShapeError, UsageError
from talweg.graph.random import RandomStream
from talweg.nn.layers import Input, Layer
from talweg.nn.layers.base import as_shape
from talweg.registry import snake_case
from talweg.train import programs
from talweg.train.model import Model
from talweg.train.summary import summary_table

WEIGHT_STREAM = 1  # the stream of random numbers for first weights
RESERVED = frozenset({"optimizer", "metrics"})  # what the other states of a program are called


class Sequential(Model):
    """A stack of layers, as in Keras.

    The shape of one example comes from an `Input` or the first layer's `input_shape`, else from the data. `seed` makes
    all that is random here, now and in training, the same each time; without it the model picks one: `model.seed`.

    >>> from talweg.nn.layers import Dense
    >>> model = Sequential([Dense(8, activation="relu", input_shape=(2,)), Dense(1)], seed=0)
    >>> model.count_params()
    33
    """

    def __init__(
        self,
        layers: Iterable[Layer] | None = None,
        trainable: bool = True,
        name: str | None = None,
        *,
        seed: int | None = None,
    ) -> None:
        super().__init__(name=name, seed=seed)
        self._layers: list[Layer] = []
        self._input_shape: tuple[int, ...] | None = None
        self._random = RandomStream(self.seed, WEIGHT_STREAM)
        self._built_here: list[Layer] = []
        if isinstance(layers, (Layer, str)):
            raise UsageError(f"Sequential takes a list of layers: Sequential([{layers!r}])")
        listed = list(layers or [])
        self._taken = {layer.name for layer in listed if isinstance(layer, Layer) and layer.name}
        for layer in listed:
            self.add(layer)
        if not trainable:
            for layer in self._layers:
                layer.trainable = False

    @property
    def layers(self) -> list[Layer]:
        return list(self._layers)

    @property
    def input_shape(self) -> tuple[int, ...] | None:
        return self._input_shape

    def add(self, layer: Layer) -> None:
        """Puts a layer at the end, and builds it where the shape of its input is known."""
        if not isinstance(layer, Layer):
            hint = f" Write {layer.__name__}(...)." if isinstance(layer, type) and issubclass(layer, Layer) else ""
            raise UsageError(f"a Sequential holds layers; got {layer!r}.{hint}")
        if isinstance(layer, Input):
            if self._layers or self._input_shape:
                raise UsageError("Input must come first, and once")
            self._input_shape = layer.input_shape
            return
        self._name(layer)
        shape = self._input_shape
        if not self._layers and layer.input_shape is not None:
            if shape is not None and shape != layer.input_shape:
                raise ShapeError(
                    f"layer {layer.name!r} has input_shape {list(layer.input_shape)}, and the Input before it "
                    f"{list(shape)}"
                )
            shape = layer.input_shape
        if shape is not None:
            self._build_layer(layer, [*self._layers, layer], shape)
        self._input_shape = shape
        self._layers.append(layer)
        self._taken.add(str(layer.name))
        self.changed()

    def pop(self) -> Layer:
        """Takes the last layer off and answers it."""
        if not self._layers:
            raise UsageError("the model has no layers")
        self.changed()
        layer = self._layers.pop()
        if layer not in self._layers:
            for v in layer.variables:  # another layer may come to have its name
                self._memory = {k: a for k, a in self._memory.items() if not k.startswith(f"optimizer/{v.name}/")}
        return layer

    def build(self, input_shape: Any = None) -> None:
        """Makes the variables for examples of `input_shape` (a leading None, as Keras wants it, may be there or not).

        Raises `ShapeError`, naming the layer that cannot take what the one before it answers; nothing is built then.
        """
        if input_shape is None:
            if self._input_shape is None:
                raise UsageError("build needs an input_shape: the shape of one example")
            return
        dims = (input_shape,) if isinstance(input_shape, int) else tuple(input_shape)
        shape = as_shape(dims[1:] if dims and dims[0] is None else dims)
        if self._input_shape is not None and shape != self._input_shape:
            raise ShapeError(f"the model takes examples of shape {list(self._input_shape)}; got {list(shape)}")
        if not self._layers:
            raise UsageError("the model has no layers: add some first")
        try:
            for i, layer in enumerate(self._layers):
                self._build_layer(layer, self._layers[: i + 1], shape)
        except BaseException:
            self.unbuild()
            raise
        self._input_shape = shape
        self.changed()

    def unbuild(self) -> None:
        """Takes back what `build` did, before anything was trained: the input shape, and the variables that it made."""
        for layer in self._built_here:
            layer.forget()
        self._built_here, self._input_shape = [], None
        self._random = RandomStream(self.seed, WEIGHT_STREAM)
        self.changed()

    def _build_layer(self, layer: Layer, so_far: list[Layer], shape: tuple[int, ...]) -> None:
        """Builds the last layer of `so_far`; leaves no trace where it does not fit."""
        has_variables, random = bool(layer.variables), copy(self._random)
        try:
            layer.build(programs.output_shape(so_far[:-1], shape), random, self.precision)
            programs.output_shape(so_far, shape)
        except BaseException:
            if not has_variables:
                layer.forget()
            raise
        self._random = random
        if not has_variables:
            self._built_here.append(layer)

    def _name(self, layer: Layer) -> None:
        """Sees to it that the layer has a name, and one of its own."""
        if layer.name is None:
            layer.named(self._free_name(snake_case(type(layer).__name__)))
        name = layer.name
        if not isinstance(name, str) or not name or "/" in name or name in RESERVED:
            raise UsageError(
                f"a layer's name must be text without '/', and none of {', '.join(sorted(RESERVED))}; got {name!r}"
            )
        if any(name == other.name and layer is not other for other in self._layers):
            raise UsageError(f"two layers are called {name!r}; give one of them another name=")

    def get_layer(self, name: str | None = None, index: int | None = None) -> Layer:
        """The layer called `name`, or the one at `index`."""
        if index is not None:
            if not -len(self._layers) <= index < len(self._layers):
                raise UsageError(f"the model has {len(self._layers)} layers; there is none at index {index}")
            return self._layers[index]
        for layer in self._layers:
            if layer.name == name:
                return layer
        raise UsageError(f"no layer is called {name!r}; there are {', '.join(str(each.name) for each in self._layers)}")

    def summary(self, line_length: int | None = None, print_fn: Callable[[str], Any] | None = None) -> None:
        """Prints each layer with the shape of its output, its parameters, and their memory."""
        (print_fn or print)(summary_table(self, line_length))

    def get_config(self) -> dict[str, Any]:
        """The architecture as JSON: layers, the shape of one example, name and seed."""
        return {
            "class": "Sequential",
            "name": self.name,
            "seed": self.seed,
            "input_shape": None if self._input_shape is None else list(self._input_shape),
            "layers": [layer.to_config() for layer in self._layers],
        }

    to_config = get_config

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Sequential:
        """A model of the same architecture, with fresh weights."""
        layers = [Layer.from_config(c) for c in config["layers"]]
        shape = config.get("input_shape")
        first = [Input(tuple(shape))] if shape is not None else []
        return cls([*first, *layers], name=config.get("name"), seed=config.get("seed"))

    def __repr__(self) -> str:
        return f"<Sequential {self.name!r}: {', '.join(repr(layer) for layer in self._layers)}>"

    def _free_name(self, base: str) -> str:
        names, i = self._taken, 0
        while (name := base if i == 0 else f"{base}_{i}") in names:
            i += 1
        return name
