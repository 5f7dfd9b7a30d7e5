"""RMSprop: each weight's gradient divided by a running average of its size."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from talweg.graph import Array, Tensor, maximum, sqrt
from talweg.optim.base import Slots, UpdateRule


@dataclass(eq=False, repr=False)
class RMSprop(UpdateRule):
    r"""$v \leftarrow \rho v + (1 - \rho) g^2$, $w \leftarrow w - \eta\, g / \sqrt{v + \epsilon}$.

    Tieleman and Hinton (2012). `centered` takes the square of g's running average off v. With momentum μ, $m
    \leftarrow \mu m + \eta\, g / \sqrt{v + \epsilon}$ and $w \leftarrow w - m$. So does Keras 3; form="torch" has ε
    outside the root and the rate outside m. PyTorch's ρ is 0.99, its ε 1e-8, its η 0.01.
    """

    rho: float = 0.9
    momentum: float = 0.0
    epsilon: float = 1e-7
    centered: bool = False

    def slots(self, w: Tensor) -> Mapping[str, float | Array]:
        used = {"velocity": True, "momentum": self.momentum, "average": self.centered}
        return {name: 0.0 for name, is_used in used.items() if is_used}

    def update(self, w: Tensor, g: Tensor, s: Slots, step: Tensor, rate: Tensor) -> tuple[Tensor, Slots]:
        new = {"velocity": self.rho * s["velocity"] + (1 - self.rho) * g * g}
        size = new["velocity"]
        if self.centered:
            new["average"] = self.rho * s["average"] + (1 - self.rho) * g
            size = maximum(size - new["average"] * new["average"], 0.0)  # rounding may take it below
        is_torch = self.form == "torch"
        move = g / (sqrt(size) + self.epsilon) if is_torch else rate * g / sqrt(size + self.epsilon)
        if self.momentum:
            move = new["momentum"] = self.momentum * s["momentum"] + move
        return w - (rate * move if is_torch else move), new
