"""Talweg's model as Keras 3 describes one: each layer with all its options, and the calls of it."""

from __future__ import annotations

import dataclasses
from typing import Any

from talweg._version import __version__
from talweg.errors import UsageError
from talweg.export.keras.vocabulary import KINDS, ONLY_HERE, OWN_OPTIONS
from talweg.export.keras.weights import class_name
from talweg.nn.activations import ActivationFunction
from talweg.nn.layers import InputLayer, Layer, Normalization
from talweg.nn.layers.symbolic import flat, mapped, single
from talweg.registry import Described, encode
from talweg.train.saved import describe

Config = dict[str, Any]

METADATA = {"keras_version": "3.6.0", "written_by": f"Talweg {__version__}"}  # the oldest Keras that reads all
FUNCTIONAL = {"module": "keras.src.models.functional", "class_name": "Functional", "registered_name": "Functional"}
SEQUENTIAL = {"module": "keras", "class_name": "Sequential", "registered_name": None}


def description(model: Any, include_optimizer: bool) -> Config:
    """The whole of ``config.json``. Raises `UsageError` naming a part that Keras does not have, or that has no name."""
    describe(model, include_optimizer)  # what Talweg cannot write down, Keras cannot read
    writer = _Writer(model)
    config = writer.model(model)
    if include_optimizer and model.compiled:
        config["compile_config"] = writer.compilation(model)
    return config


# ── layers and models ─────────────────────────────────────────────────────────────────────────────────────


