"""Lion: the sign of a momentum, found by a search over programs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from talweg.graph import Array, Tensor, sign
from talweg.optim.base import Slots, UpdateRule


@dataclass(eq=False, repr=False)
class Lion(UpdateRule):
    r"""$w \leftarrow w - \eta \operatorname{sgn}(\beta_1 m + (1 - \beta_1) g)$, then
    $m \leftarrow \beta_2 m + (1 - \beta_2) g$.

    Chen et al., "Symbolic discovery of optimization algorithms" (2023), as in Keras; PyTorch has none. Every weight
    moves by η, so a rate 3 to 10 times smaller than Adam's is right.
    """

    beta_1: float = 0.9
    beta_2: float = 0.99

    def slots(self, w: Tensor) -> Mapping[str, float | Array]:
        return {"momentum": 0.0}

    def update(self, w: Tensor, g: Tensor, s: Slots, step: Tensor, rate: Tensor) -> tuple[Tensor, Slots]:
        direction = sign(self.beta_1 * s["momentum"] + (1 - self.beta_1) * g)
        return w - rate * direction, {"momentum": self.beta_2 * s["momentum"] + (1 - self.beta_2) * g}
