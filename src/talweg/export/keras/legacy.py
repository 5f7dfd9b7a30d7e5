"""HDF5 files as Keras wrote them before version 3, and still does for names in ``.h5``: they are read, not written.

Descriptions are notes at the root, weights are in groups by the names of layers: those that are trained come first.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from talweg.data.files import corrupt
from talweg.errors import UsageError
from talweg.export.keras.archive import File
from talweg.export.keras.weights import Architecture, given, shapes_of
from talweg.graph import Array
from talweg.nn.layers import Layer, Normalization, Variable
from talweg.train.document import parse_json


def is_legacy(file: File) -> bool:
    """Whether the file is of this form: a whole model, or weights alone."""
    return "model_weights" in file.names("") or bool(file.texts("", "layer_names"))


def descriptions(file: File) -> tuple[Mapping[str, Any], Mapping[str, Any] | None]:
    """What the file says of the model, and of how it was compiled."""
    text, training = file.text("model_config"), file.text("training_config")
    if text is None:
        raise UsageError(f"{file.path} holds weights and no model. Make the model, then model.load_weights(...).")
    compilation = None if training is None else parse_json(file.path, training, "what compile() was told")
    if compilation is not None and "optimizer_config" in compilation:
        compilation["optimizer"] = compilation.pop("optimizer_config")
    return parse_json(file.path, text, "a model's JSON"), compilation


def found(model: Any, file: File, architecture: Architecture | None = None) -> dict[Variable, Array]:
    """The values of a model's variables: by the layers' names if the model was made from this file, else in order."""
    top = "model_weights" if "model_weights" in file.names("") else ""
    held = {
        name: names for name in file.texts(top, "layer_names") if (names := file.texts(f"{top}/{name}", "weight_names"))
    }
    ours = {block.title: block for block in model.layers if block.variables}
    absent = {name for name, block in ours.items() if name not in held and _is_given(block)}
    ours = {name: block for name, block in ours.items() if name not in absent}
    if len(held) != len(ours):
        raise corrupt(
            file.path, f"weights of {len(ours)} layers, {', '.join(ours)}", f"it has {', '.join(held) or 'none'}"
        )
    values = {
        v: given(block, v) for block in model.layers if block.title in absent for i, v in enumerate(block.variables)
    }
    is_by_name = architecture is not None and set(held) == set(ours)
    for name, block in zip(ours if is_by_name else held, ours.values(), strict=True):
        variables = _in_order(block)
        names = held[name]
        if len(names) != len(variables):
            raise corrupt(file.path, f"{len(variables)} arrays for layer {block.title!r}", f"{name!r} has {len(names)}")
        for pair, path in zip(variables, names, strict=True):
            if pair is not None:
                layer, v = pair
                values[v] = file.read(f"{top}/{name}/{path}", shapes_of(layer, v)).reshape(v.shape)
    return values


def _is_given(block: Any) -> bool:
    return isinstance(block, Normalization) and block.mean is not None


def _in_order(block: Any) -> list[tuple[Layer, Variable] | None]:
    """Variables in the file's order; None for a number that Keras counts examples with."""
    pairs = _pairs(block)
    pairs = [pair for i, pair in enumerate(pairs) if pair is None or pair not in pairs[:i]]
    trained = set(block.trainable_variables)
    first = [pair for pair in pairs if pair is not None and pair[1] in trained]
    return [*first, *(pair for pair in pairs if pair is None or pair[1] not in trained)]


def _pairs(block: Any) -> list[tuple[Layer, Variable] | None]:
    if not isinstance(block, Layer):
        return [pair for inner in block.layers for pair in _pairs(inner)]
    counted: list[tuple[Layer, Variable] | None] = [None] if isinstance(block, Normalization) else []
    return [*((block, v) for v in block.variables), *counted]
