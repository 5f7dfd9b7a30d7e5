"""PyTorch's weights: a `state_dict`, in memory or as a safetensors file, to and from a model of the same layers.

    pytorch.save(model, "net.safetensors", names=["0", "3", "7"])    torch: net.load_state_dict(load_file(...))
    pytorch.load(model, "net.safetensors")                           torch: save_file(net.state_dict(), ...)

PyTorch keeps a `Linear` as (outputs, inputs), a `Conv2d` as (outputs, inputs, height, width), and flattens pictures
with their channels first: rows of weights after a `Flatten` are put in its order, and columns before a `Reshape` to
pictures.

Which module is which layer: ``names`` says so, as a list in the order of the model's layers, or as a dictionary from
layers to modules; a `SeparableConv2D` is two modules. Without it, by name where all are alike, else in order: that of
the `state_dict`, or of numbers, as `torch.nn.Sequential` counts. A file keeps no order, so others need ``names``.

>>> from talweg import Sequential, layers
>>> model = Sequential([layers.Dense(3, input_shape=(2,), name="hidden"), layers.Dense(1, name="out")], seed=0)
>>> {name: value.shape for name, value in state_dict(model, names=["0", "2"]).items()}
{'0.weight': (3, 2), '0.bias': (3,), '2.weight': (1, 3), '2.bias': (1,)}
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from talweg.errors import ShapeError, UsageError
from talweg.export.modules import COUNT, Module, modules
from talweg.graph import Array
from talweg.train.tensors import TensorFile, write_tensors

Names = Sequence[str] | Mapping[str, str | Sequence[str]] | None


def state_dict(model: Any, names: Names = None, *, channels_first: bool = True) -> dict[str, Array]:
    """The weights under PyTorch's names, in its layouts; without `names` modules are called as the layers are.

    channels_first: False for a net that flattens pictures with their channels last. Raises `UsageError` for a layer
    that PyTorch does not have.
    """
    found: dict[str, Array] = {}
    for name, module in _named(modules(model, channels_first), names).items():
        found |= {f"{name}.{key}" if name else key: value for key, value in module.arrays().items()}
    return found


def save(model: Any, filepath: str | os.PathLike[str], names: Names = None, *, channels_first: bool = True) -> None:
    """Writes `state_dict` as a safetensors file, whole or not at all."""
    write_tensors(filepath, state_dict(model, names, channels_first=channels_first), {})


def load_state_dict(model: Any, state: Mapping[str, Any], names: Names = None, *, channels_first: bool = True) -> None:
    """Puts the weights of a `state_dict`, of arrays or tensors, in place; nothing changes unless all of them fit.

    Raises `UsageError` where it is not clear which module is which layer, or a module has other tensors than its layer;
    `ShapeError`, with both shapes, where one has another shape.
    """
    shapes = {key: tuple(value.shape) for key, value in state.items()}
    chosen = _chosen(modules(model, channels_first), shapes, names, has_order=True)
    _put(chosen, {key: np.asarray(state[key]) for key in _keys(chosen, shapes)})


def load(model: Any, filepath: str | os.PathLike[str], names: Names = None, *, channels_first: bool = True) -> None:
    """`load_state_dict` of a safetensors file. Raises `CorruptFileError` for one that is damaged, and as it does."""
    file = TensorFile(filepath)
    chosen = _chosen(modules(model, channels_first), file.shapes, names, has_order=False)
    _keys(chosen, file.shapes)
    _put(chosen, file.read())


# ── which module is which ─────────────────────────────────────────────────────────────────────────────────


def _named(ours: list[Module], names: Names) -> dict[str, Module]:
    """The modules under the names that the user gave."""
    if names is None:
        return {module.name.replace("/", "."): module for module in ours}
    if isinstance(names, str):
        raise UsageError(
            f"names must be a list of PyTorch's modules or a dictionary from layers to them; got {names!r}"
        )
    if isinstance(names, Mapping):
        names = _listed(ours, names)
    if len(names) != len(ours):
        raise UsageError(
            f"names must be {len(ours)}, one for each of {', '.join(m.name for m in ours)}; got {len(names)}: "
            f"{', '.join(names)}"
        )
    if len(set(names)) < len(names):
        raise UsageError(f"names has a module twice: {', '.join(names)}")
    return dict(zip(names, ours, strict=True))


def _listed(ours: list[Module], names: Mapping[str, str | Sequence[str]]) -> list[str]:
    """A dictionary from layers to modules as a list in the layers' order."""
    layers = list(dict.fromkeys(module.layer_name for module in ours))
    if missing := [name for name in layers if name not in names]:
        raise UsageError(f"names has no module for layer {missing[0]!r}; it has {', '.join(names) or 'none'}")
    if unknown := [name for name in names if name not in layers]:
        raise UsageError(f"names has a layer {unknown[0]!r}; those with weights are {', '.join(layers)}")
    told = [names[name] for name in layers]
    return [name for each in told for name in ([each] if isinstance(each, str) else each)]


def _chosen(
    ours: list[Module], shapes: Mapping[str, tuple[int, ...]], names: Names, has_order: bool
) -> dict[str, Module]:
    """The modules of a state_dict, by their names there, as those of the model."""
    theirs = list(dict.fromkeys(key.rpartition(".")[0] for key in shapes))
    if names is not None:
        named = _named(ours, names)
        if absent := [name for name in named if name not in theirs]:
            raise UsageError(f"there is no module {absent[0]!r}; there are {', '.join(theirs)}")
        return named
    by_name = _named(ours, None)
    if set(by_name) == set(theirs):
        return by_name
    is_counted = all(part.isdecimal() for name in theirs for part in name.split("."))
    if not has_order and is_counted:
        theirs.sort(key=lambda name: [int(part) for part in name.split(".")])
    if len(theirs) != len(ours) or not (has_order or is_counted):
        raise UsageError(
            "which module is which layer must be said: names=[...], a module for each of "
            f"{', '.join(m.name for m in ours)}. There are {len(theirs)} modules: {', '.join(theirs)}"
        )
    return dict(zip(theirs, ours, strict=True))


def _keys(chosen: Mapping[str, Module], shapes: Mapping[str, tuple[int, ...]]) -> list[str]:
    """The names of the tensors of all modules; raises unless each module has those of its layer, in their shapes."""
    found = []
    for name, module in chosen.items():
        before = f"{name}." if name else ""
        there = {k.removeprefix(before): s for k, s in shapes.items() if k.rpartition(".")[0] == name}
        wanted = module.shapes()
        where = f"module {name!r} for layer {module.name!r}"
        if set(there) - {COUNT} != set(wanted):
            raise UsageError(f"{where} must have {_told(wanted)}; it has {_told(there)}")
        for key, shape in wanted.items():
            if there[key] != shape:
                raise ShapeError(f"{where}: {key} must have shape {list(shape)}; it has {list(there[key])}")
            found.append(before + key)
    return found


def _told(names: Iterable[str]) -> str:
    return ", ".join(names) or "nothing"


def _put(chosen: Mapping[str, Module], state: Mapping[str, Array]) -> None:
    values: dict[Any, Array] = {}
    for name, module in chosen.items():
        values |= module.values({key: state[f"{name}.{key}" if name else key] for key in module.shapes()})
    for v, value in values.items():
        v.value = value
