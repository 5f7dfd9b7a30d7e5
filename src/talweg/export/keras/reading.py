"""Keras's description of a model as Talweg's own: JSON to JSON.

Keras 3 writes a layer as its class, its options and the calls of it, each with the placeholders that it was given.
Keras 2 wrote the calls as lists. What Talweg does not have is an error that names the layer and the option.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Any

import numpy as np

from talweg.data.files import corrupt, short
from talweg.errors import CorruptFileError, DataError, TalwegError, UnknownNameError, UsageError
from talweg.export.keras.vocabulary import IGNORED, KINDS, OPERATIONS, PRECISIONS, RENAMED, SAYS_NOTHING
from talweg.nn.layers import LAYERS, InputLayer
from talweg.nn.layers.symbolic import flat, mapped, single
from talweg.nn.seeds import next_seed
from talweg.registry import Described
from talweg.train.document import HOLDERS, survey

Config = dict[str, Any]

MODELS = {"Sequential": "Sequential", "Functional": "Model", "Model": "Model"}


@contextmanager
def said_of(path: Path, hint: str = "") -> Iterator[None]:
    """Puts the file's name before what is wrong with it, and `hint` after it."""
    try:
        yield
    except CorruptFileError:
        raise
    except TalwegError as error:
        error.args = (f"{path}: {short(str(error))}{hint}",)
        raise
    except Warning:
        raise
    except Exception as error:
        raise corrupt(path, "a description of a model", f"it lacks or garbles something ({error!r})") from error


def document(described: Mapping[str, Any], is_own: bool = False) -> Config:
    """The description that `talweg.train.saved.blank` makes a model of. is_own: Talweg wrote it."""
    reader = _Reader(is_own)
    if described.get("class_name") not in MODELS:
        raise UsageError(
            f"it is a {described.get('class_name')}; Sequential and functional models can be read, and none that are a "
            "class of their own, whose code the file does not have"
        )
    survey(described)
    architecture = reader.model(described, "")
    return {
        "architecture": architecture,
        "precision": "float64" if "float64" in reader.precisions else "float32",
        "epochs_trained": 0,
        "preprocessing": None,
        "class_names": None,
    }


# ── things with options ───────────────────────────────────────────────────────────────────────────────────


def _options(kind: str, name: str, config: Mapping[str, Any], where: str) -> Config:
    """The options of a thing of Keras's as those of Talweg's class of this name: ``{"class": name, **options}``."""
    try:
        made = KINDS[kind][1].get(name)
    except UnknownNameError as error:
        raise UsageError(f"{where} is a {name}: Talweg has no such {kind}") from error
    known = {field.name for field in dataclasses.fields(made) if field.init}
    options: Config = {"class": made.__name__}
    for key, value in config.items():
        option = RENAMED.get((name, key), key)
        if option in known and not (option == "dtype" and kind == "layer"):  # that is the model's, and noted
            options[option] = _value(option, value, where)
        elif not (value is None or value is False or option in IGNORED or value in SAYS_NOTHING.get(option, ())):
            raise UsageError(f"{where}: Talweg's {name} has no option {option!r}; it is {str(value)[:60]!r} there")
    return options


def _value(option: str, value: Any, where: str) -> Any:
    """A value of JSON, where things of Keras's are told by a class and its options."""
    if isinstance(value, list):
        return [_value(option, each, where) for each in value]
    if not isinstance(value, Mapping) or "class_name" not in value:
        return value
    name, config = _bare(value["class_name"]), value.get("config") or {}
    if name in ("__numpy__", "__tensor__"):
        return config["value"]
    if name == "function" and isinstance(config, str):
        return config
    kind = "schedule" if option == "learning_rate" else "layer" if option in HOLDERS else option.rpartition("_")[2]
    if kind not in KINDS:
        raise UsageError(f"{where}: {option} is a {name}, and Talweg takes none there")
    return _options(kind, name, config, f"{where}: {option}")


def _bare(class_name: str) -> str:
    """``Custom>Adam`` without what stands before it, ``OrthogonalInitializer`` without what it is."""
    return class_name.rpartition(">")[2].removesuffix("Initializer")


def _checked(options: Config, kind: str, where: str) -> Any:
    """The thing itself; what is wrong with its options is said of the place in the file."""
    base: type[Described] = KINDS[kind][0]
    try:
        return base.from_config(options)
    except TalwegError as error:
        raise UsageError(f"{where}: {error}") from error


# ── layers and models ─────────────────────────────────────────────────────────────────────────────────────


@dataclasses.dataclass(frozen=True)
class _Place:
    """What the call number `node` of a layer answers, the first at 0."""

    layer: str
    node: int
    index: int


