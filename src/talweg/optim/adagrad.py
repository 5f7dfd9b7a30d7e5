"""Adagrad: each weight's rate falls with all the gradients that it has seen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from talweg.graph import Array, Tensor, sqrt
from talweg.optim.base import Slots, UpdateRule


@dataclass(eq=False, repr=False)
class Adagrad(UpdateRule):
    r"""$a \leftarrow a + g^2$, $w \leftarrow w - \eta\, g / \sqrt{a + \epsilon}$ (Duchi et al., 2011).

    a begins at 0.1 and ε stands inside the root, as in Keras; form="torch" has it outside, $\sqrt{a} + \epsilon$, and
    PyTorch begins at 0 with ε = 1e-10. `lr_decay` δ, which is PyTorch's, divides η by $1 + (t - 1)\,\delta$.
    """

    initial_accumulator_value: float = 0.1
    epsilon: float = 1e-7
    lr_decay: float = field(default=0.0, kw_only=True)

    def slots(self, w: Tensor) -> Mapping[str, float | Array]:
        return {"accumulator": self.initial_accumulator_value}

    def update(self, w: Tensor, g: Tensor, s: Slots, step: Tensor, rate: Tensor) -> tuple[Tensor, Slots]:
        a = s["accumulator"] + g * g
        root = sqrt(a) + self.epsilon if self.form == "torch" else sqrt(a + self.epsilon)
        if self.lr_decay:
            rate = rate / (1.0 + (step - 1.0) * self.lr_decay)
        return w - rate * g / root, {"accumulator": a}
