"""What a model is before anything trains it: layers, their variables, and the formula that they come to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from talweg.errors import UsageError
from talweg.graph import Array, Tensor
from talweg.nn.layers import Layer, Variable
from talweg.nn.layers.base import set_weights
from talweg.train import programs
from talweg.train.arguments import whole
from talweg.train.seeds import next_seed


class Layered:
    """Layers with variables. `Sequential` says how the layers follow one another; `Model` trains them."""

    def __init__(self, name: str | None = None, seed: int | None = None) -> None:
        if name is not None and not isinstance(name, str):
            raise UsageError(f"name must be text; got {name!r}")
        self.name = name or "sequential"
        self.seed = next_seed() if seed is None else whole(seed, "seed", 0)
        self._output: Tensor | None = None

    # ── what a kind of model says of itself ───────────────────────────────────────────────────────────────

    @property
    def layers(self) -> list[Layer]:
        raise UsageError(f"{type(self).__name__} has no layers of its own; use Sequential")

    @property
    def input_shape(self) -> tuple[int, ...] | None:
        """The shape of one example, or None where it is not known yet."""
        raise UsageError(f"{type(self).__name__} has no input of its own; use Sequential")

    def build(self, input_shape: Any = None) -> None:
        """Makes the variables, for examples of `input_shape`."""
        raise UsageError(f"{type(self).__name__} cannot be built; use Sequential")

    def unbuild(self) -> None:
        """Takes back what `build` did, before anything was trained."""
        raise UsageError(f"{type(self).__name__} cannot be unbuilt; use Sequential")

    def get_config(self) -> dict[str, Any]:
        """The architecture as JSON."""
        raise UsageError(f"{type(self).__name__} has no architecture of its own; use Sequential")

    def changed(self) -> None:
        """Forgets what was written for the layers as they were."""
        self._output = None

    # ── weights ───────────────────────────────────────────────────────────────────────────────────────────

    @property
    def variables(self) -> list[Variable]:
        """Every variable, each once, layer by layer."""
        return programs.variables_of(self.layers)

    weights = variables

    @property
    def trainable_variables(self) -> list[Variable]:
        return programs.variables_of(self.layers, trainable_only=True)

    trainable_weights = trainable_variables

    @property
    def built(self) -> bool:
        return self.input_shape is not None

    def get_weights(self) -> list[Array]:
        """Copies of all weight arrays, layer by layer."""
        return [v.numpy() for v in self.variables]

    def set_weights(self, weights: Sequence[Any]) -> None:
        """Puts other values in place; nothing changes unless the number and all shapes fit (`ShapeError`)."""
        set_weights(self.variables, weights, f"model {self.name!r}")

    def count_params(self) -> int:
        """The number of numbers in all variables."""
        return sum(int(np.prod(v.shape)) for v in self.variables)

    @property
    def output(self) -> Tensor:
        """What the network answers, as a formula."""
        if self.input_shape is None:
            raise UsageError("the model is not built yet: give its first layer an input_shape, or fit it")
        if self._output is None:
            self._output = programs.output_of(self.layers, self.input_shape)
        return self._output

    @property
    def output_shape(self) -> tuple[int, ...]:
        """The shape of what the network answers for one example."""
        return self.output.shape[1:]  # type: ignore[return-value]
