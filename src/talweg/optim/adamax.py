"""Adamax: Adam with the largest gradient in place of the root mean square."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from talweg.graph import Array, Tensor, maximum
from talweg.optim.base import Slots, UpdateRule


@dataclass(eq=False, repr=False)
class Adamax(UpdateRule):
    r"""$m \leftarrow \beta_1 m + (1 - \beta_1) g$, $u \leftarrow \max(\beta_2 u, |g|)$,
    $w \leftarrow w - \frac{\eta}{1 - \beta_1^t} \frac{m}{u + \epsilon}$ (Kingma and Ba, 2015, section 7.1).

    So does Keras; form="torch" has ε in the maximum, $u \leftarrow \max(\beta_2 u, |g| + \epsilon)$, and PyTorch's η is
    0.002, its ε 1e-8.
    """

    beta_1: float = 0.9
    beta_2: float = 0.999
    epsilon: float = 1e-7

    def slots(self, w: Tensor) -> Mapping[str, float | Array]:
        return {"momentum": 0.0, "largest": 0.0}

    def update(self, w: Tensor, g: Tensor, s: Slots, step: Tensor, rate: Tensor) -> tuple[Tensor, Slots]:
        is_torch = self.form == "torch"
        m = self.beta_1 * s["momentum"] + (1 - self.beta_1) * g
        u = maximum(self.beta_2 * s["largest"], abs(g) + self.epsilon if is_torch else abs(g))
        size = u if is_torch else u + self.epsilon
        return w - rate / (1 - self.beta_1**step) * m / size, {"momentum": m, "largest": u}
