"""Adagrad: each weight's rate falls with all the gradients that it has seen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from talweg.graph import Tensor, sqrt
from talweg.optim.base import Slots, UpdateRule


@dataclass(eq=False, repr=False)
class Adagrad(UpdateRule):
    r"""$a \leftarrow a + g^2$, $w \leftarrow w - \eta\, g / \sqrt{a + \epsilon}$ (Duchi et al., 2011).

    a begins at 0.1 and ε stands inside the root, as in Keras; PyTorch begins at 0 with ε = 1e-10 outside.
    """

    initial_accumulator_value: float = 0.1
    epsilon: float = 1e-7

    def slots(self) -> Mapping[str, float]:
        return {"accumulator": self.initial_accumulator_value}

    def update(self, w: Tensor, g: Tensor, s: Slots, step: Tensor, rate: Tensor) -> tuple[Tensor, Slots]:
        a = s["accumulator"] + g * g
        return w - rate * g / sqrt(a + self.epsilon), {"accumulator": a}
