"""LAMB: Adam's direction, as long as the weights are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from talweg.graph import Array, Tensor, l2_norm, sqrt, where
from talweg.optim.base import Slots, UpdateRule


@dataclass(eq=False, repr=False)
class Lamb(UpdateRule):
    r"""With $\hat m$ and $\hat v$ as in `Adam`, $u = \hat m / (\sqrt{\hat v} + \epsilon)$ and
    $w \leftarrow w - \eta\, \frac{\|w\|}{\|u\|}\, u$, for each weight array by itself; the ratio is 1 if a norm is 0.

    You et al., "Large batch optimization for deep learning" (2020), as in Keras; PyTorch has none.
    """

    beta_1: float = 0.9
    beta_2: float = 0.999
    epsilon: float = 1e-7

    def slots(self, w: Tensor) -> Mapping[str, float | Array]:
        return {"momentum": 0.0, "velocity": 0.0}

    def update(self, w: Tensor, g: Tensor, s: Slots, step: Tensor, rate: Tensor) -> tuple[Tensor, Slots]:
        m = self.beta_1 * s["momentum"] + (1 - self.beta_1) * g
        v = self.beta_2 * s["velocity"] + (1 - self.beta_2) * g * g
        u = m / (1 - self.beta_1**step) / (sqrt(v / (1 - self.beta_2**step)) + self.epsilon)
        long, size = l2_norm([w]), l2_norm([u])
        ratio = where(long > 0.0, where(size > 0.0, long / where(size > 0.0, size, 1.0), 1.0), 1.0)
        return w - rate * ratio * u, {"momentum": m, "velocity": v}