class _Reader:
    """Reads one file: notes the precisions of its layers, and which layers stand at several places."""

    def __init__(self, is_own: bool) -> None:
        self.is_own = is_own
        self.precisions: set[str] = set()
        self.known: dict[Any, str] = {}

    def model(self, described: Mapping[str, Any], path: str) -> Config:
        config, kind = described["config"], MODELS[described["class_name"]]
        made = {"class": kind, "name": config["name"], "seed": next_seed()}
        made |= self.sequential(config, path) if kind == "Sequential" else self.functional(config, path)
        return made

    def sequential(self, config: Mapping[str, Any], path: str) -> Config:
        layers = list(config["layers"])
        first = layers[0]["config"] if layers else {}
        shape = first.get("batch_shape") or first.get("batch_input_shape") or config.get("build_input_shape")
        if layers and layers[0]["class_name"] == "InputLayer":
            layers = layers[1:]
        return {
            "input_shape": None if shape is None else _of_one(shape, f"model {config['name']!r}"),
            "layers": [self.block(each, path) for each in layers],
        }

    def block(self, described: Mapping[str, Any], path: str) -> Config:
        """A layer or a model; one that was met before is told by its path."""
        name: str = described["config"].get("name") or described["name"]
        kind, shared = described["class_name"], described.get("shared_object_id")
        if shared is not None:  # Keras leaves the number out where the layer stands first
            before = self.known.get(shared) or self.known.get((kind, name))
            if before is not None:
                return {"shared": before}
            self.known[shared] = f"{path}{name}"
        self.known[kind, name] = f"{path}{name}"
        if described["class_name"] in MODELS:
            return self.model(described, f"{path}{name}/")
        return self.layer(described["class_name"], name, described)

    def layer(self, class_name: str, name: str, described: Mapping[str, Any]) -> Config:
        where, config = f"layer {name!r}", {**described["config"], "name": name}
        if class_name in ("Lambda", "TFOpLambda"):
            raise UsageError(
                f"{where} is a {class_name}, which is Python code, and a file's code is not run. Write it with layers "
                "that Talweg has, or as one of your own, and save the model again."
            )
        is_theirs = (described.get("module", "keras") or "").split(".")[0] in ("keras", "tf_keras")
        made = KINDS["layer"][1].get(_bare(class_name)) if _bare(class_name) in KINDS["layer"][1] else None
        if made is None or (not is_theirs and made.__module__.startswith("talweg.")):
            raise UsageError(
                f"{where} is a {class_name}, a layer that Talweg does not have. If it is your own, define it as a "
                "talweg.layers.Layer of this name before the model is loaded."
            )
        if class_name == "InputLayer":
            shape = config.pop("batch_shape", None) or config.pop("batch_input_shape")
            return {"class": "InputLayer", "name": name, "shape": _of_one(shape, where), "dtype": _data_type(config)}
        self.note_precision(config.pop("dtype", None), where)
        if class_name == "BatchNormalization" and isinstance(config.get("axis"), list):
            [config["axis"]] = config["axis"]  # Keras 2
        options = _options("layer", _bare(class_name), config, where)
        _checked(options, "layer", f"{where}, a {class_name}")
        return options

    def note_precision(self, policy: Any, where: str) -> None:
        name = policy["config"]["name"] if isinstance(policy, Mapping) else policy or "float32"
        if name not in PRECISIONS:
            raise UsageError(f"{where}: its dtype is {name!r}; Talweg reads {', '.join(PRECISIONS)}")
        self.precisions.add(PRECISIONS[name])

    # ── a network ─────────────────────────────────────────────────────────────────────────────────────────

    def functional(self, config: Mapping[str, Any], path: str) -> Config:
        described = {(each.get("name") or each["config"]["name"]): each for each in config["layers"]}
        is_old = any(isinstance(node, list) for each in described.values() for node in each["inbound_nodes"])
        needed = set(described) if is_old else _needed(described, config["output_layers"])
        layers: list[Config] = []
        calls: dict[tuple[str, int], tuple[Any, Any]] = {}
        for name, each in described.items():
            if _is_operation(each):
                if name not in needed:  # it makes a mask, which the layers here make themselves
                    continue
                made, inputs = self.operation(name, each, is_old)
                layers.append(made)
                calls[name, 0] = inputs, None
                continue
            layers.append(self.block(each, path))
            for i, node in enumerate(each["inbound_nodes"]):
                inputs, training = _given(node, f"layer {name!r}")
                # Keras 3 writes training=False of layers that nobody fixed, and does not look at it when it trains
                calls[name, i] = inputs, training if is_old or self.is_own else None

        counted = {name for name, each in described.items() if each["class_name"] in MODELS}
        if not is_old:
            counted -= {name for name in counted if described[name]["class_name"] == "Sequential"}

        def ends(structure: Any) -> Any:
            """Inputs or outputs of the network. Keras counts a model's own network as the first call of it."""
            if isinstance(structure, list) and len(structure) == 3 and isinstance(structure[0], str):
                return [structure[0], structure[1] - (structure[0] in counted), structure[2]]
            if isinstance(structure, Mapping):
                return {key: ends(each) for key, each in structure.items()}
            return single([ends(one) for one in structure])  # so does Keras

        def fed(structure: Any) -> Any:
            return mapped(lambda p: [p.layer, p.node - (is_old and p.layer in counted), p.index], structure)

        told = {key: (fed(inputs), training) for key, (inputs, training) in calls.items()}
        order = _in_order({key: list(_leaves(inputs)) for key, (inputs, _) in told.items()}, described)
        _demand_masks_of_layers(order, {key: list(_leaves(inputs)) for key, (inputs, _) in told.items()}, described)
        ordered = [
            {"layer": key[0], "inputs": told[key][0], **({} if told[key][1] is None else {"training": told[key][1]})}
            for key in order
        ]
        return {
            "layers": layers,
            "calls": ordered,
            "inputs": ends(config["input_layers"]),
            "outputs": ends(config["output_layers"]),
        }

    def operation(self, name: str, described: Mapping[str, Any], is_old: bool) -> tuple[Config, Any]:
        """What an operator between placeholders, or a placeholder and a number, is as a layer; and what it is given."""
        [node] = described["inbound_nodes"]
        operation = described["class_name"]
        given = list(node["args"]) + list(node.get("kwargs", {}).values())
        pair = [_tensors(each) if _is_tensor(each) else _value("", each, f"layer {name!r}") for each in given]
        places = [each for each in pair if isinstance(each, _Place)]
        layer, after, before = OPERATIONS.get(operation, (None, None, None))
        if operation == "Negative" and len(places) == len(pair) == 1:
            return {"class": "Rescaling", "name": name, "scale": -1.0}, places[0]
        if len(pair) == 2 and len(places) == 2 and layer is not None:
            return {"class": layer, "name": name}, places
        how = after if len(pair) == 2 and isinstance(pair[0], _Place) else before
        if len(pair) != 2 or len(places) != 1 or how is None:
            raise UsageError(
                f"layer {name!r} is the operation {operation}, which Talweg has not for what it is given; it has +, - "
                "and * of placeholders, and these and / with numbers"
            )
        number = np.asarray(next(each for each in pair if not isinstance(each, _Place)), np.float64)
        scale, offset = (np.asarray(each).tolist() for each in how(number))
        return {"class": "Rescaling", "name": name, "scale": scale, "offset": offset}, places[0]


