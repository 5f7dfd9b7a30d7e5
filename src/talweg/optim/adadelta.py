"""Adadelta: steps as long as the steps before, so that they have the weight's own unit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from talweg.graph import Array, Tensor, sqrt
from talweg.optim.base import Slots, UpdateRule


@dataclass(eq=False, repr=False)
class Adadelta(UpdateRule):
    r"""$a \leftarrow \rho a + (1 - \rho) g^2$, $\Delta = -g \sqrt{b + \epsilon} / \sqrt{a + \epsilon}$,
    $b \leftarrow \rho b + (1 - \rho) \Delta^2$, $w \leftarrow w + \eta\, \Delta$.

    Zeiler, "Adadelta: an adaptive learning rate method" (2012), where η = 1. The defaults are Keras's; PyTorch's
    are η = 1, ρ = 0.9, ε = 1e-6.
    """

    rho: float = 0.95
    epsilon: float = 1e-7

    def slots(self, w: Tensor) -> Mapping[str, float | Array]:
        return {"squared_gradient": 0.0, "squared_step": 0.0}

    def update(self, w: Tensor, g: Tensor, s: Slots, step: Tensor, rate: Tensor) -> tuple[Tensor, Slots]:
        a = self.rho * s["squared_gradient"] + (1 - self.rho) * g * g
        delta = -g * sqrt(s["squared_step"] + self.epsilon) / sqrt(a + self.epsilon)
        b = self.rho * s["squared_step"] + (1 - self.rho) * delta * delta
        return w + rate * delta, {"squared_gradient": a, "squared_step": b}
