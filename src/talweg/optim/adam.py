"""Adam, and Adam with decoupled weight decay."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from talweg.graph import Tensor, maximum, sqrt
from talweg.optim.base import Slots, UpdateRule


@dataclass(eq=False, repr=False)
class Adam(UpdateRule):
    r"""$m \leftarrow \beta_1 m + (1 - \beta_1) g$, $v \leftarrow \beta_2 v + (1 - \beta_2) g^2$, and with
    $\eta_t = \eta \sqrt{1 - \beta_2^t} / (1 - \beta_1^t)$: $w \leftarrow w - \eta_t\, m / (\sqrt{v} + \epsilon)$.

    Kingma and Ba, "Adam: a method for stochastic optimization" (2015), in the order of computation that section 2 of
    the paper gives, which Keras follows; PyTorch corrects v before the root, so that its ε weighs more in the first
    steps. `amsgrad` divides by the largest v so far (Reddi et al., 2018).
    """

    beta_1: float = 0.9
    beta_2: float = 0.999
    epsilon: float = 1e-7
    amsgrad: bool = False

    def slots(self) -> Mapping[str, float]:
        return {"momentum": 0.0, "velocity": 0.0} | ({"largest_velocity": 0.0} if self.amsgrad else {})

    def update(self, w: Tensor, g: Tensor, s: Slots, step: Tensor, rate: Tensor) -> tuple[Tensor, Slots]:
        m = self.beta_1 * s["momentum"] + (1 - self.beta_1) * g
        v = self.beta_2 * s["velocity"] + (1 - self.beta_2) * g * g
        new, size = {"momentum": m, "velocity": v}, v
        if self.amsgrad:
            size = new["largest_velocity"] = maximum(s["largest_velocity"], v)
        rate_t = rate * sqrt(1 - self.beta_2**step) / (1 - self.beta_1**step)
        return w - rate_t * m / (sqrt(size) + self.epsilon), new


@dataclass(eq=False, repr=False)
class AdamW(Adam):
    r"""`Adam` after $w \leftarrow w - \eta \lambda w$ (Loshchilov and Hutter, 2019).

    λ is 0.004 as in Keras; in PyTorch it is 0.01.
    """

    weight_decay: float | None = field(default=0.004, kw_only=False)  # the second argument, as in Keras
