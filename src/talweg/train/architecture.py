"""An architecture from a file that is not trusted: its layers, and what they will need, before anything is made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any

from talweg import graph as g
from talweg.errors import DataError
from talweg.graph import BATCH
from talweg.nn.layers import Context, Layer
from talweg.nn.layers.base import as_shape


def read_layers(config: Any) -> tuple[list[Layer], tuple[int, ...]]:
    """The layers of a `Sequential`'s configuration, unbuilt, and the shape of one example."""
    if not isinstance(config, Mapping) or config.get("class") != "Sequential":
        raise DataError(f"the architecture must be that of a Sequential; got {str(config)[:60]}")
    if type(config["seed"]) is not int or not isinstance(config["name"], str):
        raise DataError("the architecture must have a name and a whole number as seed")
    made: dict[str, tuple[Any, Layer]] = {}
    layers = []
    for described in config["layers"]:
        if not isinstance(described, Mapping) or not isinstance(described.get("class"), str):
            raise DataError(f"a layer must be an object with a class; got {str(described)[:60]}")
        name = described.get("name")
        if not isinstance(name, str) or not name:
            raise DataError(f"a layer of class {described['class']} has no name")
        if name in made and made[name][0] == described:  # one layer that stands at two places
            layers.append(made[name][1])
            continue
        layer: Layer = Layer.from_config(described)
        made[name] = (described, layer)
        layers.append(layer)
    return layers, as_shape(config["input_shape"])


def declared_shapes(layers: Sequence[Layer], input_shape: tuple[int, ...]) -> dict[str, tuple[int, ...]]:
    """The shape of each variable that the layers will have, by name. Formulas are written down; nothing is computed.

    >>> from talweg.nn.layers import Dense
    >>> declared_shapes([Dense(10**9, name="vast")], (10**9,))
    {'vast/kernel': (1000000000, 1000000000), 'vast/bias': (1000000000,)}
    """
    shapes: dict[str, tuple[int, ...]] = {}
    x = g.input_tensor("x", (BATCH, *input_shape))
    for layer in layers:
        own = {p.name: (f"{layer.name}/{p.name}", p.shape) for p in layer.parameters(x.shape[1:])}  # type: ignore[arg-type]
        shapes |= dict(own.values())
        symbols = {k: g.state_tensor(name, shape) for k, (name, shape) in own.items()}
        x = layer.call(x, SimpleNamespace(**symbols), Context(training=False, layer=str(layer.name)))
    return shapes
