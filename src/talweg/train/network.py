"""A network: the calls of layers between some placeholders and others, in the order in which they can be computed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

from talweg import graph as g
from talweg.budgets import demand
from talweg.errors import UsageError
from talweg.escapes import is_unicode
from talweg.graph import Array, Tensor
from talweg.nn.layers import Context, InputLayer, KerasTensor, Variable
from talweg.nn.layers.symbolic import Call, Structure, flat, mapped, noted, placeholder
from talweg.registry import snake_case

States = dict[Variable, Tensor]
RESERVED = frozenset({"optimizer", "metrics"})  # what the other states of a program are called


class Network:
    """What leads from `inputs` to `outputs`, each a placeholder or several in a list or dictionary.

    calls   in the order in which they were made, so each comes after those that feed it
    blocks  the layers and models called, each once, in Keras's order: the farthest from the outputs first

    An input may be any placeholder: what leads to it is left out. Raises `UsageError` where an output needs an `Input`
    that is not among the inputs.
    """

    def __init__(self, inputs: Structure, outputs: Structure) -> None:
        for side, structure in (("inputs", inputs), ("outputs", outputs)):
            leaves = flat(structure)
            if not leaves or not all(isinstance(leaf, KerasTensor) for leaf in leaves):
                wrong = next((leaf for leaf in leaves if not isinstance(leaf, KerasTensor)), structure)
                raise UsageError(
                    f"Model(inputs, outputs): {side} must be what Input(shape) or a layer answered, alone or in a list "
                    f"or dictionary; got {wrong!r}"
                )
        if len(set(flat(inputs))) < len(flat(inputs)):
            raise UsageError("Model(inputs, outputs): an input stands there twice")
        if not all(_is_input(x) for x in flat(inputs)):
            inputs, outputs = _with_inputs_of_its_own(inputs, outputs)
        self.inputs, self.outputs = inputs, outputs
        met, left = _found(flat(inputs), flat(outputs))
        self.calls = sorted((c for c in met if not isinstance(c.block, InputLayer)), key=lambda c: c.number)
        demand("layers", len(met), "a model")
        self.blocks = _in_order(met, left, [x.call for x in flat(inputs) if x.call not in met])

        inner = [block.network for block in self.blocks if hasattr(block, "network")]
        self.size = len(self.blocks) + sum(network.size for network in inner)
        self.depth = 1 + max([*(network.depth for network in inner), *(getattr(b, "depth", 0) for b in self.blocks)])
        demand("layers", self.size, "a model, with all that are within,")
        demand("depth", self.depth, "a model within models")

    @cached_property
    def variables(self) -> dict[str, Variable]:
        """Every variable, each once, by the name that it has here: ``encoder/dense/kernel`` in a model of models."""
        named: dict[Variable, str] = {}
        for block in self.blocks:
            inner = getattr(block, "named_variables", None)
            own = {v.name: v for v in block.variables} if inner is None else inner
            for name, v in own.items():
                named.setdefault(v, name if inner is None else f"{block.title}/{name}")
        return {name: v for v, name in named.items()}

    @property
    def trainable_variables(self) -> list[Variable]:
        """Those that training changes now."""
        return list(dict.fromkeys(v for block in self.blocks for v in block.trainable_variables))

    @property
    def input_names(self) -> list[str]:
        """By which data in a dictionary are found: the keys where the inputs are one, else the input layers' names."""
        return _names(self.inputs)

    @property
    def output_names(self) -> list[str]:
        """By which losses, metrics and labels are found: keys, or the names of the layers that answer."""
        return _names(self.outputs)

    def states(self) -> States:
        """A symbolic state for each variable."""
        return {v: g.state_tensor(name, v.shape) for name, v in self.variables.items()}

    def write(self, x: Sequence[Tensor], states: Mapping[Variable, Tensor], context: Context) -> list[Tensor]:
        """Each call's formula on what feeds it; the outputs as a list. x: one tensor for each input."""
        known: dict[KerasTensor, Tensor] = dict(zip(flat(self.inputs), x, strict=True))
        for call in self.calls:
            mode = context if call.training is None else replace(context, training=False)
            made = call.block.write(mapped(known.__getitem__, call.inputs), states, mode)
            known.update(zip(flat(call.outputs), flat(made), strict=True))
        return [known[y] for y in flat(self.outputs)]

    def examine(self, placeholder: KerasTensor, x: Array, argument: str) -> None:
        """Lets each layer that one of the inputs goes into look at its examples."""
        for call in self.calls:
            if any(fed is placeholder for fed in flat(call.inputs)):
                call.block.examine(x, argument)


# ── which calls, in which order ───────────────────────────────────────────────────────────────────────────


def _is_input(x: KerasTensor) -> bool:
    return isinstance(x.call.block, InputLayer)


def feeders(call: Call) -> list[Call]:
    """The calls that answer what this one takes."""
    return [x.call for x in flat(call.inputs)]


def _found(inputs: list[KerasTensor], outputs: list[KerasTensor]) -> tuple[list[Call], list[Call]]:
    """The calls that the outputs need, as a search in depth comes to them, and as it leaves them.

    It goes from the first output, and from the first input of each call. The stack is our own, for a chain may be
    longer than Python's.
    """
    met: dict[Call, None] = {}
    left: list[Call] = []
    for output in outputs:
        waiting = [(output.call, False)]
        while waiting:
            call, is_done = waiting.pop()
            if is_done:
                left.append(call)
            elif call not in met:
                met[call] = None
                if isinstance(call.block, InputLayer) and not any(x.call is call for x in inputs):
                    raise UsageError(
                        f"Model(inputs, outputs): an output needs {call.outputs!r}, which is not among the inputs"
                    )
                waiting += [(call, True), *((feeder, False) for feeder in reversed(feeders(call)))]
    return list(met), left