def _of_one(shape: Any, where: str) -> list[int]:
    """The shape of one example; raises `UsageError` where an axis has no fixed length."""
    if any(not isinstance(d, int) for d in shape[1:]):
        raise UsageError(f"{where} takes inputs of shape {shape}; in Talweg all axes but the first have a fixed length")
    return list(shape[1:])


def _data_type(config: Mapping[str, Any]) -> str | None:
    dtype = config.get("dtype")
    name = dtype["config"]["name"] if isinstance(dtype, Mapping) else dtype
    return name if name in InputLayer.dtypes else None


def _is_operation(described: Mapping[str, Any]) -> bool:
    """Whether it is an operator, or a function of `keras.ops`, and no layer: these have a precision."""
    module = described.get("module")
    return module.startswith("keras.src.ops") if isinstance(module, str) else set(described["config"]) == {"name"}


def _is_tensor(value: Any) -> bool:
    return isinstance(value, Mapping) and value.get("class_name") == "__keras_tensor__"


def _tensors(value: Any) -> Any:
    """A structure of placeholders, each as its place."""
    if _is_tensor(value):
        layer, node, index = value["config"]["keras_history"]
        return _Place(layer, node, index)
    if isinstance(value, list):
        return [_tensors(each) for each in value]
    if isinstance(value, Mapping) and "class_name" not in value:
        return {key: _tensors(each) for key, each in value.items()}
    raise DataError(f"{str(value)[:60]} is no placeholder")


def _histories(value: Any) -> list[str]:
    """The layers and operations that answer the placeholders in a structure."""
    if _is_tensor(value):
        return [value["config"]["keras_history"][0]]
    parts = value.values() if isinstance(value, Mapping) else value if isinstance(value, list) else ()
    return [name for part in parts for name in _histories(part)]


def _needed(described: Mapping[str, Any], ends: Any) -> set[str]:
    """What leads to the outputs, but for what only makes masks: Keras writes down how those come to be, too."""
    found: set[str] = set()
    waiting = [leaf for leaf in flat(ends) if isinstance(leaf, str)]
    while waiting:
        name = waiting.pop()
        if name in described and name not in found:
            found.add(name)
            for node in described[name]["inbound_nodes"]:
                others = {key: each for key, each in (node.get("kwargs") or {}).items() if key != "mask"}
                waiting += _histories([node["args"], others])
    return found


