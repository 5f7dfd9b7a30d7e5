"""Where Keras 3 keeps a weight: ``layers/dense_1/vars/0`` is the first of the second dense layer.

Layers are told by their class and counted, whatever they are called, in Keras's order of layers, which is Talweg's;
those of a model within stand under its own place.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from talweg.data.files import corrupt
from talweg.errors import ShapeError, UsageError
from talweg.export.keras.archive import File
from talweg.graph import Array
from talweg.nn.layers import GRU, LSTM, Bidirectional, Layer, Normalization, SimpleRNN, TimeDistributed, Variable
from talweg.registry import snake_case

Architecture = Mapping[str, Any]

BEFORE = "_layer_checkpoint_dependencies"  # what Keras 2.12 and 2.13 call the place of layers


def class_name(block: Any) -> str:
    """What Keras calls the class of a layer, or of a model."""
    if isinstance(block, Layer):
        return type(block).__name__
    return "Sequential" if type(block).__name__ == "Sequential" else "Functional"


def blocks(model: Any, architecture: Architecture | None) -> list[tuple[Any, Architecture | None]]:
    """The layers of a model with their descriptions, in the order of the description where there is one."""
    if architecture is None:
        return [(block, None) for block in model.layers]
    described = {str(each.get("name", each.get("shared"))).rpartition("/")[2]: each for each in architecture["layers"]}
    order = {title: i for i, title in enumerate(described)}
    ours = sorted(model.layers, key=lambda block: order.get(block.title, -1))  # an Input of our own is not there
    return [(block, described.get(block.title)) for block in ours]


def places(model: Any, architecture: Architecture | None = None, at: str = "") -> Iterator[tuple[Any, str]]:
    """Each layer and its place; one that stands in several models comes again, and the first place counts."""
    met: dict[str, int] = {}
    for block, described in blocks(model, architecture):
        kind = snake_case(class_name(block))
        met[kind] = count = met.get(kind, -1) + 1
        place = f"{at}layers/{kind}_{count}" if count else f"{at}layers/{kind}"
        if isinstance(block, Layer):
            yield block, place
        else:
            inner = described if described is not None and "layers" in described else None
            yield from places(block, inner, f"{place}/")


def within(layer: Layer, names: Sequence[str]) -> list[str]:
    """Where in the place of a layer each of its parameters is: layers around layers have places within."""
    if isinstance(layer, TimeDistributed):
        return [f"layer/{place}" for place in within(layer.layer, names)]
    if isinstance(layer, Bidirectional):
        ways = [(way, [name for name in names if name.startswith(way)]) for way, _ in layer.ways]
        return [f"{way}layer/{place}" for way, own in ways for place in within(layer.layer, own)]
    before = "cell/" if isinstance(layer, (SimpleRNN, LSTM, GRU)) else ""
    return [f"{before}vars/{i}" for i in range(len(names))]


def data_sets(layer: Layer, place: str) -> list[tuple[Variable, str]]:
    """The variables of a layer and their paths."""
    paths = within(layer, [v.declared.name for v in layer.variables])
    return [(v, f"{place}/{path}") for v, path in zip(layer.variables, paths, strict=True)]


def written(model: Any) -> dict[str, Array | None]:
    """The arrays of a model by their paths, and a group for each layer and model, since early Keras 3 asks for all."""
    arrays: dict[str, Array | None] = {"vars": None}
    seen: set[Variable] = set()
    for layer, place in places(model):
        above = place.split("/layers/")
        arrays |= {f"{'/layers/'.join(above[:n])}/vars": None for n in range(1, len(above) + 1)}
        for v, path in data_sets(layer, place):
            if v not in seen:
                seen.add(v)
                arrays[path] = v.numpy().reshape(shapes_of(layer, v)[-1])
        if isinstance(layer, Normalization):
            arrays[f"{place}/vars/2"] = np.zeros((), np.int32)  # how many examples Keras has seen
    return arrays


def found(model: Any, file: File, architecture: Architecture | None = None) -> dict[Variable, Array]:
    """The values of a model's variables; all are looked at before one is read. Raises `CorruptFileError`."""
    if not model.built:
        raise UsageError(f"model {model.name!r} is not built, so it has no weights yet: give it an Input or build() it")
    top = BEFORE if file.names(BEFORE) else "layers"
    wanted: dict[Variable, tuple[Layer, str]] = {}
    for layer, place in places(model, architecture):
        for v, path in data_sets(layer, place):
            wanted.setdefault(v, (layer, path if top == "layers" else path.replace("layers", top)))
    expected = Counter(_group(path) for _, path in wanted.values())
    expected.update(
        _group(path) for layer, path in wanted.values() if isinstance(layer, Normalization) and path[-1] == "0"
    )
    values: dict[Variable, Array] = {}
    for v, (layer, path) in wanted.items():
        group = _group(path)
        there, known = len(file.names(group)), expected[group]
        if not there and isinstance(layer, Normalization) and layer.mean is not None:
            values[v] = given(layer, v)
        elif there != known:
            raise corrupt(
                file.path, f"{known} arrays in {group}, for layer {layer.name!r}", f"there are {there or 'none'}"
            )
        else:
            values[v] = file.read(path, shapes_of(layer, v)).reshape(v.shape)
    return values


def _group(path: str) -> str:
    return path.rpartition("/")[0]


# ── the one layer whose variables have another form ───────────────────────────────────────────────────────


def kept(layer: Normalization) -> tuple[int, ...]:
    """The shape of a mean in Keras: only the axes that have statistics of their own, and not those of length 1."""
    axes = () if layer.axis is None else (layer.axis,) if isinstance(layer.axis, int) else tuple(layer.axis)
    shape = layer.variables[0].shape
    return tuple(shape[axis % (len(shape) + 1) - 1] for axis in axes)


def shapes_of(layer: Layer, v: Variable) -> Sequence[tuple[int, ...]]:
    """The shapes that a variable may have in a file."""
    return [v.shape, kept(layer)] if isinstance(layer, Normalization) else [v.shape]


def given(layer: Normalization, v: Variable) -> Array:
    """Mean or variance as the description has it, for then the file does not."""
    value = np.asarray(getattr(layer, v.declared.name), np.float64)
    try:
        return np.broadcast_to(value, v.shape)
    except ValueError:
        raise ShapeError(
            f"layer {layer.name!r}: {v.name} of shape {list(value.shape)} does not fit {list(v.shape)}"
        ) from None