class _Writer:
    """Writes one model; a layer that stands in several models of it gets a number by which Keras finds it again."""

    def __init__(self, model: Any) -> None:
        self.precision = model.precision
        self.numbers = _several_times(model)
        self.met: dict[Any, Config] = {}

    def model(self, model: Any) -> Config:
        is_sequential = class_name(model) == "Sequential"
        config = self.sequential(model) if is_sequential else self.functional(model)
        config = {"name": model.name, "trainable": True, **config}
        return {**(SEQUENTIAL if is_sequential else FUNCTIONAL), "config": config}

    def sequential(self, model: Any) -> Config:
        if len(set(model.layers)) < len(model.layers):
            raise UsageError(f"model {model.name!r}: in Keras a Sequential takes a layer once; write it as a Model")
        batch = list(model.input_shape)
        begin = {"batch_shape": batch, "dtype": self.precision, "sparse": False, "name": "input_layer"}
        first = {"module": "keras.layers", "class_name": "InputLayer", "config": begin, "registered_name": None}
        return {"layers": [first, *map(self.block, model.layers)], "build_input_shape": batch}

    def block(self, block: Any) -> Config:
        if block not in self.met:
            made = self.layer(block) if isinstance(block, Layer) else self.model(block)
            number = self.numbers.get(block)
            self.met[block] = made if number is None else {**made, "shared_object_id": number}
        return self.met[block]

    def layer(self, layer: Layer) -> Config:
        made = self.thing(layer, f"layer {layer.name!r}")
        config = made["config"]
        if isinstance(layer, InputLayer):
            shape, dtype = config["shape"], layer.dtype or self.precision
            made["config"] = {"batch_shape": [None, *shape], "dtype": dtype, "sparse": False, "name": layer.name}
        if not layer.variables:  # some of Keras's layers do not take it then
            config.pop("trainable", None)
        return made

    def thing(self, thing: Described, where: str) -> Config:
        """A class and its options, as Keras writes them."""
        kind, module = next((k, module) for k, (base, _, module) in KINDS.items() if isinstance(thing, base))
        name = type(thing).__name__
        if name in ONLY_HERE.get(kind, ()) or not type(thing).__module__.startswith("talweg."):
            raise UsageError(f"{where} is a {name}: Keras has no such {kind}")
        fields = {f.name: f for f in dataclasses.fields(thing) if f.init}  # type: ignore[arg-type]
        for option in OWN_OPTIONS & set(fields):
            if (value := getattr(thing, option)) != fields.pop(option).default:
                raise UsageError(f"{where}: Keras's {name} has no option {option}; it is {value!r} here")
        told = {option: getattr(thing, option) for option in fields}
        config = {
            option: self.value(value, f"{where}: {option}")
            for option, value in told.items()
            if value is not None or fields[option].default is not None  # else Keras may not know it yet
        }
        if isinstance(thing, Layer):
            config.pop("input_shape", None)
            config |= {"dtype": self.precision}
            config |= {"mean": None, "variance": None} if isinstance(thing, Normalization) else {}  # they are weights
            if thing.trainable:
                del config["trainable"]
        return {"module": module, "class_name": name, "config": config, "registered_name": None}

    def value(self, value: Any, where: str) -> Any:
        if isinstance(value, Described):
            return self.thing(value, where)
        if isinstance(value, ActivationFunction) and value.registered_name in ONLY_HERE["activation"]:
            raise UsageError(f"{where} is {value.registered_name}, which Keras does not have")
        return encode(value)

    def functional(self, model: Any) -> Config:
        network = model.network
        uses: dict[Any, int] = {}
        places: dict[Any, tuple[Any, int, int]] = {x: (x.call.block, 0, 0) for x in flat(network.inputs)}
        nodes: dict[Any, list[Config]] = {block: [] for block in network.blocks}

        def placeholder(x: Any) -> Config:
            block, node, index = places[x]
            history = [block.title, node, index]
            config = {"shape": list(x.shape), "dtype": self.precision, "keras_history": history}
            return {"class_name": "__keras_tensor__", "config": config}

        for call in network.calls:
            uses[call.block] = node = uses.get(call.block, -1) + 1
            options = {} if call.training is None else {"training": call.training}
            nodes[call.block].append({"args": [mapped(placeholder, call.inputs)], "kwargs": options})
            places |= {y: (call.block, node, i) for i, y in enumerate(flat(call.outputs))}

        def end(x: Any) -> list[Any]:
            """An input or output of the network. Keras counts a model's own network as the first call of it."""
            block, node, index = places[x]
            return [block.title, node + (class_name(block) == "Functional"), index]

        return {
            "layers": [{**self.block(b), "name": b.title, "inbound_nodes": nodes[b]} for b in network.blocks],
            "input_layers": mapped(end, network.inputs),
            "output_layers": mapped(end, network.outputs),
        }

    # ── how it was compiled ───────────────────────────────────────────────────────────────────────────────

    def compilation(self, model: Any) -> Config:
        """What `compile` was told, for Keras's `compile`. Raises `UsageError` for what Keras does not have."""
        aims, hint = model.aims, "; save with include_optimizer=False to leave out how the model is trained"
        metrics = {"metrics": [a.metrics for a in aims], "weighted_metrics": [a.weighted_metrics for a in aims]}
        try:
            return {
                "optimizer": self.thing(model.optimizer, "the optimizer"),
                "loss": single([None if aim.loss is None else self.thing(aim.loss, "the loss") for aim in aims]),
                "loss_weights": None if len(aims) == 1 else [1.0 if aim.weight is None else aim.weight for aim in aims],
                **{
                    kind: single([[self.metric(m) for m in of_one] for of_one in each])
                    for kind, each in metrics.items()
                },
                "run_eagerly": False,
                "steps_per_execution": 1,
                "jit_compile": False,
            }
        except UsageError as error:
            raise UsageError(f"{error}{hint}") from None

    def metric(self, metric: Any) -> Any:
        metric = metric() if isinstance(metric, type) else metric
        if not isinstance(metric, Described):
            return encode(metric)
        told = self.thing(metric, "a metric")
        told["config"]["name"] = metric.label  # type: ignore[attr-defined]
        return told


def _several_times(model: Any) -> dict[Any, int]:
    """A number for each layer, and each model, that stands in several of the models within."""
    met: list[Any] = []
    waiting = [model]
    while waiting:
        for block in waiting.pop().layers:
            if block not in met and not isinstance(block, Layer):
                waiting.append(block)
            met.append(block)
    return {block: number for number, block in enumerate(dict.fromkeys(met)) if met.count(block) > 1}