def _demand_masks_of_layers(order: Any, feeders: Mapping[Any, Any], described: Mapping[str, Any]) -> None:
    """Raises `UsageError` for a mask that does not come along with what a layer is given."""
    masked: set[tuple[str, int]] = set()
    for key in order:
        name, node = key
        each, given = described[name], any(feeder in masked for feeder in feeders[key])
        call = [] if _is_operation(each) else each["inbound_nodes"][node]
        if isinstance(call, Mapping) and _histories((call.get("kwargs") or {}).get("mask")) and not given:
            raise UsageError(f"layer {name!r} is called with a mask of its own; in Talweg masks come with the input")
        kind, config = _bare(each["class_name"]), each["config"]
        makes = kind in (*MODELS, "Masking") or bool(config.get("mask_zero"))
        hands_on = given and kind in LAYERS and LAYERS.get(kind).supports_masking
        if makes or (hands_on and config.get("return_sequences", True)):
            masked.add(key)


def _given(node: Any, where: str) -> tuple[Any, bool | None]:
    """What a layer is given at one call, and the mode that was fixed there."""
    if isinstance(node, list):
        places = [_Place(*entry[:3]) for entry in node]
        options = {key: value for entry in node for key, value in (entry[3] if len(entry) > 3 else {}).items()}
        given = [places[0] if len(places) == 1 else places]
    else:
        options = dict(node["kwargs"])
        given = [*node["args"], *(options.pop(key) for key in ("inputs", "x") if key in options)]
    training = options.pop("training", None)
    options.pop("mask", None)
    others = {key: value for key, value in options.items() if any(each is not None for each in flat(value))}
    if len(given) != 1 or others:
        beside = ", ".join(others) or f"{len(given)} arguments"
        raise UsageError(f"{where} is called with {beside}; a layer of Talweg's takes one input, or a list")
    return (given[0] if isinstance(node, list) else _tensors(given[0])), training


def _leaves(structure: Any) -> Iterator[tuple[str, int]]:
    """The calls that answer what a call is given."""
    if isinstance(structure, list) and len(structure) == 3 and isinstance(structure[0], str):
        yield structure[0], structure[1]
    else:
        for each in structure.values() if isinstance(structure, Mapping) else structure:
            yield from _leaves(each)


def _in_order(feeders: Mapping[tuple[str, int], list[tuple[str, int]]], described: Any) -> list[tuple[str, int]]:
    """The calls, each after those that feed it, and after the layer's call before it."""
    begins = {(name, 0) for name, each in described.items() if each["class_name"] == "InputLayer"}
    for key, needed in feeders.items():
        if absent := [place for place in needed if place not in feeders and place not in begins]:
            raise DataError(f"layer {key[0]!r} is fed by call {absent[0][1]} of {absent[0][0]!r}, which is not there")
    needs = {key: {*needed, *([(key[0], key[1] - 1)] if key[1] else [])} for key, needed in feeders.items()}
    try:
        return [key for key in TopologicalSorter(needs).static_order() if key in feeders]
    except CycleError as error:
        raise DataError(f"layers feed each other in a circle: {error.args[1]}") from error


# ── how it was compiled ───────────────────────────────────────────────────────────────────────────────────


def compilation(config: Mapping[str, Any]) -> Config | None:
    """The arguments of `Model.compile`; None where the file does not say how to train."""
    if config.get("optimizer") is None or config.get("loss") is None:
        return None
    told: Config = {"optimizer": _thing("optimizer", config["optimizer"]), "loss_weights": config.get("loss_weights")}
    told["loss"] = _things("loss", config["loss"])
    for kind in ("metrics", "weighted_metrics"):
        found = _things("metric", config.get(kind))
        told[kind] = found[0] if isinstance(found, list) and len(found) == 1 and isinstance(found[0], list) else found
    return told


def _things(kind: str, structure: Any) -> Any:
    """Things in lists, and in dictionaries by outputs."""
    if isinstance(structure, list):
        return [_things(kind, each) for each in structure]
    if isinstance(structure, Mapping) and "class_name" not in structure:
        return {name: _things(kind, each) for name, each in structure.items()}
    return _thing(kind, structure)


def _thing(kind: str, described: Any) -> Any:
    """A loss, a metric or an optimizer; a name stays one."""
    if not isinstance(described, Mapping):
        return described
    name, config = _bare(described["class_name"]), described.get("config") or {}
    if name == "function":
        return config
    if name == "MeanMetricWrapper":  # Keras 2
        return config["fn"]
    if isinstance(rate := config.get("learning_rate"), float) and float(np.float32(rate)) == rate:
        config = {**config, "learning_rate": float(str(np.float32(rate)))}  # Keras keeps it in float32: 0.00999999977
    where = f"the {kind}"
    return _checked(_options(kind, name, config, where), kind, where)
