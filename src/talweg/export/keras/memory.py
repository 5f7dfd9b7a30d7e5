"""Where Keras 3 keeps what an optimizer remembers: ``optimizer/vars/0``, ``1``, ... in the order in which it made them.

The count of batches; the learning rate, where it is a number; then for each trained weight its running average, the sum
of its gradients, and what the rule itself keeps: all that of one weight, then of the next, or one kind after another.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from talweg.data.files import corrupt
from talweg.export.keras.archive import File
from talweg.export.keras.weights import Architecture, places
from talweg.graph import Array, Tensor, state_tensor
from talweg.optim import Adafactor, Adam, Nadam, RMSprop
from talweg.optim.base import EMA, SUM, dims, slot_name
from talweg.optim.schedules import Schedule
from talweg.train.saved import ITERATIONS

PLACE = "optimizer/vars"

LATER: dict[type, tuple[str, ...]] = {Adam: ("largest_velocity",), RMSprop: ("momentum", "average")}
"""Slots that come when the others of all weights are through."""

Kept = tuple[list[str], tuple[int, ...]]
"""The states that one array of the file is the value of, none where only Keras keeps it; and its shape."""


def written(model: Any) -> dict[str, Array]:
    """The memory by its paths; of a model that was not trained yet, as it begins."""
    rule, weights = model.optimizer, _weights(model, None)
    held = {ITERATIONS: np.zeros(()), **rule.memory(weights), **model.optimizer_states}
    arrays: list[Any] = [np.asarray(held[ITERATIONS], np.int64)]
    if not isinstance(rule.learning_rate, Schedule):
        arrays.append(rule.learning_rate)
    arrays += [held[names[0]] if names else np.zeros(shape) for names, shape in _kept(rule, weights)]
    return {f"{PLACE}/{i}": np.asarray(a, model.precision if i else None) for i, a in enumerate(arrays)}


def found(model: Any, file: File, architecture: Architecture) -> dict[str, Array]:
    """The memory by the names of its states; nothing where the file has none, or another number of arrays, as in Keras.

    Raises `CorruptFileError` for arrays of other shapes.
    """
    rule, weights = model.optimizer, _weights(model, architecture)
    kept, first = _kept(rule, weights), 1 if isinstance(rule.learning_rate, Schedule) else 2
    if len(file.names(PLACE)) != first + len(kept):
        return {}
    count = file.read(f"{PLACE}/0", [()], "iu")
    if not 0 <= count < 2**32:
        raise corrupt(file.path, f"a count of steps as {PLACE}/0", f"it is {count}")
    memory = {ITERATIONS: count.astype(np.uint32)}
    for i, (names, shape) in enumerate(kept, first):
        if names:
            memory |= dict.fromkeys(names, file.read(f"{PLACE}/{i}", [shape]).astype(model.precision))
    return memory


def _weights(model: Any, architecture: Architecture | None) -> list[Tensor]:
    """The trained weights in Keras's order of layers."""
    trained, names = set(model.trainable_variables), {v: name for name, v in model.named_variables.items()}
    met = dict.fromkeys(v for layer, _ in places(model, architecture) for v in layer.variables if v in trained)
    return [state_tensor(names[v], v.shape) for v in met]


def _kept(rule: Any, weights: list[Tensor]) -> list[Kept]:
    """What stands in the file behind the count and the rate, in its order."""
    shapes = {name: array.shape for name, array in rule.memory(weights).items()}
    later = next((slots for kind, slots in LATER.items() if isinstance(rule, kind)), ())

    def each(w: Tensor, *slots: str) -> list[Kept]:
        names = [name for slot in slots if (name := slot_name(w, slot)) in shapes]
        return [([name], shapes[name]) for name in names]

    def own(w: Tensor) -> list[Kept]:
        """The slots of one weight that stand side by side. Nadam's product, the same for all, comes at the end."""
        if isinstance(rule, Adafactor):  # a matrix has a velocity of no use, a vector numbers for rows and columns
            return [*each(w, "rows", "columns"), ([], dims(w))] if w.rank > 1 else [([], ())] * 2 + each(w, "velocity")
        return each(w, *(slot for slot in rule.slots(w) if slot not in (*later, "product")))

    found = [kept for slot in (EMA, SUM) for w in weights for kept in each(w, slot)]
    found += [kept for w in weights for kept in own(w)]
    found += [kept for slot in later for w in weights for kept in each(w, slot)]
    return [*found, ([slot_name(w, "product") for w in weights], ())] if isinstance(rule, Nadam) else found
