"""`Sequential`: layers one after another, each fed by the one before."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from talweg.budgets import demand
from talweg.errors import ShapeError, UsageError
from talweg.graph.random import RandomStream
from talweg.nn.layers import Input, InputLayer, KerasTensor, Layer
from talweg.nn.layers.base import as_shape
from talweg.nn.layers.symbolic import placeholder, single
from talweg.nn.layers.variable import WEIGHT_STREAM
from talweg.registry import snake_case
from talweg.train.layered import Layered
from talweg.train.model import Model
from talweg.train.network import Network, check_names, free_name


class Sequential(Model):
    """A stack of layers, as in Keras: a `Model` whose one input goes through each of them in turn.

    The shape of one example comes from an `Input` or the first layer's `input_shape`, else from the data. `seed` makes
    all that is random here, now and in training, the same each time; without it the model picks one: `model.seed`.

    >>> from talweg.nn.layers import Dense
    >>> model = Sequential([Dense(8, activation="relu", input_shape=(2,)), Dense(1)], seed=0)
    >>> model.count_params()
    33
    """

    def __init__(
        self,
        layers: Iterable[Any] | None = None,
        trainable: bool = True,
        name: str | None = None,
        *,
        seed: int | None = None,
    ) -> None:
        super().__init__(name=name, seed=seed)
        self._layers: list[Any] = []
        self._chain: list[KerasTensor] = []  # where it begins, then what each layer answers; empty until it is built
        self._built_here: list[Any] = []
        if isinstance(layers, (Layer, Layered, KerasTensor, str)):
            raise UsageError(f"Sequential takes a list of layers: Sequential([{layers!r}])")
        listed = list(layers or [])
        demand("layers", len(listed), "a Sequential")
        self._taken = {each.name for each in listed if isinstance(each, (Layer, Layered)) and each.name}
        for layer in listed:
            self._put(layer)
        self._reconnect()
        if not trainable:
            self.trainable = False

    @property
    def layers(self) -> list[Any]:
        return list(self._layers)

    @property
    def input_shape(self) -> tuple[int | None, ...] | None:
        return self._chain[0].shape if self._chain else None

    @property
    def example_shape(self) -> tuple[int, ...] | None:
        return self._chain[0].example_shape if self._chain else None

    @property
    def output_names(self) -> list[str]:
        return [self._layers[-1].name if self._layers else "output"]  # known before the network is

    def add(self, layer: Any) -> None:
        """Puts a layer at the end, and builds it where the shape of its input is known."""
        self._must_be_free()
        self._put(layer)
        self._reconnect()

    def _put(self, layer: Any) -> None:
        """`add`, without writing the network anew."""
        begin: KerasTensor | None = None
        if isinstance(layer, KerasTensor):
            if not isinstance(layer.call.block, InputLayer):
                raise UsageError(f"a Sequential holds layers; got {layer!r}. For layers that branch there is Model")
            begin, layer = layer, layer.call.block
        if not isinstance(layer, (Layer, Layered)):
            hint = f" Write {layer.__name__}(...)." if isinstance(layer, type) and issubclass(layer, Layer) else ""
            raise UsageError(f"a Sequential holds layers; got {layer!r}.{hint}")
        if isinstance(layer, InputLayer):
            if self._layers or self._chain:
                raise UsageError("Input must come first, and once")
            self._begin(placeholder(layer.shape, layer.dtype, layer) if begin is None else begin)
            return
        self._name(layer)
        if not self._layers and layer.input_shape is not None:
            if isinstance(layer, Layered) and len(layer.inputs) > 1:
                raise UsageError(
                    f"a Sequential has one input; {layer.name!r}, its first layer, has {len(layer.inputs)}"
                )
            shape = layer.inputs[0].example_shape if isinstance(layer, Layered) else tuple(layer.input_shape)
            if self._chain and self.example_shape != shape:
                raise ShapeError(
                    f"layer {layer.name!r} has input_shape {list(shape)}, and the Input before it "
                    f"{list(self._chain[0].example_shape)}"
                )
            if not self._chain:
                begin = Input(shape)
                self._begin(begin)
        if self._chain:
            try:
                self._call(layer)
            except BaseException:
                self._chain = self._chain if begin is None else []
                raise
        self._layers.append(layer)
        self._taken.add(str(layer.name))

    def pop(self) -> Any:
        """Takes the last layer off and answers it."""
        self._must_be_free()
        if not self._layers:
            raise UsageError("the model has no layers")
        layer = self._layers.pop()
        if self._chain:
            layer.calls.remove(self._chain.pop().call)
        if layer not in self._layers:
            for v in layer.variables:  # another layer may come to have its name
                self._memory = {k: a for k, a in self._memory.items() if not k.startswith(f"optimizer/{v.name}/")}
        self._reconnect()
        return layer

    def build(self, input_shape: Any = None) -> None:
        """Makes the variables for examples of `input_shape` (a leading None, as Keras wants it, may be there or not).

        Raises `ShapeError`, naming the layer that cannot take what the one before it answers; nothing is built then.
        """
        if input_shape is None:
            if not self._chain:
                raise UsageError("build needs an input_shape: the shape of one example")
            return
        dims = (input_shape,) if isinstance(input_shape, int) else tuple(input_shape)
        shape = as_shape(dims[1:] if dims and dims[0] is None else dims)
        if self._chain and shape != self.example_shape:
            raise ShapeError(
                f"the model takes examples of shape {list(self._chain[0].example_shape)}; got {list(shape)}"
            )
        if not self._layers:
            raise UsageError("the model has no layers: add some first")
        if self._chain:
            return
        try:
            self._begin(Input(shape))
            for layer in self._layers:
                self._call(layer)
        except BaseException:
            self.unbuild()
            raise
        self._reconnect()

    def unbuild(self) -> None:
        """Takes back what `build` did, before anything was trained: the input shape, and the variables that it made."""
        for answer in self._chain[1:]:
            answer.call.block.calls.remove(answer.call)
        for layer in self._built_here:
            layer.forget()
        self._built_here, self._chain = [], []
        self._random = RandomStream(self.seed, WEIGHT_STREAM)
        self._reconnect()

    def _begin(self, start: KerasTensor) -> None:
        layer: Any = start.call.block
        if layer.name is None:
            layer.named("input_layer")
        self._chain = [start]

    def _call(self, layer: Any) -> None:
        """Feeds the layer with what the one before it answers; leaves no trace where it does not fit."""
        has_variables = bool(layer.variables)
        answer = single(layer(self._chain[-1]))
        if not isinstance(answer, KerasTensor):
            layer.calls.pop()
            raise UsageError(f"layer {layer.name!r} answers several tensors; in a Sequential each answers one")
        self._chain.append(answer)
        if not has_variables:
            self._built_here.append(layer)

    def _reconnect(self) -> None:
        self.connect(Network(self._chain[0], self._chain[-1]) if self._chain and self._layers else None)

    def _must_be_free(self) -> None:
        if self.calls:
            raise UsageError(f"{self.name!r} is a layer of another model, so its own layers stay as they are")

    def _name(self, layer: Any) -> None:
        """Sees to it that the layer has a name, and one of its own."""
        others = [other.name for other in self._layers if other is not layer]
        if layer.name is None or (layer.was_named and layer.name in others):
            layer.named(free_name(layer.name or snake_case(type(layer).__name__), self._taken | set(others)))
        check_names([*self._layers, layer])

    def __repr__(self) -> str:
        return f"<Sequential {self.name!r}: {', '.join(repr(layer) for layer in self._layers)}>"