def _in_order(met: list[Call], left: list[Call], unused: list[Call]) -> list[Any]:
    """Keras's order of layers: by the longest way to an output, then as the search in depth came to them."""
    depth: dict[Call, int] = {}
    of_block: dict[Any, int] = {call.block: 0 for call in unused}
    for call in reversed(left):
        far = max(depth.get(call, 0), of_block.get(call.block, 0))
        depth[call] = of_block[call.block] = far
        for feeder in feeders(call):
            depth[feeder] = max(depth.get(feeder, 0), far + 1)
    blocks = list(dict.fromkeys(call.block for call in (*unused, *met)))
    return sorted(blocks, key=lambda block: -of_block[block])


def _with_inputs_of_its_own(inputs: Structure, outputs: Structure) -> tuple[Structure, Structure]:
    """The same network, beginning with input layers where `inputs` are what layers answered. No layer notes it."""
    replaced: dict[KerasTensor, KerasTensor] = {}
    for x in flat(inputs):
        replaced[x] = x if _is_input(x) else placeholder(x.example_shape, x.dtype, InputLayer(x.example_shape))
    needed, waiting = set(), [y for y in flat(outputs) if y not in replaced]
    while waiting:
        call = waiting.pop().call
        if call not in needed:
            needed.add(call)
            waiting += [x for x in flat(call.inputs) if x not in replaced]

    def taken(x: KerasTensor) -> KerasTensor:
        return replaced.get(x, x)

    for call in sorted(needed, key=lambda c: c.number):
        if not isinstance(call.block, InputLayer):  # else it is missing, which `_found` says
            given = mapped(taken, call.inputs)
            made = noted(call.block, given, call.training, mapped(lambda y: y.tensor, call.outputs), remember=False)
            replaced |= zip(flat(call.outputs), flat(made), strict=True)
    return mapped(replaced.__getitem__, inputs), mapped(taken, outputs)


# ── names ─────────────────────────────────────────────────────────────────────────────────────────────────


def _names(structure: Structure) -> list[str]:
    """A name for each placeholder, all of them different."""
    names: list[str] = []
    keys = sorted(structure) if isinstance(structure, Mapping) else None
    for i, leaf in enumerate(flat(structure)):
        names.append(free_name(str(keys[i]) if keys else leaf.name, names))
    return names


def give_names(network: Network) -> None:
    """Gives a name to each layer that has none, in the order of their first calls, as Keras counts.

    A name that another model found gives way where the user gave it to another layer. Raises `UsageError` for two
    layers that the user gave one name.
    """
    first = {call.block: call.number for call in reversed(network.calls)}
    blocks = sorted(network.blocks, key=lambda b: first.get(b, b.calls[0].number if b.calls else 0))
    taken: dict[str, Any] = {}
    for block in sorted(blocks, key=lambda b: (b.name is None, b.was_named)):
        if block.name is None or (block.was_named and block.name in taken):
            block.named(free_name(block.name or snake_case(type(block).__name__), taken))
        taken.setdefault(block.name, block)
    check_names(blocks)


def check_names(blocks: Iterable[Any]) -> None:
    """Raises `UsageError` for a name that two have, or that no layer can have."""
    known: dict[str, Any] = {}
    for block in blocks:
        name = block.name
        if not isinstance(name, str) or not name or "/" in name or name in RESERVED or not is_unicode(name):
            raise UsageError(
                f"a layer's name must be text without '/', and none of {', '.join(sorted(RESERVED))}; got {name!r}"
            )
        if known.setdefault(name, block) is not block:
            raise UsageError(f"two layers are called {name!r}; give one of them another name=")


def free_name(base: str, taken: Iterable[str]) -> str:
    """`base`, with a number after it where it is taken.

    >>> free_name("dense", ["dense", "dense_1"])
    'dense_2'
    """
    names, name, i = set(taken), base, 0
    while name in names:
        name, i = f"{base}_{i + 1}", i + 1
    return name


def by_name(value: Any, names: Sequence[str], argument: str, what: str = "input") -> dict[str, Any]:
    """One value for each of `names`, from a list in their order or a dictionary, which may hold more than that.

    Where there is one name, the value stands alone.

    >>> by_name([1, 2], ["a", "b"], "x"), by_name({"b": 2, "a": 1, "c": 3}, ["a", "b"], "x")
    ({'a': 1, 'b': 2}, {'a': 1, 'b': 2})
    """
    if isinstance(value, Mapping) and set(names) <= set(value):
        return {name: value[name] for name in names}
    if len(names) == 1:
        return {names[0]: value}
    listed = ", ".join(names)
    if isinstance(value, Mapping):
        missing = next(name for name in names if name not in value)
        raise UsageError(f"{argument} has no entry for {what} {missing!r}; the model's {what}s are {listed}")
    if isinstance(value, (list, tuple)) and len(value) == len(names):
        return dict(zip(names, value, strict=True))
    came = f"a {type(value).__name__}" + (f" of {len(value)}" if isinstance(value, (list, tuple)) else "")
    raise UsageError(
        f"the model has {len(names)} {what}s, {listed}: {argument} must be a list of {len(names)} in this order, or a "
        f"dictionary with these names; got {came}"
    )
