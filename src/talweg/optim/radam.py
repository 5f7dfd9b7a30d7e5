"""RAdam: Adam that trusts its variance only once there is enough to know it by."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass

from talweg.graph import Array, Tensor, maximum, sqrt, where
from talweg.optim.base import Slots, UpdateRule, as_form
from talweg.registry import setting


@dataclass(eq=False, repr=False)
class RAdam(UpdateRule):
    r"""With m, v and $\hat m$ as in `Adam`, $\rho_\infty = 2 / (1 - \beta_2) - 1$ and
    $\rho_t = \rho_\infty - 2 t \beta_2^t / (1 - \beta_2^t)$: where $\rho_t > 5$,
    $w \leftarrow w - \eta\, r_t\, \hat m \sqrt{1 - \beta_2^t} / (\sqrt{v} + \epsilon)$ with
    $r_t^2 = \frac{(\rho_t - 4)(\rho_t - 2)\, \rho_\infty}{(\rho_\infty - 4)(\rho_\infty - 2)\, \rho_t}$; before that,
    $w \leftarrow w - \eta\, \hat m$.

    Liu et al., "On the variance of the adaptive learning rate and beyond" (2020), as in PyTorch; Keras has none.
    """

    beta_1: float = 0.9
    beta_2: float = 0.999
    epsilon: float = 1e-8
    _: KW_ONLY
    form: str = setting(as_form, "torch")

    def slots(self, w: Tensor) -> Mapping[str, float | Array]:
        return {"momentum": 0.0, "velocity": 0.0}

    def update(self, w: Tensor, g: Tensor, s: Slots, step: Tensor, rate: Tensor) -> tuple[Tensor, Slots]:
        m = self.beta_1 * s["momentum"] + (1 - self.beta_1) * g
        v = self.beta_2 * s["velocity"] + (1 - self.beta_2) * g * g
        correction, longest = 1 - self.beta_2**step, 2 / (1 - self.beta_2) - 1
        length = longest - 2 * step * self.beta_2**step / correction
        known = maximum(length, 5.0)  # where it is less, r is not used and would be no number
        r = sqrt((known - 4) * (known - 2) * longest / ((longest - 4) * (longest - 2) * known))
        factor = where(length > 5.0, r * sqrt(correction) / (sqrt(v) + self.epsilon), 1.0)
        return w - rate / (1 - self.beta_1**step) * m * factor, {"momentum": m, "velocity": v}
