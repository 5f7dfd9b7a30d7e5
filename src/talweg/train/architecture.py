"""An architecture as JSON, and back. It may come from a file that is not trusted; no array is made when it is read.

A `Sequential` is its layers. A `Model` is its layers and the calls of them: what each is given is written as
``[layer, use, output]``, the first use being 0. A layer that stands at two places is written once, and then as
``{"shared": its path}``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from talweg.errors import DataError
from talweg.nn.layers import Input, InputLayer, KerasTensor, Layer
from talweg.nn.layers.base import as_shape
from talweg.nn.layers.symbolic import flat, mapped
from talweg.train.document import survey
from talweg.train.layered import Layered, unfilled
from talweg.train.model import Model
from talweg.train.sequential import Sequential

Config = dict[str, Any]
_COMMON = ("class", "name", "seed", "layers")
MODELS = {"Sequential": (*_COMMON, "input_shape"), "Model": (*_COMMON, "calls", "inputs", "outputs")}
"""What the description of each may say; more would be passed over, and is refused."""


def config_of(model: Layered, path: str = "", known: dict[Any, str] | None = None) -> Config:
    """The architecture of a model as JSON: layers, how they are fed, name and seed."""
    known = {} if known is None else known
    config: Config = {"class": type(model).__name__, "name": model.name, "seed": model.seed}
    if isinstance(model, Sequential):
        config["input_shape"] = None if model.example_shape is None else list(model.example_shape)
    config["layers"] = [_block_config(layer, path, known) for layer in model.layers]
    if isinstance(model, Sequential):
        return config
    network = model.network
    places: dict[KerasTensor, list[Any]] = {x: [x.name, 0, 0] for x in flat(network.inputs)}
    uses: dict[Any, int] = {}
    for call in network.calls:
        use = uses[call.block] = uses.get(call.block, -1) + 1
        places |= {y: [call.block.title, use, i] for i, y in enumerate(flat(call.outputs))}
    config["calls"] = [
        {"layer": call.block.title, "inputs": mapped(places.__getitem__, call.inputs)}
        | ({} if call.training is None else {"training": call.training})
        for call in network.calls
    ]
    config["inputs"] = mapped(places.__getitem__, network.inputs)
    config["outputs"] = mapped(places.__getitem__, network.outputs)
    return config


def _block_config(block: Any, path: str, known: dict[Any, str]) -> Config:
    if block in known:
        return {"shared": known[block]}
    known[block] = path + block.title
    config: Config = config_of(block, f"{known[block]}/", known) if isinstance(block, Layered) else block.to_config()
    return config


# ── reading ───────────────────────────────────────────────────────────────────────────────────────────────


def model_from_config(config: Any, seed: int | None = None, fill: bool = True) -> Any:
    """The model that `config_of` described, of another seed where one is given.

    fill: whether variables get first values; without, they have shapes only. Raises `DataError` for what is no
    description of a model, `UnknownNameError` for layers in no table, and what building a model raises.
    """
    if seed is not None and isinstance(config, Mapping):
        config = {**config, "seed": seed}
    survey(config)
    with unfilled():
        model = _read(config, "", {})
    if fill:
        model.fill()
    return model


def _read(config: Any, path: str, known: dict[str, Any]) -> Model:
    if not isinstance(config, Mapping) or config.get("class") not in MODELS:
        raise DataError(f"the architecture must be that of a {' or a '.join(MODELS)}; got {str(config)[:60]}")
    _check_keys(config, MODELS[config["class"]], "a model")
    layers = [_block(described, path, known) for described in config["layers"]]
    name, seed = config.get("name"), config.get("seed")
    if config["class"] == "Sequential":
        shape = config.get("input_shape")
        return Sequential([*([] if shape is None else [Input(as_shape(shape))]), *layers], name=name, seed=seed)
    inputs, outputs = _wired(config, {layer.title: layer for layer in layers})
    model = Model(inputs, outputs, name, seed=seed)
    if len(model.layers) != len(layers):
        raise DataError(f"the outputs need {len(model.layers)} layers, each of its own name, and not {len(layers)}")
    if (needed := len(model.network.calls)) != len(config["calls"]):
        raise DataError(f"the outputs need {needed} calls of layers, but the description has {len(config['calls'])}")
    return model


def _check_keys(described: Mapping[str, Any], known: Iterable[str], what: str) -> None:
    if unknown := [str(key) for key in described if key not in known]:
        raise DataError(f"{what} says {', '.join(known)} and no more; got also {unknown[0]!r:.60}")


def _block(described: Any, path: str, known: dict[str, Any]) -> Any:
    if not isinstance(described, Mapping) or not isinstance(described.get("class", described.get("shared")), str):
        raise DataError(f"a layer must be an object with a class; got {str(described)[:60]}")
    if "shared" in described:
        _check_keys(described, ("shared",), "a layer that stands elsewhere")
        return known[described["shared"]]
    here = f"{path}{described.get('name')}"
    is_model = described["class"] in MODELS
    made: Any = _read(described, f"{here}/", known) if is_model else Layer.from_config(described)
    if not isinstance(described.get("name"), str):
        raise DataError(f"a layer of class {described['class']} has no name")
    known[here] = made
    return made


def _wired(config: Mapping[str, Any], layers: Mapping[str, Any]) -> tuple[Any, Any]:
    """Inputs and outputs of the model whose layers are called as the description says."""
    answers: dict[tuple[str, int], list[KerasTensor]] = {}
    uses: dict[str, int] = {}

    def followed(places: Any) -> Any:
        """Placeholders where the description names them."""
        if isinstance(places, Mapping):
            return {key: followed(place) for key, place in places.items()}
        if isinstance(places, list) and places and isinstance(places[0], str):
            name, use, index = places
            return answers[name, use][index]
        if not isinstance(places, list):
            raise DataError(f"what a layer is given must be [layer, use, output]; got {str(places)[:60]}")
        return [followed(place) for place in places]

    for name, layer in layers.items():
        if isinstance(layer, InputLayer):
            answers[name, 0] = [Input(layer.shape, dtype=layer.dtype, name=layer.name)]
    for call in config["calls"]:
        name = call["layer"]
        _check_keys(call, ("layer", "inputs", "training"), "a call")
        use = uses[name] = uses.get(name, -1) + 1
        answers[name, use] = flat(layers[name](followed(call["inputs"]), training=call.get("training")))
    return followed(config["inputs"]), followed(config["outputs"])
