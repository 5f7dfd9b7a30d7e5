"""What a model is before anything trains it: a network of layers, with variables and names."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import replace
from typing import Any

import numpy as np

from talweg.budgets import demand
from talweg.errors import ShapeError, UsageError
from talweg.escapes import is_unicode
from talweg.graph import Array, Tensor
from talweg.graph.random import RandomStream
from talweg.nn.layers import Context, KerasTensor, Variable
from talweg.nn.layers.symbolic import Call, Structure, flat, mapped, packed, shape_after, single
from talweg.nn.layers.variable import WEIGHT_STREAM, set_weights
from talweg.nn.seeds import next_seed
from talweg.registry import refuse_overrides
from talweg.train.arguments import whole
from talweg.train.network import Network, by_name, check_names, give_names
from talweg.train.summary import summary_table

_LOSS = "pass a function of (y_true, y_pred) to compile(loss=...), or an object in weighted_metrics=[...]"
_STEP = "write what differs as a layer, a loss or an optimizer; or a loop of your own over train_on_batch and predict"
PASSED_OVER = {
    **dict.fromkeys(("call", "__call__", "build"), "connect the layers instead: Model(inputs, outputs), or Sequential"),
    **dict.fromkeys(("train_step", "test_step", "predict_step"), _STEP),
    **dict.fromkeys(("make_train_function", "make_test_function", "make_predict_function"), _STEP),
    **dict.fromkeys(("compute_loss", "compute_metrics"), _LOSS),
    **dict.fromkeys(("compute_output_shape", "compute_mask"), "leave it out; shapes and masks follow from the layers"),
    **dict.fromkeys(("get_config",), "leave it out; the layers are what is saved"),
}
"""Methods that Keras calls where a subclass writes them, and what to do here."""

_fills: ContextVar[bool] = ContextVar("fills", default=True)


@contextmanager
def unfilled() -> Iterator[None]:
    """Within it, models are made whose variables have shapes and no values: a file has those."""
    token = _fills.set(False)
    try:
        yield
    finally:
        _fills.reset(token)


class Layered:
    """A network with variables. It can serve as a layer of another one: what that needs is in the second part."""

    def __init_subclass__(cls) -> None:
        refuse_overrides(cls, PASSED_OVER)

    def __setattr__(self, name: str, value: Any) -> None:
        if name in PASSED_OVER:
            raise UsageError(f"{name} of a model would never be called: {PASSED_OVER[name]}")
        super().__setattr__(name, value)

    def __init__(self, name: str | None, seed: int | None, kind: str) -> None:
        if name is not None and not (isinstance(name, str) and is_unicode(name)):
            raise UsageError(f"name must be text; got {name!r}")
        self.name, self.was_named = name or kind, name is None
        self.seed = next_seed() if seed is None else whole(seed, "seed", 0)
        self.calls: list[Call] = []
        self._random = RandomStream(self.seed, WEIGHT_STREAM)
        self._network: Network | None = None
        self._trainable = True
        self._fills = _fills.get()

    # ── the network ───────────────────────────────────────────────────────────────────────────────────────

    @property
    def network(self) -> Network:
        """The calls of layers from inputs to outputs. Raises `UsageError` while the shape of the input is not known."""
        if self._network is None:
            raise UsageError("the model is not built yet: give its first layer an input_shape, or fit it")
        return self._network

    @property
    def built(self) -> bool:
        return self._network is not None

    @property
    def layers(self) -> list[Any]:
        """Layers, and models that serve as layers, in Keras's order."""
        return list(self.network.blocks)

    @property
    def inputs(self) -> list[KerasTensor]:
        """The placeholders where the network begins."""
        return flat(self.network.inputs)

    @property
    def outputs(self) -> list[KerasTensor]:
        """The placeholders of what it answers."""
        return flat(self.network.outputs)

    @property
    def input(self) -> Structure:
        """The placeholder where the network begins, or several as the model was given them."""
        return self.network.inputs

    @property
    def output(self) -> Structure:
        """The placeholder of what the network answers, or several as the model was given them."""
        return self.network.outputs

    @property
    def input_names(self) -> list[str]:
        return self.network.input_names

    @property
    def output_names(self) -> list[str]:
        return self.network.output_names

    @property
    def input_shape(self) -> Any:
        """The shape of a batch, as ``(None, 784)``, or of several inputs' batches; None where it is not known yet."""
        return mapped(lambda x: x.shape, single(self.network.inputs)) if self.built else None

    @property
    def output_shape(self) -> Any:
        """The shape of what the network answers for a batch, as ``(None, 10)``, or of each of its answers."""
        return mapped(lambda y: y.shape, single(self.network.outputs))

    @property
    def example_shape(self) -> Any:
        """`input_shape` without the axis of the batch: the shape of one example."""
        return mapped(lambda x: x.example_shape, single(self.network.inputs)) if self.built else None

    def compute_output_shape(self, input_shape: Any) -> Any:
        """The shape of what the model answers for batches of `input_shape`, ``(None, 784)``; nothing is built."""
        return shape_after(self, input_shape, Context(training=False))

    def get_layer(self, name: str | None = None, index: int | None = None) -> Any:
        """The layer called `name`, or the one at `index`."""
        layers = self.layers
        if index is not None:
            if not -len(layers) <= index < len(layers):
                raise UsageError(f"the model has {len(layers)} layers; there is none at index {index}")
            return layers[index]
        for layer in layers:
            if layer.name == name:
                return layer
        raise UsageError(f"no layer is called {name!r}; there are {', '.join(str(each.name) for each in layers)}")

    def summary(
        self,
        line_length: int | None = None,
        positions: None = None,
        print_fn: Callable[[str], Any] | None = None,
        expand_nested: bool = False,
    ) -> None:
        """Prints each layer with the shape of its output, its parameters, and what feeds it where that is not obvious.

        expand_nested: the layers of models within are listed too. `positions` is taken for Keras's sake: columns are as
        wide as what stands in them.
        """
        (print_fn or print)(summary_table(self, line_length, expand_nested))

    # ── as a layer of another model ───────────────────────────────────────────────────────────────────────

    @property
    def title(self) -> str:
        return self.name

    def named(self, name: str) -> None:
        """Gives a model that the user did not name another name, where one in the model around it has its own."""
        self.name = name

    def declare(self, input_shape: Any) -> bool:
        """Builds for examples of `input_shape`, or checks that these are what the model takes."""
        if not self.built:
            self.build(input_shape)
            return True
        given, known = self._in_order(input_shape), [x.example_shape for x in self.inputs]
        if [tuple(shape) for shape in given] != known:
            wanted, came = (" and ".join(str(list(s)) for s in shapes) for shapes in (known, given))
            raise ShapeError(f"layer {self.name!r}: this model takes examples of shape {wanted}; got {came}")
        return False

    def forget(self) -> None:
        self.unbuild()

    def own_states(self) -> dict[Variable, Tensor]:
        return self.network.states()

    def write(self, x: Any, states: Mapping[Variable, Tensor], context: Context) -> Any:
        """The network's formula on x, with the names of its layers after its own."""
        inner = replace(context, prefix=f"{context.prefix}{self.name}/")
        return packed(self.network.write(self._in_order(x), states, inner), self.network.outputs)

    def examine(self, x: Array, argument: str) -> None:
        """Lets the layers look at examples that go straight into them, where the model has one input."""
        if len(self.inputs) == 1:
            self.network.examine(self.inputs[0], x, argument)

    def _in_order(self, x: Structure) -> list[Any]:
        """One value for each input, from whatever structure they come in."""
        names = self.input_names
        if not isinstance(x, Mapping):
            # a shape is a tuple of numbers: alone it is one value
            alone = not isinstance(x, (list, tuple)) or all(isinstance(d, int) for d in x)
            x = [x] if alone else list(x)
            if len(x) != len(names):
                raise UsageError(
                    f"layer {self.name!r}: this model takes {len(names)} inputs, {', '.join(names)}; got {len(x)}"
                )
            return x
        return list(by_name(x, names, f"what {self.name!r} is called on").values())

    # ── building ──────────────────────────────────────────────────────────────────────────────────────────

    def build(self, input_shape: Any = None) -> None:
        """Makes the variables; a model with placeholders for inputs has them already."""

    def unbuild(self) -> None:
        """Takes back what `build` did, before anything was trained."""

    def get_config(self) -> dict[str, Any]:
        """The architecture as JSON."""
        from talweg.train.architecture import config_of

        return config_of(self)

    to_config = get_config

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Any:
        """A model of the same architecture, with fresh weights."""
        from talweg.train.architecture import model_from_config

        return model_from_config({"class": cls.__name__, **config})

    def connect(self, network: Network | None) -> None:
        """Takes the network as it is from now on. A variable without a model gets its first value from this one."""
        self._network = network
        if network is not None:
            give_names(network)
            check_names(network.blocks)
            for v in network.variables.values():
                v.owner = v.owner or self
        self.changed()
        if self._fills:
            self.fill()

    def changed(self) -> None:
        """Forgets what was written for the network as it was."""

    def fill(self) -> None:
        """Gives each variable that has none a first value, now and from now on.

        The model that a variable came to first draws it.
        """
        self._fills = True
        missing = [v for v in self.variables if not v.has_value]
        width = np.dtype(self.precision).itemsize
        demand("memory", width * sum(math.prod(v.shape) for v in missing), f"model {self.name!r}, for its weights,")
        for v in self.variables:
            if not v.has_value:
                if v.owner is self:
                    v.begin(self._random, self.precision)
                elif v.owner is not None:
                    v.owner.fill()

    @property
    def precision(self) -> str:
        return "float32"

    # ── weights ───────────────────────────────────────────────────────────────────────────────────────────

    @property
    def named_variables(self) -> dict[str, Variable]:
        """Every variable, each once, by the name that it has in this model's programs and files."""
        return self._network.variables if self._network is not None else {}

    @property
    def variables(self) -> list[Variable]:
        """Every variable, each once, layer by layer."""
        return list(self.named_variables.values())

    weights = variables

    @property
    def trainable_variables(self) -> list[Variable]:
        return self._network.trainable_variables if self._network is not None else []

    trainable_weights = trainable_variables

    @property
    def non_trainable_variables(self) -> list[Variable]:
        trained = set(self.trainable_variables)
        return [v for v in self.variables if v not in trained]

    non_trainable_weights = non_trainable_variables

    @property
    def trainable(self) -> bool:
        """Whether training changes it. Assigning says so of every layer within."""
        return self._trainable

    @trainable.setter
    def trainable(self, value: bool) -> None:
        self._trainable = bool(value)
        for layer in self.layers:
            layer.trainable = bool(value)

    def modes(self) -> tuple[bool, ...]:
        """Whether each layer is trainable, those of models within too: batch normalization asks even for the states."""
        return tuple(mode for layer in self.layers for mode in layer.modes())

    def get_weights(self) -> list[Array]:
        """Copies of all weight arrays, layer by layer."""
        return [v.numpy() for v in self.variables]

    def set_weights(self, weights: Sequence[Any]) -> None:
        """Puts other values in place; nothing changes unless the number and all shapes fit (`ShapeError`)."""
        set_weights(self.variables, weights, f"model {self.name!r}")

    def count_params(self) -> int:
        """The number of numbers in all variables."""
        return sum(int(np.prod(v.shape)) for v in self.variables)
