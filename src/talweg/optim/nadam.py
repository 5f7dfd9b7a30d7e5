"""Nadam: Adam that looks ahead, as Nesterov's momentum does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from talweg.graph import Array, Tensor, sqrt
from talweg.optim.base import Slots, UpdateRule


@dataclass(eq=False, repr=False)
class Nadam(UpdateRule):
    r"""With m and v as in `Adam`, $\mu_t = \beta_1 (1 - \frac12 0.96^{t \psi})$ and $\Pi_t = \mu_1 \cdots \mu_t$:
    $\hat m = \mu_{t+1} m / (1 - \Pi_{t+1}) + (1 - \mu_t)\, g / (1 - \Pi_t)$, $\hat v = v / (1 - \beta_2^t)$,
    $w \leftarrow w - \eta\, \hat m / (\sqrt{\hat v} + \epsilon)$.

    Dozat, "Incorporating Nesterov momentum into Adam" (2016). ψ is `momentum_decay`: 1 as in Keras, 0.004 in PyTorch
    and the paper. PyTorch's η is 0.002, its ε 1e-8.
    """

    beta_1: float = 0.9
    beta_2: float = 0.999
    epsilon: float = 1e-7
    momentum_decay: float = field(default=1.0, kw_only=True)

    def slots(self, w: Tensor) -> Mapping[str, float | Array]:
        return {"momentum": 0.0, "velocity": 0.0, "product": np.ones(())}

    def update(self, w: Tensor, g: Tensor, s: Slots, step: Tensor, rate: Tensor) -> tuple[Tensor, Slots]:
        m = self.beta_1 * s["momentum"] + (1 - self.beta_1) * g
        v = self.beta_2 * s["velocity"] + (1 - self.beta_2) * g * g
        mu, next_mu = self._mu(step), self._mu(step + 1.0)
        product = s["product"] * mu
        m_hat = next_mu / (1 - product * next_mu) * m + (1 - mu) / (1 - product) * g
        v_hat = v / (1 - self.beta_2**step)
        new = {"momentum": m, "velocity": v, "product": product}
        return w - rate * m_hat / (sqrt(v_hat) + self.epsilon), new

    def _mu(self, step: Tensor) -> Tensor:
        return self.beta_1 * (1.0 - 0.5 * 0.96 ** (step * self.momentum_decay))
